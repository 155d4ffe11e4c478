"""A pooler that gives no session of our own is recognised where we connect first, and the message says what to do.

The pooler is a double of ours, since a healthy server never shows what it does; the server behind it is real.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gateway.config.settings import Secret
from gateway.doctor.machine import Finding, Grade, open_checked_database
from migrations.connect import connect, open_pool
from migrations.errors import PoolerBetween
from tests.api.world import CONFIG, read_clock, read_settings
from tests.commands.shell import Shell
from tests.database.transaction_pooler import pooled


async def test_transaction_mode_is_refused_with_both_ways_out(database_url: str) -> None:
    async with pooled(database_url) as url:
        with pytest.raises(PoolerBetween, match=r"transaction mode.*PostgreSQL itself.*pool_mode = session"):
            await connect(url, application_name="test")
        with pytest.raises(PoolerBetween):
            await open_pool(url, size=2, application_name="test")


async def test_a_refused_startup_parameter_is_a_poolers(database_url: str) -> None:
    async with pooled(database_url, refuses=True) as url:
        with pytest.raises(PoolerBetween, match=r"jit\).*ignore_startup_parameters"):
            await connect(url, application_name="test")


async def test_session_mode_is_as_good_as_the_server(database_url: str) -> None:
    async with pooled(database_url, sticky=True) as url:
        pool = await open_pool(url, size=2, application_name="test")
        assert await pool.fetchval("select 1") == 1
        await pool.close()


async def test_a_server_without_a_pooler_is_asked_one_question_on_one_connection(database_url: str) -> None:
    conn = await connect(database_url, application_name="only-one")
    count = await conn.fetchval("select count(*) from pg_stat_activity where application_name = 'only-one'")
    await conn.close()
    assert count == 1


async def test_doctor_says_so(database_url: str, tmp_path: Path) -> None:
    async with pooled(database_url) as url:
        settings = replace(read_settings(CONFIG, tmp_path), database_url=Secret(url))
        findings: list[Finding] = []
        async with open_checked_database(settings, findings, clock=read_clock) as pool:
            assert pool is None
    (finding,) = findings
    assert (finding.check, finding.grade) == ("database", Grade.FAIL)
    assert "pool_mode = session" in finding.advice


async def test_run_and_doctor_end_with_the_advice_and_no_stack_trace(
    database_url: str, tmp_path: Path
) -> None:
    async with pooled(database_url) as url:
        shell = Shell(tmp_path, url)
        for command in ("run", "doctor"):
            ended = await shell.run(command)
            said = ended.out + ended.err
            assert (ended.status, "pool_mode = session" in said) == (1, True), said
            assert "Traceback" not in said

"""The pool's limits, codecs and refusals."""

from __future__ import annotations

import asyncio
import os
import signal

import asyncpg
import pytest

from migrations.connect import connect, open_pool
from migrations.errors import DatabaseAway, DatabaseUnreachable, SchemaBehind, ServerTooOld


async def test_the_pool_says_who_it_is_and_limits_every_wait(database_url: str) -> None:
    async with await open_pool(database_url, size=3, application_name="chainbell-test") as pool:
        shown = {
            name: await pool.fetchval("select current_setting($1)", name)
            for name in ("application_name", "statement_timeout", "lock_timeout", "timezone")
        }
    assert shown == {
        "application_name": "chainbell-test",
        "statement_timeout": "1min",
        "lock_timeout": "10s",
        "timezone": "UTC",
    }


@pytest.mark.parametrize("resets", [True, False])
async def test_a_transaction_left_open_is_rolled_back_before_the_next_borrower(
    database_url: str, resets: bool
) -> None:
    async with await open_pool(database_url, size=1, application_name="test", resets=resets) as pool:
        async with pool.acquire() as conn:
            await conn.execute("set statement_timeout = '5s'")
            await conn.execute("begin; create table left_open (number int)")
        assert await pool.fetchval("select to_regclass('left_open')") is None
        assert await pool.fetchval("select pg_current_xact_id_if_assigned()") is None
        kept = await pool.fetchval("select current_setting('statement_timeout')")
        assert kept == ("1min" if resets else "5s"), "only where the session is reset, too"


async def test_json_columns_are_python_values_also_by_copy(database_url: str) -> None:
    value = {"a": [1, None, "ü"], "n": 10**30}
    conn = await connect(database_url, application_name="test")
    await conn.execute("create temporary table t (b jsonb, j json)")
    await conn.execute("insert into t values ($1, $2)", value, value)
    await conn.copy_records_to_table("t", records=[(value, value)])
    rows = await conn.fetch("select b, j from t")
    await conn.close()
    assert [(row["b"], row["j"]) for row in rows] == [(value, value)] * 2


async def test_a_database_never_migrated_is_refused_with_the_command_to_run(empty_database_url: str) -> None:
    with pytest.raises(SchemaBehind, match="chainbell migrate"):
        await open_pool(empty_database_url, size=1, application_name="test")


async def test_a_server_that_is_not_there_is_a_named_problem_after_the_patience() -> None:
    with pytest.raises(DatabaseUnreachable, match=r"did not answer within 0\.2 s"):
        await connect("postgresql://x@/x?host=/nowhere", application_name="test", patience_s=0.2)


async def test_a_wrong_password_is_not_retried(database_url: str) -> None:
    wrong = database_url.replace("chainbell:", "chainbell:x", 1)
    with pytest.raises(asyncpg.InvalidPasswordError):
        await connect(wrong, application_name="test", patience_s=60)


async def test_a_server_older_than_the_oldest_we_are_written_for_is_refused(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("migrations.connect.SERVER_MAJOR_MIN", 99)
    with pytest.raises(ServerTooOld, match="the server is PostgreSQL 18; at least 99 is needed"):
        await connect(database_url, application_name="test")


async def test_a_statement_of_a_server_that_stands_still_is_given_up_and_its_connection_with_it(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("migrations.connect.GIVING_UP_LATER_S", 0.2)
    async with await open_pool(
        database_url, size=2, application_name="test", statement_timeout_s=0.2
    ) as pool:
        with pytest.raises(DatabaseAway, match="QueryCanceledError"):
            await pool.execute("select pg_sleep(5)")
        server = None
        try:
            async with asyncio.timeout(5):
                async with pool.acquire() as conn:
                    server = await conn.fetchval("select pg_backend_pid()")
                    os.kill(server, signal.SIGSTOP)
                    with pytest.raises(TimeoutError):
                        await conn.fetchval("select 1")
                assert await pool.fetchval("select pg_backend_pid()") != server
        finally:
            if server is not None:
                os.kill(server, signal.SIGCONT)

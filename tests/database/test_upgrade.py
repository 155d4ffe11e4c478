"""Upgrade and rollback: a database goes to the next release and back, with commands only, and nothing of it is lost.

Before the first release there is no older schema to come from. So the next release is made here: this program and one
migration more, in a folder of its own. What is shown is the machinery: what is pending, who refuses what, that a failed
or killed migration leaves the old schema whole, that data survives, and that a backup is the way back.
"""

from __future__ import annotations

import asyncio
import hashlib
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio

from migrations.connect import connect
from migrations.ids import decode_id, encode_id
from migrations.runner import migrate
from relay.log.audit import verify_logs
from relay.log.eventlog import append
from tests.database.golden import dump_schema
from tests.database.releases import (
    NEXT_VERSION,
    THIS_RELEASE,
    Release,
    make_next_release,
    write_configuration,
)

EVENTS_COUNT = 25
NAMES = ("first", "second")
NEXT_FILE = f"{NEXT_VERSION:04d}_next.sql"
NEXT = """
-- What a release might bring: a column with a value for the rows that are there, an index, a table.
alter table merchants add column note text not null default 'from before';
create index merchants_by_note on merchants (note);
create table pledges (
  merchant_id uuid primary key,
  promised_at timestamptz not null
);
insert into pledges (merchant_id, promised_at)
select id, created_at
from merchants;
"""
BROKEN = f"{NEXT}update merchants set name = 'spoiled';\nselect 1 / 0;\n"
ENDLESS = f"{NEXT}update merchants set name = 'spoiled';\nselect pg_sleep(600);\n"


@dataclass(frozen=True)
class Told:
    """A fact for the log."""

    merchant_id: UUID
    version: int
    object_id: str = "dep_00000000000000000000000001"
    type: str = "deposit.included"
    reverses_version: int | None = None
    at: datetime = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

    @property
    def data(self) -> dict[str, object]:
        return {"deposit": {"id": self.object_id, "version": self.version}}


@dataclass(frozen=True)
class Installation:
    """A database with merchants and a log, written by this release."""

    url: str
    config: Path
    merchants: tuple[str, ...]


@pytest_asyncio.fixture
async def installation(empty_database_url: str, tmp_path: Path) -> AsyncIterator[Installation]:
    config = write_configuration(tmp_path / "installation", empty_database_url)
    conn = await connect(empty_database_url, application_name="test")
    await migrate(conn)
    ids = [UUID(int=1), UUID(int=2)]
    insert = "insert into merchants (id, name, created_at) values ($1, $2, now())"
    await conn.executemany(insert, list(zip(ids, NAMES, strict=True)))
    await conn.close()
    merchants = tuple(encode_id("mer", merchant_id) for merchant_id in ids)
    await tell(empty_database_url, merchants, range(1, EVENTS_COUNT + 1))
    yield Installation(empty_database_url, config, merchants)


@pytest.fixture
def next_release(tmp_path: Path) -> Release:
    return make_next_release(tmp_path / "next", NEXT)


async def tell(url: str, merchants: tuple[str, ...], versions: range) -> None:
    """Events in each merchant's log, one transaction for each version."""
    conn = await connect(url, application_name="test")
    for version in versions:
        async with conn.transaction():
            facts = [Told(decode_id("mer", merchant), version) for merchant in merchants]
            await append(conn, facts, now=Told.at)
    await conn.close()


async def content(url: str, columns: dict[str, list[str]] | None = None) -> dict[str, str]:
    """Table → digest of its rows, in the columns given (all of them otherwise)."""
    conn = await asyncpg.connect(url)
    digests: dict[str, str] = {}
    for table, names in (columns or await columns_of(url)).items():
        listed = ", ".join(names)
        rows = await conn.fetch(f"select row({listed})::text as line from {table} order by 1")
        digests[table] = hashlib.sha256("\n".join(row["line"] for row in rows).encode()).hexdigest()
    await conn.close()
    return digests


async def columns_of(url: str) -> dict[str, list[str]]:
    """Table → its columns, without the record of migrations."""
    conn = await asyncpg.connect(url)
    rows = await conn.fetch(
        "select c.table_name, c.column_name from information_schema.columns c"
        " join information_schema.tables t using (table_schema, table_name)"
        " where c.table_schema = 'public' and t.table_type = 'BASE TABLE' and c.table_name <> 'schema_migrations'"
        " order by 1, c.ordinal_position"
    )
    await conn.close()
    found: dict[str, list[str]] = {}
    for row in rows:
        found.setdefault(row["table_name"], []).append(row["column_name"])
    return found


async def assert_the_logs_are_whole(url: str, count: int) -> None:
    conn = await connect(url, application_name="test")
    assert await verify_logs(conn) == []
    assert {row[0] for row in await conn.fetch("select sequence from merchant_logs")} == {count}
    await conn.close()


async def test_check_says_what_is_pending_and_changes_nothing(
    installation: Installation, next_release: Release
) -> None:
    before = await dump_schema(installation.url), await content(installation.url)
    checked = await next_release.run(installation.config, "migrate", "--check", "--json")
    assert checked.status == 1
    assert checked.json() == {"pending": [NEXT_FILE]}
    assert (await dump_schema(installation.url), await content(installation.url)) == before
    nothing = await THIS_RELEASE.run(installation.config, "migrate", "--check", "--json")
    assert (nothing.status, nothing.json()) == (0, {"pending": []})


async def test_the_next_program_refuses_the_old_schema_until_it_is_migrated(
    installation: Installation, next_release: Release
) -> None:
    refused = await next_release.run(installation.config, "merchant", "list")
    assert refused.status == 1
    assert NEXT_FILE in refused.error
    assert "chainbell migrate" in refused.error
    assert "Traceback" not in refused.error


async def test_an_upgrade_keeps_every_row_and_the_logs_go_on(
    installation: Installation, next_release: Release
) -> None:
    columns = await columns_of(installation.url)
    before = await content(installation.url)
    done = await next_release.run(installation.config, "migrate", "--json")
    assert (done.status, done.json()) == (0, {"applied": [NEXT_FILE]})
    assert await content(installation.url, columns) == before
    conn = await asyncpg.connect(installation.url)
    assert {row[0] for row in await conn.fetch("select note from merchants")} == {"from before"}
    assert await conn.fetchval("select count(*) from pledges") == 2
    await conn.close()
    again = await next_release.run(installation.config, "migrate", "--json")
    assert (again.status, again.json()) == (0, {"applied": []})
    await tell(installation.url, installation.merchants, range(EVENTS_COUNT + 1, EVENTS_COUNT + 6))
    await assert_the_logs_are_whole(installation.url, EVENTS_COUNT + 5)


async def test_the_old_program_refuses_the_new_schema_and_says_what_to_do(
    installation: Installation, next_release: Release
) -> None:
    await next_release.run(installation.config, "migrate")
    before = await dump_schema(installation.url), await content(installation.url)
    commands = [("run",), ("migrate",), ("migrate", "--check"), ("merchant", "list")]
    for refused in await asyncio.gather(
        *(THIS_RELEASE.run(installation.config, *words) for words in commands)
    ):
        assert refused.status == 1
        assert f"{NEXT_VERSION:04d}_next, which this program does not know" in refused.error
        assert "run the newer release" in refused.error
        assert "restore a backup" in refused.error
        assert "Traceback" not in refused.error
    assert (await dump_schema(installation.url), await content(installation.url)) == before


async def test_a_failed_migration_leaves_the_old_schema_whole(
    installation: Installation, tmp_path: Path
) -> None:
    before = await dump_schema(installation.url), await content(installation.url)
    failed = await make_next_release(tmp_path / "broken", BROKEN).run(installation.config, "migrate")
    assert failed.status == 1
    assert f"{NEXT_FILE} failed and was rolled back: division by zero" in failed.error
    assert (await dump_schema(installation.url), await content(installation.url)) == before
    still = await THIS_RELEASE.run(installation.config, "merchant", "list", "--json")
    assert still.status == 0
    assert {one["name"] for one in still.json()["items"]} == set(NAMES)


async def test_a_migration_killed_on_its_way_leaves_the_old_schema_whole(
    installation: Installation, tmp_path: Path, next_release: Release
) -> None:
    before = await dump_schema(installation.url), await content(installation.url)
    migrating = await make_next_release(tmp_path / "endless", ENDLESS).start(installation.config, "migrate")
    conn = await asyncpg.connect(installation.url)
    asleep = "select pid from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'"
    async with asyncio.timeout(30):
        while (pid := await conn.fetchval(asleep)) is None:  # noqa: ASYNC110  (the server tells nobody)
            await asyncio.sleep(0.05)
    migrating.send_signal(signal.SIGKILL)
    await migrating.communicate()
    await conn.fetchval(
        "select pg_terminate_backend($1, 5000)", pid
    )  # a dead client is noticed when it is written to
    await conn.close()
    assert (await dump_schema(installation.url), await content(installation.url)) == before
    done = await next_release.run(installation.config, "migrate", "--json")
    assert (done.status, done.json()) == (0, {"applied": [NEXT_FILE]}), "the lock died with its holder"


async def test_a_backup_taken_before_is_the_way_back(
    installation: Installation, next_release: Release, tmp_path: Path, database_url: str
) -> None:
    columns = await columns_of(installation.url)
    backup = tmp_path / "before.backup"
    taken = await next_release.run(installation.config, "backup", str(backup))
    assert taken.status == 0, "the next release takes it too, before it migrates"
    before = await content(installation.url, columns)
    await next_release.run(installation.config, "migrate")
    await tell(installation.url, installation.merchants, range(EVENTS_COUNT + 1, EVENTS_COUNT + 4))

    rolled_back = write_configuration(tmp_path / "rolled-back", database_url)
    restored = await THIS_RELEASE.run(rolled_back, "restore", str(backup))
    assert restored.status == 0, restored.error
    after = await content(database_url, columns)
    assert {table for table in columns if after[table] != before[table]} == {"merchant_logs", "log_epochs"}, (
        "a new epoch, no more"
    )
    listed = await THIS_RELEASE.run(rolled_back, "merchant", "list", "--json")
    assert {one["merchant_id"] for one in listed.json()["items"]} == set(installation.merchants)
    await tell(database_url, installation.merchants, range(EVENTS_COUNT + 1, EVENTS_COUNT + 4))
    await assert_the_logs_are_whole(database_url, EVENTS_COUNT + 3)
    conn = await asyncpg.connect(database_url)
    epochs = await conn.fetch("select log_epoch, count(*) from events group by 1 order by 1")
    assert [row["count"] for row in epochs] == [2 * EVENTS_COUNT, 6], "told again under other ids"
    assert [row["log_epoch"] > 1 for row in epochs] == [False, True]
    await conn.close()


async def test_a_backup_is_restored_by_the_release_that_wrote_it_and_by_no_other(
    installation: Installation,
    next_release: Release,
    tmp_path: Path,
    empty_database_url: str,
    database_url: str,
) -> None:
    backup = tmp_path / "old.backup"
    assert (await THIS_RELEASE.run(installation.config, "backup", str(backup))).status == 0
    elsewhere = write_configuration(tmp_path / "elsewhere", database_url)
    await next_release.run(elsewhere, "migrate")
    untouched = await content(database_url)
    refused = await next_release.run(elsewhere, "restore", str(backup))
    assert refused.status == 1
    assert "restore with the release that wrote the backup" in refused.error
    assert await content(database_url) == untouched

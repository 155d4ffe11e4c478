"""Applying migrations: once, in order, whole or not at all, and never over a schema that is not ours."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from migrations.connect import connect, open_pool
from migrations.errors import (
    ChecksumChanged,
    MigrationFailed,
    MigrationsMalformed,
    SchemaBehind,
    SchemaMismatch,
    SchemaNewer,
)
from migrations.runner import (
    MIGRATION_LOCK_KEY,
    Migration,
    load_applied,
    load_migrations,
    migrate,
    parse_migrations,
    pending,
    wait_for_migration,
)

ONE = ("0001_one.sql", b"create table one (n bigint);")
TWO = ("0002_two.sql", b"create table two (n bigint); insert into two values (2);")


def known(*sources: tuple[str, bytes]) -> tuple[Migration, ...]:
    return parse_migrations(dict(sources))


async def fresh(url: str) -> asyncpg.Connection[asyncpg.Record]:
    return await connect(url, application_name="test")


async def until_it_sleeps(conn: asyncpg.Connection[asyncpg.Record], pid: int) -> None:
    asked = "select wait_event = 'PgSleep' from pg_stat_activity where pid = $1"
    while not await conn.fetchval(asked, pid):  # noqa: ASYNC110  (the server tells nobody)
        await asyncio.sleep(0.01)


async def test_migrations_are_applied_in_order_and_once(empty_database_url: str) -> None:
    conn = await fresh(empty_database_url)
    migrations = known(TWO, ONE)
    assert [m.version for m in await pending(conn, migrations)] == [1, 2]
    assert [m.version for m in await migrate(conn, migrations[:1])] == [1]
    assert [m.version for m in await pending(conn, migrations)] == [2]
    assert [m.version for m in await migrate(conn, migrations)] == [2]
    assert await migrate(conn, migrations) == ()
    assert [(m.version, m.name) for m in await load_applied(conn)] == [(1, "one"), (2, "two")]
    await conn.close()


async def test_waiting_for_another_process_s_migration_is_bounded(empty_database_url: str) -> None:
    other, conn = await fresh(empty_database_url), await fresh(empty_database_url)
    await wait_for_migration(conn, patience_s=0.05)
    await other.fetchval("select pg_advisory_lock($1)", MIGRATION_LOCK_KEY)
    with pytest.raises(SchemaBehind, match="another process is still migrating"):
        await wait_for_migration(conn, patience_s=0.05)
    await conn.close()
    await other.close()


async def test_looking_for_pending_migrations_writes_nothing(empty_database_url: str) -> None:
    conn = await fresh(empty_database_url)
    assert await pending(conn, known(ONE))
    assert await conn.fetchval("select count(*) from pg_tables where schemaname = 'public'") == 0
    await conn.close()


async def test_a_changed_migration_is_refused_by_name(empty_database_url: str) -> None:
    conn = await fresh(empty_database_url)
    await migrate(conn, known(ONE))
    changed = known((ONE[0], ONE[1] + b"\n"), TWO)
    with pytest.raises(ChecksumChanged, match=r"0001_one\.sql was applied .* another text"):
        await migrate(conn, changed)
    assert [m.version for m in await load_applied(conn)] == [1]
    await conn.close()


async def test_a_newer_schema_is_refused_with_the_way_out(empty_database_url: str) -> None:
    conn = await fresh(empty_database_url)
    await migrate(conn, known(ONE, TWO))
    with pytest.raises(SchemaNewer, match=r"0002_two, which this program does not know .* newer release"):
        await migrate(conn, known(ONE))
    await conn.close()


async def test_the_pool_refuses_a_newer_schema(database_url: str) -> None:
    conn = await fresh(database_url)
    await conn.execute(
        "insert into schema_migrations values (9999, 'later', decode(repeat('00', 32), 'hex'))"
    )
    await conn.close()
    with pytest.raises(SchemaNewer, match="9999_later"):
        await open_pool(database_url, size=1, application_name="test")


async def test_a_migration_that_was_skipped_is_refused(empty_database_url: str) -> None:
    conn = await fresh(empty_database_url)
    await migrate(conn, known(TWO))
    with pytest.raises(SchemaMismatch, match=r"0001_one\.sql was never applied, but 0002 was"):
        await migrate(conn, known(ONE, TWO))
    await conn.close()


async def test_a_failed_migration_leaves_nothing_of_itself(empty_database_url: str) -> None:
    conn = await fresh(empty_database_url)
    broken = known(ONE, ("0002_broken.sql", b"create table half (n bigint); select 1 / 0;"))
    with pytest.raises(
        MigrationFailed, match=r"0002_broken\.sql failed and was rolled back: division by zero"
    ):
        await migrate(conn, broken)
    assert [m.version for m in await load_applied(conn)] == [1]
    assert await conn.fetchval("select to_regclass('half')") is None
    assert [m.version for m in await migrate(conn, known(ONE, TWO))] == [2], "the lock was given back"
    await conn.close()


async def test_two_processes_migrating_at_once_apply_each_migration_once(empty_database_url: str) -> None:
    slow = (ONE[0], ONE[1] + b" select pg_sleep(0.3);")
    connections = [await fresh(empty_database_url) for _ in range(4)]
    results = await asyncio.gather(*(migrate(conn, known(slow, TWO)) for conn in connections))
    assert sorted(len(applied) for applied in results) == [0, 0, 0, 2]
    for conn in connections:
        await conn.close()


async def test_a_killed_migration_gives_the_lock_back_and_leaves_nothing(empty_database_url: str) -> None:
    victim, other = await fresh(empty_database_url), await fresh(empty_database_url)
    endless = (ONE[0], ONE[1] + b" select pg_sleep(60);")
    running = asyncio.create_task(migrate(victim, known(endless)))
    await until_it_sleeps(other, victim.get_server_pid())
    assert await other.fetchval("select pg_terminate_backend($1)", victim.get_server_pid())
    with pytest.raises(MigrationFailed):
        await running
    assert [m.version for m in await migrate(other, known(ONE))] == [1]
    await other.close()


async def test_a_table_in_use_fails_the_migration_with_what_to_do(empty_database_url: str) -> None:
    reader, conn = await fresh(empty_database_url), await fresh(empty_database_url)
    await migrate(conn, known(ONE))
    holding = reader.transaction()
    await holding.start()
    await reader.execute("select * from one")
    impatient = ("0002_alter.sql", b"set local lock_timeout = '50ms'; alter table one add m bigint;")
    with pytest.raises(MigrationFailed, match="stop the other chainbell processes"):
        await migrate(conn, known(ONE, impatient))
    await holding.rollback()
    await reader.close()
    await conn.close()


@pytest.mark.parametrize(
    ("names", "complaint"),
    [
        (["1_one.sql"], "is called NNNN_name.sql"),
        (["0001_One.sql"], "is called NNNN_name.sql"),
        (["0001_one.sql", "0001_two.sql"], r"number 1 is taken by 0001_one\.sql"),
    ],
)
def test_files_out_of_form_are_refused(names: list[str], complaint: str) -> None:
    with pytest.raises(MigrationsMalformed, match=complaint):
        parse_migrations(dict.fromkeys(names, b"select 1;"))


def test_the_migrations_of_this_release_are_readable() -> None:
    assert load_migrations()[0].filename == "0001_indexer.sql"

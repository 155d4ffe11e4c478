"""What a database does on a bad day is weather to every room: a failed step, never the end of the process."""

from __future__ import annotations

import asyncpg
import pytest

from migrations.connect import open_pool
from migrations.errors import DatabaseAway, DatabaseFull, DatabaseRefused
from migrations.handles import Connection
from relay.workers.store import PostgresRelayStore

WRITE = "insert into relay_workers (worker_id, seen_at) values (gen_random_uuid(), now())"
FAIL_AT_READING = "do $$ begin raise exception 'could not read block 7' using errcode = '58030'; end $$"
STANDBY = "set session characteristics as transaction read only"


async def suffer(conn: Connection, trouble: str) -> None:
    """Write to a server that became a standby, whose disk fails, or that said goodbye while we were sending."""
    match trouble:
        case "standby":
            await conn.execute(STANDBY)
            await conn.execute(WRITE)
        case "disk":
            await conn.execute(FAIL_AT_READING)
        case _:
            raise asyncpg.InternalClientError(
                "cannot switch to state 15; another operation (2) is in progress"
            )


@pytest.mark.parametrize("trouble", ["standby", "disk", "goodbye"])
async def test_a_standby_a_failing_disk_and_a_goodbye_are_weather(database_url: str, trouble: str) -> None:
    pool = await open_pool(database_url, size=1, application_name="test")
    try:
        with pytest.raises(DatabaseAway):
            async with pool.acquire() as conn:
                await suffer(conn, trouble)
        with pytest.raises(DatabaseAway):
            async with PostgresRelayStore(pool).connection() as conn:
                await suffer(conn, trouble)
        assert await pool.fetchval("select 1") == 1, "the connection was given back"
    finally:
        await pool.close()


@pytest.mark.parametrize(
    ("code", "means"),
    [
        ("58030", DatabaseAway),
        ("53100", DatabaseFull),
        ("42501", DatabaseRefused),
        ("23505", asyncpg.UniqueViolationError),
    ],
)
async def test_a_query_asked_of_the_pool_itself_says_the_same(
    database_url: str, code: str, means: type[Exception]
) -> None:
    pool = await open_pool(database_url, size=1, application_name="test")
    try:
        with pytest.raises(means) as caught:
            await pool.execute(f"do $$ begin raise exception 'planted' using errcode = '{code}'; end $$")
        assert type(caught.value) is means
    finally:
        await pool.close()

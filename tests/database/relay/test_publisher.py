"""Appends of many writers, committed together on PostgreSQL: nobody's facts depend on anybody else's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import pytest

from migrations.handles import Connection, Pool
from migrations.weather import PASSING
from relay.errors import LogBroken
from relay.log import audit
from relay.log import eventlog as log
from relay.log.bodies import BODY_BYTES_MAX, Published, RelayFact
from relay.log.publisher import GROUP_FACTS_MAX, Publisher

NOW = datetime(2026, 11, 20, tzinfo=UTC)
WRITERS = 40


def fact(number: int, *, merchant: int = 1, version: int = 1) -> RelayFact:
    return RelayFact(UUID(int=merchant), f"dep_{number}", version, "deposit.included", {"n": number}, NOW)


@asynccontextmanager
async def open_publisher(pool: Pool) -> AsyncIterator[Publisher]:
    publisher = Publisher(pool, clock=lambda: NOW)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(publisher.run())
        yield publisher
        running.cancel()


async def count_commits(conn: Connection) -> int:
    """Transactions that wrote events."""
    return len(await conn.fetch("select distinct xmin::text from events"))


async def test_what_many_writers_tell_at_once_is_committed_together_and_each_is_told_its_own(
    pool: Pool, conn: Connection
) -> None:
    told: dict[int, list[Published]] = {}

    async def write(publisher: Publisher, writer: int) -> None:
        facts = [fact(100 * writer + one, merchant=1 + (writer + one) % 3) for one in range(1 + writer % 3)]
        told[writer] = await publisher.publish(facts)
        assert [event.object_id for event in told[writer]] == [one.object_id for one in facts]

    async with open_publisher(pool) as publisher, asyncio.TaskGroup() as group:
        for writer in range(WRITERS):
            group.create_task(write(publisher, writer))
    bodies = {event.body for events in told.values() for event in events}
    kept = await conn.fetch("select body from events")
    assert {row["body"] for row in kept} == bodies
    assert await audit.verify_logs(conn) == []
    assert await count_commits(conn) <= 2


async def test_a_call_that_is_refused_tells_nothing_and_hurts_no_other(pool: Pool, conn: Connection) -> None:
    async with conn.transaction():
        await log.append(conn, [fact(7)], now=NOW)
    large = RelayFact(UUID(int=2), "dep_l", 1, "deposit.included", {"x": "y" * BODY_BYTES_MAX}, NOW)
    calls = [
        [fact(1)],
        [fact(2), fact(7)],
        [fact(3), large],
        [fact(4), fact(4)],
        [fact(5), fact(6, merchant=2)],
    ]
    outcomes: dict[int, object] = {}

    async def write(publisher: Publisher, number: int) -> None:
        try:
            outcomes[number] = len(await publisher.publish(calls[number]))
        except (asyncpg.UniqueViolationError, LogBroken) as error:
            outcomes[number] = type(error)

    async with open_publisher(pool) as publisher, asyncio.TaskGroup() as group:
        for number in range(len(calls)):
            group.create_task(write(publisher, number))
    refused = asyncpg.UniqueViolationError
    assert outcomes == {0: 1, 1: refused, 2: LogBroken, 3: refused, 4: 2}
    rows = await conn.fetch("select object_id from events order by object_id")
    assert [row["object_id"] for row in rows] == ["dep_1", "dep_5", "dep_6", "dep_7"]
    assert await audit.verify_logs(conn) == []


async def test_who_gives_up_takes_nobody_along(pool: Pool, conn: Connection) -> None:
    publisher = Publisher(pool, clock=lambda: NOW)
    async with asyncio.TaskGroup() as group:
        quitter = group.create_task(publisher.publish([fact(1)]))
        other = group.create_task(publisher.publish([fact(2)]))
        await asyncio.sleep(0)
        quitter.cancel()
        await asyncio.sleep(0)
        running = group.create_task(publisher.run())
        assert [event.object_id for event in await other] == ["dep_2"]
        running.cancel()
    assert await conn.fetchval("select count(*) from events") == 1, "it was not under way yet"


async def test_a_group_has_an_end_and_a_call_is_never_divided(pool: Pool, conn: Connection) -> None:
    sizes = [GROUP_FACTS_MAX - 1, 2, GROUP_FACTS_MAX + 1, 1]
    publisher = Publisher(pool, clock=lambda: NOW)
    async with asyncio.TaskGroup() as group:
        calls = [
            group.create_task(publisher.publish([fact(1000 * number + one) for one in range(size)]))
            for number, size in enumerate(sizes)
        ]
        await asyncio.sleep(0)
        running = group.create_task(publisher.run())
        assert [len(await call) for call in calls] == sizes
        running.cancel()
    rows = await conn.fetch("select count(*) as facts from events group by xmin::text order by min(sequence)")
    assert [row["facts"] for row in rows] == sizes


async def test_weather_is_told_to_everybody_who_waited(pool: Pool) -> None:
    publisher = Publisher(pool, clock=lambda: NOW)
    await pool.close()
    async with asyncio.TaskGroup() as group:
        calls = [group.create_task(catch(publisher, number)) for number in range(3)]
        await asyncio.sleep(0)
        running = group.create_task(publisher.run())
        for call in calls:
            assert isinstance(await call, PASSING)
        running.cancel()


async def catch(publisher: Publisher, number: int) -> BaseException | None:
    try:
        await publisher.publish([fact(number)])
    except Exception as error:  # noqa: BLE001  # whatever it is
        return error
    return None


async def test_nobody_waits_for_a_publisher_that_ended(pool: Pool) -> None:
    publisher = Publisher(pool, clock=lambda: NOW)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(publisher.run())
        await asyncio.sleep(0)
        waiting = group.create_task(publisher.publish([fact(1)]))
        await asyncio.sleep(0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

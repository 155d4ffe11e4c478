"""Taking a day out of the log: what others notice of it, and what a death in the middle leaves behind.

Lives here: writers beside it, strangers in the way of it, crashes at every statement of it. Does not live here: which
days go and what endpoints lose (`test_prune.py`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

from migrations.connect import connect
from migrations.handles import Connection
from relay.desk import endpoints
from relay.desk.terms import EndpointTerms, Rules
from relay.keys.secretbox import SecretBox
from relay.log import audit
from relay.log import eventlog as log
from relay.log.prune import QUERIES, Pruned, step_prune
from relay.settings import RelaySettings
from tests.database.relay.stages import MERCHANT, facts_of
from tests.pruning import prune

FIRST = datetime(2026, 1, 1, 12, tzinfo=UTC)
NOW = datetime(2026, 6, 15, 12, tzinfo=UTC)
SETTINGS = RelaySettings(retention_days=60)
ENDING = RelaySettings(retention_days=10, retention_max_days=30)
DAYS = 20
WRITER_WAITS_MAX_S = 5.0
"""Three lock timeouts of a tenth of a second are the promise; the rest is for a machine that does other things."""


@dataclass(slots=True)
class Writer:
    """Publishes without pause on a connection of its own, and notes its longest transaction."""

    longest_s: float = 0.0
    written: int = 0
    _stopped: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, url: str) -> None:
        conn = await connect(url, application_name="writer")
        while not self._stopped.is_set():
            began = time.monotonic()
            async with conn.transaction():
                self.written += 1
                facts = facts_of(("dep_new", self.written, "deposit.included"), merchant=UUID(int=77))
                await log.append(conn, facts, now=NOW)
            self.longest_s = max(self.longest_s, time.monotonic() - began)
        await conn.close()
        print(f"{self.written} transactions, the longest of {self.longest_s * 1000:.0f} ms")

    def stop(self) -> None:
        self._stopped.set()


@asynccontextmanager
async def writing(url: str) -> AsyncIterator[Writer]:
    writer = Writer()
    async with asyncio.TaskGroup() as group:
        group.create_task(writer.run(url))
        await asyncio.sleep(0.1)
        yield writer
        await asyncio.sleep(0.1)
        writer.stop()


async def old_days(conn: Connection, count: int = DAYS) -> None:
    for number in range(count):
        async with conn.transaction():
            facts = facts_of(("dep_a", number + 1, "deposit.included"))
            await log.append(conn, facts, now=FIRST + timedelta(days=number))
    await log.make_partitions(conn, now=NOW)


async def days_left(conn: Connection) -> int:
    rows = await conn.fetch(QUERIES.load_partitions)
    return sum(
        row["attached"] and row["told"] and row["day"] < FIRST.date() + timedelta(days=DAYS) for row in rows
    )


async def test_a_writer_hardly_waits_while_days_go(conn: Connection, database_url: str) -> None:
    await old_days(conn)
    async with writing(database_url) as writer:
        while await days_left(conn):
            await step_prune(conn, SETTINGS, now=NOW)
    assert writer.written > 10
    assert writer.longest_s < WRITER_WAITS_MAX_S
    assert await audit.verify_logs(conn) == []


async def test_a_transaction_somebody_left_open_delays_the_tidying_and_no_writer(
    conn: Connection, database_url: str
) -> None:
    await old_days(conn)
    stranger = await connect(database_url, application_name="report")
    async with stranger.transaction():
        await stranger.fetchval("select count(*) from events")
        async with writing(database_url) as writer:
            for _ in range(3):
                assert await step_prune(conn, SETTINGS, now=NOW) is Pruned.BUSY
            assert await log.make_partitions(conn, now=NOW + timedelta(days=1)) == 0
        readers = await conn.fetch(QUERIES.load_long_readers, 0.25)
        assert [row["application_name"] for row in readers] == ["report"]
    assert writer.longest_s < WRITER_WAITS_MAX_S
    assert await days_left(conn) == DAYS
    assert await prune(conn, SETTINGS, NOW) is Pruned.DONE
    assert await days_left(conn) == 0
    assert await log.make_partitions(conn, now=NOW + timedelta(days=1)) == 1
    await stranger.close()


async def test_a_reader_beside_it_reads_no_hole(conn: Connection, database_url: str) -> None:
    """It has every event it asked for, or hears afterwards that the log begins later."""
    await old_days(conn)
    outcomes = {"whole": 0, "gone": 0}

    async def read() -> None:
        own = await connect(database_url, application_name="reader")
        after = 0
        while after < DAYS - 1:
            found = await log.load_events_after(own, MERCHANT, after_sequence=after, types=None, limit=100)
            oldest = await log.load_oldest_sequence(own, MERCHANT)
            if after + 1 >= oldest:
                assert [event.sequence for event in found] == list(range(after + 1, DAYS + 1))
                outcomes["whole"] += 1
            else:
                outcomes["gone"] += 1
            after = oldest - 1
        await own.close()

    async def tidy() -> None:
        while await days_left(conn) > 1:
            await step_prune(conn, SETTINGS, now=FIRST + timedelta(days=DAYS + 59))

    async with asyncio.TaskGroup() as group:
        group.create_task(read())
        group.create_task(tidy())
    assert outcomes["whole"] > 1
    assert outcomes["gone"] > 1


class Crashed(Exception):
    """The process died here."""


class Mortal:
    """A connection that dies before or after its n-th statement, as with kill -9: the server sees it vanish."""

    def __init__(self, conn: Any, *, at: int, after: bool) -> None:
        self._conn, self._left, self._after = conn, at, after

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._conn, name)
        return self._counted(found) if name in {"execute", "fetch", "fetchrow", "fetchval"} else found

    def _counted(self, call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def counted(*arguments: Any) -> Any:
            self._left -= 1
            if self._left == 0 and not self._after:
                self._die()
            answer = await call(*arguments)
            if self._left == 0:
                self._die()
            return answer

        return counted

    def _die(self) -> None:
        self._conn.terminate()
        raise Crashed


async def test_a_death_at_any_statement_loses_and_repeats_nothing(
    conn: Connection, database_url: str
) -> None:
    await old_days(conn)
    async with conn.transaction():
        made, _ = await endpoints.create_endpoint(
            conn,
            SecretBox([bytes(32)]),
            MERCHANT,
            EndpointTerms(url="https://gone.example/"),
            rules=Rules((), allow_private_networks=False),
            from_sequence=1,
            now=FIRST,
        )
    await step_prune(conn, ENDING, now=NOW)  # warns
    now = NOW + timedelta(days=7)
    deaths = 0
    for attempt in range(400):
        own = await connect(database_url, application_name="mortal")
        mortal = cast("Connection", Mortal(own, at=1 + attempt // 2 % 26, after=attempt % 2 == 1))
        with suppress(Exception):  # the death, and what a context manager says of a connection that is gone
            if await step_prune(mortal, ENDING, now=now) is Pruned.DONE:
                own.terminate()
                break
        deaths += own.is_closed()
        own.terminate()
    assert deaths > DAYS
    assert await days_left(conn) == 0
    leaves = await conn.fetch("select sequence from event_leaves order by 1")
    assert [row["sequence"] for row in leaves] == list(range(1, DAYS + 1))
    losses = await conn.fetch("select first_sequence, last_sequence, events from endpoint_losses order by 1")
    assert [tuple(row) for row in losses] == [(n, n, 1) for n in range(1, DAYS + 1)]
    told = await log.load_events_after(
        conn, MERCHANT, after_sequence=DAYS, types=["endpoint.events_lost"], limit=100
    )
    assert len(told) == DAYS
    assert await conn.fetchval("select count(*) from pg_class where relname ~ '^retired_'") == 0
    assert await conn.fetchval("select sequence from endpoint_cursors") == DAYS
    assert made.sequence == 0
    assert await audit.verify_log(conn, MERCHANT) == []

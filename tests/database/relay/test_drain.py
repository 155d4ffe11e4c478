"""The short drain in PostgreSQL: what merchants see of it, over days of the log, and when such a day goes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from migrations.handles import Connection, Pool
from migrations.queries import load_queries
from relay.desk import endpoints, redeliver, views
from relay.desk.endpoints import Endpoint
from relay.desk.terms import EndpointTerms
from relay.desk.views import DeliveryState
from relay.log import eventlog as log
from relay.log.bodies import Published
from relay.log.prune import QUERIES, Pruned, load_needs
from relay.model import Covers, Drain, LogEvent, RowState, Settlement, delivery_id_of, shard_of
from relay.settings import RelaySettings
from relay.workers.storage import ReadBehind
from relay.workers.store import PostgresRelayStore
from tests.database.relay.stages import BOX, MERCHANT, RULES, facts_of
from tests.database.relay.test_drain_conformance import row
from tests.pruning import prune

OLD = datetime(2026, 1, 10, 12, tzinfo=UTC)
NOW = datetime(2026, 6, 15, 12, tzinfo=UTC)
DAY = timedelta(days=1)
SOON = OLD + 90 * DAY
"""Old enough for retention, and in the same hundred days."""
SETTINGS = RelaySettings(retention_days=60, attempts_kept_days=90)
ENDING = replace(SETTINGS, retention_max_days=100)
INCLUDED, FINAL, REVERSED = "deposit.included", "deposit.final", "deposit.reversed"
PAUSED_AND_RESUMED = 2
"""Events that an outage tells of itself."""


class Outage:
    """One endpoint that wants the latest only, and what it goes through."""

    def __init__(self, pool: Pool, conn: Connection) -> None:
        self.pool = pool
        self.conn = conn
        self.store = PostgresRelayStore(pool)

    async def create(self, at: datetime = OLD) -> UUID:
        terms = EndpointTerms(url="https://shop.example/", drain=Drain.LATEST_ONLY)
        async with self.conn.transaction():
            made, _ = await endpoints.create_endpoint(self.conn, BOX, MERCHANT, terms, rules=RULES, now=at)
        return made.endpoint_id

    async def tell(self, at: datetime, *told: tuple[str, int, str]) -> list[Published]:
        async with self.conn.transaction():
            return await log.append(self.conn, facts_of(*told), now=at)

    async def change(self, endpoint_id: UUID, at: datetime = OLD, **changes: object) -> Endpoint:
        async with self.conn.transaction():
            return await endpoints.change_endpoint(
                self.conn, BOX, MERCHANT, endpoint_id, changes, rules=RULES, now=at
            )

    async def resume(self, endpoint_id: UUID, at: datetime = OLD) -> Endpoint:
        async with self.conn.transaction():
            return await endpoints.resume_endpoint(self.conn, BOX, MERCHANT, endpoint_id, now=at)

    async def go_through_a_pause(self, endpoint_id: UUID, at: datetime = OLD) -> Endpoint:
        async with self.conn.transaction():
            await endpoints.pause_endpoint(self.conn, BOX, MERCHANT, endpoint_id, now=at)
        return await self.resume(endpoint_id, at)

    async def leave(self, endpoint_id: UUID, cursor: int, troubles: Mapping[Published, RowState]) -> None:
        """The cursor at this place, and rows of these events."""
        revision = await self.conn.fetchval("select filter_revision from endpoint_cursors")
        rows = tuple(row(event, state) for event, state in troubles.items())
        settlement = Settlement(
            endpoint_id, MERCHANT, shard_of(endpoint_id), 0, revision, 0, cursor, cursor, rows=rows
        )
        result = await self.store.settle([settlement], now=OLD)
        assert not result.stale

    async def rows(self) -> dict[int, tuple[str, int | None]]:
        rows = await self.conn.fetch(
            "select sequence, state, covered_by from delivery_exceptions order by sequence"
        )
        return {one["sequence"]: (one["state"], one["covered_by"]) for one in rows}

    async def read(self, endpoint_id: UUID, after_sequence: int = 0) -> list[LogEvent]:
        """As lanes read: a day at a time."""
        found: list[LogEvent] = []
        while True:
            asked = ReadBehind(endpoint_id, MERCHANT, after_sequence + len(found), 1_000)
            events = (await self.store.load_events([asked])).get(endpoint_id, [])
            if not events:
                return found
            found += events


@pytest.fixture
async def outage(pool: Pool, conn: Connection) -> Outage:
    return Outage(pool, conn)


async def days(conn: Connection) -> list[datetime]:
    return [one["day"] for one in await conn.fetch(QUERIES.load_partitions) if one["attached"]]


async def test_a_covered_delivery_says_by_what_and_is_not_called_delivered(outage: Outage) -> None:
    endpoint_id = await outage.create()
    told = await outage.tell(OLD, ("dep_a", 1, INCLUDED), ("dep_a", 2, INCLUDED), ("dep_a", 3, FINAL))
    await outage.leave(endpoint_id, 2, {told[0]: RowState.RETRYING, told[1]: RowState.WAITING})
    paused = await outage.go_through_a_pause(endpoint_id)
    assert (paused.drain, paused.state) == (Drain.LATEST_ONLY, "active")
    await outage.leave(endpoint_id, 5, {})
    for event in told[:2]:
        shown, _ = await views.load_delivery(
            outage.conn, MERCHANT, delivery_id_of(endpoint_id, event.event_id)
        )
        assert (shown.state, shown.covered_by, shown.retry_at) == (DeliveryState.COVERED, 3, None)
    listed = await views.load_deliveries(outage.conn, endpoint_id, state=DeliveryState.COVERED, limit=9)
    assert [(one.sequence, one.covered_by) for one in listed] == [(1, 3), (2, 3)]
    every = await views.load_deliveries(outage.conn, endpoint_id, limit=3)
    assert [one.state for one in every] == ["covered", "covered", "delivered"]
    totals = await views.load_queue_totals(outage.conn)
    assert (totals.troubled, totals.exhausted) == (0, 0)
    async with outage.conn.transaction():
        again = await redeliver.retry_delivery(outage.conn, MERCHANT, listed[0].delivery_id, now=OLD)
    assert (again.state, again.covered_by) == (DeliveryState.RETRYING, None)


async def test_resuming_what_was_not_paused_begins_no_drain(outage: Outage) -> None:
    endpoint_id = await outage.create()
    await outage.tell(OLD, ("dep_a", 1, INCLUDED), ("dep_a", 2, INCLUDED))
    await outage.resume(endpoint_id)
    assert await outage.conn.fetchval("select drain_sequence from endpoint_cursors") == 0


async def test_an_endpoint_that_is_to_get_everything_again_covers_nothing_more(outage: Outage) -> None:
    endpoint_id = await outage.create()
    await outage.tell(OLD, ("dep_a", 1, INCLUDED), ("dep_a", 2, FINAL))
    await outage.go_through_a_pause(endpoint_id)
    assert [one.covered_by for one in await outage.read(endpoint_id)][:2] == [2, None]
    assert (await outage.change(endpoint_id, drain=Drain.ALL)).drain is Drain.ALL
    assert [one.covered_by for one in await outage.read(endpoint_id)][:2] == [None, None]


async def test_the_newest_covers_over_days_whether_they_have_partitions_or_not(outage: Outage) -> None:
    endpoint_id = await outage.create()
    await log.make_partitions_of(outage.conn, [(OLD + n * DAY).date() for n in (0, 2)])
    told = await outage.tell(OLD, ("dep_a", 1, INCLUDED), ("dep_b", 1, INCLUDED))
    await outage.tell(OLD + DAY, ("dep_a", 2, FINAL), ("dep_b", 2, FINAL))
    await outage.tell(OLD + 2 * DAY, ("dep_a", 3, INCLUDED), ("dep_b", 3, REVERSED))
    await outage.tell(OLD + 3 * DAY, ("dep_a", 4, FINAL), ("dep_b", 4, FINAL))
    await outage.leave(endpoint_id, 2, {told[0]: RowState.RETRYING, told[1]: RowState.RETRYING})
    await outage.go_through_a_pause(endpoint_id, OLD + 4 * DAY)
    assert await outage.rows() == {1: ("covered", 7), 2: ("covered", 4)}
    events = await outage.read(endpoint_id, 2)
    assert [(one.sequence, one.covered_by) for one in events[:6]] == [
        (3, 7), (4, None), (5, 7), (6, None), (7, None), (8, None)
    ]  # fmt: skip
    assert [one.covers for one in events[:6]] == [None, Covers(2, 2), None, None, Covers(1, 1), None]


async def test_an_event_stands_for_others_of_the_same_hundred_days_only(outage: Outage) -> None:
    """A hundred days (UTC) counted from the beginning of 2000, so that all agree on where they end."""
    ends = datetime(2000, 1, 1, 12, tzinfo=UTC) + 9_500 * DAY
    assert OLD - 100 * DAY < ends < OLD
    endpoint_id = await outage.create(ends - 2 * DAY)
    for version, at in enumerate((ends - 2 * DAY, ends - DAY, ends, ends + 3 * DAY, ends + 99 * DAY), 1):
        await outage.tell(at, ("dep_a", version, INCLUDED))
    await outage.tell(ends + 100 * DAY, ("dep_a", 6, FINAL))
    await outage.go_through_a_pause(endpoint_id, ends + 101 * DAY)
    assert [one.covered_by for one in await outage.read(endpoint_id)][:6] == [2, None, 5, 5, None, None]


async def test_an_outage_of_years_opens_few_partitions_at_once_and_holds_none(outage: Outage) -> None:
    endpoint_id = await outage.create()
    await log.make_partitions_of(outage.conn, [(OLD + n * DAY).date() for n in range(350)])
    told = []
    for version in range(1, 351):
        told += await outage.tell(OLD + version * DAY, ("dep_a", version, INCLUDED))
    await outage.leave(endpoint_id, 1, {told[0]: RowState.RETRYING})
    async with outage.conn.transaction():
        await endpoints.pause_endpoint(outage.conn, BOX, MERCHANT, endpoint_id, now=OLD + 351 * DAY)
    held = """select count(distinct c.relname) from pg_locks l join pg_class c on c.oid = l.relation
      where l.pid = pg_backend_pid() and c.relkind = 'r' and c.relname ~ '^events_[0-9]'"""
    async with outage.conn.transaction():
        before = await outage.conn.fetchval(held)
        await endpoints.resume_endpoint(outage.conn, BOX, MERCHANT, endpoint_id, now=OLD + 351 * DAY)
        assert await outage.conn.fetchval(held) - before <= 3, "what is told of it, and no day it looked at"
    queries = load_queries("relay", "deliveries.sql")
    async with outage.conn.transaction():
        await outage.conn.fetch(queries.load_events_behind, [endpoint_id], [MERCHANT], [200], [500])
        assert await outage.conn.fetchval(held) <= 101
    assert (await outage.rows())[1][0] == "covered"


async def test_what_was_covered_holds_no_day_and_goes_with_it_without_a_word(outage: Outage) -> None:
    endpoint_id = await outage.create()
    told = await outage.tell(OLD, ("dep_b", 1, INCLUDED), ("dep_b", 2, FINAL))
    await outage.tell(SOON - DAY, ("dep_b", 3, INCLUDED), ("dep_b", 4, FINAL))
    await outage.leave(endpoint_id, 2, {told[0]: RowState.RETRYING, told[1]: RowState.WAITING})
    await outage.go_through_a_pause(endpoint_id, SOON)
    assert await outage.rows() == {1: ("covered", 4), 2: ("covered", 4)}
    await log.make_partitions(outage.conn, now=SOON)
    assert [need.sequence for need in await load_needs(outage.conn)] == [3]
    assert await prune(outage.conn, SETTINGS, SOON) is Pruned.DONE
    assert OLD.date() not in await days(outage.conn)
    assert await outage.rows() == {}
    shown = await endpoints.load_endpoint(outage.conn, BOX, MERCHANT, endpoint_id)
    assert (shown.sequence, shown.losses) == (2, ())
    events = await outage.read(endpoint_id, 2)
    assert [(one.covered_by, one.covers) for one in events[:2]] == [(4, None), (None, None)]


async def test_a_day_that_goes_with_what_covers_counts_as_lost_only_what_was_to_come(outage: Outage) -> None:
    endpoint_id = await outage.create()
    told = await outage.tell(OLD, ("dep_a", 1, INCLUDED), ("dep_a", 2, INCLUDED), ("dep_a", 3, FINAL))
    (after,) = await outage.tell(NOW, ("dep_a", 4, REVERSED))
    rows = {told[0]: RowState.RETRYING, told[1]: RowState.WAITING, told[2]: RowState.WAITING}
    await outage.leave(endpoint_id, 4, rows | {after: RowState.WAITING})
    await outage.go_through_a_pause(endpoint_id, NOW)
    await outage.leave(endpoint_id, 4 + PAUSED_AND_RESUMED, {})
    assert [state for state, _ in (await outage.rows()).values()] == [
        "covered",
        "covered",
        "retrying",
        "waiting",
    ]
    await log.make_partitions(outage.conn, now=NOW)
    for ahead in (0, 7):
        await prune(outage.conn, ENDING, NOW + ahead * DAY)
    assert OLD.date() not in await days(outage.conn)
    assert await outage.rows() == {4: ("retrying", None)}
    (loss,) = (await endpoints.load_endpoint(outage.conn, BOX, MERCHANT, endpoint_id)).losses
    assert (loss.first_sequence, loss.last_sequence, loss.reason, loss.events) == (3, 3, "undelivered", 1)


async def test_what_another_filter_gives_back_is_needed_again_and_warned_of_first(outage: Outage) -> None:
    endpoint_id = await outage.create()
    told = await outage.tell(OLD, ("dep_a", 1, INCLUDED), ("dep_a", 2, FINAL))
    await outage.leave(endpoint_id, 1, {told[0]: RowState.RETRYING})
    await outage.go_through_a_pause(endpoint_id, OLD)
    await log.make_partitions(outage.conn, now=NOW)
    assert [need.kind for need in await load_needs(outage.conn)] == ["cursor"]
    await outage.change(endpoint_id, event_types=(INCLUDED,))
    assert sorted(need.kind for need in await load_needs(outage.conn)) == ["cursor", "delivery"]
    assert await prune(outage.conn, ENDING, NOW) is Pruned.DONE
    assert OLD.date() in await days(outage.conn)
    assert await outage.rows() == {1: ("retrying", None)}


async def test_who_changes_a_filter_while_a_day_goes_waits_and_holds_nothing_it_needs(outage: Outage) -> None:
    endpoint_id = await outage.create()
    async with asyncio.TaskGroup() as group, outage.pool.acquire() as other:
        changing = Outage(outage.pool, other)
        async with outage.conn.transaction():
            assert await outage.conn.fetchval(QUERIES.take_retention)
            change = group.create_task(changing.change(endpoint_id, event_types=(INCLUDED,)))
            waits = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
            while not await outage.conn.fetchval(waits):  # noqa: ASYNC110  # the database changes it
                await asyncio.sleep(0.01)
            await outage.conn.execute(
                "select from endpoints where endpoint_id = $1 for update nowait", endpoint_id
            )
        assert (await change).event_types == (INCLUDED,)

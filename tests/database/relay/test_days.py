"""A log of many days reads like a log of one: by sequence, by type, by id, by object, for lanes and for lists."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from migrations.connect import connect
from migrations.handles import Connection, Pool
from migrations.ids import encode_id
from migrations.queries import load_queries
from relay.desk import endpoints, redeliver, views
from relay.desk.terms import EndpointTerms, Rules
from relay.errors import LogBroken
from relay.keys.secretbox import SecretBox
from relay.log import eventlog as log
from relay.log.bodies import Published, RelayFact
from relay.model import delivery_id_of
from relay.proof import tree
from relay.workers import replays
from relay.workers.storage import ReadBehind
from relay.workers.store import PostgresRelayStore
from tests.database.relay.stages import MERCHANT

DELIVERIES = load_queries("relay", "deliveries.sql")
FIRST = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAYS, EACH = 9, 4
LENGTH = DAYS * EACH
TYPES = ("deposit.included", "deposit.confirmed", "deposit.final", "deposit.moved")


async def publish(conn: Connection, now: datetime, *facts: RelayFact) -> list[Published]:
    async with conn.transaction():
        return await log.append(conn, facts, now=now)


@pytest.fixture
async def events(conn: Connection, monkeypatch: pytest.MonkeyPatch) -> Sequence[Published]:
    """Nine days of four events, one of each type; statements may read two days. Some days have no partition."""
    monkeypatch.setattr(log, "DAYS_A_READ", 2)
    await log.make_partitions_of(conn, [(FIRST + timedelta(days=n)).date() for n in (0, 2, 3, 4, 7)])
    told: list[Published] = []
    for day in range(DAYS):
        facts = [
            RelayFact(MERCHANT, f"dep_{number}", day + 1, kind, {}, FIRST)
            for number, kind in enumerate(TYPES)
        ]
        told += await publish(conn, FIRST + timedelta(days=day), *facts)
    return told


@pytest.mark.parametrize("after", [0, 1, EACH - 1, EACH, LENGTH - 1, LENGTH])
@pytest.mark.parametrize("limit", [1, EACH + 1, LENGTH])
async def test_a_pull_reads_on_over_days(
    conn: Connection, events: Sequence[Published], after: int, limit: int
) -> None:
    found = await log.load_events_after(conn, MERCHANT, after_sequence=after, types=None, limit=limit)
    assert [one.sequence for one in found] == [event.sequence for event in events][after : after + limit]
    types = ["deposit.final"]
    found = await log.load_events_after(conn, MERCHANT, after_sequence=after, types=types, limit=limit)
    wanted = [event.sequence for event in events if event.sequence > after and event.type in types]
    assert [one.sequence for one in found] == wanted[:limit]


async def test_an_event_is_found_on_any_day(conn: Connection, events: Sequence[Published]) -> None:
    for event in (events[0], events[LENGTH // 2], events[-1]):
        found = await log.load_event(conn, MERCHANT, event.event_id)
        assert found is not None
        assert found.body == event.body
    assert await log.load_event(conn, MERCHANT, UUID(int=1)) is None
    history = await log.load_events_of_object(conn, MERCHANT, "dep_2", after_sequence=5, limit=5)
    assert [one.sequence for one in history] == [7, 11, 15, 19, 23]


async def test_a_reversal_finds_its_confirmation_on_any_day(
    conn: Connection, events: Sequence[Published]
) -> None:
    confirmed = events[1]
    reversals = [
        RelayFact(MERCHANT, "dep_1", DAYS + n, "deposit.reversed", {}, FIRST, reverses_version=n)
        for n in (1, DAYS)
    ]
    told = await publish(conn, FIRST + timedelta(days=DAYS), *reversals)
    assert json.loads(told[0].body)["data"]["reverses"] == encode_id("evt", confirmed.event_id)
    assert json.loads(told[1].body)["data"]["reverses"] == encode_id("evt", events[-3].event_id)
    never = RelayFact(MERCHANT, "dep_2", 99, "deposit.reversed", {}, FIRST, reverses_version=1)
    with pytest.raises(LogBroken):
        await publish(conn, FIRST + timedelta(days=DAYS), never)


async def test_lanes_on_different_days_are_fed_in_one_question_and_without_holes(
    conn: Connection, pool: Pool, events: Sequence[Published]
) -> None:
    store = PostgresRelayStore(pool)
    ids = [await endpoint(conn, from_sequence=first) for first in (1, 2, 20)]
    places = dict(zip(ids, (0, 1, 19), strict=True))
    while min(places.values()) < LENGTH:
        reads = [ReadBehind(one, MERCHANT, place, 3) for one, place in places.items()]
        found = await store.load_events(reads)
        for read in reads:
            fed = [event.sequence for event in found.get(read.endpoint_id, [])]
            assert fed == list(range(read.after_sequence + 1, read.after_sequence + 1 + len(fed)))
            assert fed or read.after_sequence == LENGTH
            places[read.endpoint_id] += len(fed)


async def test_deliveries_are_listed_and_replayed_over_days(
    conn: Connection, pool: Pool, events: Sequence[Published]
) -> None:
    endpoint_id = await endpoint(conn, from_sequence=1)
    await conn.execute("update endpoint_cursors set sequence = 10, matched_sequence = 10")
    listed = await views.load_deliveries(conn, endpoint_id, after_sequence=3, limit=12)
    assert [one.sequence for one in listed] == list(range(4, 16))
    pending = await views.load_deliveries(conn, endpoint_id, state=views.DeliveryState.PENDING, limit=100)
    assert [one.sequence for one in pending] == list(range(11, LENGTH + 1))
    found = await views.find_delivery(conn, MERCHANT, listed[0].delivery_id)
    assert found.sequence == 4
    async with conn.transaction():
        await redeliver.replay(conn, MERCHANT, endpoint_id, from_sequence=2, now=FIRST)
    store = PostgresRelayStore(pool)
    async with asyncio.timeout(30):
        while await store.advance_replay(endpoint_id, now=FIRST, limit=3, rows_max=100):
            pass
    due = await store.load_due_rows(endpoint_id, FIRST + timedelta(days=30), 100)
    assert {row.row.sequence: row.body for row in due.rows} == {
        event.sequence: event.body for event in events[1:5]
    }
    rows = await conn.fetch("select sequence, prev_sequence from delivery_exceptions order by 1")
    assert [tuple(row) for row in rows] == [(n, n - 1) for n in range(2, 11)]


async def test_one_object_is_replayed_over_days(
    conn: Connection, pool: Pool, events: Sequence[Published], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replays, "LOOK_BACK_STRETCH", 2)
    endpoint_id = await endpoint(conn, from_sequence=1)
    await conn.execute("update endpoint_cursors set sequence = $1, matched_sequence = $1", LENGTH - EACH)
    async with conn.transaction():
        asked = await redeliver.replay_object(conn, MERCHANT, endpoint_id, object_id="dep_1", now=FIRST)
    own = [event.sequence for event in events if event.object_id == "dep_1"][:-1]
    assert asked == redeliver.Replay(endpoint_id, own[0], own[-1], len(own))
    store = PostgresRelayStore(pool)
    async with asyncio.timeout(30):
        while await store.advance_replay(endpoint_id, now=FIRST, limit=3, rows_max=100):
            pass
    rows = await conn.fetch("select sequence, prev_sequence from delivery_exceptions order by 1")
    assert [tuple(row) for row in rows] == [(sequence, sequence - 1) for sequence in own]


async def test_what_came_before_is_looked_for_no_further_than_some_days(
    conn: Connection, events: Sequence[Published]
) -> None:
    """Two, here. What is behind them may match, so it counts as if it did."""
    before = [
        await replays.load_matched_before(conn, MERCHANT, ["deposit.included"], event.sequence)
        for event in events
    ]
    assert before == [0, *(4 * ((event.sequence - 2) // 4) + 1 for event in events[1:])]
    found = await replays.load_matched_before(conn, MERCHANT, ["test.ping"], LENGTH)
    assert found == LENGTH - 2 * EACH


async def test_who_walks_over_days_in_a_transaction_keeps_no_lock_on_them(
    conn: Connection, events: Sequence[Published]
) -> None:
    endpoint_id = await endpoint(conn, from_sequence=1)
    async with conn.transaction():
        assert len(await tree.load_leaves(conn, MERCHANT, (0, LENGTH))) == len(events)
        found = await replays.measure_object(conn, MERCHANT, "dep_0", None, last_sequence=LENGTH)
        assert found == replays.ObjectEvents(DAYS, DAYS, 1, LENGTH - EACH + 1)
        delivery = await views.find_delivery(conn, MERCHANT, delivery_id_of(endpoint_id, events[0].event_id))
        assert delivery.sequence == 1
        held = await conn.fetch(
            """select distinct c.relname from pg_locks l join pg_class c on c.oid = l.relation
            where l.pid = pg_backend_pid() and c.relname ~ '^events_[0-9d]'"""
        )
    assert held == []


Read = Callable[[Connection, Sequence[Published]], Coroutine[None, None, list[int]]]


async def read_by_sequence(conn: Connection, _told: Sequence[Published]) -> list[int]:
    found = await log.load_events_after(conn, MERCHANT, after_sequence=0, types=None, limit=99)
    return [one.sequence for one in found]


async def read_by_id(conn: Connection, told: Sequence[Published]) -> list[int]:
    found = [await log.load_event(conn, MERCHANT, event.event_id) for event in told]
    return [one.sequence for one in found if one is not None]


async def read_by_id_newest_first(conn: Connection, told: Sequence[Published]) -> list[int]:
    return (await read_by_id(conn, told[::-1]))[::-1]


async def read_by_object(conn: Connection, _told: Sequence[Published]) -> list[int]:
    found = await log.load_events_of_object(conn, MERCHANT, "dep_0", after_sequence=0, limit=99)
    return [one.sequence for one in found]


async def read_oldest(conn: Connection, told: Sequence[Published]) -> list[int]:
    oldest = await log.load_oldest_sequence(conn, MERCHANT)
    return list(range(oldest, len(told) + 1))


async def read_for_lanes(conn: Connection, told: Sequence[Published]) -> list[int]:
    found: list[int] = []
    query, lane = DELIVERIES.load_events_behind, await conn.fetchval("select endpoint_id from endpoints")
    while len(found) < len(told):
        rows = await conn.fetch(query, [lane], [MERCHANT], [len(found)], [99])
        if not rows:
            break
        found += [row["sequence"] for row in rows]
    return found


async def read_leaves(conn: Connection, told: Sequence[Published]) -> list[int]:
    return list(range(1, len(await tree.load_leaves(conn, MERCHANT, (0, len(told)))) + 1))


@pytest.mark.parametrize(
    "read",
    [
        read_by_sequence,
        read_by_id,
        read_by_id_newest_first,
        read_by_object,
        read_oldest,
        read_for_lanes,
        read_leaves,
    ],
)
async def test_whoever_reads_while_rows_move_to_their_partition_sees_all_of_them(
    conn: Connection, database_url: str, read: Read
) -> None:
    told: list[Published] = []
    for day in range(3):  # all of it stands in the default partition
        told += await publish(
            conn,
            FIRST + timedelta(days=day),
            RelayFact(MERCHANT, "dep_0", day + 1, "deposit.included", {}, FIRST),
        )
    await endpoint(conn, from_sequence=1)
    complete = [1, 2, 3]
    assert await read(conn, told) == complete
    mover = await connect(database_url, application_name="mover")
    moving = mover.transaction()
    await moving.start()
    assert await log.make_partitions(mover, now=FIRST) == 1 + log.DAYS_AHEAD
    async with asyncio.TaskGroup() as group:
        reading = group.create_task(read(conn, told))
        waits = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
        while not reading.done() and not await mover.fetchval(waits):  # noqa: ASYNC110  # the database changes it
            await asyncio.sleep(0.01)
        await moving.commit()
    assert reading.result() == complete
    assert await read(conn, told) == complete
    await mover.close()


async def test_a_partition_made_ahead_lets_readers_go_on(conn: Connection, database_url: str) -> None:
    await log.make_partitions_of(conn, [FIRST.date()])
    told = await publish(conn, FIRST, RelayFact(MERCHANT, "dep_0", 1, "deposit.included", {}, FIRST))
    maker = await connect(database_url, application_name="maker")
    making = maker.transaction()
    await making.start()
    assert await log.make_partitions(maker, now=FIRST) == log.DAYS_AHEAD
    assert await asyncio.wait_for(read_by_sequence(conn, told), 5) == [1]
    await making.rollback()
    await maker.close()


async def test_what_is_told_while_its_partition_is_asked_for_is_moved_by_the_next_attempt(
    conn: Connection, database_url: str
) -> None:
    maker = await connect(database_url, application_name="maker")
    days = [FIRST.date()]
    telling = conn.transaction()
    await telling.start()
    told = await log.append(conn, [RelayFact(MERCHANT, "dep_0", 1, "deposit.included", {}, FIRST)], now=FIRST)
    async with asyncio.TaskGroup() as group:
        making = group.create_task(log.make_partitions_of(maker, days))
        waits = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
        while not making.done() and not await conn.fetchval(waits):  # noqa: ASYNC110  # the database changes it
            await asyncio.sleep(0.01)
        await telling.commit()
    assert making.result() == 0, "rows were moved from under readers"
    assert await log.make_partitions_of(maker, days) == 1
    assert await read_by_sequence(conn, told) == [1]
    await maker.close()


async def endpoint(conn: Connection, *, from_sequence: int) -> UUID:
    async with conn.transaction():
        made, _ = await endpoints.create_endpoint(
            conn,
            SecretBox([bytes(32)]),
            MERCHANT,
            EndpointTerms(url="https://shop.example/"),
            rules=Rules((), allow_private_networks=False),
            from_sequence=from_sequence,
            now=FIRST,
        )
    return made.endpoint_id

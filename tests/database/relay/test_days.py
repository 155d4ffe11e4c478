"""A log of many days reads like a log of one: by sequence, by type, by id, by object, for lanes and for lists."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from migrations.handles import Connection, Pool
from migrations.ids import encode_id
from relay import endpoints, log, redeliver, views
from relay.bodies import Published, RelayFact
from relay.errors import LogBroken
from relay.secretbox import SecretBox
from relay.storage import ReadBehind
from relay.store import PostgresRelayStore
from relay.terms import EndpointTerms, Rules
from tests.database.relay.stages import MERCHANT

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

"""Sending again what a merchant asks for: one delivery, a stretch of the log, one object's events, what was exhausted.

Lives here: `retry_delivery` and the replays, on a connection inside the caller's transaction. What is sent again has the
same ids and bytes, stands beside the stream (it holds nothing up), and becomes rows a few at a time, so that a replay of
millions is one row until it is worked on, and survives a crash at any point. Does not live here: working on it
(`replays`, called by `dispatch`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from migrations.handles import Connection
from migrations.ids import new_id
from migrations.queries import load_queries
from relay.desk.endpoints import lock_endpoint
from relay.desk.views import Delivery, DeliveryState, find_delivery
from relay.errors import Conflict, Flaw, NotFound, RequestFlawed, SequencePruned
from relay.log import eventlog as log
from relay.workers.replays import load_matched_before, measure_object

ENDPOINTS = load_queries("relay", "endpoints.sql")
DELIVERIES = load_queries("relay", "deliveries.sql")
VIEWS = load_queries("relay", "views.sql")

REPLAYS_MAX = 10


@dataclass(frozen=True, slots=True)
class Replay:
    """What will be sent again, both sequences inclusive and None where it is nothing.

    `deliveries` counts them; None for a stretch of the log, which is counted by nobody before it is read.
    """

    endpoint_id: UUID
    from_sequence: int | None
    to_sequence: int | None
    deliveries: int | None = None


async def retry_delivery(
    conn: Connection, merchant_id: UUID, delivery_id: UUID, *, now: datetime
) -> Delivery:
    """Have one delivery sent again now, whatever became of it; returns it as it stands then.

    NotFound; Conflict where it has its turn anyway (not reached yet, or behind an earlier version of its object).
    """
    await log.hold_oldest_sequence(conn, merchant_id)
    found = await find_delivery(conn, merchant_id, delivery_id)
    await lock_endpoint(conn, merchant_id, found.endpoint_id)
    await conn.fetchval(ENDPOINTS.lock_cursor, found.endpoint_id)
    found = await find_delivery(conn, merchant_id, delivery_id)
    match found.state:
        case DeliveryState.PENDING:
            raise Conflict("this delivery has not had its turn yet")
        case DeliveryState.WAITING:
            raise Conflict("an earlier version of the same object is being delivered first")
        case DeliveryState.RETRYING:
            await conn.execute(VIEWS.retry_row_now, found.endpoint_id, found.sequence, now)
        case DeliveryState.EXHAUSTED | DeliveryState.DELIVERED | DeliveryState.COVERED:
            await _put_beside(conn, merchant_id, found, now)
        case DeliveryState.SENDING:
            pass
    await conn.execute(ENDPOINTS.touch_endpoint, found.endpoint_id)
    await conn.execute(ENDPOINTS.notify_endpoint, found.endpoint_id)
    return await find_delivery(conn, merchant_id, delivery_id)


async def replay(
    conn: Connection,
    merchant_id: UUID,
    endpoint_id: UUID,
    *,
    from_sequence: int,
    to_sequence: int | None = None,
    now: datetime,
) -> Replay:
    """Have the events of a stretch that the endpoint's filter matches now sent again; returns what was accepted.

    The end is at most the endpoint's place in the log: what follows is delivered anyway. NotFound, RequestFlawed,
    SequencePruned, Conflict (too many replays wait already).
    """
    oldest, place = await _hold(conn, merchant_id, endpoint_id)
    if from_sequence < 1 or from_sequence > place:
        raise RequestFlawed(
            Flaw("/from_sequence", f"a sequence from 1 to {place}, up to where this endpoint has come")
        )
    last = place if to_sequence is None else min(to_sequence, place)
    if last < from_sequence:
        raise RequestFlawed(Flaw("/to_sequence", "not before from_sequence"))
    if from_sequence < oldest:
        raise SequencePruned(oldest)
    before = await _load_matched_before(conn, merchant_id, endpoint_id, from_sequence)
    replay = Replay(endpoint_id, from_sequence, last)
    await _insert_replay(conn, replay, matched_sequence=before, now=now)
    return replay


async def replay_object(
    conn: Connection, merchant_id: UUID, endpoint_id: UUID, *, object_id: str, now: datetime
) -> Replay:
    """Have every event of one object (`dep_…`) that the endpoint's filter matches now sent again, as far as it has come.

    NotFound, also where the log keeps no event of this object; Conflict (too many replays wait already).
    """
    _, place = await _hold(conn, merchant_id, endpoint_id)
    event_types = await conn.fetchval(VIEWS.load_filter, endpoint_id)
    found = await measure_object(conn, merchant_id, object_id, event_types, last_sequence=place)
    if not found.kept:
        raise NotFound("no event of this object is kept")
    replay = Replay(endpoint_id, found.first_sequence, found.last_sequence, found.deliveries)
    await _insert_replay(conn, replay, object_id=object_id, now=now)
    return replay


async def replay_exhausted(
    conn: Connection, merchant_id: UUID, endpoint_id: UUID, *, since: datetime, now: datetime
) -> Replay:
    """Have everything of this endpoint sent again whose last retry failed at `since` or later, whatever the filter says now.

    What retention dropped can not be. NotFound, Conflict (too many replays wait already).
    """
    await _hold(conn, merchant_id, endpoint_id)
    found = await conn.fetchrow(VIEWS.measure_exhausted, endpoint_id, since)
    assert found is not None, "a count has a row"
    replay = Replay(endpoint_id, found["sequence_first"], found["sequence_last"], found["deliveries"])
    await _insert_replay(conn, replay, exhausted_since=since, now=now)
    return replay


async def _hold(conn: Connection, merchant_id: UUID, endpoint_id: UUID) -> tuple[int, int]:
    """Lock retention, the endpoint and its cursor; the oldest sequence that is kept, and where the endpoint has come."""
    oldest = await log.hold_oldest_sequence(conn, merchant_id)
    await lock_endpoint(conn, merchant_id, endpoint_id)
    return oldest, await conn.fetchval(ENDPOINTS.lock_cursor, endpoint_id)


async def _insert_replay(
    conn: Connection,
    replay: Replay,
    *,
    matched_sequence: int = 0,
    object_id: str | None = None,
    exhausted_since: datetime | None = None,
    now: datetime,
) -> None:
    if replay.from_sequence is None:
        return
    if await conn.fetchval(VIEWS.count_replays, replay.endpoint_id) >= REPLAYS_MAX:
        raise Conflict(f"{REPLAYS_MAX} replays of this endpoint wait already")
    await conn.execute(
        VIEWS.insert_replay,
        new_id(int(now.timestamp() * 1000)),
        replay.endpoint_id,
        replay.from_sequence - 1,
        replay.to_sequence,
        matched_sequence,
        now,
        object_id,
        exhausted_since,
    )
    await conn.execute(ENDPOINTS.touch_endpoint, replay.endpoint_id)
    await conn.execute(ENDPOINTS.notify_endpoint, replay.endpoint_id)


async def _put_beside(conn: Connection, merchant_id: UUID, delivery: Delivery, now: datetime) -> None:
    endpoint_id = delivery.endpoint_id
    before = await _load_matched_before(conn, merchant_id, endpoint_id, delivery.sequence)
    await conn.execute(
        DELIVERIES.insert_replay_rows,
        endpoint_id,
        merchant_id,
        [delivery.sequence],
        [delivery.event_id],
        [delivery.event_at],
        [delivery.object_id],
        [delivery.version],
        [delivery.event_type],
        [before],
        now,
    )
    await conn.execute(DELIVERIES.promote_waiting_rows, [endpoint_id], [delivery.object_id], [True], now)


async def _load_matched_before(conn: Connection, merchant_id: UUID, endpoint_id: UUID, sequence: int) -> int:
    event_types = await conn.fetchval(VIEWS.load_filter, endpoint_id)
    return await load_matched_before(conn, merchant_id, event_types, sequence)

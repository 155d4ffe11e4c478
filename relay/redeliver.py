"""Sending again what a merchant asks for: one delivery, or a stretch of the log.

Lives here: `retry_delivery` and `replay`, on a connection inside the caller's transaction. What is sent again has the same
ids and bytes, stands beside the stream (it holds nothing up), and becomes rows a few at a time, so that a replay of
millions is one row until it is worked on, and survives a crash at any point. Does not live here: working on it
(`dispatch`, `RelayStore.advance_replay`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from migrations.handles import Connection
from migrations.ids import new_id
from migrations.queries import load_queries
from relay import log
from relay.endpoints import lock_endpoint
from relay.errors import Conflict, Flaw, RequestFlawed, SequencePruned
from relay.views import Delivery, DeliveryState, find_delivery

ENDPOINTS = load_queries("relay", "endpoints.sql")
DELIVERIES = load_queries("relay", "deliveries.sql")
VIEWS = load_queries("relay", "views.sql")

REPLAYS_MAX = 10
LOOK_BACK_EVENTS = 10_000
"""How far the sequence before a replayed event is looked for; beyond, `chainbell-prev-sequence` says 0."""


@dataclass(frozen=True, slots=True)
class Replay:
    """Both sequences inclusive."""

    endpoint_id: UUID
    from_sequence: int
    to_sequence: int


async def retry_delivery(
    conn: Connection, merchant_id: UUID, delivery_id: UUID, *, now: datetime
) -> Delivery:
    """Have one delivery sent again now, whatever became of it; returns it as it stands then.

    NotFound; Conflict where it has its turn anyway (not reached yet, or behind an earlier version of its object).
    """
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
        case DeliveryState.EXHAUSTED | DeliveryState.DELIVERED:
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
    await lock_endpoint(conn, merchant_id, endpoint_id)
    place: int = await conn.fetchval(ENDPOINTS.lock_cursor, endpoint_id)
    if from_sequence < 1 or from_sequence > place:
        raise RequestFlawed(
            Flaw("/from_sequence", f"a sequence from 1 to {place}, up to where this endpoint has come")
        )
    last = place if to_sequence is None else min(to_sequence, place)
    if last < from_sequence:
        raise RequestFlawed(Flaw("/to_sequence", "not before from_sequence"))
    oldest = await log.load_oldest_sequence(conn, merchant_id)
    if from_sequence < oldest:
        raise SequencePruned(oldest)
    if await conn.fetchval(VIEWS.count_replays, endpoint_id) >= REPLAYS_MAX:
        raise Conflict(f"{REPLAYS_MAX} replays of this endpoint wait already")
    before = await _load_matched_before(conn, merchant_id, endpoint_id, from_sequence)
    replay_id = new_id(int(now.timestamp() * 1000))
    await conn.execute(VIEWS.insert_replay, replay_id, endpoint_id, from_sequence - 1, last, before, now)
    await conn.execute(ENDPOINTS.touch_endpoint, endpoint_id)
    await conn.execute(ENDPOINTS.notify_endpoint, endpoint_id)
    return Replay(endpoint_id, from_sequence, last)


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
    found: int | None = await conn.fetchval(
        VIEWS.load_matched_before, merchant_id, sequence, event_types, LOOK_BACK_EVENTS
    )
    return found or 0

"""Read-only questions about deliveries and endpoints' health.

Lives here: lists and single deliveries with their attempts, counts for dashboards. A delivery without trouble has no
row: its state follows from the endpoint's cursor and the filter that held. Does not live here: changing anything
(`endpoints`, `redeliver`), the log itself (`log.eventlog`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from migrations.handles import Connection, Row
from migrations.queries import load_queries
from relay.errors import NotFound
from relay.log.eventlog import glance, load_days, load_stretch_end
from relay.model import delivery_id_of

QUERIES = load_queries("relay", "views.sql")
ENDPOINTS = load_queries("relay", "endpoints.sql")

ATTEMPTS_SHOWN_MAX = 100
STRETCH_EVENTS = 1_000


class DeliveryState(StrEnum):
    """What a merchant sees of a delivery."""

    PENDING = "pending"  # the endpoint's cursor has not come so far
    SENDING = "sending"
    RETRYING = "retrying"
    WAITING = "waiting"
    EXHAUSTED = "exhausted"
    DELIVERED = "delivered"
    COVERED = "covered"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event to one endpoint. `attempts` counts what was kept: a first try that simply succeeded is not.

    `covered_by` is the sequence of the event that stands for a covered one.
    """

    delivery_id: UUID
    endpoint_id: UUID
    event_id: UUID
    sequence: int
    event_type: str
    object_id: str
    version: int
    event_at: datetime
    state: DeliveryState
    attempts: int
    retry_at: datetime | None
    exhausted_at: datetime | None
    covered_by: int | None


@dataclass(frozen=True, slots=True)
class DeliveryAttempt:
    """One try. `excerpt` is the first 4 KiB of the answer, `detail` a sentence of ours or empty."""

    number: int
    started_at: datetime
    duration_ms: int
    outcome: str
    status_code: int | None
    excerpt: bytes
    detail: str


@dataclass(frozen=True, slots=True)
class QueueTotals:
    """Over all endpoints."""

    events_behind: int
    troubled: int
    exhausted: int
    failing_endpoints: int


async def load_deliveries(
    conn: Connection,
    endpoint_id: UUID,
    *,
    state: DeliveryState | None = None,
    after_sequence: int = 0,
    limit: int,
) -> list[Delivery]:
    """Up to `limit` deliveries of an endpoint behind `after_sequence`, in log order. The caller knows whose it is."""
    if state not in {None, DeliveryState.DELIVERED, DeliveryState.PENDING}:
        rows = await conn.fetch(QUERIES.load_deliveries_by_state, endpoint_id, after_sequence, state, limit)
        return [_delivery(row, endpoint_id) for row in rows]
    place = await conn.fetchrow(QUERIES.load_place, endpoint_id)
    found: list[Delivery] = []
    while place is not None and after_sequence < place["head_sequence"] and len(found) < limit:
        last = await load_stretch_end(conn, place["merchant_id"], after_sequence, STRETCH_EVENTS)
        rows = await conn.fetch(
            QUERIES.load_deliveries_by_sequence, endpoint_id, after_sequence, state, limit - len(found), last
        )
        found += [_delivery(row, endpoint_id) for row in rows]
        after_sequence = last
    return found


async def load_delivery(
    conn: Connection, merchant_id: UUID, delivery_id: UUID
) -> tuple[Delivery, list[DeliveryAttempt]]:
    """One delivery of this merchant with its attempts, oldest first; NotFound."""
    delivery = await find_delivery(conn, merchant_id, delivery_id)
    rows = await conn.fetch(
        QUERIES.load_attempts, delivery.endpoint_id, delivery.sequence, ATTEMPTS_SHOWN_MAX
    )
    return delivery, [DeliveryAttempt(*row) for row in rows]


async def find_delivery(conn: Connection, merchant_id: UUID, delivery_id: UUID) -> Delivery:
    """One delivery of this merchant, found from its id and the merchant's endpoints; NotFound."""
    endpoints: Sequence[UUID] = [
        row["endpoint_id"] for row in await conn.fetch(QUERIES.load_endpoint_ids, merchant_id)
    ]
    events = [
        delivery_id_of(endpoint_id, delivery_id) for endpoint_id in endpoints
    ]  # exclusive-or undoes itself
    for days in await load_days(conn, [merchant_id]):
        async with glance(conn):
            row = await conn.fetchrow(QUERIES.find_delivery, merchant_id, endpoints, events, days)
        if row is not None:
            return _delivery(row, row["endpoint_id"])
    raise NotFound("no such delivery")


async def check_had_endpoint(conn: Connection, merchant_id: UUID, endpoint_id: UUID) -> None:
    """Return when this endpoint is or was this merchant's, deleted or not; NotFound."""
    if not await conn.fetchval(ENDPOINTS.had_endpoint, endpoint_id, merchant_id):
        raise NotFound("no such endpoint")


async def load_queue_totals(conn: Connection) -> QueueTotals:
    """The whole relay in four numbers."""
    row = await conn.fetchrow(QUERIES.load_queue_totals)
    assert row is not None
    return QueueTotals(*row)


def _delivery(row: Row, endpoint_id: UUID) -> Delivery:
    return Delivery(
        delivery_id=delivery_id_of(endpoint_id, row["event_id"]),
        endpoint_id=endpoint_id,
        event_id=row["event_id"],
        sequence=row["sequence"],
        event_type=row["type"],
        object_id=row["object_id"],
        version=row["version"],
        event_at=row["created_at"],
        state=DeliveryState(row["state"]),
        attempts=row["attempts"],
        retry_at=row["retry_at"],
        exhausted_at=row["exhausted_at"],
        covered_by=row["covered_by"],
    )

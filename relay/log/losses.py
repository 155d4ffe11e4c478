"""What an endpoint loses when a day of the log goes that it was never given: written down, shown, and told.

Lives here: moving every endpoint past such a day, inside the caller's transaction, and the record of it; reading the
record. Its lane finds its filter changed and begins again behind the day. Does not live here: whether a day goes
(`retention`), taking it out of the log (`prune`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal
from uuid import UUID

from migrations.handles import Connection, Row
from migrations.queries import load_queries
from relay.log import eventlog as log
from relay.log.bodies import RelayFact, endpoint_fact

QUERIES = load_queries("relay", "losses.sql")
DELIVERIES = load_queries("relay", "deliveries.sql")
ENDPOINTS = load_queries("relay", "endpoints.sql")

EVENTS_LOST = "endpoint.events_lost"
UNDELIVERED: Literal["undelivered"] = "undelivered"
EXHAUSTED: Literal["exhausted"] = "exhausted"
Reason = Literal["undelivered", "exhausted"]


@dataclass(frozen=True, slots=True)
class Loss:
    """Both sequences inclusive. `events` of them were not delivered in time (`undelivered`: among them perhaps some that
    no filter would have matched), or ran out of tries long ago (`exhausted`).
    """

    endpoint_id: UUID
    first_sequence: int
    last_sequence: int
    reason: Reason
    events: int
    lost_at: datetime


async def lose_day(conn: Connection, day: date, *, now: datetime) -> list[Loss]:
    """Move whoever needs something of `day` past it; returns what each lost, which is recorded and told.

    Locks in the room's order: endpoints, cursors, rows, logs.
    """
    ends = {
        row["endpoint_id"]: row["sequence"] for row in await conn.fetch(QUERIES.lock_losing_endpoints, day)
    }
    if not ends:
        return []
    endpoints, lasts = list(ends), list(ends.values())
    lost: dict[tuple[UUID, Reason], list[tuple[int, int, int]]] = {}
    for row in await conn.fetch(QUERIES.pass_lost_events, endpoints, lasts):
        if row["after_sequence"] < row["last_sequence"]:
            after, last = row["after_sequence"], row["last_sequence"]
            lost.setdefault((row["endpoint_id"], UNDELIVERED), []).append((after + 1, last, last - after))
    freed = []
    for row in await conn.fetch(QUERIES.delete_lost_rows, endpoints, lasts):
        reason: Reason = EXHAUSTED if row["exhausted"] else UNDELIVERED
        lost.setdefault((row["endpoint_id"], reason), []).append(
            (row["first_sequence"], row["last_sequence"], row["events"])
        )
        if reason == UNDELIVERED:
            freed.append((row["endpoint_id"], row["object_id"], row["replay"]))
    if freed:
        await conn.execute(DELIVERIES.promote_waiting_rows, *map(list, zip(*freed, strict=True)), now)
    for row in await conn.fetch(QUERIES.pass_lost_replays, endpoints, lasts):
        part = await _measure_replay(conn, row, day)
        if part is not None:
            lost.setdefault((row["endpoint_id"], UNDELIVERED), []).append(part)
    losses = [_sum_up(endpoint_id, reason, parts, now) for (endpoint_id, reason), parts in lost.items()]
    await _record(conn, losses)
    await _tell(conn, losses, now)
    return losses


async def _measure_replay(conn: Connection, row: Row, day: date) -> tuple[int, int, int] | None:
    """What one replay loses, as first and last sequence and how many; None for nothing that is not counted elsewhere."""
    after, last = row["after_sequence"], row["last_sequence"]
    if row["exhausted_since"] is not None:
        return None  # its deliveries have rows, which are lost themselves
    if row["object_id"] is None:
        return after + 1, last, last - after
    found = await conn.fetchrow(
        QUERIES.measure_lost_object, row["merchant_id"], row["object_id"], after, last, day
    )
    assert found is not None, "a count has a row"
    return (found["first_sequence"], found["last_sequence"], found["events"]) if found["events"] else None


def read_losses(rows: Sequence[Row]) -> tuple[Loss, ...]:
    """Losses from rows of `endpoint_losses`."""
    return tuple(
        Loss(
            row["endpoint_id"],
            row["first_sequence"],
            row["last_sequence"],
            row["reason"],
            row["events"],
            row["lost_at"],
        )
        for row in rows
    )


def _sum_up(endpoint_id: UUID, reason: Reason, parts: Sequence[tuple[int, int, int]], now: datetime) -> Loss:
    return Loss(
        endpoint_id,
        min(first for first, _, _ in parts),
        max(last for _, last, _ in parts),
        reason,
        sum(events for _, _, events in parts),
        now,
    )


async def _record(conn: Connection, losses: Sequence[Loss]) -> None:
    await conn.execute(
        QUERIES.insert_losses,
        [loss.endpoint_id for loss in losses],
        [loss.first_sequence for loss in losses],
        [loss.last_sequence for loss in losses],
        [loss.reason for loss in losses],
        [loss.events for loss in losses],
        [loss.lost_at for loss in losses],
    )


async def _tell(conn: Connection, losses: Sequence[Loss], now: datetime) -> None:
    by_endpoint: dict[UUID, list[Loss]] = {}
    for loss in losses:
        by_endpoint.setdefault(loss.endpoint_id, []).append(loss)
    rows = await conn.fetch(QUERIES.raise_losing_endpoints, list(by_endpoint), now)
    await log.append(conn, [_fact(row, by_endpoint[row["endpoint_id"]], now) for row in rows], now=now)
    for endpoint_id in by_endpoint:
        await conn.execute(ENDPOINTS.notify_endpoint, endpoint_id)


def _fact(row: Row, losses: Sequence[Loss], now: datetime) -> RelayFact:
    return endpoint_fact(
        row["merchant_id"],
        row["endpoint_id"],
        version=row["version"],
        event_type=EVENTS_LOST,
        state=row["state"],
        reason="retention dropped events that were not delivered",
        at=now,
        more={
            "lost": [
                {
                    "first_sequence": loss.first_sequence,
                    "last_sequence": loss.last_sequence,
                    "reason": loss.reason,
                    "events": loss.events,
                }
                for loss in losses
            ]
        },
    )

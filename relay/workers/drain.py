"""The end of an outage: which deliveries of an endpoint that wants the latest only are left out.

Lives here: what is written when such an endpoint becomes active again, and when its filter changes on the way. The rule
itself is the function `covering_sequences` of the database, so that rows and events behind the cursor are judged alike.
Does not live here: when an outage ends (`settle`, `endpoints`), reading and sending (`store`, `lane`).
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from migrations.handles import Connection
from migrations.queries import load_queries
from relay.log import eventlog as log

QUERIES = load_queries("relay", "drain.sql")
DELIVERIES = load_queries("relay", "deliveries.sql")


async def begin_short_drains(conn: Connection, endpoints: Collection[UUID], *, now: datetime) -> set[UUID]:
    """Cover what is superseded at those of `endpoints` that want the latest only; returns which these are.

    Their outage ends in the caller's transaction, which holds their rows in `endpoints`. Rows are covered here; events
    behind the cursor are when they are read, up to the head the log has now. Lanes at work must begin again: what they
    would settle is refused.
    """
    if not endpoints:
        return set()
    draining = {row["endpoint_id"] for row in await conn.fetch(QUERIES.begin_short_drains, list(endpoints))}
    if draining:
        async with log.glance(conn):
            covered = await conn.fetch(QUERIES.load_superseded_rows, list(draining))
        await conn.execute(
            QUERIES.cover_rows,
            [row["endpoint_id"] for row in covered],
            [row["sequence"] for row in covered],
            [row["covered_by"] for row in covered],
        )
        await _promote(conn, [(row["endpoint_id"], row["object_id"]) for row in covered], now)
    return draining


async def begin_terms(conn: Connection, endpoint_id: UUID, *, behind_sequence: int, now: datetime) -> None:
    """Let other terms decide about everything behind `behind_sequence`, the endpoint's place, whatever became of it.

    What something behind the place was to stand for is delivered itself, if nothing later of its object was tried: an
    event of some day may be needed again. The caller holds retention and the cursor, and has raised its filter revision.
    """
    await conn.execute(QUERIES.forget_rows_ahead, endpoint_id, behind_sequence)
    await conn.execute(QUERIES.hand_over_covered_rows, endpoint_id, behind_sequence)
    freed = await conn.fetch(QUERIES.uncover_passed_rows, endpoint_id, behind_sequence)
    await _promote(conn, [(row["endpoint_id"], row["object_id"]) for row in freed], now)


async def _promote(conn: Connection, freed: Collection[tuple[UUID, str]], now: datetime) -> None:
    objects = list(dict.fromkeys(freed))
    if objects:
        endpoints, names = zip(*objects, strict=True)
        replays = [False] * len(objects)
        await conn.execute(DELIVERIES.promote_waiting_rows, list(endpoints), list(names), replays, now)

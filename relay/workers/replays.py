"""Working on replays: each step turns a few deliveries of an endpoint's oldest replay into rows beside the stream.

Lives here: `advance`, the statements of the transaction behind `RelayStore.advance_replay`, for each of the three things a
replay may be of: a stretch of the log, one object's events, what was exhausted since a moment. Does not live here: asking
for one (`redeliver`), the connection and its errors (`store`), trying the rows (`lane`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from migrations.handles import Connection, Row
from migrations.queries import load_queries
from relay.log import eventlog as log

QUERIES = load_queries("relay", "deliveries.sql")
VIEWS = load_queries("relay", "views.sql")

LOOK_BACK_EVENTS = 10_000
"""How far the event before a replayed one is looked for, and no more than DAYS_A_READ days, and only in what is kept.

What lies further back counts as matched: a gap that a receiver sees and need not have seen costs it a look at the log, one
that it does not see costs it an event.
"""
LOOK_BACK_STRETCH = 500


@dataclass(frozen=True, slots=True)
class ObjectEvents:
    """How many events of an object are kept, and which of them are `deliveries`; both sequences inclusive, None for none."""

    kept: int
    deliveries: int
    first_sequence: int | None
    last_sequence: int | None


@dataclass(frozen=True, slots=True)
class Batch:
    """What one step takes: events with the sequence before each, the new place, and the last sequence matched so far."""

    chosen: Sequence[tuple[Row, int]]
    position: int
    matched_sequence: int


async def advance(conn: Connection, endpoint_id: UUID, *, now: datetime, limit: int, rows_max: int) -> bool:
    """As `RelayStore.advance_replay`, inside the caller's transaction."""
    replay = await conn.fetchrow(QUERIES.lock_oldest_replay, endpoint_id)
    if replay is None:
        return False
    if replay["unfinished"] >= rows_max:
        return True
    batch = await _load_batch(conn, replay, limit)
    await _insert_rows(conn, replay, batch.chosen, now)
    if batch.position < replay["sequence_last"]:
        await conn.execute(QUERIES.move_replay, replay["replay_id"], batch.position, batch.matched_sequence)
        return True
    await conn.execute(QUERIES.delete_replay, replay["replay_id"])
    more: bool = await conn.fetchval(QUERIES.has_replay, endpoint_id)
    return more


async def _load_batch(conn: Connection, replay: Row, limit: int) -> Batch:
    behind, last = replay["sequence"], replay["sequence_last"]
    rows: Sequence[Row]
    chosen: Sequence[tuple[Row, int]]
    if replay["exhausted_since"] is not None:
        rows = await conn.fetch(
            QUERIES.load_exhausted_to_replay,
            replay["endpoint_id"],
            behind,
            last,
            replay["exhausted_since"],
            limit,
        )
        chosen = [(row, row["prev_sequence"]) for row in rows]
    elif replay["object_id"] is not None:
        rows = await _load_object_events(conn, replay, limit)
        chosen = await _choose_object(conn, replay, rows)
    else:
        until = min(behind + limit, last)
        rows = await conn.fetch(QUERIES.load_events_to_replay, replay["merchant_id"], behind, until, limit)
        return _choose(replay, rows)
    position = min(rows[-1]["sequence"], last) if len(rows) == limit else last
    return Batch(chosen, position, 0)


async def _load_object_events(conn: Connection, replay: Row, limit: int) -> list[Row]:
    behind, rows = replay["sequence"], list[Row]()
    for days in reversed(await log.load_days(conn, [replay["merchant_id"]], after_sequence=behind)):
        async with log.glance(conn):
            rows += await conn.fetch(
                QUERIES.load_object_events_to_replay,
                replay["merchant_id"],
                replay["object_id"],
                behind,
                days[::-1],
                limit - len(rows),
            )
        if len(rows) == limit or (rows and rows[-1]["sequence"] >= replay["sequence_last"]):
            break
    return rows


async def _choose_object(conn: Connection, replay: Row, rows: Sequence[Row]) -> list[tuple[Row, int]]:
    """Of one object's events, what the filter matches now; what stands before each was not read, so it is looked up."""
    types, chosen = replay["event_types"], []
    for row in rows:
        if row["sequence"] <= replay["sequence_last"] and (types is None or row["type"] in types):
            before = await load_matched_before(conn, replay["merchant_id"], types, row["sequence"])
            chosen.append((row, before))
    return chosen


def _choose(replay: Row, rows: Sequence[Row]) -> Batch:
    """Of a stretch of the log, what the filter matches now; each knows the one before it from the stretch itself."""
    matched, chosen = replay["matched_sequence"], []
    for row in rows:
        if replay["event_types"] is None or row["type"] in replay["event_types"]:
            chosen.append((row, matched))
            matched = row["sequence"]
    return Batch(chosen, rows[-1]["sequence"] if rows else replay["sequence_last"], matched)


async def load_matched_before(
    conn: Connection, merchant_id: UUID, event_types: Sequence[str] | None, sequence: int
) -> int:
    """The sequence of the event before this one that the filter matches, as far as LOOK_BACK_EVENTS says; 0 for none."""
    first: int = await conn.fetchval(
        VIEWS.load_look_back, merchant_id, sequence, LOOK_BACK_EVENTS, log.DAYS_A_READ
    )
    for last in range(sequence - 1, first, -LOOK_BACK_STRETCH):
        after = max(first, last - LOOK_BACK_STRETCH)
        found: int | None = await conn.fetchval(
            VIEWS.load_last_matched, merchant_id, after, last, event_types
        )
        if found is not None:
            return found
    return first


async def measure_object(
    conn: Connection,
    merchant_id: UUID,
    object_id: str,
    event_types: Sequence[str] | None,
    *,
    last_sequence: int,
) -> ObjectEvents:
    """What the log keeps of an object, and what of it up to `last_sequence` this filter matches."""
    parts: list[Row] = []
    for days in await log.load_days(conn, [merchant_id]):
        async with log.glance(conn):
            parts += await conn.fetch(
                VIEWS.measure_object, merchant_id, object_id, last_sequence, event_types, days
            )
    matched = [part for part in parts if part["deliveries"]]
    return ObjectEvents(
        kept=sum(part["kept"] for part in parts),
        deliveries=sum(part["deliveries"] for part in matched),
        first_sequence=min((part["first_sequence"] for part in matched), default=None),
        last_sequence=max((part["last_sequence"] for part in matched), default=None),
    )


async def _insert_rows(
    conn: Connection, replay: Row, chosen: Sequence[tuple[Row, int]], now: datetime
) -> None:
    if not chosen:
        return
    endpoint_id = replay["endpoint_id"]
    sequences = [row["sequence"] for row, _ in chosen]
    await conn.execute(
        QUERIES.insert_replay_rows,
        endpoint_id,
        replay["merchant_id"],
        sequences,
        [row["event_id"] for row, _ in chosen],
        [row["created_at"] for row, _ in chosen],
        [row["object_id"] for row, _ in chosen],
        [row["version"] for row, _ in chosen],
        [row["type"] for row, _ in chosen],
        [prev_sequence for _, prev_sequence in chosen],
        now,
    )
    objects = list(dict.fromkeys(row["object_id"] for row, _ in chosen))
    await conn.execute(
        QUERIES.promote_waiting_rows,
        [endpoint_id] * len(objects),
        objects,
        [True] * len(objects),
        now,
    )
    await conn.execute(QUERIES.hasten_replayed_rows, endpoint_id, sequences, now)

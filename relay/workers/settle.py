"""What one settle writes, and in which order: the fence first, the merchant's log last.

Lives here: the statements of the transaction behind `RelayStore.settle`. The order is the room's lock order (shards,
endpoints, cursors, rows, logs), so that settles and merchants' commands never wait for each other in a ring. Does not
live here: deciding what to write (`lane`), the connection and its errors (`store`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from migrations.handles import Connection
from migrations.queries import load_queries
from relay.lanes.condition import RECOVERED
from relay.log import eventlog as log
from relay.log.bodies import RelayFact, endpoint_fact
from relay.model import EndpointState, Settlement, Transition
from relay.workers import drain
from relay.workers.storage import SettleResult

QUERIES = load_queries("relay", "deliveries.sql")


async def write_settlements(conn: Connection, batch: Sequence[Settlement], now: datetime) -> SettleResult:
    """Write what may be written of `batch` inside the caller's transaction."""
    epochs = {one.shard: one.epoch for one in batch}
    rows = await conn.fetch(QUERIES.lock_settling_shards, list(epochs), list(epochs.values()))
    held = {row["shard"] for row in rows}
    ours = [one for one in batch if one.shard in held]
    facts = [
        (one.endpoint_id, fact)
        for one in ours
        if one.transition is not None
        if (fact := await _move_state(conn, one, one.transition, now)) is not None
    ]
    moved = await _move_cursors(conn, ours)
    await _write_rows(conn, [one for one in ours if one.endpoint_id in moved], now)
    recovered = [endpoint_id for endpoint_id, fact in facts if fact.type == RECOVERED]
    draining = await drain.begin_short_drains(conn, recovered, now=now)
    await log.append(conn, [fact for _, fact in facts], now=now)
    return SettleResult(
        fenced=frozenset(epochs.keys() - held),
        stale=frozenset(one.endpoint_id for one in ours if one.endpoint_id not in moved),
        draining=frozenset(draining),
    )


async def _move_state(
    conn: Connection, settlement: Settlement, transition: Transition, now: datetime
) -> RelayFact | None:
    version = await conn.fetchval(
        QUERIES.move_endpoint_state,
        settlement.endpoint_id,
        transition.target,
        None if transition.target is EndpointState.ACTIVE else transition.reason,
        now,
        list(transition.sources),
        settlement.wakes_seen,
    )
    if version is None:
        return None
    return endpoint_fact(
        settlement.merchant_id,
        settlement.endpoint_id,
        version=version,
        event_type=transition.event_type,
        state=transition.target,
        reason=transition.reason,
        at=now,
    )


async def _move_cursors(conn: Connection, batch: Sequence[Settlement]) -> set[UUID]:
    if not batch:
        return set()
    rows = await conn.fetch(
        QUERIES.move_cursors,
        [one.endpoint_id for one in batch],
        [one.filter_revision for one in batch],
        [one.cursor_before for one in batch],
        [one.cursor for one in batch],
        [one.matched for one in batch],
        [one.health.success_at for one in batch],
        [one.health.failure_at for one in batch],
        [one.health.failure for one in batch],
        [one.wakes for one in batch],
    )
    return {row["endpoint_id"] for row in rows}


async def _write_rows(conn: Connection, batch: Sequence[Settlement], now: datetime) -> None:
    closed = [(one.endpoint_id, sequence) for one in batch for sequence in one.closed]
    if closed:
        await conn.execute(QUERIES.delete_closed_rows, *_columns(closed))
    rows = [
        (
            one.endpoint_id, one.merchant_id, row.sequence, row.event_id, row.event_at, row.object_id, row.version,
            row.type, row.prev_sequence, row.state, row.failures, row.attempts, row.retry_at, row.free, row.replay,
            row.created_at, row.covered_by,
        )
        for one in batch
        for row in one.rows
    ]  # fmt: skip
    if rows:
        await conn.execute(QUERIES.upsert_rows, *_columns(rows), now)
    freed = [(one.endpoint_id, gone.object_id, gone.replay) for one in batch for gone in one.freed]
    if freed:
        await conn.execute(QUERIES.promote_waiting_rows, *_columns(freed), now)
    hurries = [
        (one.endpoint_id, hurry.object_id, hurry.before_sequence, hurry.retry_at)
        for one in batch
        for hurry in one.hurries
    ]
    if hurries:
        await conn.execute(QUERIES.hurry_rows, *_columns(hurries))
    freeing = [one.endpoint_id for one in batch if one.free_all]
    if freeing:
        await conn.execute(QUERIES.free_retrying_rows, freeing, now)
    attempts = [
        (
            one.endpoint_id, attempt.sequence, attempt.number, attempt.started_at, attempt.duration_ms,
            attempt.outcome, attempt.status_code, attempt.excerpt, attempt.detail,
        )
        for one in batch
        for attempt in one.attempts
    ]  # fmt: skip
    if attempts:
        await conn.execute(QUERIES.insert_attempts, *_columns(attempts))


def _columns(rows: Sequence[tuple[object, ...]]) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=True)]

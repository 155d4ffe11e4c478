"""`RelayStore` on PostgreSQL: what sending reads, and the leases of shards.

Lives here: the room's only import of the driver, one method per question, and which of its errors is a broken invariant. Does not
live here: the SQL (`sql/`), what a settle writes (`settle`), working on replays
(`replays`), the log (`log`), what merchants do (`endpoints`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from uuid import UUID

import asyncpg

from migrations import notices
from migrations.handles import Connection, Pool
from migrations.queries import load_queries
from relay.log import eventlog as log
from relay.model import (
    Blocked,
    Covers,
    DueRow,
    EndpointState,
    ExceptionRow,
    LanePosition,
    LogEvent,
    RowState,
    Settlement,
)
from relay.workers.replays import advance
from relay.workers.settle import write_settlements
from relay.workers.storage import (
    DueRows,
    EndpointRecord,
    ReadBehind,
    SealedSecret,
    SettlementRefused,
    SettleResult,
    ShardCensus,
    ShardLease,
)

DELIVERIES = load_queries("relay", "deliveries.sql")
LANES = load_queries("relay", "lanes.sql")
SHARDS_SQL = load_queries("relay", "shards.sql")

ENDPOINTS_CHANNEL = "chainbell_endpoints"
"""The channel on which a changed endpoint is told: its id, in hex."""
SHARDS_CHANNEL = "chainbell_shards"
"""The channel on which workers hear that shards are free, or that one of them came or went; without a payload."""
CHANNELS = (log.CHANNEL, ENDPOINTS_CHANNEL, SHARDS_CHANNEL)
WORKER_KEPT_LEASES = 4
"""Whoever was not seen for one lease has none and no share; for this many, it is forgotten."""


class PostgresRelayStore:
    """The store of one worker; every call borrows a connection of the pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """One connection of the pool, its errors in this room's words."""
        try:
            async with self._pool.acquire() as conn:
                yield conn
        except asyncpg.IntegrityConstraintViolationError as error:
            raise SettlementRefused(str(error)) from error

    async def listen(self, on_notice: Callable[[str, str], None], *, ready: Callable[[], None]) -> None:
        """Call `on_notice(channel, payload)` for every notice from now on, `ready` once it is so.

        Ends only by DatabaseAway, when the connection is lost: listen again, and look at everything.
        """
        await notices.listen(self._pool, CHANNELS, on_notice, ready=ready)

    async def renew_leases(self, worker_id: UUID, lease_s: float) -> ShardCensus:
        async with self.connection() as conn, conn.transaction():
            if await conn.fetchval(SHARDS_SQL.note_worker, worker_id):
                await conn.execute(SHARDS_SQL.notify_shards)
            await conn.execute(SHARDS_SQL.forget_lost_workers, lease_s * WORKER_KEPT_LEASES)
            held = await conn.fetch(SHARDS_SQL.extend_leases, worker_id, lease_s)
            free = await conn.fetch(SHARDS_SQL.load_free_shards)
            workers = await conn.fetchval(SHARDS_SQL.count_workers, lease_s)
        return ShardCensus(
            tuple(sorted((ShardLease(*row) for row in held), key=lambda lease: lease.shard)),
            tuple(row["shard"] for row in free),
            workers,
        )

    async def claim_shards(self, worker_id: UUID, shards: Sequence[int], lease_s: float) -> list[ShardLease]:
        async with self.connection() as conn:
            rows = await conn.fetch(SHARDS_SQL.claim_free_shards, worker_id, shards, lease_s)
        return sorted((ShardLease(*row) for row in rows), key=lambda lease: lease.shard)

    async def release_shards(self, worker_id: UUID, shards: Sequence[int]) -> None:
        async with self.connection() as conn, conn.transaction():
            await conn.execute(SHARDS_SQL.release_held_shards, worker_id, shards)
            await conn.execute(SHARDS_SQL.notify_shards)

    async def forget_worker(self, worker_id: UUID) -> None:
        """This worker stops: the others need not leave room for it."""
        async with self.connection() as conn, conn.transaction():
            await conn.execute(SHARDS_SQL.forget_worker, worker_id)
            await conn.execute(SHARDS_SQL.notify_shards)

    async def load_endpoints(
        self, *, shards: Collection[int] = (), endpoints: Collection[UUID] = ()
    ) -> list[EndpointRecord]:
        async with self.connection() as conn, conn.transaction(isolation="repeatable_read", readonly=True):
            return await load_endpoint_records(conn, shards=shards, endpoints=endpoints)

    async def load_revisions(self, shards: Collection[int]) -> dict[UUID, int]:
        async with self.connection() as conn:
            rows = await conn.fetch(LANES.load_revisions, list(shards))
        return {row["endpoint_id"]: row["revision"] for row in rows}

    async def load_positions(
        self, endpoints: Collection[UUID], *, reversal_type: str
    ) -> dict[UUID, LanePosition]:
        async with self.connection() as conn, conn.transaction(isolation="repeatable_read", readonly=True):
            rows = await conn.fetch(DELIVERIES.load_positions, list(endpoints))
            objects = await conn.fetch(DELIVERIES.load_blocked_objects, list(endpoints), reversal_type)
            beyond = await conn.fetch(DELIVERIES.load_rows_beyond_cursor, list(endpoints))
        rowed: dict[UUID, set[int]] = {row["endpoint_id"]: set() for row in rows}
        for one in beyond:
            rowed[one["endpoint_id"]].add(one["sequence"])
        blocked: dict[UUID, dict[str, Blocked]] = {row["endpoint_id"]: {} for row in rows}
        for one in objects:
            blocked[one["endpoint_id"]][one["object_id"]] = Blocked(
                one["rows"], one["failed"], one["reversal_sequence"], one["first_sequence"]
            )
        return {
            row["endpoint_id"]: LanePosition(
                cursor=row["sequence"],
                matched=row["matched_sequence"],
                filter_revision=row["filter_revision"],
                wakes=row["wakes"],
                blocked=blocked[row["endpoint_id"]],
                next_retry_at=row["next_retry_at"],
                rowed=frozenset(rowed[row["endpoint_id"]]),
                drain_sequence=row["drain_sequence"],
            )
            for row in rows
        }

    async def load_heads(self, merchants: Collection[UUID]) -> dict[UUID, int]:
        async with self.connection() as conn:
            rows = await conn.fetch(DELIVERIES.load_heads, list(merchants))
        return {row["merchant_id"]: row["sequence"] for row in rows}

    async def load_events(self, reads: Sequence[ReadBehind]) -> dict[UUID, list[LogEvent]]:
        async with self.connection() as conn:
            rows = await conn.fetch(
                DELIVERIES.load_events_behind,
                [read.endpoint_id for read in reads],
                [read.merchant_id for read in reads],
                [read.after_sequence for read in reads],
                [read.limit for read in reads],
            )
        found: dict[UUID, list[LogEvent]] = {}
        for endpoint_id, *event, covers_first, covers_last in rows:
            event.append(None if covers_first is None else Covers(covers_first, covers_last))
            found.setdefault(endpoint_id, []).append(LogEvent(*event))
        return found

    async def load_due_rows(self, endpoint_id: UUID, now: datetime, limit: int) -> DueRows:
        async with self.connection() as conn:
            rows = await conn.fetch(DELIVERIES.load_due_rows, endpoint_id, now, limit)
            if len(rows) == limit:
                return DueRows(tuple(map(_due_row, rows)), now)
            next_retry_at = await conn.fetchval(DELIVERIES.load_next_retry_at, endpoint_id, now)
        return DueRows(tuple(map(_due_row, rows)), next_retry_at)

    async def load_oldest_row(self, endpoint_id: UUID) -> DueRow | None:
        async with self.connection() as conn:
            row = await conn.fetchrow(DELIVERIES.load_oldest_row, endpoint_id)
        return None if row is None else _due_row(row)

    async def advance_replay(self, endpoint_id: UUID, *, now: datetime, limit: int, rows_max: int) -> bool:
        async with self.connection() as conn, conn.transaction():
            return await advance(conn, endpoint_id, now=now, limit=limit, rows_max=rows_max)

    async def settle(self, batch: Sequence[Settlement], *, now: datetime) -> SettleResult:
        async with self.connection() as conn, conn.transaction():
            return await write_settlements(conn, batch, now)


async def load_endpoint_records(
    conn: Connection, *, shards: Collection[int] = (), endpoints: Collection[UUID] = ()
) -> list[EndpointRecord]:
    """The endpoints of these shards, and these endpoints, with their sealed secrets and signing keys."""
    rows = await conn.fetch(LANES.load_endpoint_records, list(shards), list(endpoints))
    secrets: dict[UUID, list[SealedSecret]] = {row["endpoint_id"]: [] for row in rows}
    for row in await conn.fetch(LANES.load_sealed_secrets, list(secrets)):
        secrets[row["endpoint_id"]].append(SealedSecret(row["secret_sealed"], row["expires_at"], row["row"]))
    keys: dict[UUID, list[SealedSecret]] = {row["endpoint_id"]: [] for row in rows}
    for row in await conn.fetch(LANES.load_sealed_seeds, list(keys)):
        keys[row["endpoint_id"]].append(
            SealedSecret(row["seed_sealed"], row["valid_until"], row["public_key"])
        )
    return [
        EndpointRecord(
            **{name: value for name, value in row.items() if name not in ("state", "event_types")},
            state=EndpointState(row["state"]),
            event_types=None if row["event_types"] is None else frozenset(row["event_types"]),
            secrets=tuple(secrets[row["endpoint_id"]]),
            signing_keys=tuple(keys[row["endpoint_id"]]),
        )
        for row in rows
    ]


def _due_row(row: asyncpg.Record) -> DueRow:
    sequence, event_id, object_id, version, type_, event_at, prev_sequence, state, *rest = row
    *rest, body, first, last = rest
    return DueRow(
        ExceptionRow(
            sequence, event_id, object_id, version, type_, event_at, prev_sequence, RowState(state), *rest
        ),
        body,
        None if first is None else Covers(first, last),
    )

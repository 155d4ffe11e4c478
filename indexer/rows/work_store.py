"""History, rescans and status on PostgreSQL: what `backfill`, `audit` and `service` read and write.

Shares the move's transaction with `store`; its statements are in
`sql/work.sql`.  What a chunk means is decided in `backfill`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from chains.model import Address, Block, BlockHash, ChainId
from indexer.rows.block_store import fill_spared
from indexer.rows.locks import (
    HISTORY_CHANNEL,
    load_extent,
    load_lock_key,
    lock_chain_shared,
    tell_history,
)
from indexer.rows.spelling import decode_deposit
from indexer.rows.storage import ChainRecord
from indexer.rows.store import PostgresFollowStore, PostgresMove
from indexer.rules.deposits import Deposit
from indexer.rules.identity import DepositId
from migrations import notices
from migrations.handles import Connection, Pool
from migrations.queries import load_queries

_WORK = load_queries("indexer", "work.sql")
_DOUBTS = load_queries("indexer", "doubts.sql")


class PostgresBackfillMove(PostgresMove):
    """`BackfillTransaction`: a move's transaction that may also lower starts."""

    @classmethod
    def of(cls, move: PostgresMove) -> PostgresBackfillMove:
        """The same transaction with history's methods."""
        return cls(move.connection, move.row, move.publisher)

    async def load_parent_hash(self, height: int) -> BlockHash | None:
        """The parent hash in our lowest canonical row from `height` on."""
        parent: bytes | None = await self.connection.fetchval(
            _WORK["load_parent_hash"], self.record.chain, height
        )
        return None if parent is None else BlockHash(parent)

    async def cover(self, height_first: int, height_last: int, *, at: datetime) -> None:
        """Lower the starts of what waits for these heights, and mark rescans as far as they are done."""
        chain = self.record.chain
        await self.connection.execute(_WORK["cover_addresses"], chain, height_first, height_last)
        await self.connection.execute(_WORK["cover_assets"], chain, height_first, height_last)
        await self.connection.execute(_WORK["cover_rescans"], chain, height_first, at)

    async def fill_spared(self, blocks: Sequence[Block]) -> None:
        """These blocks were read whole: what is recorded of them lacks nothing any more."""
        await fill_spared(self.connection, self.record.chain, blocks)


class PostgresBackfillStore:
    """`BackfillStore` on the same pool and publisher as `PostgresFollowStore`."""

    def __init__(self, pool: Pool, follow_store: PostgresFollowStore) -> None:
        self._pool = pool
        self._follow_store = follow_store

    async def load_chain(self, chain: ChainId) -> ChainRecord | None:
        """The chain's row, or None before its first block."""
        return await self._follow_store.load_chain(chain)

    async def load_backfill_range(self, chain: ChainId, *, tip_height: int) -> tuple[int, int] | None:
        """The range of the work that reaches highest: (first, last) wanted heights, or None.

        A rescan of blocks that our chain left stands in nobody's way: what takes their place is read anew anyway.
        """
        async with self._pool.acquire() as conn:
            rows = (
                await conn.fetchrow(_WORK["load_highest_pending_address"], chain),
                await conn.fetchrow(_WORK["load_highest_pending_asset"], chain),
                await conn.fetchrow(_WORK["load_highest_rescan"], chain, tip_height),
            )
        ranges = [(row["height_first"], row["height_last"]) for row in rows if row is not None]
        return max(ranges, key=lambda wanted: wanted[1], default=None)

    async def take_due_doubts(
        self, chain: ChainId, *, now: datetime, next_at: datetime, blocks_max: int
    ) -> list[int]:
        """The block in doubt that waited longest and those close above it, ascending; due again at `next_at`."""
        rows = await self._pool.fetch(_DOUBTS["take_due_doubts"], chain, now, next_at, blocks_max)
        return sorted(row["height"] for row in rows)

    async def load_next_due_doubt(self, chain: ChainId) -> datetime | None:
        """When a block in doubt is asked about next; None where none is in doubt."""
        due_at: datetime | None = await self._pool.fetchval(_DOUBTS["load_next_due_doubt"], chain)
        return due_at

    @asynccontextmanager
    async def open_backfill(self, chain: ChainId, *, lease_epoch: int) -> AsyncIterator[PostgresBackfillMove]:
        """Begin a chunk; raises `LeaseLost` when `lease_epoch` is no longer ours."""
        async with self._follow_store.open_move(chain, lease_epoch=lease_epoch) as move:
            yield PostgresBackfillMove.of(move)


async def listen_for_history(pool: Pool, take: Callable[[str], None], *, ready: Callable[[], None]) -> None:
    """Hand every chain of which more history is wanted to `take`, until the connection is lost, which is `DatabaseAway`."""
    await notices.listen(pool, [HISTORY_CHANNEL], lambda _channel, chain: take(chain), ready=ready)


@dataclass(frozen=True, slots=True)
class Rescan:
    """A re-reading as it stands; `height_next` is the highest height still to read."""

    id: UUID
    height_first: int
    height_last: int
    height_next: int
    done: bool


async def request_rescan(
    pool: Pool,
    chain: ChainId,
    *,
    new_id: UUID,
    height_first: int,
    height_last: int,
    address: Address | None,
    now: datetime,
) -> Rescan:
    """Ask for a range to be read again; the running follower does it.

    With an address, its registrations count from `height_first` on; without
    one, every listed asset does.  Raises `LookupError` for an unknown chain
    or address.
    """
    async with pool.acquire() as conn, conn.transaction():
        await lock_chain_shared(conn, await load_lock_key(conn, chain))
        tip, start = await load_extent(conn, chain)
        height_last = min(height_last, tip)
        if height_first > height_last:
            raise LookupError(f"height {height_first} is above our tip {tip}")
        if address is None:
            if height_last < start:
                raise LookupError(
                    f"nothing below height {start} was read, so nothing can be read again: "
                    "name an address, whose history then is"
                )
            await conn.execute(_WORK["lower_pending_assets"], chain, height_first)
        else:
            rows = await conn.fetch(_WORK["load_addresses_by_bytes"], chain, address)
            if not rows:
                raise LookupError("no merchant watches this address on this chain")
            ids = [row["id"] for row in rows]
            await conn.execute(_WORK["lower_pending_address"], chain, ids, height_first, tip)
        # Below our start the lowered starts alone drive the reading; rescans re-read what we hold.
        first = max(height_first, start)
        if first <= height_last:
            await conn.execute(_WORK["insert_rescan"], new_id, chain, first, height_last, None, now)
        await tell_history(conn, chain)
    return Rescan(new_id, height_first, height_last, height_last, done=False)


async def load_rescan(pool: Pool, rescan_id: UUID) -> Rescan | None:
    """How far a rescan is."""
    row = await pool.fetchrow(_WORK["load_rescan"], rescan_id)
    if row is None:
        return None
    return Rescan(
        rescan_id, row["height_first"], row["height_last"], row["height_next"], row["done_at"] is not None
    )


@dataclass(frozen=True, slots=True)
class PendingHistory:
    """How much history waits to be read on a chain."""

    addresses_count: int
    assets_count: int
    rescans_count: int


async def load_pending(pool: Pool, chain: ChainId) -> PendingHistory:
    """How many addresses, assets and rescans still wait."""
    row = await pool.fetchrow(_WORK["count_pending"], chain)
    assert row is not None
    return PendingHistory(row["addresses_count"], row["assets_count"], row["rescans_count"])


@dataclass(frozen=True, slots=True)
class ChainStatus:
    """What a chain's follower last said of what it sees, and of what it learnt; both are ready for JSON."""

    chain: ChainId
    alias: str
    head_height: int | None
    detail: Mapping[str, Any]
    reported_at: datetime
    checks: Sequence[Mapping[str, Any]] = ()


async def write_checks(pool: Pool, chain: ChainId, checks: Sequence[Mapping[str, Any]]) -> None:
    """Overwrite what the follower has learnt of each check; its status must have been written before."""
    await pool.execute(_WORK["write_checks"], chain, [dict(one) for one in checks])


async def write_status(pool: Pool, status: ChainStatus) -> None:
    """Overwrite what the follower sees."""
    await pool.execute(
        _WORK["write_status"],
        status.chain,
        status.alias,
        status.head_height,
        dict(status.detail),
        status.reported_at,
    )


async def load_statuses(pool: Pool) -> dict[ChainId, ChainStatus]:
    """What each chain's follower last said."""
    rows = await pool.fetch(_WORK["load_status"])
    return {
        ChainId(row["chain"]): ChainStatus(
            ChainId(row["chain"]),
            row["alias"],
            row["head_height"],
            row["detail"],
            row["reported_at"],
            row["checks"],
        )
        for row in rows
    }


async def load_recorded(pool: Pool, chain: ChainId, *, height_first: int, height_last: int) -> list[Deposit]:
    """The deposits recorded in a range of canonical heights."""
    rows = await pool.fetch(_WORK["load_recorded_in"], chain, height_first, height_last)
    return [decode_deposit(row) for row in rows]


async def load_repeats_in(
    pool: Pool, chain: ChainId, height_first: int, height_last: int
) -> set[tuple[DepositId, BlockHash]]:
    """Which deposits stand a second time in which of these blocks."""
    rows = await pool.fetch(_WORK["load_repeats_in"], chain, height_first, height_last)
    return {(DepositId(row["deposit_id"]), BlockHash(row["block_hash"])) for row in rows}


async def load_unsettled_page(
    conn: Connection, chain: ChainId, *, after: DepositId, limit: int
) -> list[Deposit]:
    """Deposits that are not final yet, by id; for judging them by a changed policy."""
    return [
        decode_deposit(row) for row in await conn.fetch(_WORK["load_unsettled_page"], chain, after, limit)
    ]


@dataclass(frozen=True, slots=True)
class BlockRow:
    """One canonical row as the audit compares it; its counts are None where the block was spared what they need."""

    height: int
    hash: BlockHash
    parent_hash: BlockHash
    tx_count: int
    log_count: int | None
    transfer_count: int | None
    level: str
    served_by: str


async def load_block_rows(
    pool: Pool, chain: ChainId, *, height_first: int, height_last: int
) -> Sequence[BlockRow]:
    """Canonical rows, ascending."""
    rows = await pool.fetch(_WORK["load_block_rows"], chain, height_first, height_last)
    return [BlockRow(**dict(row)) for row in rows]

"""Following on PostgreSQL: one typed function a named query, and the transaction of a move.

With `watchlist_store` and `work_store` the only modules of the room that speak
asyncpg.  Locks are taken in the house's one order: the chain's advisory lock
(exclusive here, shared while registering), addresses, deposits, merchant logs.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

from chains.model import Address, Asset, AssetId, Block, BlockHash, ChainId, TxHash
from indexer.rows.block_store import insert_assets, insert_blocks
from indexer.rows.doubt_store import PostgresDoubts
from indexer.rows.locks import load_lock_key, lock_chain_exclusive
from indexer.rows.mempool_store import load_of_txs, load_undecided
from indexer.rows.remembered import REMEMBERED_MAX_S, LockedRow, RememberedChain
from indexer.rows.spelling import (
    AssetRow,
    decode_chain,
    decode_registration,
    encode_chain,
    encode_deposit_row,
)
from indexer.rows.spend_store import insert_conflicts, insert_repeats, leave_repeats
from indexer.rows.storage import ChainRecord, LeaseLost, TouchQuery, Undecided, WatchDelta
from indexer.rows.touched_store import load_deposits, load_touched
from indexer.rules.deposits import Deposit
from indexer.rules.events import Fact
from indexer.rules.identity import AddressId, MerchantId
from indexer.rules.matching import Registration
from indexer.rules.moves import Repeat, Touched
from migrations.handles import Connection, Pool
from migrations.ids import new_id
from migrations.queries import load_queries

WATCH_PAGE_ADDRESSES = 50_000
NO_HORIZON = 2**63 - 1
"""Every watch-list version there can be."""

DEPOSIT_COLUMNS_COUNT = 38

Publish = Callable[[Connection, Sequence[Fact]], Awaitable[object]]

_CHAINS = load_queries("indexer", "chains.sql")
_WATCHLIST = load_queries("indexer", "watchlist.sql")
_DEPOSITS = load_queries("indexer", "deposits.sql")


class PostgresFollowStore:
    """`FollowStore` on a pool; `publish` is the relay's door, handed in by the composition."""

    def __init__(self, pool: Pool, publish: Publish) -> None:
        self._pool = pool
        self._publish = publish
        self._lock_keys: dict[ChainId, int] = {}
        self._remembered: defaultdict[ChainId, RememberedChain] = defaultdict(RememberedChain)

    async def load_chain(self, chain: ChainId) -> ChainRecord | None:
        """The chain's row, or None before its first block; as remembered while this store holds the lease."""
        remembered = self._remembered[chain]
        if (known := remembered.recall(asyncio.get_running_loop().time())) is not None:
            return known
        ticket = remembered.begin_reading()
        row = await self._pool.fetchrow(_CHAINS["load_chain"], chain)
        record = None if row is None else decode_chain(row)
        remembered.note_read(ticket, record)
        return record

    async def load_hashes(self, chain: ChainId, height_first: int, height_last: int) -> dict[int, BlockHash]:
        """Our canonical hashes at these heights."""
        rows = await self._pool.fetch(_CHAINS["load_hashes"], chain, height_first, height_last)
        return {row["height"]: BlockHash(row["hash"]) for row in rows}

    async def load_work_above(self, chain: ChainId, height: int) -> int | None:
        """The work of our canonical blocks above this height; None where one of them has none, or there is none."""
        work: str | None = await self._pool.fetchval(_CHAINS["load_work_above"], chain, height)
        return None if work is None else int(work)

    async def load_servers(self, chain: ChainId, height_first: int, height_last: int) -> dict[int, str]:
        """Which provider served our canonical blocks at these heights."""
        rows = await self._pool.fetch(_CHAINS["load_servers"], chain, height_first, height_last)
        return {row["height"]: row["served_by"] for row in rows}

    async def load_height_on_one_word(self, chain: ChainId, *, above_height: int) -> int | None:
        """The lowest height above this one that holds a deposit on one operator's word."""
        height: int | None = await self._pool.fetchval(
            _DEPOSITS["load_height_on_one_word"], chain, above_height
        )
        return height

    async def load_watch_version(self, chain: ChainId) -> int:
        """The newest registration's, as far as anybody but those in flight can tell."""
        version: int = await self._pool.fetchval(_WATCHLIST["load_watch_version"], chain)
        return version

    async def load_undecided(self, chain: ChainId, *, limit: int) -> list[Undecided]:
        """The transactions of deposits that are seen, orphaned, or replaced by what has left our chain."""
        return await load_undecided(self._pool, chain, limit=limit)

    async def create_chain(
        self,
        chain: ChainId,
        *,
        alias: str,
        network_id: bytes,
        assets: Sequence[Asset],
        first: Block,
        at: datetime,
    ) -> None:
        """Start a chain at its first canonical block; does nothing where it exists already."""
        header = first.header
        async with self._pool.acquire() as conn, conn.transaction():
            created = await conn.fetchval(
                _CHAINS["insert_chain"],
                chain,
                alias,
                network_id,
                header.parent.height + 1,
                header.height,
                header.hash,
                at,
            )
            if created is None:
                # Another process began it at the same moment; an alias of another chain nobody can wait away.
                known = await conn.fetchrow(_CHAINS["load_chain"], chain)
                assert known is not None, f"the alias {alias} belongs to another chain"
                return
            await insert_blocks(conn, chain, [first], at=at, watch_version=0)
            # Nothing was watched before: what is listed from the beginning counts wherever an address does.
            await insert_assets(conn, chain, assets, start_height=0)

    async def acquire_lease(self, chain: ChainId, *, holder: str, lease_s: float) -> int | None:
        """The epoch under which this holder may write, or None while another one lives.

        Also says that the chain's follower is at work, as its last status says.
        """
        remembered, began_s = self._remembered[chain], asyncio.get_running_loop().time()
        ticket = remembered.begin_reading()
        row = await self._pool.fetchrow(_CHAINS["acquire_lease"], chain, holder, lease_s)
        if row is None:
            remembered.forget()
            return None
        record = decode_chain(row)
        remembered.note_read(ticket, record, good_until_s=began_s + min(lease_s, REMEMBERED_MAX_S))
        return record.lease_epoch

    async def release_lease(self, chain: ChainId, *, holder: str) -> None:
        """Let another process begin at once; for a clean stop."""
        await self._pool.execute(_CHAINS["release_lease"], chain, holder)

    async def load_watch_horizon(self, chain: ChainId) -> int:
        """The watch-list version up to which every registration has committed.

        Versions are given before they commit: without waiting for those in
        flight, a reader could step over one and never see it.
        """
        async with self._pool.acquire() as conn, conn.transaction():
            await lock_chain_exclusive(conn, await self._lock_key(conn, chain))
            version: int = await conn.fetchval(_WATCHLIST["load_watch_version"], chain)
        return version

    async def load_watch_page(
        self, chain: ChainId, *, after_version: int, up_to_version: int = NO_HORIZON
    ) -> WatchDelta:
        """The next page of addresses for the in-memory set; empty when it is complete."""
        rows = await self._pool.fetch(
            _WATCHLIST["load_watch_delta"], chain, after_version, WATCH_PAGE_ADDRESSES, up_to_version
        )
        if not rows:
            return WatchDelta(after_version)
        return WatchDelta(rows[-1]["watch_version"], [Address(row["address"]) for row in rows])

    async def sync_assets(self, chain: ChainId, assets: Sequence[Asset], *, start_height: int) -> None:
        """Make the listed assets those of the configuration; a new one starts at `start_height`."""
        async with self._pool.acquire() as conn, conn.transaction():
            await lock_chain_exclusive(conn, await self._lock_key(conn, chain))
            await conn.execute(_CHAINS["unlist_other_assets"], chain, [asset.asset_id for asset in assets])
            await insert_assets(conn, chain, assets, start_height=start_height)

    async def load_asset_rows(self, chain: ChainId) -> list[AssetRow]:
        """Every asset that is or was listed on a chain."""
        rows = await self._pool.fetch(_CHAINS["load_assets"], chain)
        return [AssetRow(**dict(row)) for row in rows]

    @asynccontextmanager
    async def open_move(self, chain: ChainId, *, lease_epoch: int) -> AsyncIterator[PostgresMove]:
        """Begin a move; raises `LeaseLost` when `lease_epoch` is no longer the chain's."""
        remembered, after = self._remembered[chain], None
        ticket = remembered.begin_move()
        try:
            async with self._pool.acquire() as conn, conn.transaction():
                await lock_chain_exclusive(conn, await self._lock_key(conn, chain))
                # A statement of its own: its snapshot must be newer than the lock.
                row = await conn.fetchrow(_CHAINS["load_locked_chain"], chain)
                assert row is not None, "a lock key exists only with its chain"
                locked = LockedRow(
                    decode_chain(row),
                    watch_version=row["watch_version"],
                    may_have_conflicts=row["has_conflicts"],
                    may_have_doubts=row["has_doubts"],
                )
                if (epoch := locked.record.lease_epoch) != lease_epoch:
                    raise LeaseLost(f"{chain} is followed by another process (epoch {epoch})")
                yield PostgresMove(conn, locked, self._publish)
            after = locked.written or locked.record
        finally:
            remembered.end_move(ticket, after)

    @asynccontextmanager
    async def open_reading(self, chain: ChainId) -> AsyncIterator[PostgresMove]:
        """The reading methods of a move in a read-only snapshot, without the chain's lock; for audits."""
        async with (
            self._pool.acquire() as conn,
            conn.transaction(isolation="repeatable_read", readonly=True),
        ):
            row = await conn.fetchrow(_CHAINS["load_chain"], chain)
            if row is None:
                raise LookupError(f"{chain} has no first block yet")
            yield PostgresMove(conn, LockedRow(decode_chain(row)), self._publish)

    async def _lock_key(self, conn: Connection, chain: ChainId) -> int:
        known = self._lock_keys.get(chain)
        if known is None:
            known = await load_lock_key(conn, chain)
            self._lock_keys[chain] = known
        return known


class PostgresMove:
    """`MoveTransaction` on one connection, inside its transaction and under the chain's lock."""

    def __init__(self, conn: Connection, row: LockedRow, publish: Publish) -> None:
        self._conn = conn
        self._record = row.record
        self._publish = publish
        self.row = row
        self.doubts = PostgresDoubts(conn, row)

    @property
    def record(self) -> ChainRecord:
        """The chain's row, read under the lock."""
        return self._record

    @property
    def connection(self) -> Connection:
        """The connection, for this room's other stores that join the move."""
        return self._conn

    @property
    def publisher(self) -> Publish:
        """The relay's door."""
        return self._publish

    async def lower_starts(self, fork_height: int) -> None:
        """Addresses and assets that start above the fork, but not above the old tip + 1, start at fork + 1."""
        tip_height = self._record.tip.height
        await self._conn.execute(
            _WATCHLIST["lower_address_starts"], self._record.chain, fork_height, tip_height
        )
        await self._conn.execute(_CHAINS["lower_asset_starts"], self._record.chain, fork_height, tip_height)

    async def load_watch_delta(self, after_version: int) -> WatchDelta:
        """What was registered since; exact, since registering takes the same lock shared."""
        addresses: list[Address] = []
        version = after_version
        while True:
            if self.row.watch_version is not None and version >= self.row.watch_version:
                return WatchDelta(version, addresses)
            rows = await self._conn.fetch(
                _WATCHLIST["load_watch_delta"], self._record.chain, version, WATCH_PAGE_ADDRESSES, NO_HORIZON
            )
            if not rows:
                return WatchDelta(version, addresses)
            version = rows[-1]["watch_version"]
            addresses.extend(Address(row["address"]) for row in rows)
            if len(rows) < WATCH_PAGE_ADDRESSES:
                return WatchDelta(version, addresses)

    async def load_registrations(self, addresses: Collection[Address]) -> list[Registration]:
        """Every registration of these addresses on this chain, deleted ones included."""
        rows = await self._conn.fetch(_WATCHLIST["load_registrations"], self._record.chain, list(addresses))
        return [decode_registration(row) for row in rows]

    async def load_payable(
        self, addresses: Collection[Address]
    ) -> tuple[list[Registration], Mapping[AssetId, int]]:
        """Every registration of these addresses, deleted ones included, and the start height of each asset that counts."""
        rows = await self._conn.fetch(_WATCHLIST["load_payable"], self._record.chain, list(addresses))
        registrations = [row for row in rows if row["id"] is not None]
        self.row.references |= {AddressId(row["id"]): row["reference"] for row in registrations}
        starts = {AssetId(row["asset"]): row["start_height"] for row in rows if row["id"] is None}
        return [decode_registration(row) for row in registrations], starts

    async def load_hashes(self, heights: Collection[int]) -> dict[int, BlockHash]:
        """Our canonical hashes at these heights, before the move."""
        rows = await self._conn.fetch(_CHAINS["load_hashes_at"], self._record.chain, list(heights))
        return {row["height"]: BlockHash(row["hash"]) for row in rows}

    async def load_touched(self, query: TouchQuery) -> Touched:
        """The deposits this move may change."""
        return await load_touched(self._conn, self.row, query)

    async def load_of_txs(self, tx_hashes: Collection[TxHash]) -> list[Deposit]:
        """Every deposit by one of these transactions."""
        return await load_of_txs(self._conn, self._record.chain, tx_hashes)

    async def load_standing(self, height_first: int, height_last: int) -> list[Deposit]:
        """The deposits that stand in our canonical blocks at these heights."""
        return await load_deposits(self._conn, "load_standing", self._record.chain, height_first, height_last)

    async def load_on_one_word(self, height_last: int, *, limit: int) -> list[Deposit]:
        """The lowest deposits up to this height that rest on one operator's word."""
        return await load_deposits(self._conn, "load_on_one_word", self._record.chain, height_last, limit)

    async def load_references(self, addresses: Collection[AddressId]) -> dict[AddressId, str | None]:
        """The merchants' references of these registrations."""
        known = self.row.references
        if unknown := [one for one in addresses if one not in known]:
            rows = await self._conn.fetch(_WATCHLIST["load_references"], unknown)
            known |= {AddressId(row["id"]): row["reference"] for row in rows}
        return {one: known[one] for one in addresses}

    async def load_watching_merchants(self) -> list[MerchantId]:
        """Merchants with a living address on this chain, for `chain.*` facts."""
        rows = await self._conn.fetch(_WATCHLIST["load_watching_merchants"], self._record.chain)
        return [MerchantId(row["merchant_id"]) for row in rows]

    async def leave_blocks(self, fork_height: int, *, left_for: BlockHash, at: datetime) -> int:
        """Take everything above the fork out of the canonical chain, as evidence; returns how many blocks."""
        status = await self._conn.execute(
            _CHAINS["leave_blocks"], self._record.chain, fork_height, at, left_for
        )
        await leave_repeats(self._conn, self._record.chain, fork_height)
        await self.doubts.leave(fork_height)
        return int(status.rpartition(" ")[2])

    async def insert_blocks(self, blocks: Sequence[Block], *, at: datetime, watch_version: int) -> None:
        """Add canonical rows; what spared ones were spared concerns nobody of the watch list at `watch_version`."""
        await insert_blocks(self._conn, self._record.chain, blocks, at=at, watch_version=watch_version)

    async def reread_spared(self, height_first: int, height_last: int, *, at: datetime) -> None:
        """Have the spared blocks at these heights read again, as far as they are not about to be."""
        rescan_id = new_id(int(at.timestamp() * 1000))
        await self._conn.execute(
            _CHAINS["reread_spared"], rescan_id, self._record.chain, height_first, height_last, at
        )

    async def write_deposits(self, deposits: Sequence[Deposit]) -> None:
        """Insert new deposits and overwrite older versions."""
        self.row.may_have_conflicts = True
        columns = list(zip(*map(encode_deposit_row, deposits), strict=True))
        assert len(columns) == DEPOSIT_COLUMNS_COUNT
        await self._conn.execute(_DEPOSITS["write_deposits"], *columns)
        await insert_conflicts(self._conn, self._record.chain, deposits)

    async def insert_repeats(self, repeats: Sequence[Repeat], *, at: datetime) -> list[Repeat]:
        """Keep where deposits stand a second time; returns those nobody knew of."""
        return await insert_repeats(self._conn, self._record.chain, repeats, at=at)

    async def write_chain(self, record: ChainRecord) -> None:
        """Overwrite the chain's row."""
        self.row.written = record
        await self._conn.execute(_CHAINS["update_chain"], *encode_chain(record))

    async def publish(self, facts: Sequence[Fact]) -> None:
        """Hand the facts to the merchants' logs; locks them, so it comes last."""
        await self._publish(self._conn, facts)

"""What following needs of a store, as protocols: one read side, one transaction.

The PostgreSQL implementation is `store`; the simulation brings its own, whose
coroutines never wait, so that the very same `follow.step` and `move.commit` run under
ten thousand schedules a minute.  Everything between `open_move` and the end of
its block commits together or not at all.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from chains.model import (
    Address,
    Asset,
    AssetId,
    Block,
    BlockHash,
    BlockRef,
    ChainId,
    ConflictKey,
    TransferTable,
    TxHash,
)
from indexer.rules.deposits import Deposit
from indexer.rules.events import Fact
from indexer.rules.identity import AddressId, DepositId, MerchantId
from indexer.rules.matching import Registration
from indexer.rules.moves import Repeat, Touched


class LeaseLost(Exception):
    """Another process follows this chain now; this one must stop writing."""


@dataclass(frozen=True, slots=True)
class ChainRecord:
    """One chain's row: where our canonical chain stands.

    From `start_height` on every height is covered: our lowest block stands
    there, or higher where the heights between it and its parent have none.
    `final_height` is the height of a block of ours.
    `halted_fork_height` and `halt_reason` are set while halted.
    `accepted_fork_hash` is an operator's leave to rewind below what was final,
    down to that block.  `conditions` are the notices in force.  From
    `held_height` on what was recorded rests on rows in doubt, and nothing is
    agreed; `trusted_height` is how far our operator vouches for such rows.
    """

    chain: ChainId
    alias: str
    network_id: bytes
    start_height: int
    tip: BlockRef
    final_height: int | None
    safe_height: int | None
    agreed_height: int
    halt_reason: str | None
    halted_at: datetime | None
    halted_fork_height: int | None
    accepted_fork_hash: BlockHash | None
    disputed_fork_height: int | None
    conditions: frozenset[str]
    notice_version: int
    move_count: int
    lease_epoch: int
    moved_at: datetime
    held_height: int | None = None
    trusted_height: int = -1

    @property
    def is_halted(self) -> bool:
        """Whether nothing may be credited until an operator decides."""
        return self.halt_reason is not None


@dataclass(frozen=True, slots=True)
class TouchQuery:
    """Which recorded deposits a move may change; heights are those after the move.

    `displaced_above`: deposits above this height stand in blocks that leave.
    `heights_fell`: tip or safe are lower than before, so confirmed deposits
    may fall back.  `spends`: applied blocks, which may use up what waiting
    deposits would.
    """

    ids: Collection[DepositId]
    displaced_above: int | None
    tip_height: int
    final_height: int | None
    safe_height: int | None
    agreed_height: int
    heights_fell: bool
    spends: Sequence[TransferTable] = ()


@dataclass(frozen=True, slots=True)
class WatchDelta:
    """Addresses registered after a watch-list version, and the version reached."""

    version: int
    addresses: Sequence[Address] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True)
class Undecided:
    """A transaction of deposits that no block holds and that nothing has ended; what it would use up.

    `is_seen`: the last that was told of it is that it waits.  `deposits_count`:
    how many deposits it is.
    """

    tx_hash: TxHash
    spends: tuple[ConflictKey, ...]
    is_seen: bool
    deposits_count: int = 1


class BlockDoubts(Protocol):
    """Our canonical blocks whose deposits rest on one operator's word; part of a move."""

    async def load(self, heights: Collection[int]) -> dict[int, str]:
        """Which of these heights are in doubt, and which host told what is recorded there."""
        ...

    async def load_servers(self, heights: Collection[int]) -> dict[int, str]:
        """Which host served our canonical blocks at these heights."""
        ...

    async def insert(self, served_by: Mapping[int, str], *, due_at: datetime) -> None:
        """From now on these blocks are in doubt; where one was before, nothing changes."""
        ...

    async def delete(self, heights: Collection[int]) -> None:
        """These blocks are in doubt no more."""
        ...

    async def delete_up_to(self, height: int) -> None:
        """Our operator vouches for every block up to this height."""
        ...

    async def change_servers(self, blocks: Sequence[Block]) -> None:
        """What is recorded of these canonical blocks was told by another provider now."""
        ...


class MoveTransaction(Protocol):
    """One move: the chain's lock is held exclusively from the first to the last line."""

    @property
    def record(self) -> ChainRecord:
        """The chain's row, read under the lock."""
        ...

    @property
    def doubts(self) -> BlockDoubts:
        """The blocks in doubt."""
        ...

    async def lower_starts(self, fork_height: int) -> None:
        """Addresses and assets that start above the fork, but not above the old tip + 1, start at fork + 1."""
        ...

    async def load_watch_delta(self, after_version: int) -> WatchDelta:
        """What was registered since; exact, since registering takes the same lock shared."""
        ...

    async def load_registrations(self, addresses: Collection[Address]) -> list[Registration]:
        """Every registration of these addresses on this chain, deleted ones included."""
        ...

    async def load_payable(
        self, addresses: Collection[Address]
    ) -> tuple[list[Registration], Mapping[AssetId, int]]:
        """Every registration of these addresses, deleted ones included, and the start height of each asset that counts."""
        ...

    async def load_hashes(self, heights: Collection[int]) -> dict[int, BlockHash]:
        """Our canonical hashes at these heights, before the move."""
        ...

    async def load_touched(self, query: TouchQuery) -> Touched:
        """The deposits this move may change."""
        ...

    async def load_of_txs(self, tx_hashes: Collection[TxHash]) -> list[Deposit]:
        """Every deposit by one of these transactions."""
        ...

    async def load_standing(self, height_first: int, height_last: int) -> list[Deposit]:
        """The deposits that stand in our canonical blocks at these heights, both ends included."""
        ...

    async def load_on_one_word(self, height_last: int, *, limit: int) -> list[Deposit]:
        """The lowest deposits up to this height that rest on one operator's word."""
        ...

    async def load_references(self, addresses: Collection[AddressId]) -> dict[AddressId, str | None]:
        """The merchants' references of these registrations."""
        ...

    async def load_watching_merchants(self) -> list[MerchantId]:
        """Merchants with a living address on this chain, for `chain.*` facts."""
        ...

    async def leave_blocks(self, fork_height: int, *, left_for: BlockHash, at: datetime) -> int:
        """Take everything above the fork out of the canonical chain, as evidence; returns how many blocks."""
        ...

    async def insert_blocks(self, blocks: Sequence[Block], *, at: datetime, watch_version: int) -> None:
        """Add canonical rows; what spared ones were spared concerns nobody of the watch list at `watch_version`."""
        ...

    async def reread_spared(self, height_first: int, height_last: int, *, at: datetime) -> None:
        """Have the spared blocks at these heights read again, as far as they are not about to be."""
        ...

    async def write_deposits(self, deposits: Sequence[Deposit]) -> None:
        """Insert new deposits and overwrite older versions."""
        ...

    async def insert_repeats(self, repeats: Sequence[Repeat], *, at: datetime) -> list[Repeat]:
        """Keep where deposits stand a second time; returns those nobody knew of."""
        ...

    async def write_chain(self, record: ChainRecord) -> None:
        """Overwrite the chain's row."""
        ...

    async def publish(self, facts: Sequence[Fact]) -> None:
        """Hand the facts to the merchants' logs; locks them, so it comes last."""
        ...


class FollowStore(Protocol):
    """The read side, and the door to a move."""

    async def load_chain(self, chain: ChainId) -> ChainRecord | None:
        """The chain's row, or None before its first block."""
        ...

    async def load_hashes(self, chain: ChainId, height_first: int, height_last: int) -> dict[int, BlockHash]:
        """Our canonical hashes at these heights, both ends included."""
        ...

    async def load_work_above(self, chain: ChainId, height: int) -> int | None:
        """The work of our canonical blocks above this height; None where one of them has none, or there is none."""
        ...

    async def load_servers(self, chain: ChainId, height_first: int, height_last: int) -> dict[int, str]:
        """Which provider, by host, served our canonical blocks at these heights."""
        ...

    async def load_height_on_one_word(self, chain: ChainId, *, above_height: int) -> int | None:
        """The lowest height above this one that holds a deposit on one operator's word."""
        ...

    async def load_watch_version(self, chain: ChainId) -> int:
        """The newest registration's, as far as anybody but those in flight can tell."""
        ...

    async def load_watch_page(self, chain: ChainId, *, after_version: int, up_to_version: int) -> WatchDelta:
        """The next page of addresses up to a version under which everything has committed; empty when there is none."""
        ...

    async def load_undecided(self, chain: ChainId, *, limit: int) -> list[Undecided]:
        """The transactions of deposits that are seen, orphaned, or replaced by what has left our chain.

        At most so many deposits, those seen first.
        """
        ...

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
        ...

    def open_move(self, chain: ChainId, *, lease_epoch: int) -> AbstractAsyncContextManager[MoveTransaction]:
        """Begin a move; raises `LeaseLost` when `lease_epoch` is no longer ours."""
        ...


class BackfillTransaction(MoveTransaction, Protocol):
    """A chunk of history, recorded under the same lock as a move."""

    async def load_parent_hash(self, height: int) -> BlockHash | None:
        """The parent hash in our lowest canonical row from `height` on."""
        ...

    async def cover(self, height_first: int, height_last: int, *, at: datetime) -> None:
        """Lower the starts of what waits for these heights, and mark rescans as far as they are done."""
        ...

    async def fill_spared(self, blocks: Sequence[Block]) -> None:
        """These blocks were read whole: what is recorded of them lacks nothing any more."""
        ...


class BackfillStore(Protocol):
    """What reading history needs beside `FollowStore`'s read side."""

    async def load_chain(self, chain: ChainId) -> ChainRecord | None:
        """The chain's row, or None before its first block."""
        ...

    async def load_backfill_range(self, chain: ChainId, *, tip_height: int) -> tuple[int, int] | None:
        """The range of the work that reaches highest: (first, last) wanted heights, or None.

        Of rescans only those that begin at or below `tip_height`.
        """
        ...

    async def take_due_doubts(
        self, chain: ChainId, *, now: datetime, next_at: datetime, blocks_max: int
    ) -> list[int]:
        """The block in doubt that waited longest and those close above it, ascending; due again at `next_at`."""
        ...

    def open_backfill(
        self, chain: ChainId, *, lease_epoch: int
    ) -> AbstractAsyncContextManager[BackfillTransaction]:
        """Begin a chunk; raises `LeaseLost` when `lease_epoch` is no longer ours."""
        ...

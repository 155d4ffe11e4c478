"""Reading history in memory: `BackfillStore` and `BackfillTransaction` beside the moves of `memory.py`.

Lives here: which range is wanted next, and a chunk's transaction. What covering a chunk does to the rows stands with
the rows. Does not live here: when anybody reads history (`world.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from chains.model import Block, BlockHash, ChainId
from indexer.rows.storage import ChainRecord
from tests.simulation.memory import MemoryMove, MemoryStore


class MemoryBackfillMove(MemoryMove):
    """One chunk of history under the chain's lock."""

    __slots__ = ()

    async def load_parent_hash(self, height: int) -> BlockHash | None:
        self.pause()
        return next((one.parent.hash for one in self.rows.blocks if one.height >= height), None)

    async def cover(self, height_first: int, height_last: int, *, at: datetime) -> None:
        self.pause()
        self.covered = (height_first, height_last)

    async def fill_spared(self, blocks: Sequence[Block]) -> None:
        self.pause()


class MemoryBackfillStore:
    """The same rows, asked for what is still to be read."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def load_chain(self, chain: ChainId) -> ChainRecord | None:
        return await self._store.load_chain(chain)

    async def load_backfill_range(self, chain: ChainId, *, tip_height: int) -> tuple[int, int] | None:
        self._store.interrupts.pause("read")
        rows = self._store.rows[chain]
        starts = {one.address_id: one.effective_start for one in rows.registrations}
        wanted = [(first, starts[address_id] - 1) for address_id, first in rows.pending_starts.items()]
        wanted += [(first, rows.asset_starts[asset] - 1) for asset, first in rows.pending_assets.items()]
        wanted += [one for one in rows.rescans if one[0] <= tip_height]
        return max(wanted, key=lambda range_: range_[1], default=None)

    async def take_due_doubts(
        self, chain: ChainId, *, now: datetime, next_at: datetime, blocks_max: int
    ) -> list[int]:
        self._store.interrupts.pause("read")
        doubted = self._store.rows[chain].doubted
        due = sorted((at, height) for height, (_, at) in doubted.items() if at <= now)
        if not due:
            return []
        first = due[0][1]
        taken = sorted(height for height in doubted if first <= height < first + blocks_max)
        for height in taken:
            doubted[height] = (doubted[height][0], next_at)
        return taken

    def open_backfill(self, chain: ChainId, *, lease_epoch: int) -> MemoryBackfillMove:
        return MemoryBackfillMove(self._store, chain, lease_epoch)

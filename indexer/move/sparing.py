"""Blocks that were spared a part, held against the watch list as it is under the chain's lock.

What a block was spared is proven for the addresses that were sought when it
was asked for.  One registered since is held against the same proof before the
block is written, and where that does not settle it the block is read whole
(`follow.step`).  What proves is the family's; which rows were spared is kept
by `rows`, and they are read again where a block shows that proofs of this kind
may hold no more.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from chains.model import Block, BlockHash
from indexer.rows.storage import MoveTransaction
from indexer.rules.watchset import WatchSet


def find_concerned(blocks: Sequence[Block], watched: WatchSet) -> frozenset[BlockHash]:
    """The spared ones among these whose proof does not cover everybody who is watched now.

    `watched` is complete: it was brought up to date under the lock.
    """
    sought = watched.list_sought()
    return frozenset(
        block.header.hash
        for block in blocks
        if block.spared is not None
        and block.spared.version != watched.version
        and (sought is None or block.spared.may_concern(sought.addresses))
    )


async def reread_spared(move: MoveTransaction, blocks: Sequence[Block], *, now: datetime) -> None:
    """Have spared blocks read again below those that say so."""
    for block in blocks:
        if block.unspares_blocks:
            height = block.header.height
            await move.reread_spared(max(0, height - block.unspares_blocks), height, at=now)

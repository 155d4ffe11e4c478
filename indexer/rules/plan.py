"""What one move is asked to write, and what came of it: the words between deciding and committing.

Values only, pure.  `follow` makes plans, `commit` writes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from chains.model import Block, BlockHash, BlockRef
from indexer.rows.storage import ChainRecord
from indexer.rules.balances import HeldRecipients
from indexer.rules.deposits import Change, Deposit
from indexer.rules.finality import NO_TAGS, TagReport
from indexer.rules.moves import Repeat, last_versions


class DisputeChange(Enum):
    """What a move does to an open dispute; a height instead opens one at that fork."""

    STANDS = "stands"
    SETTLED = "settled"


@dataclass(frozen=True, slots=True)
class MovePlan:
    """What `follow` decided, to be written if our tip is still `expected_tip`.

    `fork` None: nothing leaves.  `agreed_height` None: one operator is
    trusted, so what is applied is agreed.  `accept_final_above`: the move may
    leave blocks that were final, since an operator accepted it.  `held` is
    whose native balances were held against the blocks, where calls are traced.
    `witness` are blocks of ours that were held, as another operator tells them;
    `second_look` is one that holds deposits on one word, told likewise.
    """

    expected_tip: BlockRef
    blocks: Sequence[Block] = ()
    fork: BlockRef | None = None
    tags: TagReport = NO_TAGS
    agreed_height: int | None = None
    dispute: int | DisputeChange = DisputeChange.STANDS
    accept_final_above: bool = False
    held: HeldRecipients | None = None
    witness: Sequence[Block] = ()
    second_look: Sequence[Block] = ()


@dataclass(frozen=True, slots=True)
class Decided:
    """What a move does to deposits: told `changes`, `repeats`, and `lifted` rows, which are no change to anybody."""

    changes: tuple[Change, ...] = ()
    repeats: tuple[Repeat, ...] = ()
    lifted: tuple[Deposit, ...] = ()

    def rows(self) -> list[Deposit]:
        """What is to be recorded of deposits."""
        return last_versions(self.changes) + list(self.lifted)


@dataclass(frozen=True, slots=True)
class Moved:
    """A committed move: the row after it, what changed, and which deposits turned out to stand twice.

    At `differing_heights` a witness showed other deposits than we recorded.
    """

    record: ChainRecord
    changes: tuple[Change, ...]
    left_blocks_count: int
    applied_blocks: tuple[Block, ...] = ()
    repeats: tuple[Repeat, ...] = ()
    differing_heights: tuple[int, ...] = ()

    @property
    def applied_blocks_count(self) -> int:
        """How many blocks became canonical."""
        return len(self.applied_blocks)


@dataclass(frozen=True, slots=True)
class Superseded:
    """Our tip had moved, or the chain was halted, before the lock was ours: decide again.

    `unheld`: the watch list had grown by an address that these blocks pay
    natively, and its balance has not been asked.  `concerned`: it had grown by
    an address that what these blocks were spared may concern.
    """

    unheld: bool = False
    concerned: frozenset[BlockHash] = frozenset()

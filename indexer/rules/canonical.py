"""What a provider's head means for our chain: known, behind, extend, catch up, or a fork.

Pure, so that the decision to leave a block can be read and tested without a
network: nothing here awaits.  Blocks hang together by their parents, whatever
heights lie between (`chains.model.is_linked`).  A fork found here is only a suspicion; whether
it may move our chain is decided in `evidence`, and the step that acts is
`follow`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chains.model import BlockHash, BlockRef, Header, is_linked


@dataclass(frozen=True, slots=True)
class Known:
    """The head is our tip: nothing to do."""


@dataclass(frozen=True, slots=True)
class Behind:
    """The head is an ancestor of our tip, or below our start: a lagging answer.

    Absence of newer blocks is never evidence (Law 5), so nothing moves.
    """


@dataclass(frozen=True, slots=True)
class Extend:
    """The head is the child of our tip."""


@dataclass(frozen=True, slots=True)
class CatchUp:
    """Blocks are missing between our tip and the head; fetch these first."""

    height_first: int
    height_last: int


@dataclass(frozen=True, slots=True)
class SearchFork:
    """The head does not link to our tip: look for the common ancestor.

    `height_last` is the highest height at which both chains may still agree:
    that of the head's parent.
    """

    height_last: int


HeadDecision = Known | Behind | Extend | CatchUp | SearchFork


def decide_head(
    tip: BlockRef,
    head: Header,
    *,
    start_height: int,
    ours_at_head_height: BlockHash | None,
    step_heights_max: int,
) -> HeadDecision:
    """Place a claimed head relative to our canonical chain.

    `ours_at_head_height` is our canonical hash at the head's height where we
    hold one (the head is not above our tip), else None.
    """
    if head.hash == tip.hash:
        return Known()
    if head.height < start_height:
        return Behind()
    if head.height <= tip.height:
        if head.hash == ours_at_head_height:
            return Behind()
        return SearchFork(height_last=head.parent.height)
    if head.parent == tip:
        return Extend()
    if head.parent.height <= tip.height:
        return SearchFork(height_last=head.parent.height)
    return CatchUp(tip.height + 1, min(head.height, tip.height + step_heights_max))


def extends_tip(tip: BlockRef, headers: Sequence[Header], *, skipped_heights_max: int = 0) -> bool:
    """Whether `headers` is a parent-linked run whose first stands on our tip."""
    return (
        bool(headers)
        and headers[0].parent == tip
        and is_linked(headers, skipped_heights_max=skipped_heights_max)
    )


def find_common_ancestor(ours: Mapping[int, BlockHash], theirs: Sequence[Header]) -> BlockRef | None:
    """The highest height at which both hold the same hash, or None among these.

    `theirs` is ascending.  A header whose parent is ours counts as well: the
    ancestor then lies below the lowest header asked for.
    """
    for header in reversed(theirs):
        if ours.get(header.height) == header.hash:
            return BlockRef(header.height, header.hash)
    if theirs and ours.get(theirs[0].parent.height) == theirs[0].parent.hash:
        return theirs[0].parent
    return None


def search_windows(height_last: int, height_floor: int, *, first_blocks: int = 8) -> list[tuple[int, int]]:
    """Height ranges to compare on the way down, doubling, never below the floor.

    Most reorganisations are one block deep, so the first window is small.
    """
    windows: list[tuple[int, int]] = []
    size = first_blocks
    high = height_last
    while high >= height_floor:
        low = max(height_floor, high - size + 1)
        windows.append((low, high))
        high = low - 1
        size = min(size * 2, 512)
    return windows

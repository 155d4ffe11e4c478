"""How far the chain is final, safe and agreed after a move.

Pure.  Finality is accepted only where its hash equals ours, is clamped to our
tip and to what operators agree on, and only moves forward; a tag that a node
does not know is unknown, not zero (DESIGN 3).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from chains.model import BlockHash, BlockRef, Header, HeadReport
from chains.traits import FinalAtDepth, FinalByTag, FinalityRule

HashAt = Callable[[int], BlockHash | None]
"""Our canonical hash at a height after the move, or None where we hold none."""


@dataclass(frozen=True, slots=True)
class TagReport:
    """The tags of the provider that served the step.

    `tip_is_theirs`: our tip after the move came from this provider in this
    step, so its `finalized` block above our tip is a descendant of it.
    """

    safe: Header | None
    final: Header | None
    tip_is_theirs: bool


NO_TAGS = TagReport(safe=None, final=None, tip_is_theirs=False)


def read_tags(report: HeadReport, *, tip_is_theirs: bool) -> TagReport:
    """The tags that go with a head; one above the head it came with is no block that anybody has shown, and unknown."""
    safe, final = (
        None if tag is None or tag.height > report.head.height else tag for tag in (report.safe, report.final)
    )
    return TagReport(safe, final, tip_is_theirs)


def compute_final_height(
    *,
    previous: int | None,
    tip: BlockRef,
    start_height: int,
    rule: FinalityRule,
    tags: TagReport,
    hash_at: HashAt,
    ceiling: int,
) -> int | None:
    """The highest final height after a move, or None while nothing is final.

    `ceiling` is what operators agree on (and the fork of an open dispute);
    it bounds new finality and never takes back old.
    """
    candidate: int | None
    match rule:
        case FinalAtDepth(confirmations=confirmations):
            # A block that one operator alone has shown deepens nothing.
            candidate = min(tip.height, ceiling) - confirmations + 1
        case FinalByTag():
            candidate = _accepted_height(tags.final, tip, tags, hash_at)
    if candidate is not None:
        candidate = min(candidate, ceiling, tip.height)
        if candidate < start_height:
            candidate = None
    if previous is None:
        return candidate
    return previous if candidate is None else max(previous, candidate)


def compute_safe_height(
    *, previous: int | None, fork_height: int | None, tip: BlockRef, tags: TagReport, hash_at: HashAt
) -> int | None:
    """The height of the `safe` tag on our chain; unlike finality it may fall.

    Where the provider says nothing usable the old height stands, as far as
    the move left it standing.
    """
    accepted = _accepted_height(tags.safe, tip, tags, hash_at)
    if accepted is not None:
        return accepted
    if previous is None:
        return None
    return previous if fork_height is None else min(previous, fork_height)


def _accepted_height(tag: Header | None, tip: BlockRef, tags: TagReport, hash_at: HashAt) -> int | None:
    if tag is None:
        return None
    if tag.height > tip.height:
        return tip.height if tags.tip_is_theirs else None
    return tag.height if hash_at(tag.height) == tag.hash else None

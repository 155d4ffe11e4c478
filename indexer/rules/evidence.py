"""Whether a suspected fork may move our chain: seen twice, and agreed by a second operator.

Pure.  Hashes prove that an answer is consistent, not that it is the chain, so
a rewind and a halt need: a verified branch that is not our past, from a
provider whose answer by number changed, seen in two polls in a row, with more
work above the fork where blocks have work, and, with several operators, the
agreement of another one (DESIGN 3, Law 5).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from chains.model import BlockHash, BlockRef


class Opinion(StrEnum):
    """What the other operators say about the block at the fork."""

    SINGLE = "single"
    """No other operator is configured: the one provider is trusted."""

    AGREES = "agrees"
    """Another operator holds the same new block."""

    SILENT = "silent"
    """No other operator could be asked, or none has come so far."""

    CONTRADICTS = "contradicts"
    """Another operator still holds our block at that height, and nobody outvotes it."""

    OUTVOTED = "outvoted"
    """Two or more other operators hold our block: the branch is a minority's."""


@dataclass(frozen=True, slots=True)
class Suspicion:
    """A branch that does not contain our tip.

    `fork` is the common ancestor; `first_hash` the branch's block above it.
    `below_final` marks a branch that leaves our chain below what was final:
    `fork` is then the final block itself or what lies under it.  `is_lighter`:
    blocks have work, and those above the fork add no more of it than ours do.
    """

    fork: BlockRef
    first_hash: BlockHash
    below_final: bool = False
    is_lighter: bool = False


@dataclass(frozen=True, slots=True)
class Wait:
    """Not enough yet: keep the suspicion and look again at the next poll."""


@dataclass(frozen=True, slots=True)
class Rewind:
    """Leave everything above the fork and take the branch."""


@dataclass(frozen=True, slots=True)
class Dispute:
    """Operators contradict each other: hold crediting above the fork and say so."""


@dataclass(frozen=True, slots=True)
class Halt:
    """The branch contradicts what was final: stop this chain and call the operator."""


@dataclass(frozen=True, slots=True)
class Dismiss:
    """A lagging or lying minority: nothing changes, and its provider rests."""


EvidenceDecision = Wait | Rewind | Dispute | Halt | Dismiss


def weigh_opinions(*, operators_count: int, for_branch: int, for_ours: int) -> Opinion:
    """Count the other operators that hold the branch's block, and those that hold ours.

    The operator that showed the branch is one voice for it and is not counted
    in `for_branch`.
    """
    if operators_count == 1:
        return Opinion.SINGLE
    if for_branch and for_branch + 1 > for_ours:
        return Opinion.AGREES
    if for_ours >= 2 and not for_branch:
        return Opinion.OUTVOTED
    return Opinion.CONTRADICTS if for_ours else Opinion.SILENT


def decide_evidence(previous: Suspicion | None, seen: Suspicion, opinion: Opinion) -> EvidenceDecision:
    """Judge a suspicion in the light of the last poll's and of other operators.

    `previous` must be None when the last poll did not show the same fork: a
    load balancer that flaps between two nodes shows it only now and then.
    Height decides nothing where there is work: the longer of two branches may
    be the lighter one.
    """
    if seen.is_lighter:
        return Dismiss()
    if previous is None or (previous.fork, previous.first_hash) != (seen.fork, seen.first_hash):
        return Wait()
    match opinion:
        case Opinion.CONTRADICTS:
            return Dispute()
        case Opinion.OUTVOTED:
            return Dismiss()
        case Opinion.SILENT:
            return Wait()
        case Opinion.SINGLE | Opinion.AGREES:
            return Halt() if seen.below_final else Rewind()

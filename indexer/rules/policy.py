"""When a deposit counts as confirmed: the operator's rules, and what they say now.

Pure.  A policy speaks of heights of our canonical chain only; who may raise
those heights is decided in `finality` and `evidence`.  Beside it stands which
amounts are too large to rest on one operator's word.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from chains.model import Asset, AssetId


class ConfirmedBy(StrEnum):
    """What a rule waits for: a count of blocks, or a tag of the chain."""

    DEPTH = "depth"
    SAFE = "safe"
    FINAL = "final"


@dataclass(frozen=True, slots=True)
class Requirement:
    """`confirmations` is set for `DEPTH` alone and is at least 1."""

    by: ConfirmedBy
    confirmations: int | None = None

    def __post_init__(self) -> None:
        assert (self.by is ConfirmedBy.DEPTH) == (self.confirmations is not None)
        assert self.confirmations is None or self.confirmations >= 1


UNTIL_FINAL = Requirement(ConfirmedBy.FINAL)

TOKEN_COINS = 1_000
NATIVE_COINS = 1
"""What one operator's word is good for, in whole coins: nobody tells prices here, so round numbers that a shop seldom
meets and a thief would want to pass."""


@dataclass(frozen=True, slots=True)
class ConfirmRule:
    """One line of the policy: applies to `asset` up to an amount, None being any."""

    requirement: Requirement
    asset: AssetId | None = None
    up_to_base_units: int | None = None


def choose_requirement(rules: Sequence[ConfirmRule], asset: AssetId, amount_base_units: int) -> Requirement:
    """The first rule that applies; where none does, the strictest: final."""
    for rule in rules:
        if rule.asset is not None and rule.asset != asset:
            continue
        if rule.up_to_base_units is not None and amount_base_units > rule.up_to_base_units:
            continue
        return rule.requirement
    return UNTIL_FINAL


def is_too_large(asset: Asset, amount_base_units: int, limits: Mapping[AssetId, int | None]) -> bool:
    """Whether an amount is above what one operator's word is good for.

    `limits` are in base units, None being no limit; an asset that is not in
    them has the default.
    """
    coins = NATIVE_COINS if asset.contract is None else TOKEN_COINS
    limit = limits.get(asset.asset_id, coins * 10**asset.decimals)
    return limit is not None and amount_base_units > limit


def describe_requirement(requirement: Requirement) -> str:
    """The policy as shown in a deposit: ``confirmations>=12``, ``safe`` or ``final``."""
    if requirement.by is ConfirmedBy.DEPTH:
        return f"confirmations>={requirement.confirmations}"
    return requirement.by.value


@dataclass(frozen=True, slots=True)
class ChainView:
    """The heights by which deposits are judged, after a move.

    `agreed_height`: up to here a second operator holds the same chain (equal
    to the tip where one operator is trusted).  `held_above`: while operators
    contradict each other, nothing above their fork becomes confirmed.  In
    blocks at `doubted_heights` nothing does.
    """

    tip_height: int
    final_height: int | None
    safe_height: int | None
    agreed_height: int
    held_above: int | None = None
    doubted_heights: frozenset[int] = frozenset()


def is_final(height: int, view: ChainView) -> bool:
    """Whether a block at `height` can no longer leave under the chain's own rule."""
    return view.final_height is not None and height <= view.final_height


def ripen(requirement: Requirement, matures_after_blocks: int) -> Requirement:
    """The requirement of coins that can be spent after so many confirmations: a smaller count is raised to that."""
    if requirement.confirmations is None or requirement.confirmations >= matures_after_blocks:
        return requirement
    return Requirement(requirement.by, matures_after_blocks)


def is_mature(height: int, matures_after_blocks: int, view: ChainView, *, was_confirmed: bool) -> bool:
    """Whether coins of a block at `height` can be spent by now, final or not."""
    counted_up_to = view.tip_height if was_confirmed else min(view.tip_height, view.agreed_height)
    return matures_after_blocks == 0 or counted_up_to - height + 1 >= matures_after_blocks


def is_confirmed(height: int, requirement: Requirement, view: ChainView, *, was_confirmed: bool) -> bool:
    """Whether the policy is met now.

    Blocks that only one of several operators has shown neither confirm nor
    deepen.  Doubt and dispute hold back what is not confirmed yet and take
    nothing away from what is: retracting needs evidence (Law 5).
    """
    if is_final(height, view):
        return True
    if height > view.agreed_height:
        return False
    if not was_confirmed and view.held_above is not None and height > view.held_above:
        return False
    match requirement.by:
        case ConfirmedBy.DEPTH:
            assert requirement.confirmations is not None
            counted_up_to = view.tip_height if was_confirmed else view.agreed_height
            return counted_up_to - height + 1 >= requirement.confirmations
        case ConfirmedBy.SAFE:
            return view.safe_height is not None and height <= view.safe_height
        case ConfirmedBy.FINAL:
            return False

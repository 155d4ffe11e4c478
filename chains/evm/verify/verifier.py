"""A chain's verifier: one profile, and what was learned so far.

The one object of this package with a memory: checks on trial become enforced
once they have held.  Every decision is in `block`; what is in doubt goes with
the block, to be told and to hold credit, by `indexer`.
"""

from __future__ import annotations

from collections.abc import Sequence

from chains.evm.rows.structs import RawBlock, RawReceipt, Verdict, parse_quantity
from chains.evm.verify.block import examine_block
from chains.evm.verify.examination import Examination
from chains.evm.verify.profiles import Check, Mode, Profile
from chains.model import Doubt


class BlockVerifier:
    """Verifies one chain's blocks by `profile`; call it with a block and its receipts."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._learnt: dict[Check, int] = {}

    def __call__(self, block: RawBlock, receipts: Sequence[RawReceipt]) -> Verdict:
        """How far this block was verified; raises `Inconsistent` naming the check that failed."""
        examination = examine_block(self._profile, block, receipts)
        if block.transactions:
            # An empty block proves nothing about how transactions and receipts are encoded.
            self._learn(examination, parse_quantity(block.number))
        doubts = tuple(Doubt(item.check, item.reason) for item in examination.unavailable)
        return Verdict(examination.level, doubts, examination.hold)

    def _learn(self, examination: Examination, height: int) -> None:
        before = self._profile
        self._profile = before.enforce(examination.proven, examination.types_proven)
        if self._profile is not before:
            for check, mode in self._profile.modes.items():
                if mode is not before.modes[check]:
                    self._learnt[check] = height

    def describe(self) -> list[tuple[Check, Mode, int | None]]:
        """Every check as it stands, and the height of the block that made it enforced, where one did."""
        return [(check, mode, self._learnt.get(check)) for check, mode in self._profile.modes.items()]

    @property
    def profile(self) -> Profile:
        """The profile as it stands, with what was learned."""
        return self._profile

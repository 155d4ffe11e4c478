"""A chain's verifier: one profile, and what was learned so far.

The one object of this package with a memory: checks on trial become enforced
once they have held.  Every decision is in `block`; what is in doubt goes with
the block, to be told and to hold credit, by `indexer`.
"""

from __future__ import annotations

from collections.abc import Sequence

from chains.evm.rows import RawBlock, RawReceipt, Verdict
from chains.evm.verify.block import examine_block
from chains.evm.verify.profiles import Profile
from chains.model import Doubt


class BlockVerifier:
    """Verifies one chain's blocks by `profile`; call it with a block and its receipts."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile

    def __call__(self, block: RawBlock, receipts: Sequence[RawReceipt]) -> Verdict:
        """How far this block was verified; raises `Inconsistent` naming the check that failed."""
        examination = examine_block(self._profile, block, receipts)
        if block.transactions:
            # An empty block proves nothing about how transactions and receipts are encoded.
            self._profile = self._profile.enforce(examination.proven, examination.types_proven)
        doubts = tuple(Doubt(item.check, item.reason) for item in examination.unavailable)
        return Verdict(examination.level, doubts, examination.hold)

    @property
    def profile(self) -> Profile:
        """The profile as it stands, with what was learned."""
        return self._profile

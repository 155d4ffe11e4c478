"""A chain's verifier: one profile, and what was learned and missed so far.

The one object of this package with a memory: checks on trial become enforced
once they have held, and what could not be checked is kept for `/v1/chains`
and told once.  Every decision is in `block`; who is told is the caller's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from chains.evm.rows import RawBlock, RawReceipt
from chains.evm.verify.block import Unavailable, examine_block
from chains.evm.verify.profiles import Profile
from chains.model import VerificationLevel

UNAVAILABLE_MAX: Final = 32
"""Different reasons kept; a hostile node could invent one a block."""


class BlockVerifier:
    """Verifies one chain's blocks by `profile`; call it with a block and its receipts.

    `on_unavailable` is called once for each new pair of check and reason, with
    the block's height: it is the caller's place to log and to alert.
    """

    def __init__(
        self,
        profile: Profile,
        *,
        on_unavailable: Callable[[Unavailable, int], None] | None = None,
    ) -> None:
        self._profile = profile
        self._on_unavailable = on_unavailable
        self._unavailable: dict[Unavailable, int] = {}

    def __call__(self, block: RawBlock, receipts: Sequence[RawReceipt]) -> VerificationLevel:
        """How far this block was verified; raises `Inconsistent` naming the check that failed."""
        examination = examine_block(self._profile, block, receipts)
        if block.transactions:
            # An empty block proves nothing about how transactions and receipts are encoded.
            self._profile = self._profile.enforce(examination.proven, examination.types_proven)
        for item in examination.unavailable:
            self._note(item, int(block.number, 16))
        return examination.level

    @property
    def profile(self) -> Profile:
        """The profile as it stands, with what was learned."""
        return self._profile

    @property
    def unavailable(self) -> tuple[Unavailable, ...]:
        """Every check that could not be made since the start, and why, oldest first."""
        return tuple(self._unavailable)

    def _note(self, item: Unavailable, height: int) -> None:
        if item in self._unavailable or len(self._unavailable) >= UNAVAILABLE_MAX:
            return
        self._unavailable[item] = height
        if self._on_unavailable is not None:
            self._on_unavailable(item, height)

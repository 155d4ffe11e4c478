"""What examining one block came to: proven checks, missing ones, and what that does to credit.

Values only, pure.  How they come about is `block`; what a missing check does
to deposits is the indexer's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from chains.evm.verify.profiles import Check
from chains.model import Hold, VerificationLevel

COVERING_CHECKS: Final = frozenset(
    {Check.HEADER_HASH, Check.TRANSACTION_HASHES, Check.TRANSACTIONS_ROOT, Check.RECEIPTS_ROOT}
)
"""What ties values to the block's hash; where one of them is tried and open, credit is held."""


@dataclass(frozen=True, slots=True)
class Unavailable:
    """A check that could not be made, and why; both are stable, machine-readable words.

    `hold` is what that does to credit where the check ties values to the hash.
    """

    check: Check
    reason: str
    hold: Hold = field(default=Hold.NONE, compare=False)


@dataclass(frozen=True, slots=True)
class Examination:
    """What one block's verification came to.

    `types_proven` are the transaction types of a block whose transactions
    root held.
    """

    level: VerificationLevel
    proven: frozenset[Check]
    unavailable: tuple[Unavailable, ...]
    types_proven: frozenset[str] = frozenset()

    @property
    def hold(self) -> Hold:
        """What the missing checks do to credit."""
        return max((item.hold for item in self.unavailable), default=Hold.NONE)

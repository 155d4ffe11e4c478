"""Which blocks can do without their receipts: those whose hash proves that nothing in them concerns who is sought.

Receipts tell three things of value: that a call which carries some succeeded,
where a creation went, and what tokens logged.  A block's own transactions and
its bloom, both under its hash, say of each whether it can matter; where they
leave it open, receipts are fetched.  Decided here, pure but for `Sparing`,
which remembers how long ago blooms were seen to hold.  Recomputing is
`verify`, what counts as a transfer is `decode` and `natives`, asking is `blocks`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from chains.evm.facts import facts_of
from chains.evm.rows.structs import RawBlock, Verdict, parse_address_row, parse_quantity
from chains.evm.value.decode import TRANSFER_TOPIC
from chains.evm.value.natives import OP_DEPOSIT_TYPE, SIGNED_TYPES
from chains.evm.verify.block import examine_block
from chains.evm.verify.bloom import compute_mask, parse_bloom
from chains.evm.verify.fields import HashedBlock
from chains.evm.verify.profiles import FULL_CHECKS, PROFILES, Check, Mode, Profile
from chains.model import Address, Hold, Sought, VerificationLevel
from chains.traits import ChainTraits

VOUCHED_BLOCKS: Final = 256
"""A bloom is believed for so many blocks from one whose receipts were seen to give it: a fork may change what blooms hold
(EIP-7668, EIP-7745), and a hash alone would not show it."""

MASKS_KEPT: Final = 1 << 15
"""About 10 MB when full: every address of the few that are sought, on some chains at once."""

ADDRESS_PADDING: Final = bytes(12)

_WITHOUT_RECEIPTS: Final = (
    Check.HEADER_HASH, Check.TRANSACTION_HASHES, Check.TRANSACTIONS_ROOT, Check.WITHDRAWALS_ROOT,
)  # fmt: skip
_PROVING: Final = frozenset({Check.HEADER_HASH, Check.TRANSACTION_HASHES, Check.TRANSACTIONS_ROOT})
_TRANSFER_MASK: Final = compute_mask(bytes.fromhex(TRANSFER_TOPIC[2:]))


@dataclass(frozen=True, slots=True)
class SparingRules:
    """What proving takes on one chain: its checks, and the bits of a transfer event of each listed token."""

    profile: Profile
    token_masks: tuple[int, ...]
    assets: bytes


@dataclass(frozen=True, slots=True)
class EvmSpared:
    """The `Spared` of one EVM block.

    `reached` are all that its transactions name as receivers; `bloom` is None
    where no listed token can have logged a transfer at all.
    """

    version: int
    assets: bytes
    reached: frozenset[bytes]
    bloom: int | None

    def may_concern(self, addresses: Iterable[Address]) -> bool:
        bloom = self.bloom
        if bloom is None:
            return any(address in self.reached for address in addresses)
        for address in addresses:
            mask = _recipient_mask(address)
            if bloom & mask == mask or address in self.reached:
                return True
        return False


class Sparing:
    """One chain's rules, and the height at which a bloom was last seen to hold; shared by its providers."""

    def __init__(self, rules: SparingRules) -> None:
        self.rules = rules
        self._held_at: int | None = None

    @property
    def is_vouched(self) -> bool:
        """Whether a bloom has been seen to hold at all."""
        return self._held_at is not None

    def may_spare(self, height: int) -> bool:
        """Whether a bloom was seen to hold close to this height."""
        return self._held_at is not None and abs(height - self._held_at) <= VOUCHED_BLOCKS

    def note_verdict(self, block: RawBlock, verdict: Verdict) -> None:
        """Learn from a block that was verified with its receipts; a bloom that holds nothing shows nothing."""
        if any(doubt.check == Check.LOGS_BLOOM for doubt in verdict.doubts):
            self._held_at = None
        elif verdict.level is VerificationLevel.FULL and _has_logs(block):
            self._held_at = parse_quantity(block.number)


def compute_sparing_rules(traits: ChainTraits) -> SparingRules | None:
    """The rules of a chain; None where a block's hash is not known to cover all that decides, or that is not wanted.

    Only what a profile has enforced from the start counts: a check on trial
    could be taught by whoever is to be checked.  Value that moves inside calls
    is in no bloom, so where it counts nothing is spared.
    """
    facts = facts_of(traits)
    profile = PROFILES[facts.verification_profile]
    is_covered = all(profile.modes[check] is Mode.ENFORCED for check in FULL_CHECKS)
    if not facts.spare_receipts or facts.traces or not is_covered or profile.settled_field is not None:
        return None
    contracts = {asset.contract for asset in traits.assets if asset.contract is not None}
    tokens = sorted(contracts - set(facts.excluded_emitters))
    return SparingRules(
        profile,
        tuple(compute_mask(contract) | _TRANSFER_MASK for contract in tokens),
        hashlib.blake2b(b"".join(tokens), digest_size=8).digest(),
    )


def read_spared(rules: SparingRules, block: RawBlock, sought: Sought) -> EvmSpared | None:
    """What a block's rows say stands in for its receipts; None where they may matter.

    Nothing is proven yet: the rows are the provider's word until `is_proven`.
    """
    if not isinstance(block, HashedBlock) or rules.profile.may_hide_state_sync(parse_quantity(block.number)):
        return None
    reached = _list_reached(rules.profile, block)
    try:
        bloom = parse_bloom(block.logs_bloom or "")
    except ValueError:
        return None
    if reached is None:
        return None
    may_log = any(bloom & mask == mask for mask in rules.token_masks)
    spared = EvmSpared(sought.version, rules.assets, reached, bloom if may_log else None)
    return None if spared.may_concern(sought.addresses) else spared


def is_proven(rules: SparingRules, block: RawBlock) -> bool:
    """Whether the hash covers the transactions and the bloom as they are shown; raises `Inconsistent` on a lie."""
    examination = examine_block(rules.profile, block, (), _WITHOUT_RECEIPTS)
    return examination.proven >= _PROVING and examination.hold is Hold.NONE


def _list_reached(profile: Profile, block: HashedBlock) -> frozenset[bytes] | None:
    """Everybody whom the transactions themselves may have paid; None where that takes a receipt, or is not understood."""
    reached: set[bytes] = set()
    for transaction in block.transactions:
        is_minting = profile.mints and transaction.type == OP_DEPOSIT_TYPE
        if transaction.type not in SIGNED_TYPES and not is_minting:
            return None
        if is_minting:
            reached.add(parse_address_row(transaction.sender))
        if transaction.to is not None:
            reached.add(parse_address_row(transaction.to))
        elif parse_quantity(transaction.value):
            return None
    return frozenset(reached)


def _has_logs(block: RawBlock) -> bool:
    return isinstance(block, HashedBlock) and parse_bloom(block.logs_bloom or "") > 0


@lru_cache(maxsize=MASKS_KEPT)
def _recipient_mask(address: bytes) -> int:
    """The bits of an address as the recipient of a transfer event: the only place and form in which `decode` reads one."""
    return compute_mask(ADDRESS_PADDING + address)

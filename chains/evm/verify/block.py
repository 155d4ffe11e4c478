"""Is this block what its hash says?  One pure function over one answer.

`examine_block` recomputes what the profile allows and says what held, what
could not be checked and why; a mismatch that the profile calls a lie raises
`Inconsistent`.  That every row is about the asked block is checked before, in
`chains.evm.rows.consistency`; that the hash is the chain's is a matter of linking
and of other providers, in the indexer.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from chains.errors import Inconsistent
from chains.evm.rows.quantities import read_quantity
from chains.evm.rows.structs import SUCCESS, RawBlock, RawReceipt, parse_quantity, spell_type
from chains.evm.verify.bloom import BloomMasks, add_blooms, format_bloom, parse_bloom
from chains.evm.verify.examination import COVERING_CHECKS, Examination, Unavailable
from chains.evm.verify.fields import HashedBlock, HashedTransaction
from chains.evm.verify.hashing import compute_keccak
from chains.evm.verify.header import compute_header_hash, find_committed_tail, list_missing_fields
from chains.evm.verify.profiles import FULL_CHECKS, Check, Mode, Profile
from chains.evm.verify.receipts import check_words, encode_receipt
from chains.evm.verify.rlp import encode_address, encode_list, encode_scalar, to_bytes
from chains.evm.verify.transactions import (
    ETHEREUM_CODECS,
    encode_transaction,
    encode_withdrawal,
)
from chains.evm.verify.trie import compute_ordered_root
from chains.evm.verify.unknown import list_unknown_header_fields, list_unknown_receipt_fields
from chains.model import Hold, VerificationLevel

_STATE_SYNC_PREFIX: Final = b"matic-bor-receipt-"
"""Polygon's bridge transactions: their hash is keccak(prefix, height, block hash)."""

_TAIL_BEFORE_WITHDRAWALS: Final = 1
"""Tail fields of Ethereum's header that stand before the withdrawals root."""

_OF_RECEIPTS: Final = frozenset({Check.RECEIPTS_ROOT, Check.LOGS_BLOOM, Check.GAS_USED})

_MASKS: Final = BloomMasks()


def verify_block(profile: Profile, block: RawBlock, receipts: Sequence[RawReceipt]) -> VerificationLevel:
    """How far this block was verified; raises `Inconsistent` naming the check that failed."""
    return examine_block(profile, block, receipts).level


def examine_block(
    profile: Profile,
    block: RawBlock,
    receipts: Sequence[RawReceipt],
    checks: Collection[Check] = tuple(Check),
) -> Examination:
    """Recompute what `profile` allows; raises `Inconsistent` naming the check that failed.

    `receipts` are in transaction order, and none where no check of `checks`
    reads them.  `block.raw` must be the JSON of `block`, `block.receipts_raw`
    (or None) that of `receipts`.
    """
    tried = [check for check in checks if profile.modes[check] is not Mode.ABSENT]
    if not tried:
        return Examination(VerificationLevel.CONSISTENT, frozenset(), ())
    if profile.first_height and parse_quantity(block.number) < profile.first_height:
        older = tuple(Unavailable(check, "older-rules", Hold.HITS) for check in tried)
        return Examination(VerificationLevel.CONSISTENT, frozenset(), older)
    assert isinstance(block, HashedBlock), "the profile's decoder reads what its checks need"
    step = _Step(profile, block, list(block.transactions), list(receipts))
    for check, action in _ACTIONS:
        if check not in tried:
            continue
        if check in _OF_RECEIPTS and step.settles_later():
            step.excuse(check, "settled-later", Hold.HITS)
        else:
            step.run(check, action)
    return step.conclude()


@dataclass(slots=True)
class _Step:
    """One examination in progress: what is looked at, and what came out so far.

    `transactions` and `receipts` are those that the roots cover.
    """

    profile: Profile
    block: HashedBlock
    transactions: list[HashedTransaction]
    receipts: list[RawReceipt]
    proven: set[Check] = field(default_factory=set)
    unavailable: dict[Unavailable, None] = field(default_factory=dict)
    envelopes: list[bytes] | None = None
    tail_length: int | None = None

    def run(self, check: Check, action: Callable[[_Step], None]) -> None:
        """Make one check; text that cannot be encoded is a mismatch like any other."""
        try:
            action(self)
        except (ValueError, TypeError, IndexError) as error:
            excuse = self.excuse_of_header()
            if check is Check.RECEIPTS_ROOT:
                excuse = _find_receipts_excuse(self)
            self.settle(check, holds=False, excuse=excuse, detail=f"cannot be encoded ({error})")

    def settles_later(self) -> bool:
        """Whether the hash commits to the field that says that receipts come with a later block."""
        name = self.profile.settled_field
        if name is None or getattr(self.block, name) is None or Check.HEADER_HASH not in self.proven:
            return False
        position = [field for field, _ in self.profile.header.tail].index(name)
        return self.tail_length is None or position < self.tail_length

    def excuse(self, check: Check, reason: str, hold: Hold) -> None:
        hold = hold if check in COVERING_CHECKS else Hold.NONE
        self.unavailable[Unavailable(check, reason, hold)] = None

    def settle(self, check: Check, *, holds: bool, excuse: str | None, detail: str) -> None:
        """Record one comparison; `excuse` says why a mismatch would prove nothing."""
        if holds:
            self.proven.add(check)
        elif excuse is not None:
            self.excuse(check, excuse, Hold.CHAIN)
        elif self.profile.modes[check] is Mode.ENFORCED:
            raise Inconsistent(f"{check} of block {self.block.number}: {detail}")
        else:
            mode = self.profile.modes[check]
            self.excuse(check, f"mismatch-{mode}", Hold.HITS if mode is Mode.BEST_EFFORT else Hold.CHAIN)

    def excuse_of_header(self) -> str | None:
        """Under a header with fields we do not know, other rules may be new as well."""
        reasons = (item.reason for item in self.unavailable if item.check is Check.HEADER_HASH)
        return next(reasons, None)

    def excuse_of_summary(self) -> str | None:
        """Logs and gas that roots have proven are not disproved by their summary in the header."""
        if {Check.HEADER_HASH, Check.RECEIPTS_ROOT} <= self.proven:
            return "rule-changed"
        return self.excuse_of_header()

    def conclude(self) -> Examination:
        lacking = {item.check for item in self.unavailable}
        if self.proven >= FULL_CHECKS and not lacking & FULL_CHECKS:
            level = VerificationLevel.FULL
        elif self.proven & {Check.HEADER_HASH, Check.RECEIPTS_ROOT}:
            level = VerificationLevel.PARTIAL
        else:
            level = VerificationLevel.CONSISTENT
        kinds: frozenset[str] = frozenset()
        if {Check.HEADER_HASH, Check.TRANSACTIONS_ROOT} <= self.proven:
            kinds = frozenset(spell_type(item.type) for item in self.transactions)
        return Examination(level, frozenset(self.proven), tuple(self.unavailable), kinds)


def _check_header(step: _Step) -> None:
    layout, block = step.profile.header, step.block
    missing = list_missing_fields(layout, step.block)
    if missing:
        detail = f"its header lacks {', '.join(missing)}"
        step.settle(Check.HEADER_HASH, holds=False, excuse=None, detail=detail)
        return
    block_hash = _parse_hash(block.hash)
    holds = compute_header_hash(layout, step.block) == block_hash
    excuse = None
    if not holds:
        step.tail_length = find_committed_tail(layout, step.block, block_hash)
        holds = step.tail_length is not None
    if not holds:
        unknown = list_unknown_header_fields(block.raw, type(step.block))
        excuse = "field-unknown:" + ",".join(unknown) if unknown else None
    step.settle(Check.HEADER_HASH, holds=holds, excuse=excuse, detail="its fields do not give its hash")


def _check_transaction_hashes(step: _Step) -> None:
    profile = step.profile
    if profile.may_hide_state_sync(read_quantity(step.block.number)):
        _set_state_sync_aside(step)
    height = read_quantity(step.block.number)
    opaque = {kind for kind in profile.opaque_types if profile.is_opaque(kind, height)}
    envelopes: list[bytes] = []
    unknown: set[str] = set()
    unproven: set[str] = set()
    for position, transaction in enumerate(step.transactions):
        kind = spell_type(transaction.type)
        codec = profile.transaction_codecs.get(kind)
        if codec is None:
            if kind in profile.opaque_types - opaque:
                detail = f"transaction {position} has a type that came later"
                step.settle(Check.TRANSACTION_HASHES, holds=False, excuse=None, detail=detail)
            unknown.add(kind)
            continue
        try:
            envelope = encode_transaction(codec, transaction)
            holds = compute_keccak(envelope) == _parse_hash(transaction.hash)
        except (ValueError, TypeError):
            if kind not in profile.trial_types:
                raise
            envelope, holds = b"", False
        if holds:
            envelopes.append(envelope)
        elif kind in profile.trial_types:
            unproven.add(kind)
        else:
            step.settle(
                Check.TRANSACTION_HASHES,
                holds=False,
                excuse=step.excuse_of_header(),
                detail=f"transaction {position} does not give its hash",
            )
    if unknown:
        hold = Hold.CHAIN if unknown - opaque else Hold.HITS
        step.excuse(Check.TRANSACTION_HASHES, "type-unknown:" + ",".join(sorted(unknown)), hold)
    if unproven:
        step.excuse(Check.TRANSACTION_HASHES, "type-unproven:" + ",".join(sorted(unproven)), Hold.CHAIN)
    if len(envelopes) == len(step.transactions):
        step.proven.add(Check.TRANSACTION_HASHES)
        step.envelopes = envelopes


def _set_state_sync_aside(step: _Step) -> None:
    """Leave out Polygon's bridge transaction where no root covers it."""
    height = read_quantity(step.block.number).to_bytes(8, "big")
    block_hash = _parse_hash(step.block.hash)
    name = "0x" + compute_keccak(_STATE_SYNC_PREFIX + height + block_hash).hex()
    if step.transactions and step.transactions[-1].hash == name:
        moves = read_quantity(step.transactions.pop().value)
        if moves:
            # Bor shows none, and no hash would cover it.
            detail = "its bridge transaction carries value"
            step.settle(Check.TRANSACTION_HASHES, holds=False, excuse=None, detail=detail)
    if step.receipts and step.receipts[-1].transaction_hash == name:
        step.receipts.pop()
        step.excuse(Check.RECEIPTS_ROOT, "state-sync-receipt-uncovered", Hold.HITS)


def _check_transactions_root(step: _Step) -> None:
    if step.envelopes is None:
        causes = (item for item in step.unavailable if item.check is Check.TRANSACTION_HASHES)
        cause = next(causes, None)
        reason = "transaction-hashes-unproven" if cause is None else cause.reason
        step.excuse(Check.TRANSACTIONS_ROOT, reason, Hold.CHAIN if cause is None else cause.hold)
        return
    kinds = {spell_type(item.type) for item in step.transactions}
    unproven = ",".join(sorted(kinds & step.profile.trial_types))
    step.settle(
        Check.TRANSACTIONS_ROOT,
        holds=compute_ordered_root(step.envelopes) == _parse_hash(_need(step.block.transactions_root)),
        excuse=f"type-unproven:{unproven}" if unproven else step.excuse_of_header(),
        detail=f"its {len(step.envelopes)} transactions do not give the root",
    )


def _check_withdrawals_root(step: _Step) -> None:
    shown = step.block.withdrawals_root
    if shown is None:
        return
    withdrawals = step.block.withdrawals
    if withdrawals is None:
        step.settle(Check.WITHDRAWALS_ROOT, holds=False, excuse=None, detail="its withdrawals are left out")
        return
    root = compute_ordered_root([encode_withdrawal(item) for item in withdrawals])
    uncovered = step.tail_length is not None and step.tail_length <= _TAIL_BEFORE_WITHDRAWALS
    step.settle(
        Check.WITHDRAWALS_ROOT,
        holds=root == _parse_hash(shown),
        excuse="field-not-hashed:withdrawalsRoot" if uncovered else step.excuse_of_header(),
        detail=f"its {len(withdrawals)} withdrawals do not give the root",
    )


def _check_receipts_root(step: _Step) -> None:
    check_words(step.receipts)
    extras = step.profile.receipt_extras
    encoded = []
    for receipt in step.receipts:
        kind = spell_type(receipt.type)
        bloom = receipt.logs_bloom
        if bloom is None:
            bloom = "0x" + format_bloom(_MASKS.compute_bloom(_list_words([receipt])))
        encoded.append(encode_receipt(receipt, kind, bloom, extras.get(kind)))
    holds = compute_ordered_root(encoded) == _parse_hash(_need(step.block.receipts_root))
    if holds and not _are_of_one_type(step):
        # A type that leaves the other root open must be one that this root commits to.
        detail = "a transaction is shown under another type than its receipt"
        step.settle(Check.RECEIPTS_ROOT, holds=False, excuse=None, detail=detail)
        return
    step.settle(
        Check.RECEIPTS_ROOT,
        holds=holds,
        excuse=None if holds else _find_receipts_excuse(step),
        detail=f"its {len(encoded)} receipts do not give the root",
    )


def _are_of_one_type(step: _Step) -> bool:
    """Whether each transaction has the type that its receipt is committed under (EIP-2718)."""
    pairs = zip(step.transactions, step.receipts, strict=False)
    return all(transaction.type == receipt.type for transaction, receipt in pairs)


def _find_receipts_excuse(step: _Step) -> str | None:
    codecs = step.profile.transaction_codecs
    kinds = {spell_type(receipt.type) for receipt in step.receipts}
    unknown = sorted(kind for kind in kinds if kind not in codecs)
    if unknown:
        return "type-unknown:" + ",".join(unknown)
    fields = list_unknown_receipt_fields(step.block.receipts_raw)
    if fields:
        return "field-unknown:" + ",".join(fields)
    return step.excuse_of_header()


def _check_bloom(step: _Step) -> None:
    shown = [receipt.logs_bloom for receipt in step.receipts if receipt.logs_bloom is not None]
    if Check.RECEIPTS_ROOT in step.proven and len(shown) == len(step.receipts):
        # The root commits to each receipt's bloom: adding them up is all that is left to check.
        bloom = add_blooms(shown)
    else:
        bloom = _MASKS.compute_bloom(_list_words(step.receipts))
    step.settle(
        Check.LOGS_BLOOM,
        holds=bloom == parse_bloom(_need(step.block.logs_bloom)),
        excuse=step.excuse_of_summary(),
        detail="its logs do not give the bloom",
    )


def _check_gas(step: _Step) -> None:
    used = [read_quantity(_need(receipt.cumulative_gas_used)) for receipt in step.receipts]
    rising = all(later >= earlier for earlier, later in pairwise(used))
    total = used[-1] if used else 0
    # Since Amsterdam (EIP-7778, EIP-8037) the header counts gas in another way than receipts.
    adds_up = step.block.block_access_list_hash is not None or total == parse_quantity(
        _need(step.block.gas_used)
    )
    step.settle(
        Check.GAS_USED,
        holds=rising and adds_up,
        excuse=step.excuse_of_summary(),
        detail="its receipts do not add up to the gas used",
    )


def _check_created_addresses(step: _Step) -> None:
    """A creation's recipient is in no hash: it follows from its sender and nonce."""
    for transaction, receipt in zip(step.transactions, step.receipts, strict=False):
        if transaction.to is not None or spell_type(transaction.type) not in ETHEREUM_CODECS:
            continue
        if receipt.status != SUCCESS and receipt.contract_address is None:
            continue
        identity = encode_list(encode_address(transaction.sender) + encode_scalar(transaction.nonce))
        expected = "0x" + compute_keccak(to_bytes(identity))[12:].hex()
        shown = receipt.contract_address
        if shown is None or shown.lower() != expected:
            step.settle(
                Check.CREATED_ADDRESSES,
                holds=False,
                excuse=None,
                detail=f"the contract of transaction {receipt.transaction_index} is elsewhere",
            )
            return
    step.proven.add(Check.CREATED_ADDRESSES)


_ACTIONS: Final[tuple[tuple[Check, Callable[[_Step], None]], ...]] = (
    (Check.HEADER_HASH, _check_header),
    (Check.TRANSACTION_HASHES, _check_transaction_hashes),
    (Check.TRANSACTIONS_ROOT, _check_transactions_root),
    (Check.WITHDRAWALS_ROOT, _check_withdrawals_root),
    (Check.RECEIPTS_ROOT, _check_receipts_root),
    (Check.LOGS_BLOOM, _check_bloom),
    (Check.GAS_USED, _check_gas),
    (Check.CREATED_ADDRESSES, _check_created_addresses),
)
"""In this order: what a header proves excuses or accuses what follows."""


def _list_words(receipts: Sequence[RawReceipt]) -> set[str]:
    words: set[str] = set()
    for receipt in receipts:
        for log in receipt.logs:
            words.add(log.address)
            words.update(log.topics)
    return words


def _need(text: str | None) -> str:
    if text is None:
        raise TypeError("a field is missing")
    return text


def _parse_hash(text: str) -> bytes:
    if len(text) != 66 or text[:2] != "0x":
        raise ValueError("not a hash")
    return to_bytes(text[2:])

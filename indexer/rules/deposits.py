"""The life of a deposit: its states, its legal moves, and the event of each change.

Pure: what was recorded, what the chain holds now and the policy's heights go
in; the versions to record and the events to publish come out.  The table in
`LEGAL_MOVES` is CONTRACT 5; `docs/deposits.md` draws it.  Which transfers
belong to which merchant is `matching`; collecting what one move touches is
`moves`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from chains.model import (
    Address,
    AssetId,
    BlockHash,
    ChainId,
    ConflictKey,
    Header,
    Transfer,
    TransferKind,
    TxHash,
)
from indexer.rules.identity import AddressId, DepositId, MerchantId
from indexer.rules.policy import ChainView, Requirement, is_confirmed, is_final, is_mature


class DepositState(StrEnum):
    """Where a deposit stands; only the first three hold a place in a canonical block."""

    INCLUDED = "included"
    CONFIRMED = "confirmed"
    FINAL = "final"
    SEEN = "seen"
    ORPHANED = "orphaned"
    REPLACED = "replaced"
    DROPPED = "dropped"


S = DepositState

LEGAL_MOVES: dict[DepositState | None, frozenset[DepositState]] = {
    None: frozenset({S.SEEN, S.INCLUDED, S.CONFIRMED}),
    S.SEEN: frozenset({S.INCLUDED, S.CONFIRMED, S.REPLACED, S.DROPPED}),
    S.INCLUDED: frozenset({S.CONFIRMED, S.ORPHANED, S.REPLACED}),
    S.CONFIRMED: frozenset({S.FINAL, S.INCLUDED, S.ORPHANED, S.REPLACED}),
    S.ORPHANED: frozenset({S.SEEN, S.INCLUDED, S.CONFIRMED, S.REPLACED, S.DROPPED}),
    S.DROPPED: frozenset({S.SEEN, S.INCLUDED, S.CONFIRMED, S.REPLACED, S.DROPPED}),
    S.REPLACED: frozenset({S.SEEN, S.INCLUDED, S.CONFIRMED, S.DROPPED}),
    # Only after an operator accepted a reorganisation below what was final.
    S.FINAL: frozenset({S.INCLUDED, S.CONFIRMED, S.ORPHANED, S.REPLACED}),
}

CREDITING = frozenset({S.CONFIRMED, S.FINAL})
WAITING = frozenset({S.SEEN, S.ORPHANED, S.DROPPED})
"""In no block, and one may still come: with its transaction, or with another that uses up what it would."""

SENDERS_MAX = 100
"""Of one deposit (CONTRACT 5): an input of a transaction costs its payer little, and every event would carry them."""

ON_CHAIN = frozenset({S.INCLUDED, S.CONFIRMED, S.FINAL})


@dataclass(frozen=True, slots=True)
class Occurrence:
    """Where a deposit stands in the canonical chain; `position` sorts by place within the block."""

    height: int
    block_hash: BlockHash
    block_time_s: int
    position: str


@dataclass(frozen=True, slots=True)
class FeeStanding:
    """What a waiting transaction offers and what the next block wants, in base units for 1,000 virtual bytes.

    `expected_blocks`: within so many it is expected; None where the node does
    not say, or where it offers less than any block is expected to take.
    """

    fee_rate_per_kvb: int | None = None
    has_unconfirmed_parents: bool = False
    fee_rate_wanted_per_kvb: int | None = None
    expected_blocks: int | None = None


@dataclass(frozen=True, slots=True)
class Deposit:
    """One version of a deposit, as recorded.

    `occurrence` is set exactly in the states of `ON_CHAIN`.
    `confirmed_version` is the version whose event granted the present credit.
    `on_one_word`: it is large and nothing but one operator's word stands
    behind it, so it stays `included` until that is lifted.  `senders` are at
    most `SENDERS_MAX` of those who paid.  `fees` are known in `seen` only.
    `replaced_height`: where the block with what replaced it stands; None once
    that block has left.
    """

    id: DepositId
    merchant_id: MerchantId
    address_id: AddressId
    chain: ChainId
    kind: TransferKind
    asset: AssetId
    recipient: Address
    senders: tuple[Address, ...]
    tx_hash: TxHash
    n: int
    conflict_keys: tuple[ConflictKey, ...]
    own_transfer: bool
    published: bool
    backfilled: bool
    state: DepositState
    version: int
    amount_base_units: int
    occurrence: Occurrence | None
    requirement: Requirement
    confirmed_version: int | None
    replaced_by: TxHash | None
    first_seen_at: datetime
    confirmed_at: datetime | None
    final_at: datetime | None
    changed_at: datetime
    memo: bytes | None = None
    on_one_word: bool = False
    matures_after_blocks: int = 0
    fees: FeeStanding | None = None
    replaced_height: int | None = None

    @property
    def may_be_replaced(self) -> bool:
        """Whether what its transaction would use up is still there, as far as our chain says."""
        return self.state in WAITING or (self.state is S.REPLACED and self.replaced_height is None)

    @property
    def credited_base_units(self) -> int:
        """What the merchant may count on: the amount while confirmed or final, else 0."""
        if self.own_transfer or self.state not in CREDITING:
            return 0
        return self.amount_base_units


@dataclass(frozen=True, slots=True)
class Sighting:
    """One transfer to a watched address in a canonical block, ready to be judged."""

    deposit_id: DepositId
    merchant_id: MerchantId
    address_id: AddressId
    chain: ChainId
    header: Header
    transfer: Transfer
    own_transfer: bool
    requirement: Requirement
    min_base_units: int
    on_one_word: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """One new version and the event that tells it; unpublished deposits tell nothing."""

    deposit: Deposit
    event_type: str
    previous_state: DepositState | None
    reverses_version: int | None


def senders_of(transfer: Transfer) -> tuple[Address, ...]:
    """Those of a transfer's senders that are recorded and told."""
    return transfer.senders[:SENDERS_MAX]


def occurrence_of(sighting: Sighting) -> Occurrence:
    """Where a sighted transfer stands."""
    transfer, header = sighting.transfer, sighting.header
    return Occurrence(header.height, header.hash, header.time_s, transfer.position)


def decide_found(
    before: Deposit | None, sighting: Sighting, view: ChainView, *, now: datetime, backfilled: bool
) -> list[Change]:
    """What becomes of a deposit whose transfer stands in a canonical block."""
    transfer, occurrence = sighting.transfer, occurrence_of(sighting)
    if before is not None and before.state is S.FINAL and before.occurrence == occurrence:
        # What is final does not change because somebody registers its sender later.
        return []
    if before is None:
        begun = begin_deposit(sighting, now=now, backfilled=backfilled)
        found = replace(begun, occurrence=occurrence, on_one_word=sighting.on_one_word)
    else:
        found = replace(
            before,
            on_one_word=rests_on_one_word(before, sighting),
            senders=senders_of(transfer),
            memo=transfer.memo,
            own_transfer=sighting.own_transfer,
            published=before.published or is_worth_telling(sighting),
            amount_base_units=transfer.amount_base_units,
            occurrence=occurrence,
            requirement=sighting.requirement,
            replaced_by=None,
        )
    return _advance(before, found, view, now)


def begin_deposit(sighting: Sighting, *, now: datetime, backfilled: bool) -> Deposit:
    """A deposit that was never recorded, before its first version and in no block."""
    transfer = sighting.transfer
    return Deposit(
        id=sighting.deposit_id,
        merchant_id=sighting.merchant_id,
        address_id=sighting.address_id,
        chain=sighting.chain,
        kind=transfer.kind,
        asset=transfer.asset,
        recipient=transfer.recipient,
        senders=senders_of(transfer),
        memo=transfer.memo,
        matures_after_blocks=transfer.matures_after_blocks,
        tx_hash=transfer.tx_hash,
        n=transfer.n,
        conflict_keys=transfer.conflict_keys,
        own_transfer=sighting.own_transfer,
        published=is_worth_telling(sighting),
        backfilled=backfilled,
        state=S.INCLUDED,
        version=0,
        amount_base_units=transfer.amount_base_units,
        occurrence=None,
        requirement=sighting.requirement,
        confirmed_version=None,
        replaced_by=None,
        first_seen_at=now,
        confirmed_at=None,
        final_at=None,
        changed_at=now,
    )


def is_worth_telling(sighting: Sighting) -> bool:
    """Whether the operator's minimum is reached."""
    return sighting.transfer.amount_base_units >= sighting.min_base_units


def rests_on_one_word(before: Deposit | None, sighting: Sighting) -> bool:
    """Whether a deposit that stands where it is sighted is large and one operator's word alone.

    What was lifted stays so while place, amount and sender are the same: reading it again is no evidence against it.
    """
    if before is None or not sighting.on_one_word:
        return sighting.on_one_word
    transfer = sighting.transfer
    seen = (occurrence_of(sighting), transfer.amount_base_units, senders_of(transfer))
    return before.on_one_word or (before.occurrence, before.amount_base_units, before.senders) != seen


def decide_matured(before: Deposit, view: ChainView, *, now: datetime) -> list[Change]:
    """What becomes of a deposit whose place did not change while the heights did."""
    assert before.occurrence is not None
    return _advance(before, before, view, now)


def decide_lost(
    before: Deposit, *, replaced_by: TxHash | None, replaced_height: int | None = None, now: datetime
) -> list[Change]:
    """What becomes of a deposit that no canonical block holds any more.

    `replaced_by` is the canonical transaction that used up its input or its
    sender's nonce, if there is one, in the block at `replaced_height`.  Without
    one only what stood in a block is lost by leaving it.
    """
    state = S.ORPHANED if replaced_by is None else S.REPLACED
    if state is before.state or (replaced_by is None and before.state not in ON_CHAIN):
        return []
    lost = replace(
        before,
        occurrence=None,
        replaced_by=replaced_by,
        replaced_height=replaced_height,
        confirmed_at=None,
        final_at=None,
        on_one_word=False,
    )
    return [change_state(before, lost, state, now)]


def _advance(before: Deposit | None, found: Deposit, view: ChainView, now: datetime) -> list[Change]:
    """Carry `found` to the state its place and its policy give it now."""
    assert found.occurrence is not None
    height = found.occurrence.height
    was_confirmed = before is not None and before.state in CREDITING
    is_doubted = height in view.doubted_heights and not (was_confirmed and _stands_unchanged(before, found))
    is_ripe = is_mature(height, found.matures_after_blocks, view, was_confirmed=was_confirmed)
    if found.on_one_word or is_doubted or not is_ripe:
        target = S.INCLUDED
    elif is_final(height, view):
        target = S.FINAL
    elif is_confirmed(height, found.requirement, view, was_confirmed=was_confirmed):
        target = S.CONFIRMED
    else:
        target = S.INCLUDED
    if before is not None and target is before.state and _same_facts(before, found):
        return []
    if target is S.FINAL and _begins_credit(before, found):
        # `final` always comes after `confirmed`, so both at once are two versions.
        confirmed = change_state(before, found, S.CONFIRMED, now)
        return [confirmed, change_state(confirmed.deposit, confirmed.deposit, S.FINAL, now)]
    return [change_state(before, found, target, now)]


def _same_facts(before: Deposit, found: Deposit) -> bool:
    return (
        before.occurrence == found.occurrence
        and before.amount_base_units == found.amount_base_units
        and before.own_transfer == found.own_transfer
        and before.published == found.published
    )


def _stands_unchanged(before: Deposit | None, found: Deposit) -> bool:
    """Whether a doubt about the block is a doubt about nothing that is new here."""
    return before is not None and (
        (before.occurrence, before.amount_base_units, before.senders)
        == (found.occurrence, found.amount_base_units, found.senders)
    )


def _is_told(before: Deposit | None, after: Deposit) -> bool:
    """Whether the merchant knows the version before, as far as this deposit is told at all."""
    return before is not None and (before.published or not after.published)


def _begins_credit(before: Deposit | None, found: Deposit) -> bool:
    """Whether `found`, in a crediting state, is told as confirmed for the first time since it was not.

    The event that begins a credit is the one a later `reversed` names, so it must have been told.
    """
    if before is None or not _is_told(before, found) or before.state not in CREDITING:
        return True
    return before.own_transfer and not found.own_transfer


def change_state(before: Deposit | None, found: Deposit, state: DepositState, now: datetime) -> Change:
    """`found` as the next version, in a state that may follow; what it tells comes of the difference."""
    previous = None if before is None else before.state
    assert state is previous or state in LEGAL_MOVES[previous], f"{previous} to {state} is not a legal move"
    told = before if _is_told(before, found) else None
    version = 1 if before is None else before.version + 1
    is_credit = state in CREDITING
    begins = is_credit and _begins_credit(before, found)
    after = replace(
        found,
        state=state,
        version=version,
        changed_at=now,
        confirmed_at=(now if begins else found.confirmed_at) if is_credit else None,
        final_at=(now if previous is not S.FINAL else found.final_at) if state is S.FINAL else None,
        confirmed_version=(version if begins else found.confirmed_version) if is_credit else None,
        fees=found.fees if state is S.SEEN else None,
        replaced_height=found.replaced_height if state is S.REPLACED else None,
    )
    is_reversed = told is not None and told.credited_base_units > 0 and after.credited_base_units == 0
    return Change(
        deposit=after,
        event_type=_event_type(told, after, is_reversed=is_reversed, begins=begins),
        previous_state=None if told is None else told.state,
        reverses_version=told.confirmed_version if told is not None and is_reversed else None,
    )


def _event_type(told: Deposit | None, after: Deposit, *, is_reversed: bool, begins: bool) -> str:
    if is_reversed:
        return "deposit.reversed"
    if told is None or told.state is not after.state:
        return f"deposit.{after.state.value}"
    if begins:
        return "deposit.confirmed"
    if told.amount_base_units != after.amount_base_units or told.own_transfer != after.own_transfer:
        return "deposit.amended"
    return "deposit.moved"

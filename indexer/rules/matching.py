"""Transfers of blocks against watched addresses: which merchant's deposits stand where.

Pure, in two passes: a cheap one over every transfer against the in-memory set
(`find_hits`), and an exact one over the few hits against the registrations
the database holds (`match_hits`).  What a deposit then becomes is `deposits`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from chains.model import (
    BEFORE_FIRST,
    Address,
    Asset,
    AssetId,
    Block,
    BlockHash,
    BlockRef,
    ChainId,
    ConflictKey,
    Header,
    Transfer,
    TransferKind,
    TxHash,
    VerificationLevel,
)
from indexer.rules.deposits import Deposit, Sighting
from indexer.rules.identity import AddressId, DepositId, MerchantId
from indexer.rules.moves import Repeat
from indexer.rules.policy import Requirement, is_too_large, ripen
from indexer.rules.watchset import WatchSet

ReadSpent = Callable[[ConflictKey], tuple[TxHash, int]]
"""The transfer that a key uses up: its transaction and its ordinal there (`FamilyRules.read_spent`)."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A transfer whose recipient may be watched, and the block it stands in, with how far that was verified.

    `payers` are owners of what its transaction spent, as far as that is known here, where a transfer names no sender.
    """

    header: Header
    transfer: Transfer
    level: VerificationLevel = VerificationLevel.CONSISTENT
    payers: frozenset[Address] = frozenset()


@dataclass(frozen=True, slots=True)
class Registration:
    """One merchant's watched address, as far as matching needs it.

    It counts for heights from `effective_start` to `watching_until`, both
    included; `watching_until` is None while it is not deleted.  With a `memo`
    it is what is paid under that one, else everything that no other
    registration of the merchant has a memo for.
    """

    address_id: AddressId
    merchant_id: MerchantId
    address: Address
    effective_start: int
    watching_until: int | None
    memo: bytes | None = None

    def covers(self, memo: bytes | None) -> bool:
        """Whether a transfer that carries `memo` may be for it."""
        return self.memo is None or self.memo == memo

    def counts_at(self, height: int) -> bool:
        """Whether a transfer at `height` is a deposit to this registration."""
        return self.effective_start <= height and (
            self.watching_until is None or height <= self.watching_until
        )


UNKNOWN_PARENT = BlockRef(BEFORE_FIRST, BlockHash(b""))
"""Of a block that is recalled by where a deposit stands in it."""

NEVER = 2**62
"""A height no chain reaches: where an unlisted asset starts."""


@dataclass(frozen=True, slots=True)
class ListedAsset:
    """An asset and the height from which its transfers count."""

    asset: Asset
    start_height: int

    @property
    def is_listed(self) -> bool:
        """Whether the configuration names it; deposits in others run on, and no new ones begin."""
        return self.start_height < NEVER


@dataclass(frozen=True, slots=True)
class MatchRules:
    """What matching must know of a chain besides its registrations.

    `deposit_id` computes identities; `requirement` chooses the policy.
    Above `doubted_above` what no hash covers is one operator's word, which is
    good up to `hold_limits`; with None others are asked, or nobody credits.
    """

    chain: ChainId
    assets: Mapping[AssetId, ListedAsset]
    deposit_id: Callable[[MerchantId, Transfer], DepositId]
    requirement: Callable[[AssetId, int], Requirement]
    hold_limits: Mapping[AssetId, int | None] = field(default_factory=dict)
    doubted_above: int | None = None

    def is_on_one_word(self, height: int, level: VerificationLevel, transfer: Transfer, asset: Asset) -> bool:
        """Whether a transfer is too large for what stands behind it; no header commits to traces."""
        if self.doubted_above is None or height <= self.doubted_above:
            return False
        is_covered = level is VerificationLevel.FULL and transfer.kind is not TransferKind.INTERNAL
        return not is_covered and is_too_large(asset, transfer.amount_base_units, self.hold_limits)


def find_hits(blocks: Iterable[Block], watched: WatchSet) -> list[Hit]:
    """Every transfer of `blocks` whose recipient is in the set, in block order."""
    hits: list[Hit] = []
    for block in blocks:
        table = block.transfers
        indexes = watched.hits(table.recipients)
        if indexes:
            found = [table.at(index) for index in indexes]
            hits.extend(Hit(block.header, one, block.level_of(one.kind)) for one in found)
    return hits


def list_spent(hits: Iterable[Hit], read_spent: ReadSpent) -> set[TxHash]:
    """The transactions of which these hits' own spend something."""
    return {read_spent(key)[0] for hit in hits for key in hit.transfer.conflict_keys}


def name_payers(hits: Sequence[Hit], recorded: Iterable[Deposit], read_spent: ReadSpent) -> list[Hit]:
    """The hits with who owned what they spend, as far as that was recorded or stands among them.

    A transaction's hash covers whom it paid, so it does not matter what became of
    the deposit that says it: what is spent was its recipient's.
    """
    owners = {(one.tx_hash, one.n): one.recipient for one in recorded}
    owners |= {(hit.transfer.tx_hash, hit.transfer.n): hit.transfer.recipient for hit in hits}
    payers = {
        hit.transfer.tx_hash: frozenset(
            owners[spent] for key in hit.transfer.conflict_keys if (spent := read_spent(key)) in owners
        )
        for hit in hits
    }
    return [replace(hit, payers=found) if (found := payers[hit.transfer.tx_hash]) else hit for hit in hits]


def parties(hits: Iterable[Hit]) -> set[Address]:
    """Every address whose registrations decide what these hits are."""
    addresses: set[Address] = set()
    for hit in hits:
        addresses.add(hit.transfer.recipient)
        addresses.update(hit.transfer.senders)
        addresses.update(hit.payers)
    return addresses


def group_by_address(registrations: Sequence[Registration]) -> dict[Address, list[Registration]]:
    """Registrations by the address they watch."""
    grouped: dict[Address, list[Registration]] = {}
    for registration in registrations:
        grouped.setdefault(registration.address, []).append(registration)
    return grouped


def possible_ids(
    hits: Sequence[Hit], registrations: Mapping[Address, Sequence[Registration]], rules: MatchRules
) -> set[DepositId]:
    """The identities these hits could have, so that known deposits can be loaded."""
    return {
        rules.deposit_id(merchant_id, hit.transfer)
        for hit in hits
        for merchant_id in {
            r.merchant_id
            for r in registrations.get(hit.transfer.recipient, ())
            if r.covers(hit.transfer.memo)
        }
    }


def match_hits(
    hits: Sequence[Hit],
    registrations: Mapping[Address, Sequence[Registration]],
    known: Mapping[DepositId, AddressId],
    rules: MatchRules,
) -> list[Sighting]:
    """The deposits that stand in these blocks, in block order.

    `known` are deposits that exist already, with their registration: they run
    on after their address was deleted, and keep it; below where the address
    or its asset starts they are not looked for either.
    """
    sightings: list[Sighting] = []
    for hit in hits:
        transfer = hit.transfer
        listed = rules.assets.get(transfer.asset)
        if listed is None:
            continue
        watching = [r for r in registrations.get(transfer.recipient, ()) if r.covers(transfer.memo)]
        for merchant_id, candidates in _by_merchant(watching).items():
            deposit_id = rules.deposit_id(merchant_id, transfer)
            existing = known.get(deposit_id)
            address_id = _choose_registration(existing, candidates, hit.header.height, listed)
            if address_id is None:
                continue
            sightings.append(
                Sighting(
                    deposit_id=deposit_id,
                    merchant_id=merchant_id,
                    address_id=address_id,
                    chain=rules.chain,
                    header=hit.header,
                    transfer=transfer,
                    own_transfer=_is_own(
                        transfer, merchant_id, hit.header.height, registrations, payers=hit.payers
                    ),
                    requirement=ripen(
                        rules.requirement(transfer.asset, transfer.amount_base_units),
                        transfer.matures_after_blocks,
                    ),
                    min_base_units=listed.asset.min_base_units,
                    on_one_word=rules.is_on_one_word(hit.header.height, hit.level, transfer, listed.asset),
                )
            )
    return sightings


def recall(
    repeats: Iterable[Repeat],
    deposits: Mapping[DepositId, Deposit],
    registrations: Mapping[Address, Sequence[Registration]],
    rules: MatchRules,
) -> list[Sighting]:
    """The deposits of which another block holds a second time what they moved, as sighted there.

    `registrations` are those of the senders: whether it is an own transfer
    depends on who was watched at that height.
    """
    sightings: list[Sighting] = []
    for repeat in repeats:
        deposit, at = deposits[repeat.deposit_id], repeat.occurrence
        listed = rules.assets.get(deposit.asset)
        if listed is None:
            continue
        transfer = Transfer(
            deposit.tx_hash, deposit.kind, deposit.asset, deposit.recipient, repeat.senders, deposit.n,
            repeat.amount_base_units, at.position, deposit.conflict_keys, repeat.memo,
            deposit.matures_after_blocks,
        )  # fmt: skip
        sightings.append(
            Sighting(
                deposit_id=deposit.id,
                merchant_id=deposit.merchant_id,
                address_id=deposit.address_id,
                chain=rules.chain,
                header=Header(at.height, at.block_hash, UNKNOWN_PARENT, at.block_time_s),
                transfer=transfer,
                own_transfer=_is_own(transfer, deposit.merchant_id, at.height, registrations),
                requirement=ripen(
                    rules.requirement(deposit.asset, repeat.amount_base_units), deposit.matures_after_blocks
                ),
                min_base_units=listed.asset.min_base_units,
                on_one_word=rules.is_on_one_word(at.height, repeat.level, transfer, listed.asset),
            )
        )
    return sightings


def _by_merchant(registrations: Collection[Registration]) -> dict[MerchantId, list[Registration]]:
    grouped: dict[MerchantId, list[Registration]] = {}
    for registration in registrations:
        grouped.setdefault(registration.merchant_id, []).append(registration)
    return grouped


def _choose_registration(
    existing: AddressId | None, candidates: Sequence[Registration], height: int, listed: ListedAsset
) -> AddressId | None:
    if existing is not None:
        began = any(r.effective_start <= height for r in candidates)
        return existing if began and (height >= listed.start_height or not listed.is_listed) else None
    if height < listed.start_height:
        return None
    counting = [r for r in candidates if r.counts_at(height)]
    if not counting:
        return None
    # Who watches a memo goes before who watches the whole address.  After a deletion and a second registration both
    # may cover a height; the living one keeps it.
    return min(counting, key=_precedence).address_id


def _precedence(one: Registration) -> tuple[bool, bool, int]:
    return (one.memo is None, one.watching_until is not None, one.effective_start)


def _is_own(
    transfer: Transfer,
    merchant_id: MerchantId,
    height: int,
    registrations: Mapping[Address, Sequence[Registration]],
    *,
    payers: frozenset[Address] = frozenset(),
) -> bool:
    senders = payers.union(transfer.senders)
    if transfer.recipient in senders:
        return True
    return any(
        r.merchant_id == merchant_id and r.counts_at(height)
        for sender in senders
        for r in registrations.get(sender, ())
    )

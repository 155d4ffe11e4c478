"""Database rows to values and back: the only place that knows both spellings.

Pure.  Amounts arrive as `Decimal` and leave as text, since numeric(78,0) holds
more than any machine integer; times are aware.  The statements are in `sql/`,
the functions that run them in `store`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from chains.model import Address, AssetId, BlockHash, BlockRef, ChainId, ConflictKey, TransferKind, TxHash
from indexer.rows.storage import ChainRecord
from indexer.rules.deposits import Deposit, DepositState, FeeStanding, Occurrence
from indexer.rules.identity import AddressId, DepositId, MerchantId
from indexer.rules.matching import Registration
from indexer.rules.policy import ConfirmedBy, Requirement
from migrations.handles import Row


@dataclass(frozen=True, slots=True)
class AssetRow:
    """One row of `assets`; `listed` is False for what the configuration names no more."""

    asset: str
    symbol: str
    decimals: int
    start_height: int
    pending_start: int | None
    listed: bool


def decode_chain(row: Row) -> ChainRecord:
    """A row of `chains`."""
    return ChainRecord(
        chain=ChainId(row["chain"]),
        alias=row["alias"],
        network_id=row["genesis_hash"],
        start_height=row["start_height"],
        tip=BlockRef(row["tip_height"], BlockHash(row["tip_hash"])),
        final_height=row["final_height"],
        safe_height=row["safe_height"],
        agreed_height=row["agreed_height"],
        halt_reason=row["halt_reason"],
        halted_at=row["halted_at"],
        halted_fork_height=row["halted_fork_height"],
        accepted_fork_hash=_optional_hash(row["accepted_fork_hash"]),
        disputed_fork_height=row["disputed_fork_height"],
        conditions=frozenset(row["conditions"]),
        notice_version=row["notice_version"],
        move_count=row["move_count"],
        lease_epoch=row["lease_epoch"],
        moved_at=row["moved_at"],
        held_height=row["held_height"],
        trusted_height=row["trusted_height"],
    )


def encode_chain(record: ChainRecord) -> tuple[object, ...]:
    """The arguments of `update_chain`."""
    return (
        record.chain,
        record.start_height,
        record.tip.height,
        record.tip.hash,
        record.final_height,
        record.safe_height,
        record.agreed_height,
        record.halt_reason,
        record.halted_at,
        record.halted_fork_height,
        record.accepted_fork_hash,
        record.disputed_fork_height,
        sorted(record.conditions),
        record.notice_version,
        record.move_count,
        record.moved_at,
        record.held_height,
        record.trusted_height,
    )


def decode_registration(row: Row) -> Registration:
    """The part of a row of `addresses` that matching needs."""
    return Registration(
        address_id=AddressId(row["id"]),
        merchant_id=MerchantId(row["merchant_id"]),
        address=Address(row["address"]),
        effective_start=row["effective_start"],
        watching_until=row["watching_until"],
        memo=row["memo"],
    )


def decode_deposit(row: Row) -> Deposit:
    """A row of `deposits`."""
    occurrence = None
    if row["height"] is not None:
        block_time: datetime = row["block_time"]
        occurrence = Occurrence(
            row["height"],
            BlockHash(row["block_hash"]),
            int(block_time.timestamp()),
            row["position"],
        )
    return Deposit(
        id=DepositId(row["id"]),
        merchant_id=MerchantId(row["merchant_id"]),
        address_id=AddressId(row["address_id"]),
        chain=ChainId(row["chain"]),
        kind=TransferKind(row["kind"]),
        asset=AssetId(row["asset"]),
        recipient=Address(row["recipient"]),
        senders=tuple(map(Address, decode_parts(row["senders"]))),
        memo=row["memo"],
        tx_hash=TxHash(row["tx_hash"]),
        n=row["n"],
        conflict_keys=tuple(map(ConflictKey, decode_parts(row["conflict_keys"]))),
        own_transfer=row["own_transfer"],
        published=row["published"],
        backfilled=row["backfilled"],
        state=DepositState(row["state"]),
        version=row["version"],
        amount_base_units=int(row["amount_base_units"]),
        occurrence=occurrence,
        requirement=Requirement(ConfirmedBy(row["confirmed_by"]), row["confirmations_required"]),
        confirmed_version=row["confirmed_version"],
        replaced_by=None if row["replaced_by"] is None else TxHash(row["replaced_by"]),
        first_seen_at=row["first_seen_at"],
        confirmed_at=row["confirmed_at"],
        final_at=row["final_at"],
        changed_at=row["changed_at"],
        on_one_word=row["on_one_word"],
        matures_after_blocks=row["matures_after_blocks"],
        fees=None
        if row["has_unconfirmed_parents"] is None
        else FeeStanding(
            row["fee_rate_per_kvb"],
            row["has_unconfirmed_parents"],
            row["fee_rate_wanted_per_kvb"],
            row["expected_blocks"],
        ),
        replaced_height=row["replaced_height"],
    )


def encode_deposit_row(deposit: Deposit) -> tuple[object, ...]:
    """One row of the columns of `write_deposits`, in their order."""
    at, fees = deposit.occurrence, deposit.fees
    return (
        deposit.id,
        deposit.merchant_id,
        deposit.address_id,
        deposit.chain,
        deposit.kind.value,
        deposit.asset,
        deposit.recipient,
        encode_parts(deposit.senders),
        deposit.memo,
        deposit.tx_hash,
        deposit.n,
        encode_parts(deposit.conflict_keys),
        deposit.own_transfer,
        deposit.published,
        deposit.backfilled,
        deposit.state.value,
        deposit.version,
        str(deposit.amount_base_units),
        str(deposit.credited_base_units),
        None if at is None else at.height,
        None if at is None else at.block_hash,
        None if at is None else at.block_time_s,
        None if at is None else at.position,
        deposit.requirement.confirmations,
        deposit.requirement.by.value,
        deposit.confirmed_version,
        deposit.replaced_by,
        deposit.first_seen_at,
        deposit.confirmed_at,
        deposit.final_at,
        deposit.changed_at,
        deposit.on_one_word,
        deposit.matures_after_blocks,
        None if fees is None else fees.fee_rate_per_kvb,
        None if fees is None else fees.has_unconfirmed_parents,
        None if fees is None else fees.fee_rate_wanted_per_kvb,
        None if fees is None else fees.expected_blocks,
        deposit.replaced_height,
    )


def encode_parts(parts: Sequence[bytes]) -> bytes:
    """Each part behind one byte that holds its length (at most 255)."""
    return b"".join(bytes((len(part),)) + part for part in parts)


def decode_parts(data: bytes) -> list[bytes]:
    """What `encode_parts` wrote."""
    parts: list[bytes] = []
    offset = 0
    while offset < len(data):
        length = data[offset]
        parts.append(data[offset + 1 : offset + 1 + length])
        offset += 1 + length
    return parts


def _optional_hash(value: bytes | None) -> BlockHash | None:
    return None if value is None else BlockHash(value)

"""The published facts and their wire form (CONTRACT 5 and 6).

Pure.  Here a deposit becomes JSON, once, for events and API alike; sequence,
hashes and bytes of the event around it are the relay's.  `Naming` holds what
text needs and a deposit does not: symbols, decimals, aliases, address forms.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from uuid import UUID

from chains.model import Address, Asset, AssetId, BlockHash, ChainId, TxHash
from indexer.rules.deposits import Change, Deposit, FeeStanding
from indexer.rules.identity import AddressId, MerchantId
from indexer.rules.policy import describe_requirement

EncodeId = Callable[[str, UUID], str]

TIMES_KEPT = 1024
"""Of times just spelled: all that one block or one move holds happened at one."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing to tell one merchant; the log gives it a sequence and its bytes."""

    merchant_id: MerchantId
    object_id: str
    version: int
    type: str
    data: dict[str, object]
    at: datetime
    reverses_version: int | None = None


@dataclass(frozen=True, slots=True)
class Naming:
    """How one chain's values are written for people and programs."""

    chain: ChainId
    alias: str
    assets: Mapping[AssetId, Asset]
    encode_id: EncodeId
    address_text: Callable[[Address], str]
    tx_hash_text: Callable[[TxHash], str]
    block_hash_text: Callable[[BlockHash], str]


def format_amount(amount_base_units: int, decimals: int) -> str:
    """Base units as a plain decimal number without trailing zeros: 1500000, 6 -> ``1.5``."""
    if decimals == 0:
        return str(amount_base_units)
    whole, fraction = divmod(amount_base_units, 10**decimals)
    digits = str(fraction).rjust(decimals, "0").rstrip("0")
    return f"{whole}.{digits}" if digits else str(whole)


def format_memo(memo: bytes) -> str:
    """A memo as text where it is some; else its bytes in hex behind 0x."""
    try:
        text = memo.decode()
    except UnicodeDecodeError:
        return "0x" + memo.hex()
    return text if text.isprintable() else "0x" + memo.hex()


@lru_cache(maxsize=TIMES_KEPT)
def format_time(at: datetime) -> str:
    """RFC 3339 in UTC with ``Z``; microseconds only where there are some."""
    return at.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


@lru_cache(maxsize=TIMES_KEPT)
def _format_block_time(time_s: int) -> str:
    return format_time(datetime.fromtimestamp(time_s, UTC))


def encode_deposit(
    deposit: Deposit, naming: Naming, *, reference: str | None, confirmations: int
) -> dict[str, object]:
    """The deposit object of CONTRACT 5, ready for JSON.

    `confirmations` is 0 where no canonical block holds the deposit.
    """
    asset = naming.assets[deposit.asset]
    at = deposit.occurrence
    senders = [naming.address_text(sender) for sender in deposit.senders]
    return {
        "id": naming.encode_id("dep", deposit.id),
        "version": deposit.version,
        "state": deposit.state.value,
        "credited_base_units": str(deposit.credited_base_units),
        "chain": naming.chain,
        "chain_alias": naming.alias,
        "asset": deposit.asset,
        "symbol": asset.symbol,
        "decimals": asset.decimals,
        "amount_base_units": str(deposit.amount_base_units),
        "amount": format_amount(deposit.amount_base_units, asset.decimals),
        "kind": deposit.kind.value,
        "own_transfer": deposit.own_transfer,
        "to": naming.address_text(deposit.recipient),
        "from": senders[0] if len(senders) == 1 else None,
        "senders": senders,
        "memo": None if deposit.memo is None else format_memo(deposit.memo),
        "address_id": naming.encode_id("adr", deposit.address_id),
        "reference": reference,
        "tx_hash": naming.tx_hash_text(deposit.tx_hash),
        "n": deposit.n,
        "block": None
        if at is None
        else {
            "height": at.height,
            "hash": naming.block_hash_text(at.block_hash),
            "time": _format_block_time(at.block_time_s),
        },
        "position": None if at is None else at.position,
        "confirmations": confirmations,
        "confirmations_required": deposit.requirement.confirmations,
        "policy": describe_requirement(deposit.requirement),
        "waiting": None if deposit.fees is None else encode_fees(deposit.fees),
        "replaced_by": None if deposit.replaced_by is None else naming.tx_hash_text(deposit.replaced_by),
        "first_seen_at": format_time(deposit.first_seen_at),
        "confirmed_at": None if deposit.confirmed_at is None else format_time(deposit.confirmed_at),
        "final_at": None if deposit.final_at is None else format_time(deposit.final_at),
        "backfilled": deposit.backfilled,
    }


def encode_fees(fees: FeeStanding) -> dict[str, object]:
    """What a deposit's transaction offers while it waits; rates in base units for 1,000 virtual bytes."""
    offered, wanted = fees.fee_rate_per_kvb, fees.fee_rate_wanted_per_kvb
    return {
        "fee_rate_per_kvb": None if offered is None else str(offered),
        "fee_rate_wanted_per_kvb": None if wanted is None else str(wanted),
        "has_unconfirmed_parents": fees.has_unconfirmed_parents,
        "expected_blocks": fees.expected_blocks,
    }


def count_confirmations(deposit: Deposit, tip_height: int) -> int:
    """tip - height + 1, or 0 off the chain (and never negative)."""
    if deposit.occurrence is None:
        return 0
    return max(0, tip_height - deposit.occurrence.height + 1)


def deposit_fact(
    change: Change, naming: Naming, *, references: Mapping[AddressId, str | None], tip_height: int
) -> Fact | None:
    """The fact that tells one change, or None where it is recorded but not published."""
    deposit = change.deposit
    if not deposit.published:
        return None
    return Fact(
        merchant_id=deposit.merchant_id,
        object_id=naming.encode_id("dep", deposit.id),
        version=deposit.version,
        type=change.event_type,
        data={
            "deposit": encode_deposit(
                deposit,
                naming,
                reference=references.get(deposit.address_id),
                confirmations=count_confirmations(deposit, tip_height),
            ),
            "previous_state": None if change.previous_state is None else change.previous_state.value,
            "reverses": None,
        },
        at=deposit.changed_at,
        reverses_version=change.reverses_version,
    )


def chain_fact(
    merchant_id: MerchantId,
    naming: Naming,
    *,
    version: int,
    notice: str,
    detail: Mapping[str, object],
    at: datetime,
) -> Fact:
    """A `chain.*` fact: something about the chain itself that the merchant should know."""
    return Fact(
        merchant_id=merchant_id,
        object_id=naming.chain,
        version=version,
        type=f"chain.{notice}",
        data={"chain": naming.chain, "chain_alias": naming.alias, **detail},
        at=at,
    )

"""Values for examples: one chain, one merchant, one address, and the few knobs a test wants to turn.

Here: builders with plain defaults, so that a test names only what it is about. Not here: worlds that live for more
than one decision (`tests.simulation`).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from chains.model import (
    Address,
    Asset,
    AssetId,
    BlockHash,
    BlockRef,
    ChainId,
    ConflictKey,
    Header,
    Transfer,
    TransferKind,
    TxHash,
    format_position,
)
from indexer.rows.storage import ChainRecord
from indexer.rules.deposits import Change, Deposit, Sighting, decide_found
from indexer.rules.identity import AddressId, DepositId, MerchantId
from indexer.rules.policy import ChainView, ConfirmedBy, Requirement

CHAIN = ChainId("eip155:31337")
MERCHANT = MerchantId(UUID(int=1))
OTHER_MERCHANT = MerchantId(UUID(int=2))
ADDRESS_ID = AddressId(UUID(int=3))
TILL = Address(b"till-address-of-shop")
PAYER = Address(b"address-of-the-payer")
COIN = Asset(AssetId(f"{CHAIN}/slip44:60"), "ETH", 18, None)
TOKEN = Asset(AssetId(f"{CHAIN}/erc20:0xaa"), "AAA", 6, Address(b"token"), min_base_units=10)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = datetime(2026, 1, 2, tzinfo=UTC)


def block_hash(name: str) -> BlockHash:
    """32 bytes that begin with a readable name."""
    return BlockHash(name.encode().ljust(32, b"."))


def header(height: int, name: str | None = None, parent: str | None = None) -> Header:
    """A header called `name`, by default `b<height>` on `b<height - 1>`."""
    own = f"b{height}" if name is None else name
    return Header(
        height,
        block_hash(own),
        BlockRef(height - 1, block_hash(f"b{height - 1}" if parent is None else parent)),
        1_700_000_000 + height,
    )


def chain_record(tip_height: int = 0, **others: Any) -> ChainRecord:
    """A chain that every operator agrees on and nothing is wrong with; `others` as `ChainRecord` names them."""
    healthy: dict[str, Any] = {
        "chain": CHAIN,
        "alias": "local",
        "network_id": block_hash("b0"),
        "start_height": 0,
        "tip": BlockRef(tip_height, block_hash(f"b{tip_height}")),
        "final_height": None,
        "safe_height": None,
        "agreed_height": tip_height,
        "halt_reason": None,
        "halted_at": None,
        "halted_fork_height": None,
        "accepted_fork_hash": None,
        "disputed_fork_height": None,
        "conditions": frozenset(),
        "notice_version": 0,
        "move_count": 0,
        "lease_epoch": 1,
        "moved_at": NOW,
    }
    return ChainRecord(**healthy | others)


def depth(confirmations: int) -> Requirement:
    """A policy that counts blocks."""
    return Requirement(ConfirmedBy.DEPTH, confirmations)


def view(
    tip: int,
    *,
    final: int | None = None,
    safe: int | None = None,
    agreed: int | None = None,
    held_above: int | None = None,
) -> ChainView:
    """Heights by which deposits are judged; agreed up to the tip unless said otherwise."""
    return ChainView(tip, final, safe, tip if agreed is None else agreed, held_above)


def transfer(
    amount: int = 100,
    *,
    tx: str = "tx1",
    n: int = 0,
    sender: Address | None = PAYER,
    recipient: Address = TILL,
    asset: Asset = TOKEN,
    tx_index: int = 0,
    nonce: int = 7,
) -> Transfer:
    """A token transfer from the payer to the till."""
    keys = () if sender is None else (ConflictKey(sender + nonce.to_bytes(8, "big")),)
    return Transfer(
        tx_hash=TxHash(tx.encode().ljust(32, b".")),
        kind=TransferKind.NATIVE if asset is COIN else TransferKind.TOKEN,
        asset=asset.asset_id,
        recipient=recipient,
        senders=() if sender is None else (sender,),
        n=n,
        amount_base_units=amount,
        position=format_position(tx_index) if asset is COIN else format_position(tx_index, 4),
        conflict_keys=keys,
    )


def sighting(
    height: int = 10,
    *,
    block: str | None = None,
    moved: Transfer | None = None,
    own: bool = False,
    requirement: Requirement | None = None,
    deposit_int: int = 99,
    minimum: int = 10,
) -> Sighting:
    """The transfer in a canonical block at `height`."""
    return Sighting(
        deposit_id=DepositId(UUID(int=deposit_int)),
        merchant_id=MERCHANT,
        address_id=ADDRESS_ID,
        chain=CHAIN,
        header=header(height, block),
        transfer=transfer() if moved is None else moved,
        own_transfer=own,
        requirement=depth(3) if requirement is None else requirement,
        min_base_units=minimum,
    )


def found(
    before: Deposit | None, seen: Sighting, at: ChainView, *, backfilled: bool = False, now: datetime = NOW
) -> list[Change]:
    """`decide_found` with the day of these tests."""
    return decide_found(before, seen, at, now=now, backfilled=backfilled)


def recorded(seen: Sighting | None = None, at: ChainView | None = None) -> Deposit:
    """A deposit as it stands after its first move; confirmed unless told otherwise."""
    return found(None, seen or sighting(), at or view(12))[-1].deposit

"""The native coin that transactions carry themselves.  Pure.

Which of its own types move value on a chain, whom it reached, and whose word
that is: only what a hash covers, wherever anything was hashed.  Calls inside
transactions are `traces`, tokens are `decode`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chains.errors import Inconsistent
from chains.evm.rows.structs import (
    FAILURE,
    SUCCESS,
    RawBlock,
    RawReceipt,
    RawReceipts,
    RawTransaction,
    parse_address_row,
    parse_quantity,
)
from chains.evm.value.signers import compute_created_address
from chains.evm.verify.fields import HashedTransaction
from chains.evm.verify.transactions import SIGNED_FIELDS
from chains.model import Address, TransferKind

SIGNED_TYPES = frozenset({"0x0", "0x1", "0x2", "0x3", "0x4"})
"""Transaction types whose sender and nonce can be used up once.

Deposits of OP-stack chains, Arbitrum's system types and Polygon's state sync
carry made-up nonces and replace nothing; of types not known yet we cannot
tell.
"""

OP_DEPOSIT_TYPE = "0x7e"
"""OP stack: `mint` reaches the sender even when the execution fails."""

ARBITRUM_UNSIGNED_TYPE = "0x65"
"""Arbitrum: a call from the parent chain under an alias, with a nonce that its hash covers."""

ARBITRUM_DEPOSIT_TYPE = "0x64"
"""Arbitrum: Ether from the parent chain; its `from` is an alias, not a payer."""


@dataclass(frozen=True, slots=True)
class TypeRules:
    """What a chain's own transaction types do to value.

    `still_types` move none, whatever their rows show: no hash covers it.
    `mints` says that 0x7e commits to a `mint`.
    """

    still_types: frozenset[str]
    mints: bool


BELIEVED_TYPES = TypeRules(frozenset({"0x69", "0x6a"}), mints=True)
"""Where nothing is hashed, and so nothing is known of the family: types that move no value on any chain that has them."""


@dataclass(frozen=True, slots=True)
class NativeMove:
    """Native coin that moved in the transaction at `position`; `sender` None mints."""

    position: int
    kind: TransferKind
    sender: Address | None
    recipient: Address
    amount_base_units: int


def pair_receipts(block: RawBlock, receipts: RawReceipts) -> Sequence[RawReceipt | None]:
    """One receipt a transaction, None where the chain lets one be without.

    `consistency` has checked the order, so counts tell whether any is missing.
    """
    if len(receipts) >= len(block.transactions):
        return receipts
    by_hash = {receipt.transaction_hash: receipt for receipt in receipts}
    return [by_hash.get(transaction.hash) for transaction in block.transactions]


def is_success(receipt: RawReceipt | None) -> bool:
    """Whether there is a receipt that proves success; one without a status does not."""
    if receipt is None:
        return False
    status = receipt.status
    if status == SUCCESS:
        return True
    if status == FAILURE or status is None:
        return False
    raise Inconsistent(f"a receipt of {receipt.block_hash} has the status {status[:20]!r}")


def read_native_moves(
    block: RawBlock, receipts: RawReceipts, rules: TypeRules, unread: dict[str, None]
) -> list[NativeMove]:
    """The coins that transactions carry themselves, calls inside them aside.

    OP-stack deposits first mint to their sender, whether or not the execution
    succeeds, and then move `value` like any transaction; credited as such, a
    bridge deposit to oneself and one to somebody else both come out right.
    """
    moves: list[NativeMove] = []
    paired = pair_receipts(block, receipts)
    for position, transaction in enumerate(block.transactions):
        kind = transaction.type
        if rules.mints and kind == OP_DEPOSIT_TYPE and transaction.mint is not None:
            sender = Address(parse_address_row(transaction.sender))
            moves.append(_move(position, None, sender, transaction.mint))
        if transaction.value == "0x0" or kind in rules.still_types or not parse_quantity(transaction.value):
            continue
        receipt = paired[position]
        if receipt is None or not is_success(receipt):
            continue
        to = _find_recipient(transaction, receipt)
        if to is None:
            unread[f"created-address: type {kind}"] = None
            continue
        sender = Address(parse_address_row(transaction.sender))
        payer = None if kind == ARBITRUM_DEPOSIT_TYPE else sender
        moves.append(_move(position, payer, to, transaction.value))
    return [move for move in moves if move.amount_base_units > 0]


def _find_recipient(transaction: RawTransaction, receipt: RawReceipt) -> Address | None:
    """Whom the value of a successful transaction reached; None for a creation whose address no hash gives.

    Rows that were hashed hold all that a created address follows from; where
    nothing is hashed it is believed as it is told.
    """
    if transaction.to is not None:
        return Address(parse_address_row(transaction.to))
    if not isinstance(transaction, HashedTransaction):
        if receipt.contract_address is None:
            raise Inconsistent(f"{transaction.hash} sent value and created nothing")
        return Address(parse_address_row(receipt.contract_address))
    nonce = None
    if transaction.type in SIGNED_FIELDS or transaction.type == ARBITRUM_UNSIGNED_TYPE:
        nonce = transaction.nonce
    elif transaction.type == OP_DEPOSIT_TYPE and receipt.deposit_receipt_version is not None:
        nonce = receipt.deposit_nonce
    if nonce is None:
        return None
    return compute_created_address(Address(parse_address_row(transaction.sender)), parse_quantity(nonce))


def _move(position: int, sender: Address | None, recipient: Address, amount: str) -> NativeMove:
    return NativeMove(position, TransferKind.NATIVE, sender, recipient, parse_quantity(amount))

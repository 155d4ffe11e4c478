"""One transaction as a node tells it, to explain it to a person.

Everything it claims to have moved is listed, counted or not, and why it failed
in words: payers of tokens run out of energy, and pay for it all the same.
Nothing here credits anybody; what counts is `value.transfers`.
"""

from __future__ import annotations

from typing import Final

import msgspec

from chains.errors import Inconsistent, Missing
from chains.model import Address, BlockRef, Movement, TransactionStory, TransferKind, TxHash
from chains.rpc.throttle import Priority
from chains.tron.address import parse_address
from chains.tron.nodes.node import FULL, TronNode
from chains.tron.nodes.reading import Reading
from chains.tron.rows.blocks import INFO, RawInfo, RawLog, RawTransaction, read_transaction
from chains.tron.rows.messages import Unwritable, read_int
from chains.tron.value.contracts import EXECUTED, ContractType, read_asked, read_payment
from chains.tron.value.transfers import (
    MOVING_NOTES,
    TRANSFER_TOPIC,
    has_failed,
    has_succeeded,
    read_amount,
    read_arguments,
)

MOVEMENTS_MAX: Final = 200
SUN_PER_TRX: Final = 1_000_000

_FAILURES: Final = {
    "OUT_OF_ENERGY": "it ran out of energy",
    "OUT_OF_TIME": "it took too long to execute",
    "REVERT": "the contract refused it (reverted)",
    "TRANSFER_FAILED": "a contract could not send on what it should",
}


_TOLD: Final = msgspec.json.Decoder(RawTransaction)


async def fetch_story(
    node: TronNode, priority: Priority, reading: Reading, tx_hash: TxHash
) -> TransactionStory | None:
    """The transaction's story; None where the node does not know it."""
    text = tx_hash.hex()
    told = await node.ask(f"{FULL}/gettransactionbyid", {"value": text}, _TOLD, priority)
    if told is None:
        return None
    transaction = read_transaction(told)
    if transaction.id != tx_hash:
        raise Inconsistent(f"asked for the transaction {text}, told about another")
    info = await node.ask(f"{FULL}/gettransactioninfobyid", {"value": text}, INFO, priority)
    if info is None:
        return TransactionStory(tx_hash, None, None, (), node.name)
    if info.id.lower() != text:
        raise Inconsistent(f"asked for the receipt of {text}, told about another")
    block = await node.fetch_header(str(_number(info.height)), priority)
    if block is None:
        raise Missing(f"does not hold the block of {text}")
    asked = read_asked(transaction.raw)
    movements: list[Movement] = []
    if asked.kind in EXECUTED:
        succeeded = has_succeeded(transaction, info)
        movements = _read_run(reading, info)
    else:
        succeeded = not has_failed(transaction, info)
    if asked.kind in {ContractType.TRANSFER, ContractType.TRANSFER_ASSET}:
        payment = read_payment(asked)
        if payment is not None:
            asset = (
                reading.assets.native if payment.token is None else reading.assets.numbered.get(payment.token)
            )
            kind = TransferKind.NATIVE if payment.token is None else TransferKind.TRC10
            movements.append(
                Movement(kind, asset, _number_of(payment.token), None, payment.sender, payment.recipient,
                         payment.amount_base_units, memo=asked.memo)
            )  # fmt: skip
    return TransactionStory(
        tx_hash=tx_hash,
        block=BlockRef(block.height, block.hash),
        succeeded=succeeded,
        movements=tuple(movements[:MOVEMENTS_MAX]),
        served_by=node.name,
        failure="" if succeeded else _describe_failure(info),
    )


def _number_of(token: bytes | None) -> Address | None:
    """A TRC-10's number where it is one; a name from before there were numbers is a stranger's text."""
    return Address(token) if token is not None and token.isdigit() else None


def _describe_failure(info: RawInfo) -> str:
    words = _FAILURES.get(info.receipt.result, f"its outcome is {info.receipt.result[:40] or 'unknown'}")
    burned = _number(info.receipt.energy_fee) + _number(info.receipt.net_fee)
    if burned <= 0:
        return words
    return (
        f"{words}, and burned {burned / SUN_PER_TRX:.6f}".rstrip("0").rstrip(".")
        + " TRX of its sender's all the same"
    )


def _number(told: int | str) -> int:
    try:
        return read_int(told)
    except Unwritable as error:
        raise Inconsistent(f"a receipt that cannot be read: {error}") from None


def _read_run(reading: Reading, info: RawInfo) -> list[Movement]:
    try:
        movements = [
            _read_log(reading, log)
            for log in info.logs[:MOVEMENTS_MAX]
            if log.topics and log.topics[0].lower() == TRANSFER_TOPIC
        ]
        for move in info.internal[:MOVEMENTS_MAX]:
            if move.rejected or move.note.lower() not in MOVING_NOTES:
                continue
            movements += [
                Movement(TransferKind.INTERNAL, reading.assets.native, None, None, parse_address(move.caller),
                         parse_address(move.recipient), read_amount(value.amount))
                for value in move.values
                if not value.token and read_amount(value.amount)
            ]  # fmt: skip
    except ValueError as error:
        raise Inconsistent(f"a receipt that cannot be read: {error}") from None
    return movements


def _read_log(reading: Reading, log: RawLog) -> Movement:
    asset = reading.assets.tokens.get(log.address) or reading.assets.tokens.get(log.address.lower())
    contract = parse_address(f"0x{log.address}" if len(log.address) == 40 else log.address)
    arguments = read_arguments(log)
    sender, recipient, amount = (None, None, 0) if arguments is None else arguments
    return Movement(
        TransferKind.TOKEN,
        asset,
        contract,
        None,
        sender,
        recipient,
        amount,
        well_formed=arguments is not None,
    )

"""One transaction as a node tells it, to explain it to a person.

Everything it claims to have moved is listed, counted or not: value of a failed
call, tokens nobody listed, events that only look like transfers.  Nothing here
credits anybody; what counts is `decode` and `traces`.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import Struct, field

from chains.errors import ChainError, Inconsistent, Missing, Throttled
from chains.evm.facts import facts_of
from chains.evm.nodes.node import EvmNode
from chains.evm.nodes.reading import Reading
from chains.evm.rows.structs import (
    RawLog,
    RawReceipt,
    decode_receipt,
    encode_word,
    parse_address_row,
    parse_quantity,
    parse_word,
)
from chains.evm.value.decode import TRANSFER_TOPIC, WORD_TEXT_LENGTH
from chains.evm.value.natives import is_success
from chains.evm.value.traces import collect_moves, decode_frame
from chains.model import (
    Address,
    BlockHash,
    BlockRef,
    Movement,
    TransactionStory,
    TransferKind,
    TxHash,
)
from chains.rpc.jsonrpc import Call, Reply, expect_result, is_null
from chains.rpc.throttle import Priority

SYMBOLS_ASKED_MAX = 4
"""Strangers' contracts asked for their symbol: enough to explain, too few to abuse."""

MOVEMENTS_MAX = 200


class _Told(Struct, gc=False, rename="camel"):
    """A transaction wherever it is; pending ones have no block."""

    hash: str
    sender: str = field(name="from")
    block_hash: str | None = None
    to: str | None = None
    value: str = "0x0"


_TOLD = msgspec.json.Decoder(_Told)


async def fetch_story(
    node: EvmNode, priority: Priority, reading: Reading, tx_hash: TxHash
) -> TransactionStory | None:
    """The transaction's story; None where the node does not know it."""
    text = encode_word(tx_hash)
    calls = [Call("eth_getTransactionByHash", (text,)), Call("eth_getTransactionReceipt", (text,))]
    if facts_of(reading.traits).traces:
        calls.append(Call("debug_traceTransaction", (text, {"tracer": "callTracer"})))
    told, receipt_outcome, *trace = await node.ask(calls, priority)
    raw, raw_receipt = expect_result(told), expect_result(receipt_outcome)
    if is_null(raw):
        return None
    try:
        transaction = _TOLD.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Inconsistent(f"a transaction that cannot be read: {error}") from None
    receipt = None if is_null(raw_receipt) else decode_receipt(raw_receipt)
    if transaction.hash.lower() != text or (receipt is not None and receipt.transaction_hash.lower() != text):
        raise Inconsistent(f"asked for the transaction {text}, told about another")
    if receipt is None and transaction.block_hash is not None:
        raise Missing(f"does not hold the receipt of {text}")
    movements = _read_native(reading, transaction, receipt)
    if receipt is not None:
        movements += _read_inner(reading, trace)
        movements += await _read_tokens(node, reading, receipt)
    return TransactionStory(
        tx_hash=tx_hash,
        block=None if receipt is None else _place_of(receipt),
        succeeded=None if receipt is None else is_success(receipt),
        movements=tuple(movements[:MOVEMENTS_MAX]),
        served_by=node.name,
    )


def _place_of(receipt: RawReceipt) -> BlockRef:
    return BlockRef(parse_quantity(receipt.block_number), BlockHash(parse_word(receipt.block_hash)))


def _read_native(reading: Reading, transaction: _Told, receipt: RawReceipt | None) -> list[Movement]:
    amount_base_units = parse_quantity(transaction.value)
    to = transaction.to or (None if receipt is None else receipt.contract_address)
    if amount_base_units == 0:
        return []
    recipient = None if to is None else Address(parse_address_row(to))
    sender = Address(parse_address_row(transaction.sender))
    return [_native(reading, TransferKind.NATIVE, sender, recipient, amount_base_units)]


def _read_inner(reading: Reading, trace: Sequence[Reply]) -> list[Movement]:
    """Moves of inner calls; a node that cannot trace leaves them out of a story."""
    if not trace or isinstance(trace[0], ChainError) or is_null(trace[0]):
        return []
    return [
        _native(reading, TransferKind.INTERNAL, move.sender, move.recipient, move.amount_base_units)
        for move in collect_moves(decode_frame(trace[0]), 0)
    ]


def _native(
    reading: Reading, kind: TransferKind, sender: Address | None, recipient: Address | None, amount: int
) -> Movement:
    return Movement(kind, reading.assets.native, None, None, sender, recipient, amount)


async def _read_tokens(node: EvmNode, reading: Reading, receipt: RawReceipt) -> list[Movement]:
    movements: list[Movement] = []
    symbols: dict[str, str | None] = {}
    for log in receipt.logs[:MOVEMENTS_MAX]:
        if not log.topics or log.topics[0].lower() != TRANSFER_TOPIC:
            continue
        emitter = log.address.lower()
        asset = reading.assets.tokens.get(emitter)
        if asset is None and emitter not in symbols:
            is_few = len(symbols) < SYMBOLS_ASKED_MAX
            symbols[emitter] = await _ask_symbol(node, emitter) if is_few else None
        sender, recipient, amount_base_units = _read_arguments(log)
        movements.append(
            Movement(
                kind=TransferKind.TOKEN,
                asset=asset,
                contract=Address(parse_address_row(log.address)),
                claimed_symbol=symbols.get(emitter),
                sender=sender,
                recipient=recipient,
                amount_base_units=amount_base_units,
                well_formed=_is_well_formed(log),
            )
        )
    return movements


async def _ask_symbol(node: EvmNode, emitter: str) -> str | None:
    """What a contract nobody listed calls itself, tamed; None where it will not say."""
    # web3 costs a second and tens of megabytes, and stories of strangers are rare.
    from chains.evm.nodes.tokens import fetch_token_facts  # noqa: PLC0415

    try:
        return (await fetch_token_facts(node, Address(parse_address_row(emitter)))).symbol
    except Throttled:
        raise
    except ChainError:
        return None


def _is_well_formed(log: RawLog) -> bool:
    return len(log.topics) == 3 and len(log.data) == WORD_TEXT_LENGTH


def _read_arguments(log: RawLog) -> tuple[Address | None, Address | None, int]:
    """Sender, recipient and amount as far as the event's shape shows them.

    An ERC-721's third argument is a name and not an amount: 0 then.
    """
    words = [parse_word(topic) for topic in log.topics[1:3]]
    addresses = [Address(word[12:]) if any(word) else None for word in words]
    sender = addresses[0] if addresses else None
    recipient = addresses[1] if len(addresses) > 1 else None
    return sender, recipient, parse_quantity(log.data) if _is_well_formed(log) else 0

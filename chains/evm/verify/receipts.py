"""Receipts back into the bytes the receipts root is taken of.

The hottest loop of verification: a block has far more logs than anything
else.  Lengths are checked once for each different word, so that a log is one
formatted string.  Sources: Yellow Paper 4.3.1, EIP-658,
EIP-2718; OP stack specs "deposits"; CIP-64.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Final

from chains.evm.rows.structs import FAILURE, SUCCESS, RawLog, RawReceipt
from chains.evm.verify.bloom import BLOOM_TEXT_LENGTH
from chains.evm.verify.rlp import (
    EMPTY,
    EMPTY_LIST,
    encode_data,
    encode_hash,
    encode_list,
    encode_scalar,
    list_prefix,
    to_bytes,
)

ReceiptExtra = Callable[[RawReceipt], str]
"""What a family appends to the receipts of one transaction type, as hex."""

_TOPICS_PREFIX: Final = ("c0", "e1", "f842", "f863", "f884")
_TOPICS_LENGTH: Final = (1, 34, 68, 101, 134)
"""RLP length of a list of so many topics, its prefix included."""

_BLOOM_PREFIX: Final = "b90100"

_TRANSFER_PREFIX: Final = list_prefix(21 + 101 + 33)
"""Of a log with three topics and one word of data."""


def _op_deposit_extra(receipt: RawReceipt) -> str:
    # Between Regolith and Canyon the nonce is shown but not committed to; the version tells.
    if receipt.deposit_receipt_version is None:
        return ""
    nonce = EMPTY if receipt.deposit_nonce is None else encode_scalar(receipt.deposit_nonce)
    return nonce + encode_scalar(receipt.deposit_receipt_version)


def _celo_token_fee_extra(receipt: RawReceipt) -> str:
    return EMPTY if receipt.base_fee is None else encode_scalar(receipt.base_fee)


NO_EXTRAS: Final[Mapping[str, ReceiptExtra]] = MappingProxyType({})
OP_EXTRAS: Final[Mapping[str, ReceiptExtra]] = MappingProxyType({"0x7e": _op_deposit_extra})
CELO_EXTRAS: Final[Mapping[str, ReceiptExtra]] = MappingProxyType(
    {**OP_EXTRAS, "0x7b": _celo_token_fee_extra}
)


def check_words(receipts: Iterable[RawReceipt]) -> None:
    """Raise ValueError unless every emitter and topic has its fixed length and prefix.

    `encode_receipt` relies on it: with lengths open, bytes could move from one
    field to its neighbour and still give the same hash.
    """
    emitters: set[str] = set()
    topics: set[str] = set()
    for receipt in receipts:
        for log in receipt.logs:
            emitters.add(log.address)
            topics.update(log.topics)
    for word in emitters:
        if len(word) != 42 or word[:2] != "0x":
            raise ValueError("an emitter is no address")
    for word in topics:
        if len(word) != 66 or word[:2] != "0x":
            raise ValueError("a topic has not 32 bytes")


def encode_receipt(receipt: RawReceipt, kind: str, bloom: str, extra: ReceiptExtra | None) -> bytes:
    """The bytes of one receipt as the trie holds them, its words checked before.

    `kind` is the normalised transaction type, `bloom` the receipt's bloom as
    "0x…" text.  Raises ValueError on text that is not hex of the right length.
    """
    if len(bloom) != BLOOM_TEXT_LENGTH or bloom[:2] != "0x":
        raise ValueError("not a bloom")
    body = (
        f"{_encode_outcome(receipt)}{encode_scalar(receipt.cumulative_gas_used)}"
        f"{_BLOOM_PREFIX}{bloom[2:]}{_encode_logs(receipt.logs)}"
    )
    if extra is not None:
        body += extra(receipt)
    envelope = list_prefix(len(body) >> 1) + body
    return to_bytes(envelope if kind == "0x0" else f"{int(kind, 16):02x}{envelope}")


def _encode_outcome(receipt: RawReceipt) -> str:
    root = receipt.root
    if root is not None and len(root) == 66:
        return encode_hash(root)
    status = receipt.status
    if status == SUCCESS:
        return "01"
    if status == FAILURE:
        return EMPTY
    raise ValueError("a receipt with neither status nor state root")


def _encode_logs(logs: list[RawLog]) -> str:
    """The list of logs; the shape of an ERC-20 transfer is written out, because it is most of them."""
    if not logs:
        return EMPTY_LIST
    parts = []
    for log in logs:
        topics, data = log.topics, log.data
        if len(topics) == 3 and len(data) == 66 and data[:2] == "0x":
            first, second, third = topics
            parts.append(
                f"{_TRANSFER_PREFIX}94{log.address[2:]}f863a0{first[2:]}a0{second[2:]}a0{third[2:]}a0{data[2:]}"
            )
        else:
            parts.append(_encode_log(log))
    return encode_list("".join(parts))


def _encode_log(log: RawLog) -> str:
    topics, data = log.topics, encode_data(log.data)
    count = len(topics)
    words = "".join(["a0" + topic[2:] for topic in topics])
    length = 21 + _TOPICS_LENGTH[count] + (len(data) >> 1)
    return f"{list_prefix(length)}94{log.address[2:]}{_TOPICS_PREFIX[count]}{words}{data}"

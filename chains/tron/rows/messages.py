"""JSON that java-tron printed of a protobuf message, back into the message's bytes.  Pure.

Needed where bytes are hashed and only JSON is told: headers, and the results
of transactions.  java-tron writes known fields by number, then unknown ones,
which it prints under their numbers (`JsonFormat.printUnknownFields`): a payer
can put any of them into a result, and mainnet holds some.  Fields of the value
0 are not written (proto3).  Source: tronprotocol/protocol `Tron.proto`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from chains.tron.address import parse_address
from chains.tron.rows.wire import GROUP, GROUP_END, U64, encode_bytes, encode_number, encode_varint

_UNKNOWN_ENUM: Final = re.compile(r"UNKNOWN_ENUM_VALUE_\w+_(-?[0-9]{1,10})")
_DECIMAL: Final = re.compile(r"-?[0-9]{1,20}")
_FIELD_NUMBER: Final = re.compile(r"[1-9][0-9]{0,8}")


class Unwritable(ValueError):
    """There is something in the JSON whose bytes are not known."""


Encode = Callable[[int, Any], bytes]
Fields = Mapping[str, tuple[int, Encode]]


def read_int(value: object) -> int:
    """An int64 or uint64, as a number or, from a gateway that spares JavaScript, as text; raises `Unwritable`."""
    if isinstance(value, str) and _DECIMAL.fullmatch(value) is not None:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not -(1 << 63) <= value <= U64:
        raise Unwritable(f"no integer of 64 bits: {value!r:.40}")
    return value


def _int(number: int, value: object) -> bytes:
    found = read_int(value)
    return encode_number(number, found) if found else b""


def read_hex(value: object) -> bytes:
    """Bytes as hex without a prefix; raises `Unwritable`."""
    try:
        found = bytes.fromhex(value) if isinstance(value, str) else None
    except ValueError:
        found = None
    if found is None or 2 * len(found) != len(str(value)):
        raise Unwritable(f"no bytes in hex: {value!r:.40}")
    return found


def _bytes(number: int, value: object) -> bytes:
    found = read_hex(value)
    return encode_bytes(number, found) if found else b""


def _address(number: int, value: object) -> bytes:
    """An address in either dialect; none at all on a private chain's genesis block."""
    try:
        return encode_bytes(number, parse_address(str(value)))
    except ValueError:
        return _bytes(number, value)


def _text(number: int, value: object) -> bytes:
    if not isinstance(value, str):
        raise Unwritable(f"no text: {value!r:.40}")
    return encode_bytes(number, value.encode("utf-8", "surrogatepass")) if value else b""


def _enum(*names: str) -> Encode:
    numbers = {name: place for place, name in enumerate(names)}

    def encode(number: int, value: object) -> bytes:
        unknown = _UNKNOWN_ENUM.fullmatch(str(value))
        found = int(unknown[1]) if unknown else numbers.get(str(value))
        if found is None:
            raise Unwritable(f"no member of its enumeration: {value!r:.40}")
        return encode_number(number, found) if found else b""

    return encode


def _repeated(fields: Fields) -> Encode:
    def encode(number: int, value: object) -> bytes:
        if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
            raise Unwritable(f"no list of messages: {value!r:.40}")
        return b"".join(encode_bytes(number, encode_message(fields, one)) for one in value)

    return encode


OUTCOMES: Final = (
    "DEFAULT", "SUCCESS", "REVERT", "BAD_JUMP_DESTINATION", "OUT_OF_MEMORY", "PRECOMPILED_CONTRACT", "STACK_TOO_SMALL",
    "STACK_TOO_LARGE", "ILLEGAL_OPERATION", "STACK_OVERFLOW", "OUT_OF_ENERGY", "OUT_OF_TIME", "JVM_STACK_OVER_FLOW",
    "UNKNOWN", "TRANSFER_FAILED", "INVALID_CODE",
)  # fmt: skip
"""What became of a contract's execution, by its number."""

HEADER: Final[Fields] = {
    "timestamp": (1, _int),
    "txTrieRoot": (2, _bytes),
    "parentHash": (3, _bytes),
    "number": (7, _int),
    "witness_id": (8, _int),
    "witness_address": (9, _address),
    "version": (10, _int),
    "accountStateRoot": (11, _bytes),
}

_ORDER_DETAIL: Final[Fields] = {
    "makerOrderId": (1, _bytes),
    "takerOrderId": (2, _bytes),
    "fillSellQuantity": (3, _int),
    "fillBuyQuantity": (4, _int),
}

_ENTRY: Final[Fields] = {"key": (1, _text), "value": (2, _int)}

RESULT: Final[Fields] = {
    "fee": (1, _int),
    "ret": (2, _enum("SUCESS", "FAILED")),
    "contractRet": (3, _enum(*OUTCOMES)),
    "assetIssueID": (14, _text),
    "withdraw_amount": (15, _int),
    "unfreeze_amount": (16, _int),
    "exchange_received_amount": (18, _int),
    "exchange_inject_another_amount": (19, _int),
    "exchange_withdraw_another_amount": (20, _int),
    "exchange_id": (21, _int),
    "shielded_transaction_fee": (22, _int),
    "orderId": (25, _bytes),
    "orderDetails": (26, _repeated(_ORDER_DETAIL)),
    "withdraw_expire_amount": (27, _int),
    "cancel_unfreezeV2_amount": (28, _repeated(_ENTRY)),
}


def encode_message(fields: Fields, said: Mapping[str, Any]) -> bytes:
    """The message's bytes; raises `Unwritable` naming what has no known form."""
    known: dict[int, bytes] = {}
    for name, value in said.items():
        if name in fields:
            number, encode = fields[name]
            known[number] = encode(number, value)
        elif _FIELD_NUMBER.fullmatch(name) is None:
            raise Unwritable(f"an unknown field: {name:.40}")
    return b"".join(known[number] for number in sorted(known)) + encode_unknown(said)


def encode_unknown(said: Mapping[str, Any]) -> bytes:
    """The fields that java-tron printed under their numbers."""
    numbers = sorted(int(name) for name in said if _FIELD_NUMBER.fullmatch(name) is not None)
    return b"".join(_encode_values(number, said[str(number)]) for number in numbers)


def _encode_values(number: int, values: object) -> bytes:
    if not isinstance(values, list):
        raise Unwritable(f"field {number} is no list")
    parts = []
    for value in values:
        if isinstance(value, str):
            parts.append(encode_bytes(number, read_hex(value)))
        elif isinstance(value, dict):
            begin, end = encode_varint(number << 3 | GROUP), encode_varint(number << 3 | GROUP_END)
            parts.append(begin + encode_unknown(value) + end)
        else:
            parts.append(encode_number(number, read_int(value)))
    return b"".join(parts)

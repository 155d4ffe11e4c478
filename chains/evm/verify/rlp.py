"""RLP written as hex text, because JSON-RPC speaks hex.

A block arrives as hex strings.  Joining those strings with hex prefixes and
converting once per item costs a fraction of converting every field to bytes
first, so everything here takes and gives lower-level hex text without "0x";
`to_bytes` is the one conversion.  Encoding only: nothing in chainbell parses
RLP.  Rules: Ethereum Yellow Paper, appendix B.
"""

from __future__ import annotations

from binascii import unhexlify
from functools import lru_cache
from typing import Final

from chains.evm.rows.quantities import read_quantity

EMPTY: Final = "80"
"""The empty string: zero, and an absent address."""

EMPTY_LIST: Final = "c0"

_SHORT_MAX: Final = 56
_TABLE_SIZE: Final = 4096


def _prefix(length: int, offset: int) -> str:
    if length < _SHORT_MAX:
        return f"{offset + length:02x}"
    digits = f"{length:x}"
    if len(digits) & 1:
        digits = "0" + digits
    return f"{offset + 55 + len(digits) // 2:02x}{digits}"


_STRING_PREFIXES: Final = tuple(_prefix(length, 0x80) for length in range(_TABLE_SIZE))
_LIST_PREFIXES: Final = tuple(_prefix(length, 0xC0) for length in range(_TABLE_SIZE))


def string_prefix(length: int) -> str:
    """What stands before a string of `length` bytes (not a single byte below 0x80)."""
    return _STRING_PREFIXES[length] if length < _TABLE_SIZE else _prefix(length, 0x80)


def list_prefix(length: int) -> str:
    """What stands before a list whose encoded items are `length` bytes together."""
    return _LIST_PREFIXES[length] if length < _TABLE_SIZE else _prefix(length, 0xC0)


def encode_list(items: str) -> str:
    """A list of items that are already encoded and joined."""
    return f"{list_prefix(len(items) >> 1)}{items}"


def encode_data(text: str) -> str:
    """Bytes of any length from "0x…" text; raises ValueError if they are not whole bytes."""
    if text[:2] != "0x" or len(text) & 1:
        raise ValueError("not 0x-prefixed whole bytes")
    length = (len(text) - 2) >> 1
    if length == 1 and text[2] in "01234567":
        return text[2:]
    return f"{string_prefix(length)}{text[2:]}"


def encode_hash(text: str) -> str:
    """Exactly 32 bytes from "0x…" text; raises ValueError for any other length."""
    if len(text) != 66 or text[:2] != "0x":
        raise ValueError("not 32 bytes")
    return "a0" + text[2:]


def encode_address(text: str | None) -> str:
    """Exactly 20 bytes, or the empty string for None; raises ValueError otherwise."""
    if text is None:
        return EMPTY
    if len(text) != 42 or text[:2] != "0x":
        raise ValueError("not an address")
    return "94" + text[2:]


def encode_scalar(text: str | None) -> str:
    """A quantity in any spelling, as the shortest big-endian bytes.

    Raises TypeError for None, so that a missing field is told from a wrong one.
    """
    if text is None:
        raise TypeError("a quantity is missing")
    digits = text[2:]
    if text[:2] != "0x" or digits[:1] in {"", "0"}:
        value = 0 if text == "0x0" else read_quantity(text)
        if value == 0:
            return EMPTY
        digits = f"{value:x}"
    if len(digits) & 1:
        digits = "0" + digits
    if len(digits) == 2 and digits < "80":
        return digits
    return _STRING_PREFIXES[len(digits) >> 1] + digits


encode_small_scalar = lru_cache(maxsize=4096)(encode_scalar)
"""`encode_scalar` for values that repeat from row to row: gas, chain id, fees."""


def to_bytes(text: str) -> bytes:
    """The bytes that `text` spells; raises ValueError for anything but hex digits in pairs."""
    return unhexlify(text)

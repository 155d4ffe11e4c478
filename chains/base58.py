"""Base58check with one byte of version and twenty of digest, as Bitcoin has it and Tron took it over.  Pure.

Which version byte means what is the family's (`chains.bitcoin.addresses`, `chains.tron.address`).
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

_LETTERS: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_VALUES: Final = {letter: value for value, letter in enumerate(_LETTERS)}
_LENGTH_MIN: Final = 26
_LENGTH_MAX: Final = 40


def parse_checked(text: str) -> bytes:
    """The 21 bytes before the checksum; raises `ValueError` saying what is wrong."""
    if not _LENGTH_MIN <= len(text) <= _LENGTH_MAX:
        raise ValueError("no address: it is too short or too long")
    number = 0
    for letter in text:
        value = _VALUES.get(letter)
        if value is None:
            raise ValueError(f"no address: {letter!r} is not a letter of base58")
        number = number * 58 + value
    zeros = len(text) - len(text.lstrip("1"))
    data = bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")
    if len(data) != 25:
        raise ValueError("no address: it has not the length of one")
    if _compute_check(data[:21]) != data[21:]:
        raise ValueError("the checksum does not fit: one character is wrong")
    return data[:21]


def format_checked(payload: bytes) -> str:
    """The text of version and digest."""
    data = payload + _compute_check(payload)
    number, letters = int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        letters = _LETTERS[digit] + letters
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + letters


def _compute_check(payload: bytes) -> bytes:
    return sha256(sha256(payload).digest()).digest()[:4]

"""Object ids: a 128-bit number as the outside sees it, `dep_01jq…` (CONTRACT §2), and new ones (UUIDv7).

Lives here: the only spelling of ids; every room uses it. Does not live here: which prefixes exist (each room knows
its own), and ids derived from content (deposits in `indexer`, events in `relay`), which are only spelled here.
"""

from __future__ import annotations

import os
from functools import lru_cache
from uuid import UUID

ID_DIGITS = 26
"""Digits of five bits each: 130 bits, of which the first two are always zero."""

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = [high + low for high in _ALPHABET for low in _ALPHABET]
"""Two digits for every ten bits: half the steps of one by one, and ids are spelled all the time."""
_PAIR_SHIFTS = range((ID_DIGITS - 2) * 5, -1, -10)
_VALUE_OF_DIGIT = {digit: value for value, digit in enumerate(_ALPHABET)}
_FIRST_DIGIT_MAX = "7"
TEXTS_KEPT = 4096
"""Of ids just spelled: a merchant's stands in every event of a batch, a deposit's several times in each of its own."""


def encode_id(prefix: str, value: UUID) -> str:
    """Write `value` as `prefix`, an underscore and 26 lower-case Crockford base32 digits, most significant first."""
    return _encode(prefix, value.int)


@lru_cache(maxsize=TEXTS_KEPT)
def _encode(prefix: str, number: int) -> str:
    return f"{prefix}_{''.join([_PAIRS[(number >> shift) & 1023] for shift in _PAIR_SHIFTS])}"


def decode_id(prefix: str, text: str) -> UUID:
    """Read what `encode_id` wrote, in either case; ValueError for anything else.

    Crockford's look-alikes (I, L, O for 1, 1, 0) are refused: one id has one spelling apart from case.
    """
    head, _, digits = text.lower().partition("_")
    if not text.isascii() or head != prefix or len(digits) != ID_DIGITS or digits[0] > _FIRST_DIGIT_MAX:
        raise ValueError(f"not an id of the form {prefix}_ and {ID_DIGITS} base32 digits")
    number = 0
    for digit in digits:
        value = _VALUE_OF_DIGIT.get(digit)
        if value is None:
            raise ValueError(f"{digit!r} is not a digit of Crockford base32")
        number = number << 5 | value
    return UUID(int=number)


def new_id(now_ms: int) -> UUID:
    """A new UUIDv7 (RFC 9562): `now_ms` is Unix time in milliseconds, the other 74 bits are random."""
    random_bits = int.from_bytes(os.urandom(10), "big")
    number = (now_ms & (1 << 48) - 1) << 80
    number |= 0x7 << 76
    number |= (random_bits & (1 << 12) - 1) << 64
    number |= 0b10 << 62
    number |= random_bits >> 12 & (1 << 62) - 1
    return UUID(int=number)

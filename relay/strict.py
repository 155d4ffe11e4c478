"""What both kits read in one way only, whatever language they are written in: JSON, whole numbers, base64, Ed25519.

Shared by `verify` and `verify_log`, and copied with them: the standard library, and `cryptography` only where a public key is
given. `kit/strict.mjs` is the same for Node, and a test holds them against each other. What is refused is a ValueError.
"""

from __future__ import annotations

import binascii
import json
import re
from collections.abc import Iterable
from typing import Any

WHOLE_MAX = 2**53 - 1
"""The greatest number that every language counts to; sequences and versions stay far below."""
DEPTH_MAX = 100
SECRET_BYTES_MIN, SECRET_BYTES_MAX = 24, 64
SIGNATURE_BYTES = 64

# Possessive, and the end of the text ends a string, too: each character is looked at once, whatever stands there.
_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)
_BRACKET = re.compile(r"[\[\]{}]")
_UNSOUND_POINT = re.compile(
    "0[01](?:00){31}|ec(?:ff){30}7f|26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05|"
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a|(?:e[d-f]|f.)(?:ff){30}7f"
)


def parse_json(raw: bytes) -> Any:
    """UTF-8 without a mark, nested at most DEPTH_MAX deep, no NaN; of a name that is there twice, the last."""
    text, depth = raw.decode(), 0
    for bracket in _BRACKET.findall(_STRING.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        if depth > DEPTH_MAX:
            raise ValueError("nested too deep")
    return json.loads(text, parse_int=_parse_int, parse_constant=_refuse)


def _parse_int(text: str) -> int | float:
    return (
        int(text) if len(text) < 4_000 else float("inf")
    )  # beyond that Python refuses, JavaScript counts on


def _refuse(text: str) -> None:
    raise ValueError(text)


def parse_whole(value: object) -> int:
    """7 and 7.0 are one number in JSON; below zero, and what not every language can count, is none of ours."""
    number = int(value) if isinstance(value, float) and value.is_integer() else value
    if type(number) is not int or not 0 <= number <= WHOLE_MAX:
        raise ValueError("this is not a whole number")
    return number


def decode_base64(text: str) -> bytes:
    """RFC 4648 section 4, in its one spelling, which Python alone would not ask for."""
    raw = binascii.a2b_base64(text, strict_mode=True)
    if binascii.b2a_base64(raw, newline=False).decode() != text:
        raise ValueError("this is not how these bytes are written")
    return raw


def decode_key(text: str, prefix: str) -> bytes:
    """The bytes of `whsec_…` (24 to 64), or those of `whpk_…`: 32, and a sound Ed25519 key."""
    if not str(text).startswith(prefix):
        raise ValueError(f"the configured key does not start with {prefix}")
    try:
        raw = decode_base64(text[len(prefix) :])
    except ValueError:
        raise ValueError(f"what follows {prefix} in the configured key is not base64") from None
    if prefix == "whsec_" and not SECRET_BYTES_MIN <= len(raw) <= SECRET_BYTES_MAX:
        raise ValueError(f"a secret has {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX} bytes")
    if prefix == "whpk_" and (len(raw) != 32 or is_unsound(raw)):
        raise ValueError("this is not a sound Ed25519 key")
    return raw


def is_unsound(point: bytes) -> bool:
    """Whether it is of small order, under which anybody signs, or not written as RFC 8032 says; its sign is no matter."""
    return _UNSOUND_POINT.fullmatch((point[:31] + bytes([point[31] & 0x7F])).hex()) is not None


def is_signed(raw_key: bytes, content: bytes, offered: Iterable[bytes]) -> bool:
    """Whether one of these is this key's signature of the content. ImportError where `cryptography` is missing."""
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415  # optional for a receiver with secrets only
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415

    for signature in offered:
        if len(signature) != SIGNATURE_BYTES or is_unsound(signature[:32]):
            continue
        try:
            Ed25519PublicKey.from_public_bytes(raw_key).verify(signature, content)
        except (InvalidSignature, ValueError):  # ValueError: no point of the curve
            continue
        return True
    return False

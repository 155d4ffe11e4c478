"""Protocol Buffers as java-tron reads and writes them, over bytes that a stranger wrote.  Pure.

What a payer put into a transaction stands in a canonical block for ever, so
whatever java-tron's own parser takes is taken here: fields nobody knows,
lengthy varints, groups, repeated fields of which the last counts.  Every
length is checked against what is left, and reading is one pass.
Source: the encoding's specification; protobuf-java's CodedInputStream.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

VARINT, FIXED64, LENGTH, GROUP, GROUP_END, FIXED32 = range(6)

VARINT_BYTES_MAX: Final = 10
GROUPS_DEEP_MAX: Final = 100
"""As deep as java-tron's parser goes."""

U64: Final = (1 << 64) - 1

Field = tuple[int, int, int | bytes]
"""Number, wire type, and the value: an integer of 64 bits without sign, or bytes."""


class Malformed(ValueError):
    """The bytes are not what they should be; says what."""


def read_fields(data: bytes) -> list[Field]:
    """The fields of one message in their order, groups left out; raises `Malformed`."""
    fields: list[Field] = []
    at, end = 0, len(data)
    groups: list[int] = []
    while at < end:
        key = data[at]
        at += 1
        if key >= 0x80:
            key, at = _read_varint(data, at - 1)
            key &= 0xFFFFFFFF
        number, wire = key >> 3, key & 7
        if number == 0:
            raise Malformed("a field has the number 0")
        value: int | bytes
        if wire == LENGTH:
            length, at = _read_varint(data, at)
            if length > end - at:
                raise Malformed(f"field {number} ends {length - end + at} bytes early")
            value = data[at : at + length]
            at += length
        elif wire == VARINT:
            value, at = _read_varint(data, at)
        elif wire in {FIXED64, FIXED32}:
            width = 8 if wire == FIXED64 else 4
            if width > end - at:
                raise Malformed(f"field {number} ends early")
            value = data[at : at + width]
            at += width
        else:
            _follow_group(groups, number, wire)
            continue
        if not groups:
            fields.append((number, wire, value))
    if groups:
        raise Malformed("a group does not end")
    return fields


def _follow_group(groups: list[int], number: int, wire: int) -> None:
    if wire == GROUP and len(groups) < GROUPS_DEEP_MAX:
        groups.append(number)
    elif wire != GROUP_END or not groups or groups.pop() != number:
        raise Malformed(f"field {number} begins with what begins none")


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    for place in range(at, min(at + VARINT_BYTES_MAX, len(data))):
        byte = data[place]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & U64, place + 1
        shift += 7
    raise Malformed("a number is cut off or has no end")


def last_bytes(fields: Iterable[Field], number: int) -> bytes:
    """The bytes of a field that counts once; empty where it is absent."""
    found = b""
    for one, wire, value in fields:
        if one == number and wire == LENGTH:
            assert isinstance(value, bytes)
            found = value
    return found


def last_number(fields: Iterable[Field], number: int) -> int:
    """The int64 of a field that counts once; 0 where it is absent."""
    found = 0
    for one, wire, value in fields:
        if one == number and wire == VARINT:
            assert isinstance(value, int)
            found = value
    return found - (1 << 64) if found >> 63 else found


def encode_varint(value: int) -> bytes:
    """An int64; negative ones as two's complement in ten bytes."""
    value &= U64
    digits = bytearray()
    while value >= 0x80:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    digits.append(value)
    return bytes(digits)


def encode_number(number: int, value: int) -> bytes:
    """A varint field."""
    return encode_varint(number << 3 | VARINT) + encode_varint(value)


def encode_bytes(number: int, value: bytes) -> bytes:
    """A length-delimited field."""
    return encode_varint(number << 3 | LENGTH) + encode_varint(len(value)) + value

"""A cursor over bytes that a stranger wrote.  Pure.

Every length is checked against what is left before anything is built from it,
so a few bytes can never promise gigabytes.  Integers are little-endian, as
the peer-to-peer protocol has them; a length that has a shorter spelling is
refused, since two spellings would be two hashes of one thing.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

_U16: Final = Struct("<H").unpack_from
_U32: Final = Struct("<I").unpack_from
_U64: Final = Struct("<Q").unpack_from


class Malformed(ValueError):
    """The bytes are not what they should be; says what and where."""


class Cursor:
    """Where reading stands in `data`; every method raises `Malformed` at the end of it."""

    __slots__ = ("at", "data", "end")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0
        self.end = len(data)

    @property
    def left(self) -> int:
        """How many bytes were not read yet."""
        return self.end - self.at

    def take(self, count: int, what: str) -> bytes:
        """So many bytes."""
        begin = self.at
        if count > self.end - begin:
            raise Malformed(f"{what} ends {count - self.end + begin} bytes early")
        self.at = begin + count
        return self.data[begin : self.at]

    def skip(self, count: int, what: str) -> None:
        """Pass over so many bytes."""
        if count > self.end - self.at:
            raise Malformed(f"{what} ends {count - self.left} bytes early")
        self.at += count

    def end_here(self, what: str) -> None:
        """Refuse whatever was not read."""
        if self.left:
            raise Malformed(f"{self.left} bytes behind {what}")

    def read_u8(self, what: str) -> int:
        return self.take(1, what)[0]

    def read_u32(self, what: str) -> int:
        self.skip(4, what)
        value: int = _U32(self.data, self.at - 4)[0]
        return value

    def read_u64(self, what: str) -> int:
        self.skip(8, what)
        value: int = _U64(self.data, self.at - 8)[0]
        return value

    def read_length(self, what: str) -> int:
        """A length in its only spelling (CompactSize)."""
        if self.at >= self.end:
            raise Malformed(f"{what} is cut off")
        first = self.data[self.at]
        self.at += 1
        if first < 0xFD:
            return first
        width = {0xFD: 2, 0xFE: 4, 0xFF: 8}[first]
        self.skip(width, what)
        unpack, least = {2: (_U16, 0xFD), 4: (_U32, 0x1_0000), 8: (_U64, 0x1_0000_0000)}[width]
        value: int = unpack(self.data, self.at - width)[0]
        if value < least:
            raise Malformed(f"{what} spells the length {value} in {width} bytes")
        return value

    def read_count(self, item_bytes_min: int, what: str) -> int:
        """How many items follow, each of at least so many bytes: never more than there is room for."""
        count = self.read_length(what)
        if count * item_bytes_min > self.left:
            raise Malformed(f"{what}: {count} of them do not fit into {self.left} bytes")
        return count

    def take_text(self, what: str) -> bytes:
        """Bytes behind their length."""
        return self.take(self.read_length(what), what)

"""Log blooms: 2048 bits that say which emitters and topics a block may hold.

Masks are cached, because the same tokens and the same `Transfer` topic return
in every block; the cache takes well-formed words only, so a word found in it
needs no second look.  Rules: Ethereum Yellow Paper, section 4.3.1.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from sha3 import keccak_256

from chains.evm.verify.rlp import to_bytes

BLOOM_TEXT_LENGTH: Final = 514
"""Characters of a bloom as text: "0x" and 512 hex digits."""

_NOTHING: Final = "0x" + "0" * 512

_CACHE_MAX: Final = 1 << 16
"""About 25 MB when full; then it starts over, which costs one block a millisecond."""

_WORD_LENGTHS: Final = (42, 66)
"""Characters of an address and of a topic."""


class BloomMasks:
    """Masks of words seen before; bounded, one instance a process is enough."""

    __slots__ = ("_masks",)

    def __init__(self) -> None:
        self._masks: dict[str, int] = {}

    def compute_bloom(self, words: Iterable[str]) -> int:
        """The bloom that holds all these addresses and topics.

        Raises ValueError for a word that is neither 20 nor 32 bytes of hex.
        """
        masks = self._masks
        bloom = 0
        for word in words:
            mask = masks.get(word)
            if mask is None:
                mask = self._add(word)
            bloom |= mask
        return bloom

    def _add(self, word: str) -> int:
        if len(word) not in _WORD_LENGTHS or word[:2] != "0x":
            raise ValueError("neither an address nor a topic")
        mask = compute_mask(to_bytes(word[2:]))
        if len(self._masks) >= _CACHE_MAX:
            self._masks.clear()
        self._masks[word] = mask
        return mask


def compute_mask(word: bytes) -> int:
    """The bits that an address or a topic sets."""
    digest: bytes = keccak_256(word).digest()
    return (
        1 << ((digest[0] << 8 | digest[1]) & 2047)
        | 1 << ((digest[2] << 8 | digest[3]) & 2047)
        | 1 << ((digest[4] << 8 | digest[5]) & 2047)
    )


def parse_bloom(text: str) -> int:
    """The 2048 bits of a bloom; raises ValueError for any other length."""
    if len(text) != BLOOM_TEXT_LENGTH or text[:2] != "0x":
        raise ValueError("not a bloom")
    return int(text, 16)


def add_blooms(texts: Iterable[str]) -> int:
    """The bloom that holds what any of these hold."""
    bloom = 0
    for text in texts:
        if text != _NOTHING:
            bloom |= parse_bloom(text)
    return bloom


def format_bloom(bloom: int) -> str:
    """The 512 hex digits of a bloom, without 0x."""
    return f"{bloom:0512x}"

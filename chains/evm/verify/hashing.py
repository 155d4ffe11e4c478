"""Keccak-256, the one hash of this package.

The digest function of Ethereum (the original Keccak padding, not FIPS-202)
and the roots of empty things.  RLP is `rlp`, trees are `trie`; nothing here
knows what it hashes.
"""

from __future__ import annotations

from typing import Final

from sha3 import keccak_256


def compute_keccak(data: bytes) -> bytes:
    """The 32-byte Keccak-256 digest of `data`."""
    digest: bytes = keccak_256(data).digest()
    return digest


EMPTY_TRIE_ROOT: Final = compute_keccak(b"\x80")
"""The root of a trie that holds nothing (Yellow Paper, appendix D)."""

"""The watched addresses of one chain in memory: the fast path of matching.

A superset of the truth, never less: the database decides which of the hits
count.  Up to two million addresses a plain set is fastest; above, sorted
64-bit fingerprints take 8 bytes an address and answer with rare false hits,
which the database then refuses.  Which addresses are loaded when is `follow`'s
and the store's business.
"""

from __future__ import annotations

import hashlib
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence

COMPACT_ABOVE_ADDRESSES = 2_000_000
MERGE_AFTER_ADDRESSES = 200_000


def compute_fingerprint(address: bytes) -> int:
    """64 bits of an address; keyless, since a collision costs one database look-up.

    Addresses of 16 bytes and more that come from hashes (EVM, Tron) are
    uniform already, but a payer can grind prefixes, so the last 8 bytes are
    folded with the first.
    """
    if len(address) >= 16:
        return int.from_bytes(address[-8:], "big") ^ int.from_bytes(address[:8], "big")
    return int.from_bytes(hashlib.blake2b(address, digest_size=8).digest(), "big")


class WatchSet:
    """Addresses with the watch-list version they are complete up to.

    `version` is the highest `watch_version` that has been added.
    """

    __slots__ = ("_compact_above", "_exact", "_fingerprints", "version")

    def __init__(self, *, compact_above: int = COMPACT_ABOVE_ADDRESSES) -> None:
        self.version = 0
        self._exact: set[bytes] = set()
        self._fingerprints: array[int] = array("Q")
        self._compact_above = compact_above

    def __len__(self) -> int:
        """How many addresses were added, counting an address once while exact."""
        return len(self._exact) + len(self._fingerprints)

    @property
    def is_compact(self) -> bool:
        """Whether most addresses are held as fingerprints."""
        return bool(self._fingerprints)

    def __contains__(self, address: bytes) -> bool:
        if address in self._exact:
            return True
        if not self._fingerprints:
            return False
        return _holds(self._fingerprints, compute_fingerprint(address))

    def hits(self, recipients: Sequence[bytes]) -> list[int]:
        """The indexes of `recipients` that may be watched, ascending."""
        exact = self._exact
        if not self._fingerprints:
            return [index for index, recipient in enumerate(recipients) if recipient in exact]
        fingerprints = self._fingerprints
        return [
            index
            for index, recipient in enumerate(recipients)
            if recipient in exact or _holds(fingerprints, compute_fingerprint(recipient))
        ]

    def add(self, addresses: Iterable[bytes], *, version: int) -> None:
        """Add addresses; the set is then complete up to `version`."""
        self._exact.update(addresses)
        self.version = max(self.version, version)
        limit = MERGE_AFTER_ADDRESSES if self._fingerprints else self._compact_above
        if len(self._exact) > limit:
            self._compact()

    def _compact(self) -> None:
        merged = array("Q", self._fingerprints)
        merged.extend(sorted(map(compute_fingerprint, self._exact)))
        self._exact = set()
        # Two sorted runs: timsort merges them in linear time.
        self._fingerprints = array("Q", sorted(merged))


def _holds(fingerprints: array[int], fingerprint: int) -> bool:
    index = bisect_left(fingerprints, fingerprint)
    return index < len(fingerprints) and fingerprints[index] == fingerprint

"""The watched addresses of one chain in memory: the fast path of matching.

A superset of the truth, never less: the database decides which of the hits
count.  Up to two million addresses a plain set is fastest; above, sorted
64-bit fingerprints take 8 bytes an address and answer with rare false hits,
which the database then refuses.  Which addresses are loaded when is `turn`'s
and `commit`'s business.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

COMPACT_ABOVE_ADDRESSES = 2_000_000
MERGE_AFTER_ADDRESSES = 100_000
EVM_ADDRESS_BYTES = 20

Fingerprints = NDArray[np.uint64]


def compute_fingerprints(addresses: Sequence[bytes]) -> Fingerprints:
    """64 bits of each address, in order.

    A 20-byte address comes from a hash, so its first and last 8 bytes folded
    together are spread evenly; a payer who grinds a collision costs us one
    look-up in the database.  Other lengths are hashed.
    """
    if all(len(address) == EVM_ADDRESS_BYTES for address in addresses):
        words = np.frombuffer(b"".join(addresses), dtype=np.uint8).reshape(-1, EVM_ADDRESS_BYTES)
        first = np.ascontiguousarray(words[:, :8]).view(np.uint64).ravel()
        last = np.ascontiguousarray(words[:, -8:]).view(np.uint64).ravel()
        return first ^ last
    digests = b"".join(hashlib.blake2b(address, digest_size=8).digest() for address in addresses)
    return np.frombuffer(digests, dtype=np.uint64).copy()


class WatchSet:
    """Addresses with the watch-list version they are complete up to.

    `version` is the highest `watch_version` that has been added.  One set
    holds addresses of one length only where it is to be compact (EVM).
    """

    __slots__ = ("_compact_above", "_exact", "_fingerprints", "_merge_after", "version")

    def __init__(
        self, *, compact_above: int = COMPACT_ABOVE_ADDRESSES, merge_after: int = MERGE_AFTER_ADDRESSES
    ) -> None:
        self.version = 0
        self._exact: set[bytes] = set()
        self._fingerprints: Fingerprints = np.empty(0, dtype=np.uint64)
        self._compact_above = compact_above
        self._merge_after = merge_after

    def __len__(self) -> int:
        """How many addresses are held; one added twice may count twice once compact."""
        return len(self._exact) + len(self._fingerprints)

    @property
    def is_compact(self) -> bool:
        """Whether most addresses are held as fingerprints."""
        return len(self._fingerprints) > 0

    def __contains__(self, address: bytes) -> bool:
        return bool(self.hits([address]))

    def hits(self, recipients: Sequence[bytes]) -> list[int]:
        """The indexes of `recipients` that may be watched, ascending."""
        exact = self._exact
        found = [index for index, recipient in enumerate(recipients) if recipient in exact] if exact else []
        if not len(self._fingerprints) or not recipients:
            return found
        wanted = compute_fingerprints(recipients)
        places = np.searchsorted(self._fingerprints, wanted)
        places[places == len(self._fingerprints)] = 0
        compact = np.flatnonzero(self._fingerprints[places] == wanted).tolist()
        return sorted({*found, *compact}) if found else compact

    def add(self, addresses: Iterable[bytes], *, version: int) -> None:
        """Add addresses; the set is then complete up to `version`."""
        self._exact.update(addresses)
        self.version = max(self.version, version)
        limit = self._merge_after if self.is_compact else self._compact_above
        if len(self._exact) > limit:
            self._compact()

    def _compact(self) -> None:
        fresh = compute_fingerprints(list(self._exact))
        fresh.sort()
        self._exact = set()
        places = np.searchsorted(self._fingerprints, fresh)
        self._fingerprints = np.insert(self._fingerprints, places, fresh)

"""The watched addresses of one chain in memory: the fast path of matching.

A superset of the truth, never less: the database decides which of the hits
count.  A small list is a plain set; above, 64-bit fingerprints take 8 bytes an
address and answer with rare false hits, which the database then refuses.
They are sorted, with the place where each prefix begins, so that a look-up
touches two lines of memory however long the list is.  Which addresses are
loaded when is `turn`'s and `commit`'s business.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from mmap import mmap

import numpy as np
from numpy.typing import NDArray

from chains.model import Address, Sought

COMPACT_ABOVE_ADDRESSES = 100_000
MERGE_AFTER_ADDRESSES = 20_000
EVM_ADDRESS = np.dtype([("first", np.uint64), ("middle", np.uint32), ("last", np.uint64)])
EVM_ADDRESS_BYTES = EVM_ADDRESS.itemsize
FINGERPRINT_BITS = 64
SHARE_OF_A_PREFIX = 3
"""At most so many fingerprints begin alike, on average: a cache line or two."""
GLANCE = 8
"""Fingerprints looked at for every address; for the few whose prefix is wider, the rest too."""
PREFIXES_AT_ONCE = 1 << 16
DEFAULT_SPREAD = 0x9E3779B97F4A7C15
SOUGHT_MAX = 1_000
"""Addresses that are held against every block's summary one by one, in a fraction of a millisecond; with more of them
nearly every summary says "maybe", and blocks are read whole."""

Fingerprints = NDArray[np.uint64]


def compute_fingerprints(addresses: Sequence[bytes], spread: int = DEFAULT_SPREAD) -> Fingerprints:
    """64 bits of each address, in order.

    A 20-byte address comes from a hash, so its first and last 8 bytes folded
    together are spread evenly; who registers addresses that are no hashes
    could crowd them, but not against a `spread` (odd) that only this process
    knows.  A payer who grinds a collision costs us one look-up in the
    database.  Other lengths are hashed.
    """
    if set(map(len, addresses)) <= {EVM_ADDRESS_BYTES}:
        words = np.frombuffer(b"".join(addresses), dtype=EVM_ADDRESS)
        folded: Fingerprints = words["first"] ^ words["last"]
        return folded * np.uint64(spread)
    digests = b"".join(hashlib.blake2b(address, digest_size=8).digest() for address in addresses)
    return np.frombuffer(digests, dtype=np.uint64) * np.uint64(spread)


class CompactSet:
    """Sorted fingerprints, each once, and for every prefix of `64 - shift` bits where it begins."""

    __slots__ = ("_begins", "_fingerprints", "_shift", "_widest")

    def __init__(self, fingerprints: Fingerprints) -> None:
        """`fingerprints` ascending and without repetition."""
        prefix_bits = max(1, (len(fingerprints) // SHARE_OF_A_PREFIX).bit_length())
        prefixes = 1 << prefix_bits
        self._fingerprints = fingerprints
        self._shift = np.uint64(FINGERPRINT_BITS - prefix_bits)
        # Memory of its own: on the heap every merge would leave a hole of this size.
        self._begins = np.frombuffer(mmap(-1, 4 * (prefixes + 1)), dtype=np.uint32)
        self._begins[prefixes] = len(fingerprints)
        self._widest = 0
        for first in range(0, prefixes, PREFIXES_AT_ONCE):
            last = min(first + PREFIXES_AT_ONCE, prefixes)
            bounds = np.arange(first, last, dtype=np.uint64) << self._shift
            self._begins[first:last] = np.searchsorted(fingerprints, bounds)
        for first in range(0, prefixes, PREFIXES_AT_ONCE):
            widths = np.diff(self._begins[first : first + PREFIXES_AT_ONCE + 1])
            self._widest = max(self._widest, int(widths.max()))

    def __len__(self) -> int:
        return len(self._fingerprints)

    def find(self, wanted: Fingerprints) -> list[int]:
        """The indexes of `wanted` that are held, ascending."""
        prefixes = (wanted >> self._shift).astype(np.intp)
        begins = self._begins[prefixes].astype(np.intp)
        held = self._holds(wanted, begins, GLANCE)
        if self._widest > GLANCE:
            wide = np.flatnonzero(self._begins[prefixes + 1] - begins > GLANCE)
            if len(wide):
                held[wide] = self._holds(wanted[wide], begins[wide], self._widest)
        found: list[int] = np.flatnonzero(held).tolist()
        return found

    def _holds(self, wanted: Fingerprints, begins: NDArray[np.intp], width: int) -> NDArray[np.bool_]:
        """Which are held within `width` of their beginning; beyond their prefix all others differ."""
        places = begins[:, None] + np.arange(width)
        held: NDArray[np.bool_] = (self._fingerprints.take(places, mode="clip") == wanted[:, None]).any(
            axis=1
        )
        return held

    def merge(self, fresh: Fingerprints) -> CompactSet:
        """With these too."""
        fresh = np.unique(fresh)
        places = np.searchsorted(self._fingerprints, fresh)
        if len(self):
            new = self._fingerprints.take(places, mode="clip") != fresh
            places, fresh = places[new], fresh[new]
        return CompactSet(np.insert(self._fingerprints, places, fresh))


class WatchSet:
    """Addresses with the watch-list version they are complete up to.

    `version` is the highest `watch_version` that has been added.  One set
    holds addresses of one length only where it is to be compact (EVM).
    `spread` is an odd number that nobody outside can guess.
    """

    __slots__ = ("_compact", "_compact_above", "_exact", "_merge_after", "_sought", "_spread", "version")

    def __init__(
        self,
        *,
        compact_above: int = COMPACT_ABOVE_ADDRESSES,
        merge_after: int = MERGE_AFTER_ADDRESSES,
        spread: int = DEFAULT_SPREAD,
    ) -> None:
        self.version = 0
        self._exact: set[bytes] = set()
        self._compact = CompactSet(np.empty(0, dtype=np.uint64))
        self._compact_above = compact_above
        self._merge_after = merge_after
        self._spread = spread
        self._sought: Sought | None = None

    def __len__(self) -> int:
        """How many addresses are held; one added twice may count twice until they are merged."""
        return len(self._exact) + len(self._compact)

    @property
    def is_compact(self) -> bool:
        """Whether most addresses are held as fingerprints."""
        return len(self._compact) > 0

    def __contains__(self, address: bytes) -> bool:
        return bool(self.hits([address]))

    def hits(self, recipients: Sequence[bytes]) -> list[int]:
        """The indexes of `recipients` that may be watched, ascending."""
        exact = self._exact
        found: list[int] = []
        if not exact.isdisjoint(recipients):
            found = [index for index, recipient in enumerate(recipients) if recipient in exact]
        if not len(self._compact) or not recipients:
            return found
        compact = self._compact.find(compute_fingerprints(recipients, self._spread))
        return sorted({*found, *compact}) if found else compact

    def list_sought(self) -> Sought | None:
        """Every address, for whoever can tell what concerns none of them; None where they are too many."""
        if self.is_compact or len(self._exact) > SOUGHT_MAX:
            return None
        if self._sought is None:
            self._sought = Sought(frozenset(map(Address, self._exact)), self.version)
        return self._sought

    def add(self, addresses: Iterable[bytes], *, version: int) -> None:
        """Add addresses; the set is then complete up to `version`."""
        self._sought = None
        self._exact.update(addresses)
        self.version = max(self.version, version)
        limit = self._merge_after if self.is_compact else self._compact_above
        if len(self._exact) > limit:
            self._compact = self._compact.merge(compute_fingerprints(list(self._exact), self._spread))
            self._exact = set()

"""The Merkle tree over a log, as RFC 9162 section 2.1 defines it (SHA-256, one prefix for leaves, one for nodes).

Lives here, pure: hashes, the right-hand edge of a growing tree (`Peaks`), and which parts of a tree a proof is made of.
A tree of n leaves is cut into perfect subtrees, each named by (level, position): 2**level leaves, the position-th of
its size. Does not live here: where those are kept and read (`tree`), and checking a proof (`verify`, which shares no
code with this, so that one can check the other).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

EMPTY_ROOT = hashlib.sha256(b"").digest()

Span = tuple[int, int]
"""Leaves from the first number up to, without, the second."""


class Subtree(NamedTuple):
    """A perfect subtree: the leaves `position * 2**level` to `(position + 1) * 2**level`, without the last."""

    level: int
    position: int


def hash_leaf(body_hash: bytes) -> bytes:
    """The leaf of one event: its entry is the SHA-256 of the body, so that a leaf outlives the body."""
    return hashlib.sha256(b"\x00" + body_hash).digest()


def hash_node(left: bytes, right: bytes) -> bytes:
    """The node above two subtrees."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def fold(hashes: Sequence[bytes]) -> bytes:
    """The root over perfect subtrees that stand side by side, the largest first; of nothing, EMPTY_ROOT."""
    if not hashes:
        return EMPTY_ROOT
    root = hashes[-1]
    for left in reversed(hashes[:-1]):
        root = hash_node(left, root)
    return root


@dataclass(slots=True)
class Peaks:
    """The right-hand edge of a growing tree: the roots of its perfect subtrees, the largest first.

    `count` entries were appended, each the root of 2**`level` leaves (0: the leaves themselves). As many hashes are
    kept as `count` has bits set, however long the log is.
    """

    level: int = 0
    count: int = 0
    hashes: list[bytes] = field(default_factory=list)

    def append(self, entry: bytes) -> list[tuple[Subtree, bytes]]:
        """Add one entry; returns it and every subtree that it completes, the lowest first."""
        subtree, root = Subtree(self.level, self.count), entry
        made = [(subtree, root)]
        while subtree.position & 1:
            subtree, root = (
                Subtree(subtree.level + 1, subtree.position >> 1),
                hash_node(self.hashes.pop(), root),
            )
            made.append((subtree, root))
        self.hashes.append(root)
        self.count += 1
        return made

    @property
    def root(self) -> bytes:
        """The root of everything appended."""
        return fold(self.hashes)


def compute_root(leaves: Sequence[bytes]) -> bytes:
    """The root over these leaf hashes."""
    peaks = Peaks()
    for leaf in leaves:
        peaks.append(leaf)
    return peaks.root


def split_span(span: Span) -> list[Subtree]:
    """The perfect subtrees of a span, from left to right.

    Folded, they are the span's root where it is one of those that `compute_inclusion` and `compute_consistency` name,
    or begins at 0.
    """
    start, end = span
    found = []
    while start < end:
        level = (end - start).bit_length() - 1
        if start:
            level = min(level, (start & -start).bit_length() - 1)
        found.append(Subtree(level, start >> level))
        start += 1 << level
    return found


def compute_inclusion(leaf: int, size: int) -> list[Span]:
    """PATH(leaf, D[size]): the spans whose roots, in this order, lead from a leaf (from 0) to the root."""
    assert 0 <= leaf < size, "a leaf is in its tree"
    start, end = 0, size
    spans: list[Span] = []
    while end - start > 1:
        middle = _middle(start, end)
        if leaf < middle:
            spans.append((middle, end))
            end = middle
        else:
            spans.append((start, middle))
            start = middle
    return spans[::-1]


def compute_consistency(first: int, second: int) -> list[Span]:
    """PROOF(first, D[second]): the spans whose roots show that a tree of `second` leaves extends one of `first`."""
    assert 0 < first <= second, (
        "a consistency proof leads from a smaller tree that is not empty to a larger one"
    )
    start, end = 0, second
    spans: list[Span] = []
    while first != end:
        middle = _middle(start, end)
        if first <= middle:
            spans.append((middle, end))
            end = middle
        else:
            spans.append((start, middle))
            start = middle
    if start:  # the root of the first tree itself is known to whoever asks
        spans.append((start, end))
    return spans[::-1]


def _middle(start: int, end: int) -> int:
    """Where RFC 9162 divides: behind the largest power of two smaller than the width."""
    return start + (1 << (end - start - 1).bit_length() - 1)

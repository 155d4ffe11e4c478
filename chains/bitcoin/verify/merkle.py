"""Merkle trees as blocks have them, and the two ways in which they can be read twice.  Pure.

An odd level repeats its last hash, so a list that repeats its own end has the
root of the shorter one (CVE-2012-2459): such a list is no block's.  Sources:
Bitcoin Core `consensus/merkle.cpp`; BIP 141 (the tree of witnesses).
"""

from __future__ import annotations

from collections.abc import Sequence

from chains.bitcoin.rows.blocks import MerkleBranch, hash_twice


class Repeated(ValueError):
    """Two neighbours are alike where a list of other length would have the same root."""


def compute_root(leaves: Sequence[bytes]) -> bytes:
    """The root over these hashes; raises `Repeated`. Zeros for none."""
    level = list(leaves)
    if not level:
        return bytes(32)
    while len(level) > 1:
        if any(level[place] == level[place + 1] for place in range(0, len(level) - 1, 2)):
            raise Repeated("two neighbours of a merkle tree are alike")
        if len(level) & 1:
            level.append(level[-1])
        level = [hash_twice(level[place] + level[place + 1]) for place in range(0, len(level), 2)]
    return level[0]


def compute_branch(leaves: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """The hashes beside the way from the leaf at `index` to the root."""
    level, beside = list(leaves), list[bytes]()
    while len(level) > 1:
        if len(level) & 1:
            level.append(level[-1])
        beside.append(level[index ^ 1])
        level = [hash_twice(level[place] + level[place + 1]) for place in range(0, len(level), 2)]
        index >>= 1
    return tuple(beside)


def follow_branch(leaf: bytes, branch: MerkleBranch) -> bytes | None:
    """The root that a branch leads to; None where its index lies outside its tree."""
    index, node = branch.index, leaf
    for beside in branch.hashes:
        node = hash_twice(beside + node if index & 1 else node + beside)
        index >>= 1
    return None if index else node

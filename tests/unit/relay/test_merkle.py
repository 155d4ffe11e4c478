"""The Merkle tree: the published examples of RFC 6962 and 9162, and a tree written down as the definition reads."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.proof.merkle import (
    EMPTY_ROOT,
    Peaks,
    Span,
    Subtree,
    compute_consistency,
    compute_inclusion,
    compute_root,
    fold,
    hash_leaf,
    hash_node,
    split_span,
)

# The entries that implementations of RFC 6962 have exchanged since the first one, and the root after each of them.
ENTRIES = [
    bytes.fromhex(entry)
    for entry in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]  # fmt: skip
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
sizes = st.integers(1, 700)


def leaves(count: int) -> list[bytes]:
    return [hash_leaf(b"%d" % n) for n in range(count)]


def naive_root(entries: list[bytes]) -> bytes:
    """MTH as RFC 9162 section 2.1.1 writes it down."""
    if len(entries) < 2:
        return entries[0] if entries else hashlib.sha256(b"").digest()
    k = 1
    while k * 2 < len(entries):
        k *= 2
    return hash_node(naive_root(entries[:k]), naive_root(entries[k:]))


def naive_path(m: int, entries: list[bytes]) -> list[bytes]:
    """PATH as section 2.1.3.1 writes it down."""
    if len(entries) == 1:
        return []
    k = 1
    while k * 2 < len(entries):
        k *= 2
    if m < k:
        return [*naive_path(m, entries[:k]), naive_root(entries[k:])]
    return [*naive_path(m - k, entries[k:]), naive_root(entries[:k])]


def naive_proof(m: int, entries: list[bytes], *, whole: bool = True) -> list[bytes]:
    """SUBPROOF as section 2.1.4.1 writes it down."""
    if m == len(entries):
        return [] if whole else [naive_root(entries)]
    k = 1
    while k * 2 < len(entries):
        k *= 2
    if m <= k:
        return [*naive_proof(m, entries[:k], whole=whole), naive_root(entries[k:])]
    return [*naive_proof(m - k, entries[k:], whole=False), naive_root(entries[:k])]


def test_the_published_roots_come_out() -> None:
    peaks = Peaks()
    assert peaks.root.hex() == ROOTS[0] == EMPTY_ROOT.hex()
    for entry, root in zip(ENTRIES, ROOTS[1:], strict=True):
        peaks.append(hash_leaf(entry))
        assert peaks.root.hex() == root


@pytest.mark.parametrize(
    "leaf, spans",
    [
        (0, [(1, 2), (2, 4), (4, 7)]),  # [b, h, l]
        (3, [(2, 3), (0, 2), (4, 7)]),  # [c, g, l]
        (4, [(5, 6), (6, 7), (0, 4)]),  # [f, j, k]
        (6, [(4, 6), (0, 4)]),  # [i, k]
    ],
)
def test_the_inclusion_proofs_of_the_rfc_come_out(leaf: int, spans: list[Span]) -> None:
    """RFC 9162 section 2.1.5, a tree of seven leaves."""
    assert compute_inclusion(leaf, 7) == spans


@pytest.mark.parametrize(
    "first, spans",
    [
        (3, [(2, 3), (3, 4), (0, 2), (4, 7)]),  # [c, d, g, l]
        (4, [(4, 7)]),  # [l]
        (6, [(4, 6), (6, 7), (0, 4)]),  # [i, j, k]
        (7, []),
    ],
)
def test_the_consistency_proofs_of_the_rfc_come_out(first: int, spans: list[Span]) -> None:
    assert compute_consistency(first, 7) == spans


@given(sizes)
def test_a_root_is_the_one_of_the_definition(size: int) -> None:
    assert compute_root(leaves(size)) == naive_root(leaves(size))


@given(st.data(), sizes)
def test_proofs_are_the_ones_of_the_definition(data: st.DataObject, size: int) -> None:
    tree = leaves(size)
    leaf, first = data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, size))
    path = [naive_root(tree[start:end]) for start, end in compute_inclusion(leaf, size)]
    assert path == naive_path(leaf, tree)
    proof = [naive_root(tree[start:end]) for start, end in compute_consistency(first, size)]
    assert proof == naive_proof(first, tree)


@given(st.data(), sizes)
def test_a_span_of_a_proof_folds_from_its_perfect_subtrees(data: st.DataObject, size: int) -> None:
    tree = leaves(size)
    leaf, first = data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, size))
    for start, end in [(0, size), *compute_inclusion(leaf, size), *compute_consistency(first, size)]:
        parts = split_span((start, end))
        assert len(parts) <= size.bit_length()
        roots = [naive_root(tree[n << level : (n + 1) << level]) for level, n in parts]
        assert fold(roots) == naive_root(tree[start:end])


@given(st.integers(0, 300), st.integers(0, 300))
def test_a_tree_grown_from_its_edge_is_the_tree_grown_at_once(before: int, more: int) -> None:
    tree = leaves(before + more)
    known: dict[Subtree, bytes] = {}
    whole = Peaks()
    for leaf in tree:
        known.update(whole.append(leaf))
    edge = Peaks(0, before, [known[subtree] for subtree in split_span((0, before))])
    for leaf in tree[before:]:
        for subtree, root in edge.append(leaf):
            assert known[subtree] == root
    assert edge == whole
    assert len(edge.hashes) == (before + more).bit_count()

"""The way from a trie's root to one of its items: the nodes that prove it.

Built only when somebody asks for a proof, so it builds the whole trie the plain
way and keeps one path; the roots of every block are `trie`, which stores no
node and is the other opinion in the tests.  Checking a path is the merchant's
(relay.kit.verify_deposit).  Rules: Ethereum Yellow Paper, appendix D.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from chains.evm.verify.hashing import compute_keccak
from chains.evm.verify.rlp import EMPTY, encode_data, encode_list, encode_scalar, to_bytes

_Item = tuple[str, bytes]
"""The half bytes of a key as hex digits, and what stands there."""


def compute_path(values: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """The nodes that lead to values[index] in the trie of rlp(i) to values[i], root first.

    A node of less than 32 bytes stands inside the one that names it and is not
    listed; the root always is.
    """
    items = sorted((encode_scalar(hex(place)), value) for place, value in enumerate(values))
    path: list[str] = []
    _build(items, 0, encode_scalar(hex(index)), path)
    return tuple(to_bytes(node) for node in reversed(path))


def _build(items: Sequence[_Item], depth: int, wanted: str, path: list[str]) -> str:
    """The node over these items, all of one prefix of `depth` digits; appended to `path` where `wanted` leads through it."""
    first, last = items[0][0], items[-1][0]
    end = depth
    while end < len(first) and first[end] == last[end : end + 1]:
        end += 1
    shared = first[depth:end]
    if len(items) == 1:
        node = encode_list(_encode_digits(shared, leaf=True) + _encode_bytes(items[0][1]))
    elif shared:
        inner = _reference(_build(items, end, wanted, path))
        node = encode_list(_encode_digits(shared, leaf=False) + inner)
    else:  # no key of rlp(i) is the beginning of another, so none ends here
        slots = [EMPTY] * 17
        for digit, below in groupby(items, key=lambda item: item[0][depth]):
            slots[int(digit, 16)] = _reference(_build(list(below), depth + 1, wanted, path))
        node = encode_list("".join(slots))
    if wanted[:depth] == first[:depth] and (not depth or len(node) >= 64):
        path.append(node)
    return node


def _reference(node: str) -> str:
    """How a parent names a node: itself when it is short, its hash otherwise."""
    return node if len(node) < 64 else _encode_bytes(compute_keccak(to_bytes(node)))


def _encode_bytes(data: bytes) -> str:
    return encode_data("0x" + data.hex())


def _encode_digits(digits: str, *, leaf: bool) -> str:
    flag = 2 * leaf + len(digits) % 2
    return encode_data(f"0x{flag:x}{'' if flag % 2 else '0'}{digits}")

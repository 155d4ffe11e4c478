"""The root of a block's ordered tries, without building a trie.

Transactions, receipts and withdrawals are committed to as Merkle-Patricia
tries over the keys rlp(0), rlp(1), … .  Those keys are dense, so the shape is
known from the count alone: no key is ever compared, no node is ever stored.
Only the root comes out; what the values say is `transactions` and `receipts`.
Rules: Ethereum Yellow Paper, appendices C and D.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from sha3 import keccak_256

from chains.evm.verify.hashing import EMPTY_TRIE_ROOT

_NONE = b"\x80"
"""An empty slot of a branch, and an empty value."""

ITEMS_MAX = 1 << 16
"""More items than a block can hold; their keys would need another byte."""


def _list(payload: bytes) -> bytes:
    length = len(payload)
    if length < 56:
        return bytes((0xC0 + length,)) + payload
    size = (length.bit_length() + 7) >> 3
    return bytes((0xF7 + size,)) + length.to_bytes(size, "big") + payload


def _string(data: bytes) -> bytes:
    length = len(data)
    if length == 1 and data[0] < 0x80:
        return data
    if length < 56:
        return bytes((0x80 + length,)) + data
    size = (length.bit_length() + 7) >> 3
    return bytes((0xB7 + size,)) + length.to_bytes(size, "big") + data


def _reference(node: bytes) -> bytes:
    """How a parent names a node: itself when short, its hash otherwise."""
    if len(node) < 32:
        return node
    digest: bytes = keccak_256(node).digest()
    return b"\xa0" + digest


def _path(nibbles: str, *, leaf: bool) -> bytes:
    """Hex-prefix encoding of a partial path, as an RLP string."""
    flag = 2 if leaf else 0
    if len(nibbles) & 1:
        return _string(bytes.fromhex(f"{flag + 1:x}{nibbles}"))
    return _string(bytes.fromhex(f"{flag:x}0{nibbles}"))


@lru_cache(maxsize=4096)
def _bare_leaf_head(length: int) -> bytes:
    """What stands before a value of `length` ≥ 56 bytes in a leaf with no path left."""
    value_head = _string(bytes(length))[:-length]
    return _list(b"\x20" + value_head + bytes(length))[:-length]


def _leaf(nibbles: str, value: bytes) -> bytes:
    if not nibbles and len(value) >= 56:
        digest: bytes = keccak_256(_bare_leaf_head(len(value)) + value).digest()
        return b"\xa0" + digest
    return _reference(_list(_path(nibbles, leaf=True) + _string(value)))


def _dense(values: Sequence[bytes], first: int, last: int, digits: int) -> bytes:
    """Reference of the subtree over values[first:last], keyed by their low hex digits."""
    if last - first == 1:
        nibbles = f"{first & ((1 << 4 * digits) - 1):0{digits}x}" if digits else ""
        return _leaf(nibbles, values[first])
    shift = 4 * (digits - 1)
    shared = ""
    while (first >> shift) == ((last - 1) >> shift):
        shared += f"{first >> shift & 15:x}"
        shift -= 4
    slots = [_NONE] * 16
    at = first
    while at < last:
        until = min(last, ((at >> shift) + 1) << shift)
        slots[at >> shift & 15] = _dense(values, at, until, shift >> 2)
        at = until
    branch = _reference(_list(b"".join(slots) + _NONE))
    if not shared:
        return branch
    return _reference(_list(_path(shared, leaf=False) + branch))


def _eighth(values: Sequence[bytes]) -> bytes:
    """The subtree under nibble 8: key 80 (item 0), 81xx (128-255) and 82xxxx."""
    count = len(values)
    if count <= 128:
        return _leaf("0", values[0])
    slots = [_NONE] * 16
    slots[0] = _leaf("", values[0])
    slots[1] = _dense(values, 128, min(count, 256), 2)
    if count > 256:
        slots[2] = _dense(values, 256, count, 4)
    return _reference(_list(b"".join(slots) + _NONE))


def compute_ordered_root(values: Sequence[bytes]) -> bytes:
    """The 32-byte root of the trie that maps rlp(i) to values[i]."""
    count = len(values)
    if count == 0:
        return EMPTY_TRIE_ROOT
    assert count <= ITEMS_MAX, "a block holds fewer items"
    if count == 1:
        node = _list(_path("80", leaf=True) + _string(values[0]))
    else:
        slots = [_NONE] * 16
        for nibble in range(min(8, (count + 15) >> 4)):
            first = max(1, nibble << 4)
            last = min(count, (nibble + 1) << 4)
            if first < last:
                slots[nibble] = _dense(values, first, last, 1)
        slots[8] = _eighth(values)
        node = _list(b"".join(slots) + _NONE)
    digest: bytes = keccak_256(node).digest()
    return digest

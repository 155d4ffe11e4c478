"""RLP, tries and blooms agree with slow, independent writings of the same rules."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chains.evm.verify.bloom import BloomMasks, format_bloom, parse_bloom
from chains.evm.verify.hashing import EMPTY_TRIE_ROOT, compute_keccak
from chains.evm.verify.rlp import (
    encode_address,
    encode_data,
    encode_hash,
    encode_list,
    encode_scalar,
    to_bytes,
)
from chains.evm.verify.trie import compute_ordered_root
from tests.unit.chains.verify.recorded import decode_rlp, hex_data

Node = Any


def encode_slowly(item: Node) -> bytes:
    """RLP of bytes and nested lists, as the Yellow Paper writes it."""
    if isinstance(item, bytes):
        if len(item) == 1 and item[0] < 0x80:
            return item
        payload, base = item, 0x80
    else:
        payload, base = b"".join(encode_slowly(part) for part in item), 0xC0
    if len(payload) < 56:
        return bytes([base + len(payload)]) + payload
    size = len(payload).to_bytes(8, "big").lstrip(b"\x00")
    return bytes([base + 55 + len(size)]) + size + payload


def prefix_slowly(nibbles: str, *, leaf: bool) -> bytes:
    flag = (2 if leaf else 0) + len(nibbles) % 2
    return bytes.fromhex(f"{flag:x}" + ("" if len(nibbles) % 2 else "0") + nibbles)


def build_node_slowly(pairs: dict[str, bytes]) -> Node:
    """A Merkle-Patricia node over hex keys, by comparing keys."""
    if len(pairs) == 1:
        ((key, value),) = pairs.items()
        return [prefix_slowly(key, leaf=True), value]
    keys = list(pairs)
    shared = 0
    while all(key[: shared + 1] == keys[0][: shared + 1] and len(key) > shared for key in keys):
        shared += 1
    if shared:
        rest = {key[shared:]: value for key, value in pairs.items()}
        return [prefix_slowly(keys[0][:shared], leaf=False), refer_slowly(build_node_slowly(rest))]
    branch: list[Node] = []
    for digit in "0123456789abcdef":
        below = {key[1:]: value for key, value in pairs.items() if key[0] == digit}
        branch.append(refer_slowly(build_node_slowly(below)) if below else b"")
    return [*branch, b""]


def refer_slowly(node: Node) -> Node:
    encoded = encode_slowly(node)
    return node if len(encoded) < 32 else compute_keccak(encoded)


def compute_root_slowly(values: list[bytes]) -> bytes:
    if not values:
        return compute_keccak(encode_slowly(b""))
    pairs = {
        encode_slowly(index.to_bytes(4, "big").lstrip(b"\x00")).hex(): value
        for index, value in enumerate(values)
    }
    return compute_keccak(encode_slowly(build_node_slowly(pairs)))


@given(st.binary(max_size=70))
def test_data_is_encoded_as_the_rules_say(data: bytes) -> None:
    assert to_bytes(encode_data(hex_data(data))) == encode_slowly(data)


@given(st.integers(0, (1 << 256) - 1), st.integers(0, 4))
def test_a_quantity_is_encoded_without_leading_zeros(number: int, zeros: int) -> None:
    minimal = number.to_bytes(32, "big").lstrip(b"\x00")
    assert to_bytes(encode_scalar("0x" + "0" * zeros + f"{number:x}")) == encode_slowly(minimal)


@pytest.mark.parametrize("length", [0, 1, 54, 55, 56, 57, 255, 256, 257, 4095, 4096, 4097, 65536, 70000])
def test_long_strings_and_lists_carry_their_length(length: int) -> None:
    data = bytes(range(1, 256)) * (length // 255 + 1)
    text = hex_data(data[:length])
    assert to_bytes(encode_data(text)) == encode_slowly(data[:length])
    assert decode_rlp(to_bytes(encode_list(encode_data(text)))) == [data[:length]]


def test_words_of_a_wrong_length_are_refused() -> None:
    for text in ("0x", "0x12", "0x" + "00" * 19, "0x" + "00" * 21, "00" * 21, "0x" + "00" * 33):
        with pytest.raises(ValueError):
            encode_address(text)
        with pytest.raises(ValueError):
            encode_hash(text)
    assert encode_address(None) == "80"


@pytest.mark.parametrize("text", ["", "x", "1", "12", " 0x1"])
def test_a_quantity_needs_its_prefix(text: str) -> None:
    with pytest.raises(ValueError):
        encode_scalar(text)


@pytest.mark.parametrize("text", ["0x 12", "0x1 2", "0x12 ", "0xzz", "0x1_2", "0x\uff112"])
def test_nothing_but_hex_digits_becomes_bytes(text: str) -> None:
    with pytest.raises(ValueError):
        to_bytes(encode_data(text))


def test_the_empty_trie_has_the_root_everybody_knows() -> None:
    assert EMPTY_TRIE_ROOT.hex() == "56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421"
    assert compute_ordered_root([]) == EMPTY_TRIE_ROOT


@pytest.mark.parametrize("size", [(1, 1), (1, 3), (1, 40), (50, 70), (100, 300)])
def test_the_ordered_root_equals_that_of_a_real_trie_for_every_count(size: tuple[int, int], rng: Any) -> None:
    counts = [*range(140), 143, 144, 145, 255, 256, 257, 271, 272, 273, 511, 512, 513, 1000]
    for count in counts:
        values = [rng.randbytes(rng.randint(*size)) for _ in range(count)]
        assert compute_ordered_root(values) == compute_root_slowly(values), count


def test_the_ordered_root_holds_past_every_width_of_key(rng: Any) -> None:
    for count in (4096, 4097, 5000):
        values = [rng.randbytes(rng.randint(1, 40)) for _ in range(count)]
        assert compute_ordered_root(values) == compute_root_slowly(values), count


@settings(max_examples=60)
@given(st.lists(st.binary(min_size=1, max_size=60), max_size=40))
def test_the_ordered_root_equals_that_of_a_real_trie(values: list[bytes]) -> None:
    assert compute_ordered_root(values) == compute_root_slowly(values)


@given(st.lists(st.binary(min_size=20, max_size=20) | st.binary(min_size=32, max_size=32), max_size=20))
def test_a_bloom_holds_three_bits_of_every_word(words: list[bytes]) -> None:
    bits = set()
    for word in words:
        digest = compute_keccak(word)
        bits |= {int.from_bytes(digest[at : at + 2], "big") % 2048 for at in (0, 2, 4)}
    bloom = BloomMasks().compute_bloom([hex_data(word) for word in words])
    assert {bit for bit in range(2048) if bloom >> bit & 1} == bits
    assert parse_bloom("0x" + format_bloom(bloom)) == bloom


@pytest.mark.parametrize(
    "word", ["0x", "0x" + "0" * 41, "0x" + "  " + "00" * 19, "00" * 21, "0x" + "zz" * 20]
)
def test_a_bloom_takes_addresses_and_topics_only(word: str) -> None:
    with pytest.raises(ValueError):
        BloomMasks().compute_bloom([word])


def test_the_mask_cache_stays_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chains.evm.verify.bloom._CACHE_MAX", 8)
    masks = BloomMasks()
    words = [hex_data(number.to_bytes(20, "big")) for number in range(100)]
    assert masks.compute_bloom(words) == BloomMasks().compute_bloom(words)
    assert len(masks._masks) <= 8

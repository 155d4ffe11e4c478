"""Addresses are accepted in the forms EIP-55 allows, and others are named.

Vectors of EIP-55 and of wallets are beside the repository; strangers' forms
are written here.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chains.evm.address import encode_identity, format_address, parse_address
from chains.families import rules_of
from chains.model import Address, BlockHash, ChainId, TxHash
from chains.traits import Family
from tests.unit.chains.verify.recorded import RECORDED, needs_recorded

CHECKSUMMED = (
    "0x52908400098527886E0F7030069857D2E4169EE7",
    "0xde709f2102306220921060314715629080e2fb77",
    "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
    "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
    "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
    "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
)
"""The examples of EIP-55."""


@pytest.mark.parametrize("text", CHECKSUMMED)
def test_the_examples_of_eip_55_are_read_and_written(text: str) -> None:
    assert format_address(parse_address(text)) == text
    assert encode_identity(parse_address(text)) == text.lower()


def test_case_113_case_is_free_where_it_carries_no_checksum() -> None:
    mixed = CHECKSUMMED[2]
    expected = bytes.fromhex(mixed[2:])
    for spelling in (mixed, mixed.lower(), "0x" + mixed[2:].upper(), "0X" + mixed[2:].upper()):
        assert parse_address(spelling) == expected


@pytest.mark.parametrize("position", range(2, 42))
def test_case_113_a_mixed_address_with_one_letter_turned_is_refused(position: int) -> None:
    mixed = CHECKSUMMED[2]
    turned = mixed[:position] + mixed[position].swapcase() + mixed[position + 1 :]
    if turned != mixed:
        with pytest.raises(ValueError, match="checksum"):
            parse_address(turned)


STRANGERS = {
    "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t": "Tron",
    "41a614f803b6fd780986a42c78ec9c7f77e6ded13c": "Tron",
    "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa": "Bitcoin",
    "3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy": "Bitcoin",
    "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4": "Bitcoin",
    "BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4": "Bitcoin",
    "ltc1qw508d6qejxtdg4y5r3zarvary0c5xw7kgmn4n9": "Litecoin",
    "LVg2kJoFNg45Nbpy53h7Fe1wKyeXVRhMH9": "Litecoin",
    "DH5yaieqoZN36fDVciNyRueRGvGLR3mr7L": "Dogecoin",
    "EQCxE6mUtQJKFnGfaROTKOt1lZbDiiX1kCixRv7Nw2Id_sDs": "TON",
    "0:83dfd552e63729b472fcbcc8c45ebcc6691702558b68ec7527e1ba403a0f31a8": "TON",
    "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v": "Solana",
    "0x" + "ab" * 32: "hash",
    "vitalik.eth": "ENS",
    "5aaeb6053f3e94c9b9a09f33669435e7ef1beaed": "without its 0x",
    "xdc5aaeb6053f3e94c9b9a09f33669435e7ef1beaed": "xdc",
    "XE7338O073KYGTWWZN0F2WZ0R8PX5ZPPZS": "ICAP",
    " 0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed": "white space",
    "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed\n": "white space",
    "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beae": "40",
    "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaeda": "40",
    "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaeg": "40",
    "0\u04455aaeb6053f3e94c9b9a09f33669435e7ef1beaed": "only look like",
    "0x5\u0430aeb6053f3e94c9b9a09f33669435e7ef1beaed": "only look like",
    "\uff10x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed": "only look like",
    "": "not an EVM address",
    "hello": "not an EVM address",
}


@pytest.mark.parametrize(("text", "word"), STRANGERS.items())
def test_case_113_what_is_not_an_evm_address_is_told_what_it_looks_like(text: str, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        parse_address(text)


@given(st.binary(min_size=20, max_size=20))
def test_every_address_survives_being_written_and_read(value: bytes) -> None:
    assert parse_address(format_address(Address(value))) == value
    assert parse_address(encode_identity(Address(value))) == value


@given(st.text(max_size=80))
def test_no_text_is_taken_for_an_address_by_accident(text: str) -> None:
    try:
        value = parse_address(text)
    except ValueError:
        return
    assert text.lower() == "0x" + value.hex()


def addresses_in(found: Any) -> list[str]:
    if isinstance(found, dict):
        return [one for value in found.values() for one in addresses_in(value)]
    if isinstance(found, list):
        return [one for value in found for one in addresses_in(value)]
    return [found] if isinstance(found, str) and found.startswith("0x") and len(found) == 42 else []


@needs_recorded
def test_recorded_wallet_addresses_are_written_as_wallets_write_them() -> None:
    for name in ("eip55_addresses.json", "trezor_ethereum_getaddress.json"):
        document = json.loads((RECORDED / "vectors" / name).read_text())
        found = [one for one in addresses_in(document) if one not in (one.lower(), one.upper())]
        assert found
        assert [format_address(parse_address(text)) for text in found] == found


def test_other_rooms_spell_by_family() -> None:
    text = CHECKSUMMED[2]
    chain = ChainId("eip155:1")
    address = rules_of(Family.EVM).parse_address(chain, text)
    assert rules_of(Family.EVM).format_address(chain, address) == text
    assert rules_of(Family.EVM).encode_identity(chain, address) == text.lower()
    tx_hash, block_hash = TxHash(b"\x0a" * 32), BlockHash(b"\x0b" * 32)
    assert rules_of(Family.EVM).parse_tx_hash(rules_of(Family.EVM).format_tx_hash(tx_hash).upper()) == tx_hash
    assert (
        rules_of(Family.EVM).parse_block_hash(rules_of(Family.EVM).format_block_hash(block_hash))
        == block_hash
    )
    for wrong in ("", "0x", "0x" + "0" * 63, "0" * 64, "0x" + "g" * 64, "0x" + "0" * 65):
        with pytest.raises(ValueError, match="hash"):
            rules_of(Family.EVM).parse_tx_hash(wrong)

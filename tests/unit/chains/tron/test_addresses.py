"""Spellings of Tron addresses: three forms of one, checksums that must fit, strangers refused by their names."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chains.families import parse_asset_id, rules_of
from chains.model import Address
from chains.traits import Family
from chains.tron.address import (
    encode_identity,
    format_address,
    name_contract,
    parse_address,
    parse_contract,
)
from tests.unit.chains.verify.recorded import RECORDED, needs_recorded

USDT = "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t"
USDT_HEX = "41a614f803b6fd780986a42c78ec9c7f77e6ded13c"


def test_case_082_three_spellings_are_one_address() -> None:
    spellings = {USDT, USDT_HEX, USDT_HEX.upper(), "0x" + USDT_HEX[2:], "0X" + USDT_HEX[2:].upper()}
    assert {parse_address(one) for one in spellings} == {Address(bytes.fromhex(USDT_HEX))}
    assert format_address(parse_address(USDT_HEX)) == USDT
    assert encode_identity(parse_address(USDT)) == USDT_HEX


def test_the_short_form_may_carry_a_checksum_that_must_fit() -> None:
    fitting = "0xa614f803B6FD780986A42c78Ec9c7f77e6DeD13C"
    assert parse_address(fitting) == parse_address(USDT)
    with pytest.raises(ValueError, match="EIP-55"):
        parse_address(fitting.replace("B6FD", "b6FD"))


def test_an_address_may_begin_as_another_chains_do() -> None:
    """Bech32 of a test network, in capitals, begins so; one address in three thousand does."""
    text = "TB115BhpCAFbjPUgniZ36TZYxNB67fPKzr"
    assert format_address(parse_address(text)) == text


@given(st.binary(min_size=20, max_size=20))
def test_every_address_is_read_as_it_is_written(digest: bytes) -> None:
    address = Address(b"\x41" + digest)
    text = format_address(address)
    assert (len(text), text[0]) == (34, "T")
    assert parse_address(text) == parse_address(encode_identity(address)) == address


@given(
    st.binary(min_size=20, max_size=20),
    st.integers(0, 33),
    st.sampled_from("123456789ABCDEFGHJKLMNPQRSTUVWXYZabcxyz"),
)
def test_one_wrong_letter_is_noticed(digest: bytes, place: int, letter: str) -> None:
    text = format_address(Address(b"\x41" + digest))
    wrong = text[:place] + letter + text[place + 1 :]
    if wrong != text:
        with pytest.raises(ValueError):
            parse_address(wrong)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "T and 33"),
        (" " + USDT, "white space"),
        (USDT + "\n", "white space"),
        (USDT[:-1], "length|checksum"),
        (USDT.lower(), "T and 33"),
        (USDT_HEX[2:], "without its 41"),
        ("0x" + USDT_HEX, "T and 33"),
        ("a0" + USDT_HEX[2:], "old testnet"),
        ("27d3byPxZXKQWfXX7sJvemJJuv5M65F3vjS", "old testnet"),
        ("1BoatSLRHtKNngkdXEeobR76b53LETtpyT", "Bitcoin"),
        ("bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu", "Bitcoin"),
        ("bcrt1qw9chzut3w9chzut3w9chzut3w9chzut3nej3ye", "Bitcoin"),
        ("mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn", "Bitcoin"),
        ("LUWPbpM43E2p7ZSh8cyTBEkvpHmr3cB8Ez", "Litecoin"),
        ("ltcmweb1qqw9chzut3w9chzut3w9chzut3w9chzut3nej3ye", "Litecoin"),
        ("DBus3bamQjgJULBJtYXpEzDWQRwF5iwxgC", "Dogecoin"),
        ("0x" + "ab" * 32, "hash"),
        ("EQCxE6mUtQJKFnGfaROTKOt1lZbDiiX1kCixRv7Nw2Id_sDs", "TON"),
        ("HAgk14JpMQLgt6rVgv7cBQFJWFto5Dqxi472uT3DKpqk", "Solana"),
        ("\u0422R7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t", "only look like"),
        ("T" * 10_000, "too long"),
    ],
)
def test_wrong_forms_are_refused_by_name(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse_address(text)


def test_a_token_is_a_contract_or_a_number() -> None:
    assert name_contract(parse_contract(USDT_HEX)) == f"trc20:{USDT}"
    assert name_contract(parse_contract("1002000")) == "trc10:1002000"
    assert format_address(parse_contract("1002000")) == "1002000"
    for wrong in ("01002000", "0", "-1", "12345678901234567890", "1e6"):
        with pytest.raises(ValueError):
            parse_contract(wrong)


def test_an_assets_id_has_one_spelling() -> None:
    kept = f"tron:0x2b6653dc/trc20:{USDT}"
    for text in (kept, f"TRON:0x2B6653DC/TRC20:{USDT}", f"tron:0x2b6653dc/trc20:{USDT_HEX}"):
        assert parse_asset_id(text) == kept
    assert parse_asset_id("TRON:0x2b6653dc/SLIP44:195") == "tron:0x2b6653dc/slip44:195"
    assert parse_asset_id("eip155:1/ERC20:0xDAC1") == "eip155:1/erc20:0xdac1"
    assert parse_asset_id("nonsense") == "nonsense"


def test_networks_are_named_in_hex_and_read_in_decimal() -> None:
    parse = rules_of(Family.TRON).facts.parse_chain
    assert parse("0x2B6653DC") == parse(728126428) == "tron:0x2b6653dc"
    for wrong in ("2b6653dc", "0x2b66", -1, 1 << 32, True, None):
        with pytest.raises(ValueError):
            parse(wrong)


def test_a_memo_has_1_to_1024_bytes() -> None:
    parse_memo = rules_of(Family.TRON).parse_memo
    assert parse_memo is not None
    assert parse_memo("Bestellung Nº 7") == "Bestellung Nº 7".encode()
    assert len(parse_memo("é" * 512)) == 1_024
    for wrong in ("", "é" * 513):
        with pytest.raises(ValueError):
            parse_memo(wrong)


@needs_recorded
def test_public_vectors_are_read() -> None:
    found = json.loads((RECORDED / "vectors" / "trezor_tron_get_address.json").read_text())
    for one in found["tests"]:
        text = one["result"]["address"]
        assert format_address(parse_address(text)) == text

"""An address is a spelling of one script, on one network, with its checksum."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chains.bitcoin.addresses import format_address, parse_address
from chains.bitcoin.coins import COINS, Coin
from chains.model import Address

BITCOIN, TESTNET, LITECOIN, DOGECOIN = (
    COINS[name] for name in ("bitcoin", "bitcoin-testnet4", "litecoin", "dogecoin")
)
SPELLED = [
    (BITCOIN, "1LqBGSKuX5yYUonjxT5qGfpUsXKYYWeabA", "76a914d986ed01b7a22225a70edbf2ba7cfb63a15cb3aa88ac"),
    (BITCOIN, "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "0014751e76e8199196d454941c45d1b3a323f1433bd6"),
    (
        BITCOIN,
        "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
        "512079be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
    ),
    (BITCOIN, "bc1sw50qgdz25j", "6002751e"),
    (BITCOIN, "bc1zw508d6qejxtdg4y5r3zarvaryvaxxpcs", "5210751e76e8199196d454941c45d1b3a323"),
    (
        TESTNET,
        "tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3q0sl5k7",
        "00201863143c14c5166804bd19203356da136c985678cd4d27a1b8c6329604903262",
    ),
]


@pytest.mark.parametrize(("coin", "text", "script"), SPELLED, ids=[text for _, text, _ in SPELLED])
def test_an_address_is_its_script_and_back(coin: Coin, text: str, script: str) -> None:
    assert parse_address(coin, text).hex() == script
    assert format_address(coin, Address(bytes.fromhex(script))) == text


@pytest.mark.parametrize(
    ("coin", "text"),
    [
        (BITCOIN, "37VucYSaXLCAsxYyAPfbSi9eh4iEcbShgf"),
        (BITCOIN, "bc1p5cyxnuxmeuwuvkwfem96lqzszd02n6xdcjrs20cac6yqjjwudpxqkedrcr"),
        (LITECOIN, "LUWPbpM43E2p7ZSh8cyTBEkvpHmr3cB8Ez"),
        (LITECOIN, "ltc1qjmxnz78nmc8nq77wuxh25n2es7rzm5c2rkk4wh"),
        (LITECOIN, "M7wtsL7wSHDBJVMWWhtQfTMSYYkyooAAXM"),
        (DOGECOIN, "DBus3bamQjgJULBJtYXpEzDWQRwF5iwxgC"),
    ],
)
def test_known_addresses_come_back_as_they_were(coin: Coin, text: str) -> None:
    assert format_address(coin, parse_address(coin, text)) == text


def test_two_spellings_of_one_script_are_one_script() -> None:
    old = "37VucYSaXLCAsxYyAPfbSi9eh4iEcbShgf"
    script = parse_address(LITECOIN, old)
    written = format_address(LITECOIN, script)
    assert script == parse_address(BITCOIN, old), "the older spelling is Bitcoin's"
    assert written.startswith("M"), "the one that Bitcoin has not is written"
    assert parse_address(LITECOIN, written) == script


@pytest.mark.parametrize(
    ("coin", "text", "said"),
    [
        (BITCOIN, "tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3q0sl5k7", "bitcoin-testnet"),
        (BITCOIN, "ltc1qjmxnz78nmc8nq77wuxh25n2es7rzm5c2rkk4wh", "of litecoin"),
        (BITCOIN, "LUWPbpM43E2p7ZSh8cyTBEkvpHmr3cB8Ez", "of litecoin"),
        (BITCOIN, "DBus3bamQjgJULBJtYXpEzDWQRwF5iwxgC", "of dogecoin"),
        (DOGECOIN, "1LqBGSKuX5yYUonjxT5qGfpUsXKYYWeabA", "of bitcoin"),
        (DOGECOIN, "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "of bitcoin"),
        (BITCOIN, "bc1qW508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "not both"),
        (BITCOIN, "1LqBGSKuX5yYUonjxT5qGfpUsXKYYWeabB", "checksum"),
        (BITCOIN, "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5", "checksum"),
        (BITCOIN, "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqh2y7hd", "another version"),
        (BITCOIN, "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kemeawh", "another version"),
        (BITCOIN, "bc1qr508d6qejxtdg4y5r3zarvaryv98gj9p", "length"),
        (BITCOIN, "bc1pw5dgrnzv", "length"),
        (BITCOIN, "bc1p38j9r5y49hruaue7wxjce0updqjuyyx0kh56v8s25huc6995vvpql3jow4", "letter of bech32"),
        (BITCOIN, "0x52908400098527886E0F7030069857D2E4169EE7", "an EVM address, not an address of bitcoin"),
        (LITECOIN, "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t", "a Tron address, not an address of litecoin"),
        (DOGECOIN, "41a614f803b6fd780986a42c78ec9c7f77e6ded13c", "a Tron address"),
        (BITCOIN, "HAgk14JpMQLgt6rVgv7cBQFJWFto5Dqxi472uT3DKpqk", "a Solana address"),
        (BITCOIN, "EQCxE6mUtQJKFnGfaROTKOt1lZbDiiX1kCixRv7Nw2Id_sDs", "a TON address"),
        (BITCOIN, "ab" * 32, "a transaction or block hash"),
        (BITCOIN, "1LqBGSKuX5yYUonjxT5qGfpUsXKYYWeabAA", "length|checksum"),
        (BITCOIN, "5Kb8kLf9zgWQnogidDA76MzPL6TsZZY36hWXMssSzNydYXYB9KF", "short or too long"),
        (BITCOIN, "", "short"),
        (BITCOIN, "1" * 34, "length"),
        (BITCOIN, "script:", "whole bytes"),
        (BITCOIN, "script:5 1", "whole bytes"),
        (BITCOIN, "script:zz", "whole bytes"),
        (BITCOIN, "script:" + "51" * 10_001, "at most"),
    ],
)
def test_what_is_no_address_here_says_why(coin: Coin, text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_address(coin, text)


@given(st.binary(min_size=1, max_size=60))
def test_any_script_is_written_and_read_back(script: bytes) -> None:
    for coin in COINS.values():
        assert parse_address(coin, format_address(coin, Address(script))) == script


@given(st.sampled_from(SPELLED), st.integers(0, 61), st.sampled_from("023456789acdefghjklmnpqrstuvwxyzQLM"))
def test_one_wrong_letter_is_never_another_address(
    spelled: tuple[Coin, str, str], place: int, letter: str
) -> None:
    coin, text, _ = spelled
    place %= len(text)
    bent = text[:place] + letter + text[place + 1 :]
    if bent.lower() != text.lower():
        with pytest.raises(ValueError, match=r"."):
            parse_address(coin, bent)

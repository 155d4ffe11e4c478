"""The catalogue's pages are read strictly, and say what the sources say."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from typing import Any

import pytest

from chains import catalog
from chains.catalog import CatalogueInvalid, DefaultConfirmed, TokenStatus, parse_page
from chains.evm.address import encode_identity
from chains.evm.facts import facts_of, number_of
from chains.evm.verify import PROFILES
from chains.families import rules_of
from chains.model import ChainId
from chains.traits import Family, FinalAtDepth, FinalByTag

SOME_CHAIN = ChainId(
    "eip155:1"
)  # of chains that have tokens, addresses are spelled alike on all of their family
MAIN_NETWORKS = {
    "ethereum": 1, "optimism": 10, "bsc": 56, "polygon": 137, "zksync": 324, "base": 8453, "arbitrum": 42161,
    "celo": 42220, "avalanche": 43114, "linea": 59144, "scroll": 534352,
}  # fmt: skip
PAGE = """
name = "Example"
alias = "example"
other_aliases = ["example-chain"]
chain_id = 7
testnet = false
native = { symbol = "EXA", decimals = 18, slip44 = 60 }
block_time_s = 2.0
final = "finalized"
safe_tag = false
reorg_window_blocks = 256
confirmed = { finality = "final" }
verification = "full"
traces = false
excluded_emitters = []
notes = []
sources = ["example"]
seen = "nothing"

[[tokens]]
symbol = "USDT"
name = "Tether USD"
contract = "0xdAC17F958D2ee523a2206206994597C13D831ec7"
decimals = 6
issuance = "native_issued"
status = "active"
"""


def look_up(alias: str) -> catalog.CatalogueEntry:
    found = catalog.entry(alias)
    assert found is not None
    return found


@pytest.mark.parametrize(("alias", "number"), MAIN_NETWORKS.items())
def test_a_network_is_known_by_its_alias_and_number(alias: str, number: int) -> None:
    traits = look_up(alias).traits
    assert traits.alias == alias
    assert traits.chain == f"eip155:{number}"
    assert number_of(traits.chain) == number
    assert traits.native.asset_id.startswith(f"eip155:{number}/slip44:")


def test_there_are_test_networks_beside_the_main_ones() -> None:
    listed = {found.traits.alias: found.testnet for found in catalog.entries()}
    assert {alias for alias, testnet in listed.items() if not testnet} == {
        *MAIN_NETWORKS,
        "bitcoin",
        "litecoin",
        "dogecoin",
        "tron",
    }
    assert {
        "bitcoin-testnet4",
        "bitcoin-signet",
        "bitcoin-regtest",
        "sepolia",
        "hoodi",
        "base-sepolia",
        "arbitrum-sepolia",
    } <= {a for a, testnet in listed.items() if testnet}


def test_another_alias_brings_the_same_facts_under_the_name_that_was_asked() -> None:
    found = look_up("bnb")
    assert found.traits.alias == "bnb"
    assert found.traits.chain == look_up("bsc").traits.chain
    assert found.traits.assets == look_up("bsc").traits.assets


def test_an_unknown_alias_is_nothing() -> None:
    assert catalog.entry("nonesuch") is None
    assert "nonesuch" not in catalog.aliases()
    assert set(MAIN_NETWORKS) <= set(catalog.aliases())


@pytest.mark.parametrize(
    ("alias", "asset"),
    [
        ("ethereum", "eip155:1/slip44:60"),
        ("bsc", "eip155:56/slip44:714"),
        ("polygon", "eip155:137/slip44:966"),
        ("arbitrum", "eip155:42161/slip44:60"),
        ("avalanche", "eip155:43114/slip44:9005"),
        ("celo", "eip155:42220/slip44:52752"),
        ("sepolia", "eip155:11155111/slip44:1"),
    ],
)
def test_the_native_coin_has_its_registered_number(alias: str, asset: str) -> None:
    assert look_up(alias).traits.native.asset_id == asset


def test_case_008_a_token_has_the_decimals_of_its_chain() -> None:
    decimals = {
        (found.traits.alias, token.asset.symbol): token.asset.decimals
        for found in catalog.entries()
        for token in found.tokens
    }
    assert decimals["bsc", "USDT"] == decimals["bsc", "USDC"] == 18
    assert decimals["ethereum", "USDT"] == decimals["ethereum", "USDC"] == 6
    assert decimals["arbitrum", "USDT0"] == 6


def test_case_034_emitters_that_mirror_native_moves_are_excluded() -> None:
    def excluded(alias: str) -> set[str]:
        return {encode_identity(emitter) for emitter in facts_of(look_up(alias).traits).excluded_emitters}

    assert excluded("polygon") == {"0x0000000000000000000000000000000000001010"}
    assert excluded("zksync") == {"0x000000000000000000000000000000000000800a"}
    assert "0xfffffffffffffffffffffffffffffffffffffffe" in excluded("ethereum")
    assert "0xfffffffffffffffffffffffffffffffffffffffe" in excluded("sepolia")


def test_case_006_a_superseded_token_is_known_and_not_looked_for() -> None:
    found = look_up("bsc")
    busd = next(token for token in found.tokens if token.asset.symbol == "BUSD")
    assert busd.status is TokenStatus.LEGACY
    assert busd.asset not in found.traits.assets


def test_case_007_two_contracts_of_one_brand_are_two_assets() -> None:
    symbols = {token.asset.symbol: token.asset.asset_id for token in look_up("optimism").tokens}
    assert symbols["USDT"] != symbols["USDT0"]


def test_case_056_safe_confirms_only_where_it_means_something() -> None:
    for found in catalog.entries():
        if found.confirmed.finality == "safe":
            assert facts_of(found.traits).safe_tag, found.name
    assert not facts_of(look_up("polygon").traits).safe_tag


def test_every_entry_is_complete_and_consistent() -> None:
    for found in catalog.entries():
        traits = found.traits
        rules = rules_of(traits.family)
        if traits.family is Family.EVM:
            assert facts_of(traits).verification_profile in PROFILES
        assert traits.chain.startswith(rules_of(traits.family).namespace + ":")
        assert traits.assets == tuple(t.asset for t in found.tokens if t.status is TokenStatus.ACTIVE)
        assert found.sources, found.name
        for token in found.tokens:
            contract = token.asset.contract
            assert contract is not None
            assert token.asset.asset_id == f"{traits.chain}/{rules.name_contract(contract)}"


def test_finality_is_the_chains_own_signal_where_it_has_one() -> None:
    assert look_up("ethereum").traits.finality == FinalByTag()
    assert look_up("avalanche").traits.finality == FinalAtDepth(1)
    assert look_up("ethereum").confirmed == DefaultConfirmed(confirmations=12)
    assert look_up("polygon").confirmed == DefaultConfirmed(finality="final")


def test_every_page_writes_its_addresses_with_their_checksum() -> None:
    pages = [
        (family, page)
        for family in Family
        for page in files(f"chains.{family}").joinpath("networks").iterdir()
        if page.name.endswith(".toml")
    ]
    assert len(pages) == len(catalog.entries())
    for family, page in pages:
        rules = rules_of(family)
        values: dict[str, Any] = tomllib.loads(page.read_text(encoding="utf-8"))
        for text in [
            *values.get("excluded_emitters", ()),
            *(token["contract"] for token in values.get("tokens", [])),
        ]:
            assert rules.format_address(SOME_CHAIN, rules.parse_contract(text)) == text, (page.name, text)


def test_the_example_page_is_read() -> None:
    found = parse_page(Family.EVM, "7-example.toml", PAGE)
    assert found.aliases == ("example", "example-chain")
    assert [asset.symbol for asset in found.traits.assets] == ["USDT"]


@pytest.mark.parametrize(
    ("line", "wrong", "complaint"),
    [
        ('name = "Example"', 'nmae = "Example"', "nmae|name"),
        ("chain_id = 7", 'chain_id = "7"', r"chain_id"),
        ("chain_id = 7", "chain_id = 0", "chain_id"),
        ("chain_id = 7", "", "chain_id"),
        ("block_time_s = 2.0", "block_time_s = 0", "block_time_s"),
        ('alias = "example"', 'alias = "Example"', "alias"),
        ('alias = "example"', 'alias = "another"', "file is not called"),
        ('final = "finalized"', 'final = "safe"', "final"),
        ('final = "finalized"', "final = { confirmations = 0 }", "final"),
        ('final = "finalized"', "final = { depth = 3 }", "final"),
        ('{ finality = "final" }', '{ finality = "safe" }', "means nothing"),
        ('{ finality = "final" }', '{ finality = "final", confirmations = 3 }', "exactly one"),
        ('{ finality = "final" }', "{ }", "exactly one"),
        ('verification = "full"', 'verification = "perfect"', "no profile"),
        ("reorg_window_blocks = 256", "reorg_window_blocks = 0", "reorg_window_blocks"),
        ('sources = ["example"]', "sources = []", "source"),
        ("slip44 = 60 }", "slip44 = 60, coin = 1 }", "coin"),
        ("13D831ec7", "13d831ec7", "checksum"),
        ("13D831ec7", "13D831ec8", "checksum"),
        (
            "0xdAC17F958D2ee523a2206206994597C13D831ec7",
            "0xdac17f958d2ee523a2206206994597c13d831ec7",
            "checksum",
        ),
        ('status = "active"', 'status = "retired"', "status"),
        ('status = "active"', 'status = "active"\nfee = 1', "fee"),
        ("decimals = 6", "decimals = 78", "decimals"),
        ('issuance = "native_issued"', 'issuance = "Native issued"', "word"),
        (
            "excluded_emitters = []",
            'excluded_emitters = ["0xdAC17F958D2ee523a2206206994597C13D831ec7"]',
            "cannot be excluded",
        ),
    ],
)
def test_a_wrong_page_says_which_key_is_wrong(line: str, wrong: str, complaint: str) -> None:
    assert line in PAGE
    with pytest.raises(CatalogueInvalid, match=complaint) as raised:
        parse_page(Family.EVM, "7-example.toml", PAGE.replace(line, wrong, 1))
    assert str(raised.value).startswith("7-example.toml: ")


def test_a_page_that_is_not_toml_is_refused_by_name() -> None:
    with pytest.raises(CatalogueInvalid, match=r"7-example\.toml"):
        parse_page(Family.EVM, "7-example.toml", "name = ")


def test_a_contract_listed_twice_is_refused() -> None:
    token = PAGE[PAGE.index("[[tokens]]") :]
    with pytest.raises(CatalogueInvalid, match="twice"):
        parse_page(Family.EVM, "7-example.toml", PAGE + token)


def test_two_networks_may_not_share_a_name_or_a_number() -> None:
    first = parse_page(Family.EVM, "7-example.toml", PAGE)
    same_number = PAGE.replace('alias = "example"', 'alias = "other"').replace('["example-chain"]', "[]")
    with pytest.raises(CatalogueInvalid, match="both eip155:7"):
        catalog.index_entries([first, parse_page(Family.EVM, "7-other.toml", same_number)])
    same_name = same_number.replace("chain_id = 7", "chain_id = 8").replace(
        "= []\nchain_id", '= ["example"]\nchain_id'
    )
    with pytest.raises(CatalogueInvalid, match="example names both"):
        catalog.index_entries([first, parse_page(Family.EVM, "8-other.toml", same_name)])

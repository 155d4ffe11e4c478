"""A Tron chain in the configuration: facts of the catalogue, a key from the environment, tokens by contract and by number."""

from __future__ import annotations

from pathlib import Path

import pytest

from chains.families import rules_of
from chains.traits import Family, FinalByTag
from chains.tron.facts import facts_of
from chains.tron.source import TronSource
from chains.tron.verify.checks import AGREEMENT, WITNESSED
from gateway.config.file import load_settings
from gateway.config.settings import ChainSettings
from indexer.rules.policy import ConfirmedBy

USDT = "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t"


def load(path: Path, text: str) -> ChainSettings:
    (path / "chainbell.toml").write_text(text)
    settings = load_settings(path / "chainbell.toml", environment={"TRON_KEY": "sesame-key"})
    (chain,) = settings.chains.values()
    return chain


def test_a_known_network_needs_endpoints_and_nothing_else(tmp_path: Path) -> None:
    chain = load(
        tmp_path,
        '[chains.tron]\nendpoints = [{ url = "https://tron.example", headers = { TRON-PRO-API-KEY = "$TRON_KEY" } }]\n',
    )
    traits = chain.follow.traits
    assert (traits.chain, traits.family) == ("tron:0x2b6653dc", Family.TRON)
    assert [one.asset_id for one in traits.assets] == [f"tron:0x2b6653dc/trc20:{USDT}"]
    assert traits.finality == FinalByTag()
    assert chain.follow.confirm_rules[-1].requirement.by is ConfirmedBy.FINAL
    assert dict(chain.endpoints[0].headers) == {"TRON-PRO-API-KEY": "sesame-key"}
    assert "sesame" not in repr(chain.endpoints)
    assert facts_of(traits).profile == WITNESSED
    assert isinstance(rules_of(Family.TRON).open_source(traits, chain.endpoints), TronSource)


def test_a_private_network_lists_its_tokens_by_contract_and_by_number(tmp_path: Path) -> None:
    chain = load(
        tmp_path,
        f"""
[chains.mine]
family = "tron"
chain_id = "0x00000007"
native = {{ symbol = "TRX", decimals = 6, slip44 = 195 }}
endpoints = ["http://127.0.0.1:8090"]
verification = "agreement"
identity = {{ height = 5, hash = "{"0" * 15}5{"ab" * 24}" }}
confirmed = [{{ up_to_base_units = "5", asset = "tron:0x00000007/TRC20:{USDT}", confirmations = 3 }}, {{ finality = "final" }}]
assets = [
  {{ symbol = "USDT", contract = "41a614f803b6fd780986a42c78ec9c7f77e6ded13c", decimals = 6 }},
  {{ symbol = "BTT", contract = "1002000", decimals = 3 }},
]
""",
    )
    traits = chain.follow.traits
    assert [one.asset_id for one in traits.assets] == [
        f"tron:0x00000007/trc20:{USDT}",
        "tron:0x00000007/trc10:1002000",
    ]
    assert chain.follow.confirm_rules[0].asset == traits.assets[0].asset_id
    assert traits.identity is not None
    assert traits.identity.hash.hex().endswith("abab")
    assert facts_of(traits).profile == AGREEMENT


@pytest.mark.parametrize(
    ("line", "wrong", "complaint"),
    [
        ('chain_id = "0x00000007"', 'chain_id = "mainnet"', "genesis"),
        ('contract = "1002000"', 'contract = "BTT"', "contract"),
        ('finality = "final"', 'finality = "safe"', "safe"),
        ("endpoints", "traces = true\nendpoints", "traces"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, line: str, wrong: str, complaint: str) -> None:
    text = """
[chains.mine]
family = "tron"
chain_id = "0x00000007"
native = { symbol = "TRX", decimals = 6, slip44 = 195 }
endpoints = ["http://127.0.0.1:8090"]
confirmed = { finality = "final" }
assets = [{ symbol = "BTT", contract = "1002000", decimals = 3 }]
"""
    load(tmp_path, text)
    with pytest.raises(Exception, match=complaint):
        load(tmp_path, text.replace(line, wrong))

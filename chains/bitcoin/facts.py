"""What is true of one chain of this family only: which coin it is, and how an operator names it.

Pure.  A chain is told by its genesis block: CAIP-2 has the first half of its
hash.  The rules of each coin are `coins`; keys that every family has are
`chains.catalog` and the gateway's configuration.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

import msgspec
from msgspec import Struct

from chains.bitcoin.coins import COINS, Coin
from chains.family import FactsRules, Verification
from chains.model import Asset, AssetId, ChainId
from chains.port import CheckState
from chains.traits import ChainTraits, Family, FinalAtDepth

NAMESPACE: Final = "bip122"
REFERENCE_LENGTH: Final = 32

FINAL_AFTER: Final = 100
"""Of a chain that nobody described: as deep as a reward has to be before it is spent."""

REORG_WINDOW_BLOCKS: Final = 300


class PageKeys(Struct, forbid_unknown_fields=True):
    """A catalogue page's keys that only this family has, all of them required."""

    network: str


class OperatorKeys(Struct, frozen=True):
    """The keys of `[chains.*]` that only this family has: none."""


def chain_of(coin: Coin) -> ChainId:
    """A coin's chain in CAIP-2."""
    return ChainId(f"{NAMESPACE}:{coin.genesis_hash.hex()[:REFERENCE_LENGTH]}")


_BY_CHAIN: Final = {chain_of(coin): coin for coin in COINS.values()}


def coin_of(chain: ChainId) -> Coin:
    """The coin of a chain of this family."""
    return _BY_CHAIN[chain]


def list_checks(coin: Coin) -> tuple[CheckState, ...]:
    """What is recomputed of every block; a coin without witnesses commits to none."""
    checks = (
        "header-hash",
        "work",
        "target",
        "transactions-root",
        *(["witness-commitment"] * coin.has_witness),
    )
    return tuple(CheckState(check, "enforced", 0) for check in checks)


def _parse_chain(said: object) -> ChainId:
    chain = ChainId(f"{NAMESPACE}:{said}")
    if chain not in _BY_CHAIN:
        known = ", ".join(
            f"{one.genesis_hash.hex()[:REFERENCE_LENGTH]} ({one.name})" for one in COINS.values()
        )
        raise ValueError(
            f"the first {REFERENCE_LENGTH} digits of a genesis block's hash are wanted, one of {known}"
        )
    return chain


def _suppose(chain: ChainId, alias: str) -> ChainTraits:
    coin = coin_of(chain)
    return ChainTraits(
        chain=chain,
        alias=alias,
        family=Family.BITCOIN,
        native=Asset(AssetId(f"{chain}/slip44:1"), "", 8, None),
        assets=(),
        block_time_s=float(coin.spacing_s),
        finality=FinalAtDepth(FINAL_AFTER),
        reorg_window_blocks=REORG_WINDOW_BLOCKS,
    )


def _override(traits: ChainTraits, said: Struct) -> ChainTraits:
    assert isinstance(said, OperatorKeys), "the keys were read by this family's shape"
    return traits


def _parse_page(values: Mapping[str, object], contracts: Collection[str]) -> tuple[ChainId, None]:
    page = msgspec.convert(values, PageKeys)
    if page.network not in COINS:
        raise ValueError(f"network: there is none called {page.network!r}")
    if contracts:
        raise ValueError("tokens: a chain of this family has none")
    return chain_of(COINS[page.network]), None


def _describe_verification(traits: ChainTraits) -> Verification:
    return Verification(profile="work", checks=list_checks(coin_of(traits.chain)), may_prove=True)


FACTS: Final = FactsRules(
    keys=OperatorKeys,
    parse_chain=_parse_chain,
    suppose=_suppose,
    override=_override,
    parse_page=_parse_page,
    tells_safe=lambda _: False,
    describe_verification=_describe_verification,
)

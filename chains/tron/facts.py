"""What is true of one Tron network only: its genesis block's last bytes, how its blocks are checked, and what is supposed.

Pure.  The rest of the family reads facts by `facts_of`; nobody outside it does.
CAIP has no namespace for Tron: `tron:` with the last four bytes of the genesis
block's id in hex, as wallets write it; the same number in decimal is read too.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

import msgspec
from msgspec import Struct

from chains.family import FactsRules
from chains.model import Asset, AssetId, ChainId
from chains.traits import ChainTraits, Family, FinalByTag
from chains.tron.verify.checks import AGREEMENT, WITNESSED, describe_profile

NAMESPACE: Final = "tron"
BLOCK_TIME_S: Final = 3.0
REORG_WINDOW_BLOCKS: Final = 256
"""Above what is solidified nineteen blocks are usual; a stalled network may hold more."""

_REFERENCE: Final = re.compile(r"0x[0-9a-f]{8}")


@dataclass(frozen=True, slots=True)
class TronFacts:
    """`profile` names the checks that blocks go through (`verify.checks`)."""

    profile: str = WITNESSED


class PageKeys(Struct, forbid_unknown_fields=True):
    """A catalogue page's keys that only this family has."""

    chain_id: str


class OperatorKeys(Struct, frozen=True):
    """The keys of `[chains.*]` that only this family has."""

    verification: Literal["auto", "agreement"] = "auto"


def facts_of(traits: ChainTraits) -> TronFacts:
    """The facts of a chain of this family."""
    assert isinstance(traits.facts, TronFacts), "a Tron chain has the facts of its family"
    return traits.facts


def suffix_of(chain: ChainId) -> bytes:
    """The last four bytes of the genesis block's id."""
    return bytes.fromhex(chain.removeprefix(f"{NAMESPACE}:0x"))


def _parse_chain(said: object) -> ChainId:
    text = said.lower() if isinstance(said, str) else ""
    if type(said) is int and 0 <= said < 1 << 32:
        text = f"0x{said:08x}"
    if _REFERENCE.fullmatch(text) is None:
        raise ValueError('the last four bytes of the genesis block\'s id are wanted, as in "0x2b6653dc"')
    return ChainId(f"{NAMESPACE}:{text}")


def _suppose(chain: ChainId, alias: str) -> ChainTraits:
    return ChainTraits(
        chain=chain,
        alias=alias,
        family=Family.TRON,
        native=Asset(AssetId(f"{chain}/slip44:195"), "TRX", 6, None),
        assets=(),
        block_time_s=BLOCK_TIME_S,
        finality=FinalByTag(),
        reorg_window_blocks=REORG_WINDOW_BLOCKS,
        facts=TronFacts(),
    )


def _override(traits: ChainTraits, said: Struct) -> ChainTraits:
    assert isinstance(said, OperatorKeys), "the keys were read by this family's shape"
    return traits if said.verification == "auto" else replace(traits, facts=TronFacts(AGREEMENT))


def _parse_page(values: Mapping[str, object], _contracts: Collection[str]) -> tuple[ChainId, TronFacts]:
    return _parse_chain(msgspec.convert(values, PageKeys).chain_id), TronFacts()


FACTS: Final = FactsRules(
    keys=OperatorKeys,
    parse_chain=_parse_chain,
    suppose=_suppose,
    override=_override,
    parse_page=_parse_page,
    tells_safe=lambda _: False,
    describe_verification=lambda traits: describe_profile(facts_of(traits).profile),
)

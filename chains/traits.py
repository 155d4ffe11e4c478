"""The facts of one chain that decide how it is followed.

A `ChainTraits` comes from the catalogue, from configuration, or from both; it
holds no endpoint and no policy of a merchant.  Sources for the catalogue's
figures are named in `docs/chains.md`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from chains.model import Asset, BlockRef, ChainId


class Family(StrEnum):
    """Which set of rules a chain follows; one folder of this room each."""

    EVM = "evm"
    BITCOIN = "bitcoin"
    TRON = "tron"


@dataclass(frozen=True, slots=True)
class FinalAtDepth:
    """Final after so many confirmations, where a chain gives no signal of its own."""

    confirmations: int


@dataclass(frozen=True, slots=True)
class FinalByTag:
    """Final when the chain says so: the `finalized` tag of its nodes."""


FinalityRule = FinalAtDepth | FinalByTag


@dataclass(frozen=True, slots=True)
class ChainTraits:
    """What is true of a chain whoever follows it.

    `block_time_s` is the usual interval and is used for pacing only, never for
    truth.  `reorg_window_blocks` bounds a rewind while nothing is known to be
    final.  `identity` is the block that tells the network, where it is not
    block 0: a node without old blocks can show it.  `facts` is what only the
    chain's family knows, and reads (`FamilyRules.facts`).
    `skipped_heights_max` is how many heights in a row may have no block, 0
    where every height has one: more than that is no gap but an answer refused.
    """

    chain: ChainId
    alias: str
    family: Family
    native: Asset
    assets: tuple[Asset, ...]
    block_time_s: float
    finality: FinalityRule
    reorg_window_blocks: int
    identity: BlockRef | None = None
    facts: object = None
    skipped_heights_max: int = 0

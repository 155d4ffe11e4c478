"""What the catalogue says was seen of a network is what tests read of it: no more, and no less.

A network is added with a recording or a live test of its own, or its page says that nothing of it was seen.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from chains.catalog import Seen, entries
from tests.live_bitcoin.world import regtest_traits
from tests.unit.chains.verify.recorded import RECORDED, needs_recorded

VECTORS = Path(__file__).parents[3] / "vectors"
ALIASES = {
    ("optimism", "op-sepolia"): "optimism-sepolia",
    ("bitcoin", "testnet4"): "bitcoin-testnet4",
}
"""Of recordings of other networks than a chain's main one."""

OF_A_BLOCK = {"block", "raw_block", "newblock_rlp"}
UNUSED = {"hyperliquid", "everscale", "ton"}
"""Recorded, and not in the catalogue."""

HAS_NODE = {regtest_traits().alias}
"""Networks whose own node the live tests start."""


def aliases_of_recorded_blocks() -> set[str]:
    manifest = json.loads((RECORDED / "MANIFEST.json").read_text())["files"]
    whole = {
        (one["chain"], one["network"]) for one in manifest if one["kind"] in OF_A_BLOCK and one["verified"]
    }
    known = {one.traits.alias for one in entries()}
    found = {chain if network == "mainnet" else ALIASES.get((chain, network), "") for chain, network in whole}
    assert found - {"", *UNUSED} <= known
    return found & known


def aliases_of_headers() -> set[str]:
    headers = json.loads((VECTORS / "evm_headers.json").read_text())["headers"]
    chains = {one["chain"] for one in headers}
    return {one.traits.alias for one in entries() if one.traits.chain in chains}


@needs_recorded
@pytest.mark.parametrize("found", entries(), ids=lambda found: found.traits.alias)
def test_a_network_says_what_was_seen_of_it(found: object) -> None:
    blocks = aliases_of_recorded_blocks() | {"arbitrum"}  # in `tests/vectors`
    (entry,) = [one for one in entries() if one is found]
    alias = entry.traits.alias
    if alias in blocks:
        expected = Seen.BLOCK
    elif alias in aliases_of_headers():
        expected = Seen.HEADER
    else:
        expected = Seen.NODE if alias in HAS_NODE else Seen.NOTHING
    assert entry.seen is expected


def test_every_family_has_a_network_of_which_blocks_were_seen() -> None:
    seen = {one.traits.family for one in entries() if one.seen is Seen.BLOCK}
    assert seen == {one.traits.family for one in entries()}

"""A real bitcoind, and sources over it that are closed with the test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from chains.bitcoin.source import BitcoinSource
from chains.rpc.node_endpoint import NodeEndpoint
from chains.traits import ChainTraits
from tests.devnet.bitcoind import HOW_TO_GET_ONE, BitcoinNode, find_bitcoind, start_bitcoind
from tests.live_bitcoin.world import regtest_traits

MakeSource = Callable[..., BitcoinSource]


@pytest.fixture
async def node() -> AsyncIterator[BitcoinNode]:
    if find_bitcoind() is None:
        pytest.skip(HOW_TO_GET_ONE)
    async with start_bitcoind() as one:
        yield one


@pytest.fixture
async def make_source() -> AsyncIterator[MakeSource]:
    """Builds sources of endpoints, or of a node by its cookie."""
    made: list[BitcoinSource] = []

    def make(*asked: NodeEndpoint | BitcoinNode, traits: ChainTraits | None = None) -> BitcoinSource:
        endpoints = [
            one if isinstance(one, NodeEndpoint) else NodeEndpoint(one.url, cookie_file=one.cookie_file)
            for one in asked
        ]
        made.append(BitcoinSource(traits or regtest_traits(), endpoints))
        return made[-1]

    yield make
    for one in made:
        await one.close()

"""A real anvil with a listed token, and the fault proxy before it, for tests of this folder.

`chain` is the node and the token; `faulty` adds the proxy and a source that
asks through it, verifying everything.  Faults are the tests' own business.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import pytest

from chains.evm.facts import facts_of
from chains.evm.provider import EvmProvider
from chains.evm.source import EvmSource
from chains.evm.verify import PROFILES, BlockVerifier
from chains.model import Block, Transfer
from chains.rpc.node_endpoint import NodeEndpoint
from chains.traits import ChainTraits
from tests.devnet.anvil import ACCOUNTS, AnvilNode, find_anvil, start_anvil
from tests.devnet.compiled import load_contract
from tests.devnet.local import local_traits, payee, to_address, token
from tests.faultproxy.proxy import FaultProxy, start_proxy

SHOP = payee(1)


@dataclass(slots=True)
class LocalChain:
    """A node with one listed token."""

    node: AnvilNode
    token: str

    def traits(self, *others: str, traces: bool = False, profile: str = "full") -> ChainTraits:
        """The traits with the token and these contracts listed."""
        tokens = [token(self.token), *(token(one, f"T{n}") for n, one in enumerate(others))]
        return local_traits(tokens, traces=traces, profile=profile)

    async def pay(self, amount: int, to: str = SHOP, *, mine: bool = True) -> str:
        """Mint tokens to somebody; returns the transaction's hash."""
        data = load_contract("DemoToken").call("mint", to, amount)
        tx_hash = await self.node.send(to=self.token, data=data)
        if mine:
            await self.node.mine()
        return tx_hash

    async def deploy(self, name: str, *arguments: object, value: int = 0) -> str:
        """Put a test contract on the chain."""
        return await self.node.deploy(load_contract(name).creation(*arguments), value=value)


@pytest.fixture
async def chain() -> AsyncIterator[LocalChain]:
    if find_anvil() is None:
        pytest.skip("anvil is not installed: run `npm ci` in the repository")
    async with start_anvil() as node:
        creation = load_contract("DemoToken").creation("Tether", "USDT", 6)
        yield LocalChain(node, await node.deploy(creation))


MakeSource = Callable[..., EvmSource]


@pytest.fixture
async def make_source() -> AsyncIterator[MakeSource]:
    """Builds verifying sources that are closed with the test."""
    made: list[EvmSource] = []

    def make(traits: ChainTraits, *urls: str | NodeEndpoint) -> EvmSource:
        endpoints = [url if isinstance(url, NodeEndpoint) else NodeEndpoint(url) for url in urls]
        verifier = BlockVerifier(PROFILES[facts_of(traits).verification_profile])
        made.append(EvmSource(traits, endpoints, verifier=verifier))
        return made[-1]

    yield make
    for source in made:
        await source.close()


@dataclass(slots=True)
class Faulty:
    """The chain seen through the proxy."""

    chain: LocalChain
    proxy: FaultProxy
    source: EvmSource

    @property
    def provider(self) -> EvmProvider:
        return self.source.choose_provider()

    async def paid_block(self, amount: int = 1_500_000) -> Block:
        """The newest block, with one payment in it, fetched by hash through the proxy."""
        await self.chain.pay(amount)
        return await self.fetch_newest()

    async def fetch_newest(self) -> Block:
        """The node's newest block by hash, as the follower would take it."""
        ref = await self.chain.node.block_ref(await self.chain.node.height())
        (block,) = await self.provider.fetch_blocks_at([ref])
        return block


@pytest.fixture
async def faulty(chain: LocalChain, make_source: MakeSource) -> AsyncIterator[Faulty]:
    async with start_proxy(chain.node.url) as proxy:
        yield Faulty(chain, proxy, make_source(chain.traits(), proxy.url, proxy.ws_url))


def transfers_of(block: Block) -> list[Transfer]:
    """All transfers of a block, built."""
    return [block.transfers.at(index) for index in range(len(block.transfers.recipients))]


def paid_to(block: Block, who: str = SHOP) -> list[tuple[str, int]]:
    """Kind and amount of what a block pays to somebody."""
    address = to_address(who)
    return [
        (one.kind.value, one.amount_base_units) for one in transfers_of(block) if one.recipient == address
    ]


__all__ = ["ACCOUNTS", "SHOP", "Faulty", "LocalChain", "MakeSource", "paid_to", "transfers_of"]

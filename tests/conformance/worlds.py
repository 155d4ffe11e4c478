"""Worlds in which every ChainSource is put to the same questions.

A world is a chain that can be told to mine, to pay and to reorganise, and a
source over it.  A new family adds one world here and inherits the whole suite
in `test_chain_source.py`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

from chains import catalog
from chains.bitcoin.source import BitcoinSource
from chains.evm.facts import facts_of
from chains.evm.source import EvmSource
from chains.evm.verify import PROFILES, BlockVerifier
from chains.model import Address, TransferKind
from chains.port import ChainSource
from chains.rpc.node_endpoint import NodeEndpoint
from chains.scripted import ScriptedChain, ScriptedProvider, ScriptedSource, ScriptedTx
from chains.traits import ChainTraits
from chains.tron.source import TronSource
from tests.devnet import tron_chain
from tests.devnet.anvil import AnvilNode, start_anvil
from tests.devnet.bitcoind import BitcoinNode, start_bitcoind
from tests.devnet.local import local_traits
from tests.devnet.tron_chain import TronChain, account
from tests.devnet.tron_node import TronNode, start_tron_node

Payment = tuple[Address, int]
"""A recipient and an amount of the native coin in base units."""


class World(Protocol):
    """A chain under the test's command, with a source over it.

    `floor` is the height at which it begins, `own_txs` what each block holds beside the payments.
    """

    floor: int
    own_txs: int
    kind: TransferKind
    has_tags: bool
    has_balances: bool

    @property
    def traits(self) -> ChainTraits: ...

    @property
    def source(self) -> ChainSource: ...

    @property
    def shop(self) -> Address:
        """An address of this family that nobody else pays."""
        ...

    @property
    def other(self) -> Address:
        """Another one."""
        ...

    async def mine(self, *payments: Payment) -> None:
        """One block with these payments."""
        ...

    async def reorg(self, depth: int, blocks_count: int) -> None:
        """Take `depth` blocks off the head and mine other, empty ones."""
        ...


SHOP = Address(b"\x55" * 20)
OTHER = Address(b"\x66" * 20)


class ScriptedWorld:
    """The scripted chain."""

    shop, other = SHOP, OTHER

    def __init__(self) -> None:
        self.traits = local_traits()
        self.floor, self.own_txs = 0, 0
        self.kind, self.has_tags, self.has_balances = TransferKind.NATIVE, True, True
        self.chain = ScriptedChain(self.traits)
        self.source = ScriptedSource(
            ScriptedProvider(self.chain, "a.test", "a", spares=True),
            ScriptedProvider(self.chain, "b.test", "b", spares=True),
        )

    async def mine(self, *payments: Payment) -> None:
        txs: Sequence[ScriptedTx] = [
            self.chain.pay(to, amount, nonce=n) for n, (to, amount) in enumerate(payments)
        ]
        self.chain.mine(*txs)
        self.chain.set_final(
            max(0, self.chain.head.height - 2), safe_height=max(0, self.chain.head.height - 1)
        )

    async def reorg(self, depth: int, blocks_count: int) -> None:
        self.chain.reorg(depth, *([()] * blocks_count))


class AnvilWorld:
    """A real EVM node behind the EVM source; two names for one node."""

    shop, other = SHOP, OTHER

    def __init__(self, node: AnvilNode) -> None:
        self.traits = local_traits(profile="full")
        self.floor, self.own_txs = 0, 0
        self.kind, self.has_tags, self.has_balances = TransferKind.NATIVE, True, True
        self.node = node
        self.source = EvmSource(
            self.traits,
            [
                NodeEndpoint(node.url, operator="a"),
                NodeEndpoint(node.url, operator="b"),
                NodeEndpoint(node.ws_url),
            ],
            verifier=BlockVerifier(PROFILES[facts_of(self.traits).verification_profile]),
        )

    async def mine(self, *payments: Payment) -> None:
        for to, amount in payments:
            await self.node.send(to="0x" + to.hex(), value=amount)
        await self.node.mine()

    async def reorg(self, depth: int, blocks_count: int) -> None:
        # Anvil replaces block for block; the depth and the count are the same there.
        await self.node.call("anvil_reorg", depth, [])
        await self.node.mine(max(0, blocks_count - depth))


class BitcoindWorld:
    """A real node of Bitcoin's family; two names for one node."""

    shop, other = SHOP, OTHER

    def __init__(self, node: BitcoinNode, floor: int) -> None:
        entry = catalog.entry("bitcoin-regtest")
        assert entry is not None
        self.traits = entry.traits
        self.floor, self.own_txs = floor, 1
        self.kind, self.has_tags, self.has_balances = TransferKind.UTXO, False, False
        self.node = node
        self.source = BitcoinSource(
            self.traits,
            [
                NodeEndpoint(node.url, operator=operator, cookie_file=node.cookie_file)
                for operator in ("a", "b")
            ],
        )

    async def mine(self, *payments: Payment) -> None:
        txs = [await self.node.pay((to, amount)) for to, amount in payments]
        await self.node.mine(txs=txs)

    async def reorg(self, depth: int, blocks_count: int) -> None:
        await self.node.leave(depth)
        await self.node.mine(blocks_count)


class TronWorld:
    """Made Tron blocks behind the Tron source; two names for one node."""

    shop, other = account("shop"), account("other")

    def __init__(self, node: TronNode) -> None:
        self.chain = node.chain
        self.traits = self.chain.traits()
        self.floor, self.own_txs = 0, 0
        self.kind, self.has_tags, self.has_balances = TransferKind.NATIVE, True, True
        self.source = TronSource(self.traits, [node.endpoint("a"), node.endpoint("b")])

    async def mine(self, *payments: Payment) -> None:
        self.chain.mine(*(tron_chain.pay(to, amount, nonce=n) for n, (to, amount) in enumerate(payments)))

    async def reorg(self, depth: int, blocks_count: int) -> None:
        self.chain.reorg(depth, *([()] * blocks_count))


@asynccontextmanager
async def scripted_world() -> AsyncIterator[World]:
    """No node needed."""
    yield ScriptedWorld()


@asynccontextmanager
async def anvil_world() -> AsyncIterator[World]:
    """Needs anvil."""
    async with start_anvil() as node:
        world = AnvilWorld(node)
        async with world.source:
            yield world


@asynccontextmanager
async def bitcoind_world() -> AsyncIterator[World]:
    """Needs bitcoind."""
    async with start_bitcoind("-txindex=1") as node:
        world = BitcoindWorld(node, await node.height())
        async with world.source:
            yield world


@asynccontextmanager
async def tron_world() -> AsyncIterator[World]:
    """No node needed."""
    async with start_tron_node(TronChain()) as node:
        world = TronWorld(node)
        async with world.source:
            yield world

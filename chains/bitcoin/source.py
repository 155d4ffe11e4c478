"""All providers of one chain of this family: endpoints become nodes, and tips are heard over ZMQ.

Who is asked next is `chains.source`.  One provider's asking is `provider` and
`node`; listening for tips is `nodes.tips`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

from chains.bitcoin.facts import list_checks
from chains.bitcoin.nodes.mempool import BitcoinMempool
from chains.bitcoin.nodes.node import BitcoinNode, NetworkPin
from chains.bitcoin.nodes.reading import compute_reading
from chains.bitcoin.nodes.tips import TipWatch
from chains.bitcoin.provider import BitcoinProvider
from chains.model import AssetId, BlockHash
from chains.port import CheckState
from chains.rpc.node_endpoint import NodeEndpoint
from chains.rpc.throttle import Budget, SharedBudget
from chains.rpc.transport import HttpTransport
from chains.source import SharedSource, name_endpoints, open_book
from chains.traits import ChainTraits


class BitcoinSource(SharedSource[BitcoinProvider]):
    """One chain's providers; close it, or use it with `async with`.

    `share_budget` gives the budget that an endpoint has in common with other
    processes.
    """

    def __init__(
        self,
        traits: ChainTraits,
        endpoints: Sequence[NodeEndpoint],
        *,
        share_budget: Callable[[NodeEndpoint], SharedBudget] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        reading = compute_reading(traits)
        self._pin = NetworkPin(reading.coin, traits.identity)
        book = open_book(traits)
        providers: dict[str, BitcoinProvider] = {}
        for name, endpoint in name_endpoints([one for one in endpoints if not one.only_hints]).items():
            shared = None if share_budget is None else share_budget(endpoint)
            budget = Budget(endpoint.requests_per_s, shared=shared, clock=clock)
            node = BitcoinNode(
                name, endpoint.operator_name, HttpTransport(endpoint), budget, self._pin, clock=clock
            )
            book.add(name, node.operator)
            providers[name] = BitcoinProvider(node, reading, self.note_head)
        if not providers:
            raise ValueError(f"{traits.alias}: at least one http(s) endpoint is needed")
        super().__init__(traits, providers, book, clock=clock)
        self.tips = TipWatch(
            traits.alias,
            [endpoint for endpoint in endpoints if endpoint.only_hints],
            self.note_hint,
            self.wake,
            self._note_tips_lost,
            self.hints.note_open,
            self._note_entered,
            self._note_put_away,
            clock=clock,
        )
        self._pools = [BitcoinMempool(one.node, reading) for one in providers.values()]
        self.mempools = self._pools

    def _note_tips_lost(self) -> None:
        self.hints.forget()
        for pool in self._pools:
            pool.note_lost()

    def _note_entered(self, tx_hash: bytes) -> None:
        """Whoever published it, what waits at one node soon waits at the others."""
        publisher = self.tips.listening_to.rpartition(":")[0]
        there = [pool for pool in self._pools if pool.name.partition("#")[0].rpartition(":")[0] == publisher]
        for pool in self._pools:
            pool.note_entered(tx_hash, here=there == [pool])

    def _note_put_away(self, tx_hash: bytes) -> None:
        """What one node put away the others may have as well, or may not: each is looked at."""
        for pool in self._pools:
            pool.note_left(tx_hash)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        for provider in self._providers.values():
            await provider.node.close()

    def pin_network(self, network_id: bytes) -> None:
        self._pin.genesis_hash = BlockHash(network_id)
        for provider in self._providers.values():
            provider.node.forget_identity()

    async def run_hints(self) -> None:
        await self.tips.run()

    def calls_per_day(self, host: str) -> int | None:
        provider = self._providers.get(host)
        return None if provider is None else provider.node.batches.meter.per_day(self._clock())

    def describe_checks(self) -> Sequence[CheckState]:
        return list_checks(self._pin.coin)

    async def fetch_decimals(self) -> Mapping[AssetId, int]:
        return {}

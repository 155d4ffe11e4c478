"""All providers of one chain of this family: endpoints become nodes, and tips are heard over ZMQ.

Who is asked next is `chains.source`.  One provider's asking is `provider` and
`node`; listening for tips is `nodes.tips`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from chains.bitcoin.facts import list_checks
from chains.bitcoin.nodes.mempool import BitcoinMempool
from chains.bitcoin.nodes.node import BitcoinNode
from chains.bitcoin.nodes.reading import compute_reading
from chains.bitcoin.nodes.tips import TipWatch
from chains.bitcoin.provider import BitcoinProvider
from chains.model import AssetId
from chains.port import CheckState
from chains.rpc.node_endpoint import NodeEndpoint
from chains.rpc.throttle import SharedBudget
from chains.source import SharedSource
from chains.traits import ChainTraits


class BitcoinSource(SharedSource[BitcoinProvider]):
    """One chain's providers; close it, or use it with `async with`.

    `share_budget` gives the budget that an endpoint has in common with other
    processes.
    """

    network_is_told_by_identity = False

    def __init__(
        self,
        traits: ChainTraits,
        endpoints: Sequence[NodeEndpoint],
        *,
        share_budget: Callable[[NodeEndpoint], SharedBudget] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reading = reading = compute_reading(traits)
        super().__init__(
            traits,
            endpoints,
            lambda access: BitcoinProvider(BitcoinNode(access, reading.coin), reading, self.note_head),
            share_budget=share_budget,
            clock=clock,
        )
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
        self._pools = [BitcoinMempool(one.node, reading) for one in self._providers.values()]
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

    async def run_hints(self) -> None:
        await self.tips.run()

    def describe_checks(self) -> Sequence[CheckState]:
        return list_checks(self._reading.coin)

    async def fetch_decimals(self) -> Mapping[AssetId, int]:
        return {}

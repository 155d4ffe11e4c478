"""All providers of one EVM chain: the port's `ChainSource`.

Here configured endpoints become providers, and health decides who is asked
next.  One provider's asking is `provider` and `node`; listening for hints is
`heads`; the decisions about health are `chains.rpc.endpoints`, pure.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from chains.errors import ChainError, Unreachable
from chains.evm.blocks import believe_consistent, compute_reading
from chains.evm.node import EvmNode, NetworkPin
from chains.evm.provider import EvmProvider
from chains.evm.rows import Verifier
from chains.model import BlockHash
from chains.port import Provider
from chains.rpc.endpoints import EndpointBook, Health
from chains.rpc.throttle import Budget
from chains.rpc.transport import Endpoint, HttpTransport
from chains.traits import ChainTraits


class EvmSource:
    """One chain's providers; close it, or use it with `async with`.

    `verifier` recomputes what the chain's profile allows.  `genesis_hash` is
    the pinned one; None learns it from the first provider (read it back from
    `genesis_hash` and keep it).
    """

    def __init__(
        self,
        traits: ChainTraits,
        endpoints: Sequence[Endpoint],
        *,
        verifier: Verifier = believe_consistent,
        genesis_hash: BlockHash | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.traits = traits
        self._clock = clock
        self._pin = NetworkPin(traits.chain_number, genesis_hash)
        self._book = EndpointBook()
        self._providers: dict[str, EvmProvider] = {}
        self._hinted = asyncio.Event()
        self._head_endpoints: list[Endpoint] = []
        reading = compute_reading(traits, verifier)
        for endpoint in endpoints:
            if endpoint.is_websocket:
                self._head_endpoints.append(endpoint)
                continue
            name = self._choose_name(endpoint)
            node = EvmNode(
                name,
                endpoint.operator_name,
                HttpTransport(endpoint),
                Budget(endpoint.requests_per_s, clock=clock),
                self._pin,
                clock=clock,
            )
            self._book.add(name, node.operator)
            self._providers[name] = EvmProvider(node, reading)
        if not self._providers:
            raise ValueError(f"{traits.alias}: at least one http(s) endpoint is needed")

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
        """Close every provider's connections."""
        for provider in self._providers.values():
            await provider.node.close()

    @property
    def genesis_hash(self) -> BlockHash | None:
        """The pinned genesis; None until the first provider answered."""
        return self._pin.genesis_hash

    @property
    def operators_count(self) -> int:
        return len({provider.operator for provider in self._providers.values()})

    @property
    def healths(self) -> Sequence[Health]:
        """What is known of each provider, for `/v1/chains` and metrics."""
        return list(self._book.healths.values())

    def choose_provider(self) -> EvmProvider:
        name = self._book.choose_primary(self._clock())
        if name is None:
            raise Unreachable(f"all {len(self._providers)} providers rest")
        return self._providers[name]

    def second_opinions(self, first: Provider) -> list[EvmProvider]:
        names = self._book.compute_second_opinions(first.name, self._clock())
        return [self._providers[name] for name in names]

    def report_failure(self, provider: Provider, error: ChainError) -> None:
        self._book.record_failure(provider.name, error, self._clock())

    def report_success(self, provider: Provider) -> None:
        self._book.record_success(provider.name)

    def report_lag(self, provider: Provider, *, head_height: int, tip_height: int) -> None:
        self._book.record_lag(provider.name, head_height, tip_height)

    async def wait_for_hint(self, timeout_s: float) -> bool:
        try:
            async with asyncio.timeout(timeout_s):
                await self._hinted.wait()
        except TimeoutError:
            return False
        self._hinted.clear()
        return True

    def _choose_name(self, endpoint: Endpoint) -> str:
        """The host, numbered where several endpoints share it."""
        name, number = endpoint.host, 1
        while name in self._providers:
            number += 1
            name = f"{endpoint.host}#{number}"
        return name

"""All providers of one EVM chain: endpoints become nodes, and announcements come from websockets.

Who is asked next is `chains.source`.  One provider's asking is `provider` and
`node`; listening for heads is `heads`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

import structlog

from chains.evm.facts import number_of
from chains.evm.nodes.heads import HeadWatch
from chains.evm.nodes.node import EvmNode, NetworkPin
from chains.evm.nodes.reading import believe_consistent, compute_reading
from chains.evm.provider import EvmProvider
from chains.evm.rows.structs import HASH_TEXT_LENGTH, Verifier
from chains.evm.verify.verifier import BlockVerifier
from chains.model import AssetId, BlockHash, HeadReport
from chains.port import Along, CheckState
from chains.rpc.node_endpoint import NodeEndpoint
from chains.rpc.throttle import Budget, SharedBudget
from chains.rpc.transport import HttpTransport
from chains.source import SharedSource, name_endpoints, open_book
from chains.traits import ChainTraits

_HASH = re.compile("[0-9a-f]{64}")

_log = structlog.get_logger(__name__)


class EvmSource(SharedSource[EvmProvider]):
    """One chain's providers; close it, or use it with `async with`.

    `verifier` recomputes what the chain's profile allows.  Until `pin_network`
    each provider is held to the identity block it showed first.  `share_budget`
    gives the budget that an endpoint has in common with other processes.
    """

    def __init__(
        self,
        traits: ChainTraits,
        endpoints: Sequence[NodeEndpoint],
        *,
        verifier: Verifier = believe_consistent,
        share_budget: Callable[[NodeEndpoint], SharedBudget] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.verifier = verifier
        self._pin = NetworkPin(number_of(traits.chain), traits.identity)
        reading = compute_reading(traits, verifier)
        book = open_book(traits)
        providers: dict[str, EvmProvider] = {}
        for name, endpoint in name_endpoints([one for one in endpoints if not one.only_hints]).items():
            shared = None if share_budget is None else share_budget(endpoint)
            budget = Budget(endpoint.requests_per_s, shared=shared, clock=clock)
            node = EvmNode(
                name, endpoint.operator_name, HttpTransport(endpoint), budget, self._pin, clock=clock
            )
            book.add(name, node.operator)
            providers[name] = EvmProvider(node, reading, self.note_head)
        if not providers:
            raise ValueError(f"{traits.alias}: at least one http(s) endpoint is needed")
        super().__init__(traits, providers, book, clock=clock)
        self.heads = HeadWatch(
            traits.alias,
            [endpoint for endpoint in endpoints if endpoint.only_hints],
            traits.block_time_s,
            lambda text: self.note_hint(text[:HASH_TEXT_LENGTH].lower().removeprefix("0x")),
            self.hints.forget,
            self.hints.note_open,
            clock=clock,
        )

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
        identity = self.traits.identity
        if identity is not None and identity.hash != network_id:
            _log.warning("identity-is-not-the-pinned-one", chain=self.traits.alias, height=identity.height)
        self._pin.genesis_hash = BlockHash(network_id)
        for provider in self._providers.values():
            provider.node.forget_identity()

    async def _fetch_report(
        self, provider: EvmProvider, along: Along | None, *, safe: bool, final: bool
    ) -> HeadReport:
        announced = None if along is None else self.hints.name_next(self._clock())
        if along is None or announced is None or not _HASH.fullmatch(announced):
            return await provider.fetch_head_report(safe=safe, final=final)
        return await provider.fetch_head_report(
            safe=safe, final=final, announced="0x" + announced, sought=along.sought
        )

    async def run_hints(self) -> None:
        await self.heads.run()

    def calls_per_day(self, host: str) -> int | None:
        provider = self._providers.get(host)
        return None if provider is None else provider.node.batches.meter.per_day(self._clock())

    def describe_checks(self) -> Sequence[CheckState]:
        if not isinstance(self.verifier, BlockVerifier):
            return []
        return [
            CheckState(check.value, mode.value, height) for check, mode, height in self.verifier.describe()
        ]

    async def fetch_decimals(self) -> Mapping[AssetId, int]:
        # web3 costs a second and tens of megabytes, and only this needs it.
        from chains.evm.nodes.tokens import fetch_decimals  # noqa: PLC0415

        return await fetch_decimals(self.choose_provider().node, self.traits.assets)

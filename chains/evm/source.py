"""All providers of one EVM chain: endpoints become nodes, and announcements come from websockets.

Who is asked next is `chains.source`.  One provider's asking is `provider` and
`node`; listening for heads is `heads`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence

import structlog

from chains.evm.facts import number_of
from chains.evm.nodes.heads import HeadWatch
from chains.evm.nodes.node import EvmNode
from chains.evm.nodes.reading import believe_consistent, compute_reading
from chains.evm.provider import EvmProvider
from chains.evm.rows.structs import HASH_TEXT_LENGTH, Verifier
from chains.evm.verify.verifier import BlockVerifier
from chains.model import AssetId, HeadReport
from chains.port import Along, CheckState
from chains.rpc.node_endpoint import NodeEndpoint
from chains.rpc.throttle import SharedBudget
from chains.source import SharedSource
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
        number, reading = number_of(traits.chain), compute_reading(traits, verifier)
        super().__init__(
            traits,
            endpoints,
            lambda access: EvmProvider(EvmNode(access, number), reading, self.note_head),
            share_budget=share_budget,
            clock=clock,
        )
        self.heads = HeadWatch(
            traits.alias,
            [endpoint for endpoint in endpoints if endpoint.only_hints],
            traits.block_time_s,
            lambda text: self.note_hint(text[:HASH_TEXT_LENGTH].lower().removeprefix("0x")),
            self.hints.forget,
            self.hints.note_open,
            clock=clock,
        )

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

"""All providers of one Tron chain: endpoints become nodes.  Nodes announce no heads, so a timer wakes.

Who is asked next is `chains.source`; one provider's asking is `provider`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Final, Self

import msgspec
import structlog
from msgspec import Struct, field

from chains.errors import Refused, WrongNetwork
from chains.family import ShareBudget
from chains.model import AssetId, BlockHash
from chains.port import CheckState
from chains.rpc.node_endpoint import NodeEndpoint
from chains.rpc.throttle import Budget, Priority
from chains.rpc.transport import HttpTransport
from chains.source import SharedSource, name_endpoints, open_book
from chains.traits import ChainTraits
from chains.tron.address import is_address
from chains.tron.facts import facts_of, suffix_of
from chains.tron.nodes.node import FULL, NetworkPin, TronNode
from chains.tron.nodes.reading import compute_reading
from chains.tron.provider import TronProvider
from chains.tron.verify.checks import describe

DECIMALS_MAX: Final = 77

_log = structlog.get_logger(__name__)


class _Constant(Struct):
    results: list[str] = field(name="constant_result", default=[])


class _Issue(Struct):
    precision: int = 0


_CONSTANT: Final = msgspec.json.Decoder(_Constant)
_ISSUE: Final = msgspec.json.Decoder(_Issue)


class TronSource(SharedSource[TronProvider]):
    """One chain's providers; close it, or use it with `async with`."""

    def __init__(
        self,
        traits: ChainTraits,
        endpoints: Sequence[NodeEndpoint],
        *,
        share_budget: ShareBudget | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pin = NetworkPin(suffix_of(traits.chain), traits.identity)
        reading = compute_reading(traits)
        book = open_book(traits)
        providers: dict[str, TronProvider] = {}
        for name, endpoint in name_endpoints([one for one in endpoints if not one.only_hints]).items():
            shared = None if share_budget is None else share_budget(endpoint)
            budget = Budget(endpoint.requests_per_s, shared=shared, clock=clock)
            node = TronNode(
                name, endpoint.operator_name, HttpTransport(endpoint), budget, self._pin, clock=clock
            )
            book.add(name, node.operator)
            providers[name] = TronProvider(node, reading, self.note_head)
        if not providers:
            raise ValueError(f"{traits.alias}: at least one http(s) endpoint is needed")
        super().__init__(traits, providers, book, clock=clock)

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

    async def run_hints(self) -> None:
        """Nobody announces heads."""

    def calls_per_day(self, host: str) -> int | None:
        provider = self._providers.get(host)
        return None if provider is None else provider.node.client.meter.per_day(self._clock())

    def describe_checks(self) -> Sequence[CheckState]:
        seen = [
            since
            for provider in self._providers.values()
            if (since := provider.node.shows_internal_since) is not None
        ]
        return describe(facts_of(self.traits).profile, shows_internal_since=min(seen, default=None))

    async def fetch_decimals(self) -> Mapping[AssetId, int]:
        node = self.choose_provider().node
        said: dict[AssetId, int] = {}
        for asset in self.traits.assets:
            if asset.contract is None:
                continue
            if asset.decimals_are_trusted:
                said[asset.asset_id] = asset.decimals
                continue
            ask = _ask_decimals if is_address(asset.contract) else _ask_precision
            try:
                decimals = await ask(node, bytes(asset.contract))
            except WrongNetwork:
                raise
            except Refused:  # nodes may answer no calls of contracts
                continue
            if decimals is not None and 0 <= decimals <= DECIMALS_MAX:
                said[asset.asset_id] = decimals
        return said


async def _ask_decimals(node: TronNode, contract: bytes) -> int | None:
    """What a TRC-20's contract says; None where it says nothing readable."""
    body: dict[str, object] = {
        "owner_address": contract.hex(),
        "contract_address": contract.hex(),
        "function_selector": "decimals()",
    }
    told = await node.ask(f"{FULL}/triggerconstantcontract", body, _CONSTANT, Priority.BACKFILL)
    words = [] if told is None else told.results
    return int(words[0], 16) if len(words) == 1 and _is_word(words[0]) else None


async def _ask_precision(node: TronNode, number: bytes) -> int | None:
    """What a TRC-10's issue says; 0 is left out of it."""
    told = await node.ask(
        f"{FULL}/getassetissuebyid", {"value": number.decode("ascii")}, _ISSUE, Priority.BACKFILL
    )
    return None if told is None else told.precision


def _is_word(text: str) -> bool:
    return len(text) == 64 and all(one in "0123456789abcdefABCDEF" for one in text)

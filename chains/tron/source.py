"""All providers of one Tron chain: endpoints become nodes.  Nodes announce no heads, so a timer wakes.

Who is asked next is `chains.source`; one provider's asking is `provider`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec
import structlog
from msgspec import Struct, field

from chains.errors import Refused, WrongNetwork
from chains.family import ShareBudget
from chains.model import AssetId
from chains.port import CheckState
from chains.rpc.node_endpoint import NodeEndpoint
from chains.rpc.throttle import Priority
from chains.source import SharedSource
from chains.traits import ChainTraits
from chains.tron.address import is_address
from chains.tron.facts import facts_of, suffix_of
from chains.tron.nodes.node import FULL, TronNode
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
        suffix, reading = suffix_of(traits.chain), compute_reading(traits)
        super().__init__(
            traits,
            endpoints,
            lambda access: TronProvider(TronNode(access, suffix), reading, self.note_head),
            share_budget=share_budget,
            clock=clock,
        )

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

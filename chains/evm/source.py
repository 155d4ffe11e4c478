"""All providers of one EVM chain: the port's `ChainSource`.

Here configured endpoints become providers, and health decides who is asked
next.  One provider's asking is `provider` and `node`; listening for hints is
`heads`; the decisions about health are `chains.rpc.endpoints`, pure.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

import structlog

from chains.errors import ChainError, Unreachable
from chains.evm.blocks import believe_consistent, compute_reading
from chains.evm.heads import HeadWatch
from chains.evm.hints import HintTrust
from chains.evm.node import EvmNode, NetworkPin
from chains.evm.provider import EvmProvider
from chains.evm.rows import HASH_TEXT_LENGTH, Verifier, encode_word
from chains.model import AssetId, BlockHash, Header, HeadReport
from chains.port import Provider
from chains.rpc.endpoints import EndpointBook, Health, compute_stale_after
from chains.rpc.throttle import Budget, SharedBudget
from chains.rpc.transport import Endpoint, HttpTransport
from chains.traits import ChainTraits

if TYPE_CHECKING:
    from chains.evm.tokens import DecimalsMismatch

_log = structlog.get_logger(__name__)

HEDGE_SAMPLES = 64
HEDGE_MIN_S = 0.1
HEDGE_MAX_S = 2.0


class HedgeDelay:
    """How long a head may take before somebody else is asked too: its usual p95."""

    def __init__(self) -> None:
        self._durations_s: deque[float] = deque(maxlen=HEDGE_SAMPLES)

    @property
    def delay_s(self) -> float:
        """Between 0.1 and 2 seconds."""
        ordered = sorted(self._durations_s)
        usual_s = ordered[int(0.95 * (len(ordered) - 1))] if ordered else HEDGE_MAX_S
        return min(max(usual_s, HEDGE_MIN_S), HEDGE_MAX_S)

    def record(self, duration_s: float) -> None:
        """Note how long a head took."""
        self._durations_s.append(duration_s)


class EvmSource:
    """One chain's providers; close it, or use it with `async with`.

    `verifier` recomputes what the chain's profile allows.  Until `pin_genesis`
    each provider is held to the genesis block it showed first.  `share_budget`
    gives the budget that an endpoint has in common with other processes.
    """

    def __init__(
        self,
        traits: ChainTraits,
        endpoints: Sequence[Endpoint],
        *,
        verifier: Verifier = believe_consistent,
        share_budget: Callable[[Endpoint], SharedBudget] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.traits = traits
        self.verifier = verifier
        self._clock = clock
        self._pin = NetworkPin(traits.chain_number, traits.identity)
        self._book = EndpointBook(compute_stale_after(traits.block_time_s))
        self._providers: dict[str, EvmProvider] = {}
        self._called = asyncio.Event()
        self._is_hinted = self._is_woken = False
        self._trust = HintTrust(traits.block_time_s)
        self._hedge = HedgeDelay()
        reading = compute_reading(traits, verifier)
        for endpoint in endpoints:
            if endpoint.is_websocket:
                continue
            name = self._choose_name(endpoint)
            shared = None if share_budget is None else share_budget(endpoint)
            node = EvmNode(
                name,
                endpoint.operator_name,
                HttpTransport(endpoint),
                Budget(endpoint.requests_per_s, shared=shared, clock=clock),
                self._pin,
                clock=clock,
            )
            self._book.add(name, node.operator)
            self._providers[name] = EvmProvider(node, reading, self._note_head)
        if not self._providers:
            raise ValueError(f"{traits.alias}: at least one http(s) endpoint is needed")
        self.heads = HeadWatch(
            traits.alias,
            [endpoint for endpoint in endpoints if endpoint.is_websocket],
            traits.block_time_s,
            self._note_hint,
            self._trust.forget,
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
        """Close every provider's connections."""
        for provider in self._providers.values():
            await provider.node.close()

    def operator_of(self, host: str) -> str | None:
        provider = self._providers.get(host)
        return None if provider is None else provider.operator

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

    def pin_genesis(self, genesis_hash: BlockHash) -> None:
        identity = self.traits.identity
        if identity is not None and identity.hash != genesis_hash:
            _log.warning("identity-is-not-the-pinned-one", chain=self.traits.alias, height=identity.height)
        self._pin.genesis_hash = genesis_hash
        for provider in self._providers.values():
            provider.node.forget_identity()

    def report_success(self, provider: Provider) -> None:
        self._book.record_success(provider.name)

    def report_lag(self, provider: Provider, *, head_height: int, tip_height: int) -> None:
        self._book.record_lag(provider.name, head_height, tip_height)

    async def fetch_head_hedged(
        self, *, safe: bool = True, final: bool = True
    ) -> tuple[EvmProvider, HeadReport]:
        first = self.choose_provider()
        order = self._book.choose_order(self._clock())
        second = next((self._providers[name] for name in order if name != first.name), None)
        answers: list[tuple[EvmProvider, HeadReport] | ChainError] = []
        async with asyncio.TaskGroup() as group:
            waiting = {group.create_task(self._try_head(first, safe=safe, final=final))}
            done, waiting = await asyncio.wait(
                waiting, timeout=None if second is None else self._hedge.delay_s
            )
            answers += [task.result() for task in done]
            if second is not None and not _has_report(answers):
                waiting = waiting | {group.create_task(self._try_head(second, safe=safe, final=final))}
            while waiting and not _has_report(answers):
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                answers += [task.result() for task in done]
            for task in waiting:
                task.cancel()
        for answer in answers:
            if isinstance(answer, tuple):
                if self._trust.note_seen(encode_word(answer[1].head.hash), self._clock()):
                    self._is_hinted = False
                return answer
        raise next(answer for answer in answers if isinstance(answer, ChainError))

    async def _try_head(
        self, provider: EvmProvider, *, safe: bool, final: bool
    ) -> tuple[EvmProvider, HeadReport] | ChainError:
        began = self._clock()
        try:
            report = await provider.fetch_head_report(safe=safe, final=final)
        except ChainError as error:
            self.report_failure(provider, error)
            return error
        self._hedge.record(self._clock() - began)
        return provider, report

    def _note_head(self, name: str, head: Header) -> None:
        self._book.record_head(name, head.height, self._clock())

    def _note_hint(self, head: str) -> None:
        if self._trust.note_told(head[:HASH_TEXT_LENGTH].lower(), self._clock()):
            self._is_hinted = True
            self._called.set()

    async def find_decimals_mismatches(self) -> Sequence[DecimalsMismatch]:
        """Listed tokens whose contracts disagree with their configured decimals."""
        # web3 costs a second and tens of megabytes, and only this needs it.
        from chains.evm.tokens import find_decimals_mismatches  # noqa: PLC0415

        return await find_decimals_mismatches(self.choose_provider().node, self.traits.assets)

    async def fetch_decimals(self) -> Mapping[AssetId, int]:
        """What the contracts of listed tokens say of their decimals, where they say something."""
        from chains.evm.tokens import fetch_decimals  # noqa: PLC0415  # as above

        return await fetch_decimals(self.choose_provider().node, self.traits.assets)

    async def run_hints(self) -> None:
        """Listen for heads until cancelled; belongs in the follower's TaskGroup.

        Returns at once without a websocket endpoint: then the timer is all.
        """
        await self.heads.run()

    @property
    def are_hints_live(self) -> bool:
        return self._trust.is_live(self._clock())

    def wake(self) -> None:
        self._is_woken = True
        self._called.set()

    async def wait_for_hint(self, timeout_s: float) -> bool:
        try:
            async with asyncio.timeout(timeout_s):
                while not (self._is_hinted or self._is_woken):
                    self._called.clear()
                    await self._called.wait()
        except TimeoutError:
            return False
        is_hinted, self._is_hinted, self._is_woken = self._is_hinted, False, False
        return is_hinted

    def _choose_name(self, endpoint: Endpoint) -> str:
        """The host, numbered where several endpoints share it."""
        name, number = endpoint.host, 1
        while name in self._providers:
            number += 1
            name = f"{endpoint.host}#{number}"
        return name


def _has_report(answers: Sequence[tuple[EvmProvider, HeadReport] | ChainError]) -> bool:
    return any(isinstance(answer, tuple) for answer in answers)

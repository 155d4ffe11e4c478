"""All providers of one chain, whatever its family: who is asked next, and what woke us.  The port's `ChainSource`.

A family makes providers of the ways to its nodes and listens to their
announcements; here endpoints are opened and closed, health decides who serves,
a slow head is hedged, and a hint wakes whoever waits.  The decisions are
`chains.rpc.endpoints` and `chains.hints`, pure.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import ClassVar, Generic, Protocol, Self, TypeVar

import structlog

from chains.errors import ChainError, Unreachable
from chains.family import ShareBudget
from chains.hints import HintTrust
from chains.mempool import MempoolSource
from chains.model import BlockHash, Header, HeadReport
from chains.port import Along, Provider
from chains.rpc.endpoints import EndpointBook, NodeHealth, compute_stale_after
from chains.rpc.node import Access, NetworkPin, ProvenNode
from chains.rpc.node_endpoint import NodeEndpoint
from chains.rpc.throttle import Budget
from chains.rpc.transport import HttpTransport
from chains.traits import ChainTraits

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


class _Provider(Provider, Protocol):
    """As the port has it, over one node."""

    @property
    def node(self) -> ProvenNode: ...


ProviderT = TypeVar("ProviderT", bound=_Provider)


class SharedSource(Generic[ProviderT]):
    """One chain's providers by name; a family's source adds what its nodes can do besides.

    `make` turns the way to an endpoint into the family's provider.  Until
    `pin_network` each is held to the network that it showed first.
    `share_budget` gives the budget that an endpoint has in common with other
    processes.  Close it, or use it with `async with`; raises `ValueError`
    where no endpoint can be asked.
    """

    network_is_told_by_identity: ClassVar[bool] = True
    """Whether an identity block that the operator names tells the network instead of block 0, or beside it."""

    def __init__(
        self,
        traits: ChainTraits,
        endpoints: Sequence[NodeEndpoint],
        make: Callable[[Access], ProviderT],
        *,
        share_budget: ShareBudget | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.traits = traits
        self.hints = HintTrust(traits.block_time_s)
        self.mempools: Sequence[MempoolSource] = ()
        self._clock = clock
        self._pin = NetworkPin(traits.identity)
        self._book = EndpointBook(compute_stale_after(traits.block_time_s))
        self._providers: dict[str, ProviderT] = {}
        self._called = asyncio.Event()
        self._is_hinted = self._is_woken = False
        self._hedge = HedgeDelay()
        for name, endpoint in name_endpoints([one for one in endpoints if not one.only_hints]).items():
            shared = None if share_budget is None else share_budget(endpoint)
            budget = Budget(endpoint.requests_per_s, shared=shared, clock=clock)
            transport = HttpTransport(endpoint)
            self._book.add(name, endpoint.operator_name)
            self._providers[name] = make(
                Access(name, endpoint.operator_name, transport, budget, self._pin, clock)
            )
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
        for provider in self._providers.values():
            await provider.node.close()

    def pin_network(self, network_id: bytes) -> None:
        identity = self.traits.identity
        if identity is not None and identity.hash != network_id and self.network_is_told_by_identity:
            _log.warning("identity-is-not-the-pinned-one", chain=self.traits.alias, height=identity.height)
        self._pin.genesis_hash = BlockHash(network_id)
        for provider in self._providers.values():
            provider.node.forget_identity()

    async def run_hints(self) -> None:
        """Nobody announces heads, where a family does not say otherwise."""

    def calls_per_day(self, host: str) -> int | None:
        provider = self._providers.get(host)
        return None if provider is None else provider.node.meter.per_day(self._clock())

    def operator_of(self, host: str) -> str | None:
        provider = self._providers.get(host)
        return None if provider is None else provider.operator

    @property
    def operators_count(self) -> int:
        return len({provider.operator for provider in self._providers.values()})

    @property
    def healths(self) -> Sequence[NodeHealth]:
        return list(self._book.healths.values())

    def choose_provider(self) -> ProviderT:
        name = self._book.choose_primary(self._clock())
        if name is None:
            raise Unreachable(f"all {len(self._providers)} providers rest")
        return self._providers[name]

    def second_opinions(self, first: Provider) -> list[ProviderT]:
        names = self._book.compute_second_opinions(first.name, self._clock())
        return [self._providers[name] for name in names]

    def report_failure(self, provider: Provider, error: ChainError) -> None:
        self._book.record_failure(provider.name, error, self._clock())

    def report_success(self, provider: Provider) -> None:
        self._book.record_success(provider.name)

    def report_lag(self, provider: Provider, *, head_height: int, tip_height: int) -> None:
        self._book.record_lag(provider.name, head_height, tip_height)

    async def fetch_head_hedged(
        self, *, safe: bool = True, final: bool = True, along: Along | None = None
    ) -> tuple[ProviderT, HeadReport]:
        first = self.choose_provider()
        order = self._book.choose_order(self._clock())
        second = next((self._providers[name] for name in order if name != first.name), None)
        answers: list[tuple[ProviderT, HeadReport] | ChainError] = []
        async with asyncio.TaskGroup() as group:
            waiting = {group.create_task(self._try_head(first, along, safe=safe, final=final))}
            done, waiting = await asyncio.wait(
                waiting, timeout=None if second is None else self._hedge.delay_s
            )
            answers += [task.result() for task in done]
            if second is not None and not _has_report(answers):
                waiting = waiting | {group.create_task(self._try_head(second, None, safe=safe, final=final))}
            while waiting and not _has_report(answers):
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                answers += [task.result() for task in done]
            for task in waiting:
                task.cancel()
        for answer in answers:
            if isinstance(answer, tuple):
                if self.hints.note_seen(answer[1].head.hash.hex(), self._clock()):
                    self._is_hinted = False
                return answer
        raise next(answer for answer in answers if isinstance(answer, ChainError))

    async def _try_head(
        self, provider: ProviderT, along: Along | None, *, safe: bool, final: bool
    ) -> tuple[ProviderT, HeadReport] | ChainError:
        began = self._clock()
        try:
            report = await self._fetch_report(provider, along, safe=safe, final=final)
        except ChainError as error:
            self.report_failure(provider, error)
            return error
        self._hedge.record(self._clock() - began)
        return provider, report

    async def _fetch_report(
        self,
        provider: ProviderT,
        along: Along | None,  # noqa: ARG002  # for families that have it
        *,
        safe: bool,
        final: bool,
    ) -> HeadReport:
        """A family whose nodes give both in one exchange asks for what is wanted along."""
        return await provider.fetch_head_report(safe=safe, final=final)

    def note_head(self, name: str, head: Header) -> None:
        """A provider claimed a head."""
        self._book.record_head(name, head.height, self._clock())

    def note_hint(self, head: str) -> None:
        """An announcement named a head, by its hash in lower-case hex."""
        if self.hints.note_told(head, self._clock()):
            self._is_hinted = True
            self._called.set()

    @property
    def are_hints_live(self) -> bool:
        return self.hints.is_live(self._clock())

    @property
    def would_hint(self) -> bool:
        return self.hints.would_tell(self._clock())

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


def name_endpoints(endpoints: Sequence[NodeEndpoint]) -> dict[str, NodeEndpoint]:
    """Endpoints by host, numbered where several share one."""
    named: dict[str, NodeEndpoint] = {}
    for endpoint in endpoints:
        name, number = endpoint.host, 1
        while name in named:
            number += 1
            name = f"{endpoint.host}#{number}"
        named[name] = endpoint
    return named


def _has_report(answers: Sequence[tuple[ProviderT, HeadReport] | ChainError]) -> bool:
    return any(isinstance(answer, tuple) for answer in answers)

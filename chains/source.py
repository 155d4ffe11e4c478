"""All providers of one chain, whatever its family: who is asked next, and what woke us.  The port's `ChainSource`.

A family makes its providers and listens to its nodes' announcements; here
health decides who serves, a slow head is hedged, and a hint wakes whoever
waits.  The decisions are `chains.rpc.endpoints` and `chains.hints`, pure.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar

from chains.errors import ChainError, Unreachable
from chains.hints import HintTrust
from chains.mempool import MempoolSource
from chains.model import Header, HeadReport
from chains.port import Along, Provider
from chains.rpc.endpoints import EndpointBook, Health, compute_stale_after
from chains.rpc.transport import Endpoint
from chains.traits import ChainTraits

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


ProviderT = TypeVar("ProviderT", bound=Provider)


class SharedSource(Generic[ProviderT]):
    """One chain's providers by name; a family's source adds what its nodes can do besides."""

    def __init__(
        self,
        traits: ChainTraits,
        providers: Mapping[str, ProviderT],
        book: EndpointBook,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.traits = traits
        self.hints = HintTrust(traits.block_time_s)
        self._clock = clock
        self._book = book
        self._providers = dict(providers)
        self.mempools: Sequence[MempoolSource] = ()
        self._called = asyncio.Event()
        self._is_hinted = self._is_woken = False
        self._hedge = HedgeDelay()

    def operator_of(self, host: str) -> str | None:
        provider = self._providers.get(host)
        return None if provider is None else provider.operator

    @property
    def operators_count(self) -> int:
        return len({provider.operator for provider in self._providers.values()})

    @property
    def healths(self) -> Sequence[Health]:
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


def open_book(traits: ChainTraits) -> EndpointBook:
    """A chain's health book, with nobody in it yet."""
    return EndpointBook(compute_stale_after(traits.block_time_s))


def name_endpoints(endpoints: Sequence[Endpoint]) -> dict[str, Endpoint]:
    """Endpoints by host, numbered where several share one."""
    named: dict[str, Endpoint] = {}
    for endpoint in endpoints:
        name, number = endpoint.host, 1
        while name in named:
            number += 1
            name = f"{endpoint.host}#{number}"
        named[name] = endpoint
    return named


def _has_report(answers: Sequence[tuple[ProviderT, HeadReport] | ChainError]) -> bool:
    return any(isinstance(answer, tuple) for answer in answers)

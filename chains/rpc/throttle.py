"""How often one provider may be asked: a budget that learns, and two priorities within it.

The budget shrinks by half when the provider refuses or grows slow and climbs
back with every success (AIMD), slowly near the rate that was refused, so a
public endpoint and one's own node need the same configuration: none.  Calls for the head go before backfill, which
also has a share it may not exceed.  The only import of asyncio-throttle.
Processes that ask the same provider may count together (`SharedBudget`); what
they count with is not of this room.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import Protocol

from asyncio_throttle.throttler import Throttler

RATE_MIN_PER_S = 1.0
RATE_UNLIMITED_PER_S = 5_000.0
"""A learnt budget that has climbed this far is no budget any more."""

SHRINK_BY = 0.5
GROW_BY = 0.05
GROW_NEAR_LIMIT_BY = 0.002
GROW_NEAR_LIMIT_PER_S = 0.5
LIMIT_NEAR_FROM, LIMIT_NEAR_TO = 0.8, 1.25
"""Around a rate that was refused it climbs slowly: a node that counts per second refuses it again each time."""

SHRINK_EVERY_S = 1.0
"""Calls that were under way together are refused together: that is one refusal, not one each."""

SLOW_BY = 4.0
SLOW_FROM_S = 2.0
"""An answer is slow when it took both four times the usual and two seconds."""

BACKFILL_SHARE = 0.7
"""Of the budget: what is left is the head's, whatever a backfill wants."""

UNBOUNDED_CALLS = 1_000_000
IN_FLIGHT_MAX = 8
IN_FLIGHT_BACKFILL_MAX = 4


class Priority(StrEnum):
    """What a call is for."""

    HEAD = "head"
    BACKFILL = "backfill"


class SharedBudget(Protocol):
    """What all processes together may ask one provider; spent after a process's own budget."""

    async def spend(self, priority: Priority, calls_count: int) -> None:
        """Return when these calls fit.  Never raises, and never waits long for whoever keeps the count."""
        ...

    def record_throttled(self) -> None:
        """Let the others know that the provider asked for less."""
        ...


class Budget:
    """The request budget of one provider; calls of a batch count one each."""

    def __init__(
        self,
        requests_per_s: float | None = None,
        *,
        shared: SharedBudget | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._shared = shared
        self._ceiling = math.inf if requests_per_s is None else requests_per_s
        self._rate = self._ceiling
        self._clock = clock
        self._all = Throttler(1)
        self._backfill = Throttler(1)
        self._in_flight = asyncio.Semaphore(IN_FLIGHT_MAX)
        self._in_flight_backfill = asyncio.Semaphore(IN_FLIGHT_BACKFILL_MAX)
        self._heads_waiting = 0
        self._head_gate = asyncio.Event()
        self._head_gate.set()
        self._usual_s: float | None = None
        self._window_began = self._clock()
        self._window_calls = 0
        self._measured_per_s = 0.0
        self._refused_per_s: float | None = None
        self._shrunk_at = -math.inf
        self._apply_rate()

    @property
    def rate_per_s(self) -> float:
        """Calls a second allowed now; infinite while nothing is known against it."""
        return self._rate

    @property
    def batch_calls_max(self) -> int:
        """How many calls may leave at once: a batch is a burst of its calls."""
        return UNBOUNDED_CALLS if math.isinf(self._rate) else max(1, math.floor(self._rate))

    @asynccontextmanager
    async def admit(self, priority: Priority, calls_count: int) -> AsyncIterator[None]:
        """Wait until these calls fit the budget, then hold a place in flight."""
        if priority is Priority.HEAD:
            async with self._announce_head():
                await self._spend(self._all, calls_count)
                await self._spend_shared(priority, calls_count)
                await self._in_flight.acquire()
            try:
                yield
            finally:
                self._in_flight.release()
            return
        async with self._in_flight_backfill:
            await self._spend(self._backfill, calls_count)
            await self._head_gate.wait()
            await self._spend(self._all, calls_count)
            await self._spend_shared(priority, calls_count)
            async with self._in_flight:
                yield

    def record_success(self, duration_s: float, calls_count: int) -> None:
        """An answer came: climb, unless it was slow."""
        self._measure(calls_count)
        usual_s = self._usual_s
        if usual_s is None:
            self._usual_s = duration_s
            return
        self._usual_s = usual_s + 0.1 * (duration_s - usual_s)
        if duration_s > SLOW_FROM_S and duration_s > SLOW_BY * usual_s:
            self._shrink()
        elif self._rate < self._ceiling:
            self._rate = min(self._rate + self._compute_growth(), self._ceiling)
            if self._rate >= RATE_UNLIMITED_PER_S:
                self._rate = self._ceiling
            self._apply_rate()

    def record_throttled(self) -> None:
        """The provider asked for less: halve what was really sent."""
        self._shrink()
        if self._shared is not None:
            self._shared.record_throttled()

    def _compute_growth(self) -> float:
        refused_per_s = self._refused_per_s
        if refused_per_s is not None and (
            LIMIT_NEAR_FROM * refused_per_s <= self._rate <= LIMIT_NEAR_TO * refused_per_s
        ):
            return max(self._rate * GROW_NEAR_LIMIT_BY, GROW_NEAR_LIMIT_PER_S / self._rate)
        return max(self._rate * GROW_BY, 0.5)

    def _shrink(self) -> None:
        now = self._clock()
        if now - self._shrunk_at < SHRINK_EVERY_S:
            return
        self._shrunk_at = now
        sent_per_s = self._measured_per_s if math.isinf(self._rate) else self._rate
        self._refused_per_s = sent_per_s
        self._rate = max(sent_per_s * SHRINK_BY, RATE_MIN_PER_S)
        self._apply_rate()

    def _apply_rate(self) -> None:
        # Throttler counts whole calls a period; a rate below one needs a longer one.
        for throttler, rate in ((self._all, self._rate), (self._backfill, self._rate * BACKFILL_SHARE)):
            if math.isinf(rate):
                continue
            throttler.period = max(1.0, 1.0 / rate)
            throttler.rate_limit = max(1, math.floor(rate * throttler.period))

    async def _spend(self, throttler: Throttler, calls_count: int) -> None:
        for _ in range(calls_count):
            if math.isinf(self._rate):
                return
            await throttler.acquire()  # type: ignore[no-untyped-call]  # published without types

    async def _spend_shared(self, priority: Priority, calls_count: int) -> None:
        if self._shared is not None:
            await self._shared.spend(priority, calls_count)

    @asynccontextmanager
    async def _announce_head(self) -> AsyncIterator[None]:
        self._heads_waiting += 1
        self._head_gate.clear()
        try:
            yield
        finally:
            self._heads_waiting -= 1
            if self._heads_waiting == 0:
                self._head_gate.set()

    def _measure(self, calls_count: int) -> None:
        now = self._clock()
        self._window_calls += calls_count
        passed_s = now - self._window_began
        if passed_s >= 1.0:
            self._measured_per_s = self._window_calls / passed_s
            self._window_began, self._window_calls = now, 0
        else:
            self._measured_per_s = max(self._measured_per_s, float(self._window_calls))

"""How much one caller may ask: which limits hold where, and how many streams a merchant keeps open.

Lives here: the limits' numbers, and turning a refusal into a problem. Does not live here: the counting (`gateway.ratelimits`,
and `gateway.redis.ratelimits` for several processes), sizes of bodies (`app`), budgets of providers (chains.rpc.throttle).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import UUID

from gateway.http.problem import Problem
from gateway.ratelimits import RateLimit, RateLimits

CALLS = RateLimit("calls", requests=500, period_s=5.0)
"""One key's calls: a hundred a second, and a burst of five seconds' worth for a program that catches up."""

STREAMS_PER_MERCHANT_MAX = 20


async def spend_call(limits: RateLimits, key_id: UUID, limit: RateLimit = CALLS) -> dict[str, str]:
    """Count one call of a key; the headers to answer with. Problem 429 where there are too many."""
    verdict = await limits.spend(key_id.hex, limit)
    if not verdict.allowed:
        detail = f"more than {limit.requests} calls in {limit.period_s:g} s"
        raise Problem(429, detail, headers=verdict.headers())
    return verdict.headers()


@dataclass(slots=True)
class StreamLimits:
    """How many streams and long polls a merchant may hold open."""

    each_max: int = STREAMS_PER_MERCHANT_MAX
    _open: dict[UUID, int] = field(default_factory=dict)

    @contextmanager
    def hold(self, merchant_id: UUID) -> Iterator[None]:
        """Count one stream while it is open; Problem 429 when there are too many."""
        count = self._open.get(merchant_id, 0)
        if count >= self.each_max:
            raise Problem(
                429, f"a merchant holds at most {self.each_max} streams open", headers={"Retry-After": "5"}
            )
        self._open[merchant_id] = count + 1
        try:
            yield
        finally:
            left = self._open[merchant_id] - 1
            if left:
                self._open[merchant_id] = left
            else:
                del self._open[merchant_id]

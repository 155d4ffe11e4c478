"""How much one caller may ask: which limits hold where, and how many streams a merchant keeps open.

Lives here: the limits' numbers, and turning a refusal into a problem. Does not live here: the counting (`gateway.ratelimits`,
and `gateway.redis.ratelimits` for several processes), sizes of bodies (`app`), budgets of providers (chains.rpc.throttle).
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import UUID

from gateway.http.problem import Problem
from gateway.ratelimits import LocalRateLimits, RateLimit, RateLimits

CALLS = RateLimit("calls", requests=500, period_s=5.0)
"""One key's calls: a hundred a second, and a burst of five seconds' worth for a program that catches up."""

FAILED_LOGINS = RateLimit("failed logins", requests=300, period_s=60.0)
"""Refused keys from one place: guessing is hopeless anyway, so this bounds what it costs the database."""

KEY_LISTS = RateLimit("key lists", requests=100, period_s=10.0)
"""Lists of public keys for one place: nobody shows a key there, and each costs the database a read."""

STREAMS_PER_MERCHANT_MAX = 20
TRUSTED_KEYS_MAX = 10_000


async def spend_call(limits: RateLimits, key_id: UUID, limit: RateLimit = CALLS) -> dict[str, str]:
    """Count one call of a key; the headers to answer with. Problem 429 where there are too many."""
    return await spend_place(limits, key_id.hex, limit)


async def spend_place(limits: RateLimits, place: str, limit: RateLimit) -> dict[str, str]:
    """The same for whoever calls from a place, without a key."""
    verdict = await limits.spend(place, limit)
    if not verdict.allowed:
        detail = f"more than {limit.requests} calls in {limit.period_s:g} s"
        raise Problem(429, detail, headers=verdict.headers())
    return verdict.headers()


class FailedLogins:
    """Turns away a place that shows too many wrong keys, before the database is asked about the next one.

    A key that was right lately is let through all the same: many callers may share one address behind a proxy. Keys are
    remembered as hashes only.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._counts = LocalRateLimits(clock=clock)
        self._closed_until_s: dict[str, float] = {}
        self._trusted: dict[bytes, None] = {}

    def check(self, place: str, header: str | None) -> None:
        """Problem 429 where this place is to wait and does not show a key that was right lately."""
        left_s = self._closed_until_s.get(place, 0.0) - self._clock()
        if left_s > 0 and _fingerprint(header) not in self._trusted:
            wait = {"Retry-After": str(math.ceil(left_s))}
            raise Problem(429, "too many calls with wrong keys came from here", headers=wait)

    def note_right(self, header: str | None) -> None:
        """This key was right."""
        self._trusted[_fingerprint(header)] = None
        if len(self._trusted) > TRUSTED_KEYS_MAX:
            del self._trusted[next(iter(self._trusted))]

    def note_wrong(self, place: str, header: str | None) -> None:
        """This key was not, or is not any more."""
        self._trusted.pop(_fingerprint(header), None)
        verdict = self._counts.spend_now(place, FAILED_LOGINS)
        if not verdict.allowed:
            self._closed_until_s.pop(place, None)
            self._closed_until_s[place] = self._clock() + verdict.retry_after_s
            if len(self._closed_until_s) > TRUSTED_KEYS_MAX:
                del self._closed_until_s[next(iter(self._closed_until_s))]


def _fingerprint(header: str | None) -> bytes:
    return hashlib.sha256((header or "").encode("utf-8", "surrogateescape")).digest()


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

"""How much one caller may ask: a bucket of calls for each key, and a few open streams.

Lives here, pure: the buckets and the `RateLimit-*` headers they give. `now_s` is a monotonic clock's. Does not live here:
sizes of bodies (`app`), budgets of providers (chains.rpc.throttle). The buckets are this process's own.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import UUID

from gateway.http.problem import Problem

RATE_PER_S = 100.0
BURST_CALLS = 500
BUCKETS_MAX = 10_000
STREAMS_PER_MERCHANT_MAX = 20


@dataclass(slots=True)
class _Bucket:
    left: float
    at_s: float


@dataclass(slots=True)
class RateLimits:
    """One bucket a key; the least recently used is forgotten when there are too many."""

    rate_per_s: float = RATE_PER_S
    burst_calls: int = BURST_CALLS
    _buckets: OrderedDict[UUID, _Bucket] = field(default_factory=OrderedDict)

    def spend(self, key: UUID, now_s: float) -> dict[str, str]:
        """Take one call out of a key's bucket; the headers to answer with. Problem 429 when it is empty."""
        bucket = self._buckets.pop(key, None) or _Bucket(self.burst_calls, now_s)
        bucket.left = min(self.burst_calls, bucket.left + (now_s - bucket.at_s) * self.rate_per_s)
        bucket.at_s = now_s
        self._buckets[key] = bucket
        if len(self._buckets) > BUCKETS_MAX:
            self._buckets.popitem(last=False)
        if bucket.left < 1:
            wait_s = math.ceil((1 - bucket.left) / self.rate_per_s)
            raise Problem(
                429,
                f"more than {self.rate_per_s:g} calls a second",
                headers={**self._headers(bucket), "Retry-After": str(max(1, wait_s))},
            )
        bucket.left -= 1
        return self._headers(bucket)

    def _headers(self, bucket: _Bucket) -> dict[str, str]:
        full_in_s = math.ceil((self.burst_calls - bucket.left) / self.rate_per_s)
        window_s = math.ceil(self.burst_calls / self.rate_per_s)
        return {
            "RateLimit-Limit": str(self.burst_calls),
            "RateLimit-Remaining": str(max(0, int(bucket.left))),
            "RateLimit-Reset": str(full_in_s),
            "RateLimit-Policy": f"{self.burst_calls};w={window_s}",
        }


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

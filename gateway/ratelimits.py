"""How often a caller may come, and what its answer says about it: the `RateLimit-*` headers of the API.

Lives here: the formula (GCRA: a bucket that refills evenly, kept as one number), the protocol `RateLimits`, and its
equal for one process. Does not live here: one count for all gateways (`redis.ratelimits`), which limit holds where
(`http`). The formula is pure; times are microseconds of whatever clock counts them.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

SUBJECTS_MAX = 50_000
"""Callers remembered by one process, about 10 MB; whoever came longest ago is forgotten first."""

_MICROSECONDS = 1_000_000


@dataclass(frozen=True, slots=True)
class RateLimit:
    """So many requests in any period, evenly refilled; all of them may come at once."""

    name: str
    requests: int
    period_s: float

    @property
    def period_us(self) -> int:
        """How long an empty bucket takes to fill."""
        return round(self.period_s * _MICROSECONDS)

    @property
    def interval_us(self) -> float:
        """How long one request takes to be forgotten."""
        return self.period_us / self.requests


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a call may go on, and what its caller is told. `retry_after_s` is 0 where it is allowed."""

    allowed: bool
    limit: RateLimit
    remaining: int
    reset_s: float
    retry_after_s: float

    def headers(self) -> dict[str, str]:
        """For every answer; a refusal also says when to come again."""
        said = {
            "RateLimit-Limit": str(self.limit.requests),
            "RateLimit-Remaining": str(self.remaining),
            "RateLimit-Reset": str(math.ceil(self.reset_s)),
            "RateLimit-Policy": f"{self.limit.requests};w={math.ceil(self.limit.period_s)}",
        }
        if not self.allowed:
            said["Retry-After"] = str(max(1, math.ceil(self.retry_after_s)))
        return said


class RateLimits(Protocol):
    """Counts what callers spend."""

    async def spend(self, subject: str, limit: RateLimit) -> Verdict:
        """Take one request from what `subject` has left; a refused call takes nothing."""
        ...


def decide_spending(debt_us: int, limit: RateLimit) -> tuple[bool, int]:
    """Whether one more fits beside what is still owed, and what is owed then (unchanged by a refusal)."""
    after_us = debt_us + round(limit.interval_us)
    return (True, after_us) if after_us <= limit.period_us else (False, debt_us)


def describe_spending(allowed: bool, debt_us: int, limit: RateLimit) -> Verdict:  # noqa: FBT001
    """The verdict for a caller who owes `debt_us` now."""
    missing_us = 0 if allowed else debt_us + round(limit.interval_us) - limit.period_us
    return Verdict(
        allowed,
        limit,
        remaining=max(0, int((limit.period_us - debt_us) / limit.interval_us)),
        reset_s=debt_us / _MICROSECONDS,
        retry_after_s=missing_us / _MICROSECONDS,
    )


class LocalRateLimits:
    """The count of one process."""

    def __init__(
        self, *, clock: Callable[[], float] = time.monotonic, subjects_max: int = SUBJECTS_MAX
    ) -> None:
        self._clock = clock
        self._subjects_max = subjects_max
        self._paid_at_us: dict[tuple[str, str], int] = {}

    async def spend(self, subject: str, limit: RateLimit) -> Verdict:
        """As `RateLimits.spend`."""
        return self.spend_now(subject, limit)

    def spend_now(self, subject: str, limit: RateLimit) -> Verdict:
        """The same, without waiting for anybody."""
        now_us = int(self._clock() * _MICROSECONDS)
        key = (limit.name, subject)
        owed_us = max(0, self._paid_at_us.pop(key, 0) - now_us)
        allowed, debt_us = decide_spending(owed_us, limit)
        self._paid_at_us[key] = now_us + debt_us
        if len(self._paid_at_us) > self._subjects_max:
            del self._paid_at_us[next(iter(self._paid_at_us))]
        return describe_spending(allowed, debt_us, limit)

    def give_back(self, subject: str, limit: RateLimit) -> None:
        """Undo a spending that somebody else refused."""
        key = (limit.name, subject)
        if key in self._paid_at_us:
            self._paid_at_us[key] -= round(limit.interval_us)

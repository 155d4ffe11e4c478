"""How fast one endpoint is sent to: attempts in flight that adapt, a rate, and a rest after "too many requests".

Lives here, pure: additive increase and multiplicative decrease of the in-flight limit (doubling up to where it last
went wrong, as TCP does), the merchant's `rate_per_s`, the rest after a 429. Does not live here: which event goes
next (`lane`), and the share one endpoint may take of everything (`dispatch`).
"""

from __future__ import annotations

from datetime import datetime, timedelta

from relay.model import CONGESTED, Outcome, OutcomeKind
from relay.settings import LaneSettings

RATE_BURST_S = 0.05
"""How much of a second's rate may go at once: sends are started in rounds, not one by one on a clock."""
REST_FIRST_S = 1.0


class Pace:
    """One endpoint's pace. Every method is told the time; nothing here looks at a clock."""

    __slots__ = (
        "_due_at",
        "_limit",
        "_limit_max",
        "_rate_per_s",
        "_rests",
        "_slowed_at",
        "_threshold",
        "resting_until",
    )

    def __init__(self, *, limit_max: int, rate_per_s: int | None, limit_start: int) -> None:
        self._limit_max = limit_max
        self._rate_per_s = rate_per_s
        self._limit = float(min(limit_start, limit_max))
        self._threshold = float(limit_max)
        self._slowed_at: datetime | None = None
        self._due_at: datetime | None = None
        self._rests = 0
        self.resting_until: datetime | None = None

    @property
    def limit(self) -> int:
        """Attempts that may be in flight now, at least 1."""
        return int(self._limit)

    def configure(self, *, limit_max: int, rate_per_s: int | None) -> None:
        """Take new bounds from the merchant; what was learnt stays, and a bound is nothing that was learnt."""
        if self._threshold >= self._limit_max:
            self._threshold = float(limit_max)
        self._limit_max = limit_max
        self._limit = min(self._limit, float(limit_max))
        self._rate_per_s = rate_per_s

    def restart(self) -> None:
        """Begin again at one: an endpoint that was sick is drained with care."""
        self._limit = 1.0
        self._threshold = float(self._limit_max)
        self._rests = 0
        self.resting_until = None

    def forget_times(self) -> None:
        """The clock was set back: what was to end at some time could last as long as that."""
        self._slowed_at = self._due_at = self.resting_until = None

    def rests(self, now: datetime) -> bool:
        """Nothing may start at `now`, whatever is in flight."""
        return self.resting_until is not None and now < self.resting_until

    def room(self, in_flight: int, now: datetime) -> int:
        """How many attempts may start at `now` beside `in_flight`."""
        if self.rests(now):
            return 0
        room = int(self._limit) - in_flight
        if room <= 0 or self._rate_per_s is None:
            return max(room, 0)
        return min(room, self._rated(now))

    def opens_at(self, now: datetime) -> datetime | None:
        """When waiting alone will make room: the end of a rest, or of the rate's spacing; None if it is not that."""
        if self.resting_until is not None and now < self.resting_until:
            return self.resting_until
        if self._rate_per_s is not None and self._due_at is not None and self._rated(now) == 0:
            return self._due_at - timedelta(seconds=self._tolerance_s())
        return None

    def started(self, now: datetime) -> None:
        """Note that one attempt started."""
        if self._rate_per_s is not None:
            begin = now if self._due_at is None else max(self._due_at, now)
            self._due_at = begin + timedelta(seconds=1 / self._rate_per_s)

    def feel(self, outcome: Outcome, started_at: datetime, now: datetime, bounds: LaneSettings) -> None:
        """Adapt to how one attempt ended."""
        if outcome.kind is OutcomeKind.DELIVERED:
            self.succeeded()
        elif outcome.kind is OutcomeKind.THROTTLED:
            self.throttled(started_at, now, outcome.retry_after_s, bounds.throttle_rest_max_s)
        elif outcome.kind is OutcomeKind.UNSENT:
            self.detained(started_at, now, bounds.detained_rest_max_s)
        elif outcome.kind in CONGESTED:
            self.congested(started_at, now)

    def succeeded(self) -> None:
        """One more success: grow by one each below the threshold (doubling), by one a window above it."""
        self._rests = 0
        if self._limit < self._limit_max:
            step = 1.0 if self._limit < self._threshold else 1.0 / self._limit
            self._limit = min(self._limit + step, float(self._limit_max))

    def congested(self, started_at: datetime, now: datetime) -> None:
        """A timeout, a reset or a 5xx: halve, once for all attempts that were in flight together."""
        if self._slowed_at is not None and started_at <= self._slowed_at:
            return
        self._slowed_at = now
        self._threshold = max(1.0, self._limit / 2)
        self._limit = self._threshold

    def throttled(
        self, started_at: datetime, now: datetime, retry_after_s: int | None, rest_max_s: int
    ) -> None:
        """A 429: halve, and rest for what was asked or a doubling second, at most `rest_max_s`."""
        if self._slowed_at is not None and started_at <= self._slowed_at:
            return
        self.congested(started_at, now)
        rest_s = REST_FIRST_S * 2 ** min(self._rests, 10) if retry_after_s is None else retry_after_s
        self._rests += 1
        self.resting_until = now + timedelta(seconds=min(rest_s, rest_max_s))

    def detained(self, started_at: datetime, now: datetime, rest_max_s: int) -> None:
        """Our own way out failed: rest a doubling second, at most `rest_max_s`, and come back with one attempt."""
        if self._slowed_at is not None and started_at <= self._slowed_at:
            return
        self._slowed_at = now
        self._limit = 1.0
        rest_s = min(REST_FIRST_S * 2 ** min(self._rests, 10), rest_max_s)
        self._rests += 1
        self.resting_until = now + timedelta(seconds=rest_s)

    def _tolerance_s(self) -> float:
        assert self._rate_per_s is not None
        return max(0.0, RATE_BURST_S - 1 / self._rate_per_s)

    def _rated(self, now: datetime) -> int:
        assert self._rate_per_s is not None
        if self._due_at is None or self._due_at <= now:
            ahead_s = 0.0
        else:
            ahead_s = (self._due_at - now).total_seconds()
        spare_s = self._tolerance_s() - ahead_s
        return 0 if spare_s < 0 else 1 + int(spare_s * self._rate_per_s)

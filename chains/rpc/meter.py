"""How many calls an endpoint is asked in a day: what its plan is billed by.  Pure.

Counted are calls as they are sent, retries included, by the hour of a
monotonic clock.  What a plan weighs a method with is the operator's to know.
"""

from __future__ import annotations

from collections import deque

HOUR_S = 3_600.0
HOURS_KEPT = 24
TELLS_AFTER_S = 600.0
"""Before that, what a start costs would be told as a day's."""


class CallMeter:
    """The calls of the last day, or of as much of it as this process has seen."""

    def __init__(self, now_s: float) -> None:
        self._began_s = now_s
        self._hours: deque[tuple[int, int]] = deque(maxlen=HOURS_KEPT + 1)

    def note(self, calls_count: int, now_s: float) -> None:
        """So many calls are sent now."""
        hour = int((now_s - self._began_s) // HOUR_S)
        if self._hours and self._hours[-1][0] >= hour:
            hour, before = self._hours.pop()
            calls_count += before
        self._hours.append((hour, calls_count))

    def per_day(self, now_s: float) -> int | None:
        """Calls a day at the pace of the last 24 hours; None in the first minutes."""
        elapsed_s = now_s - self._began_s
        if elapsed_s < TELLS_AFTER_S:
            return None
        this_hour = int(elapsed_s // HOUR_S)
        first_hour = max(0, this_hour - HOURS_KEPT + 1)
        counted = sum(count for hour, count in self._hours if hour >= first_hour)
        return round(counted * HOURS_KEPT * HOUR_S / (elapsed_s - first_hour * HOUR_S))

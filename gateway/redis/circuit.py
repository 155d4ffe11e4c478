"""When Redis is asked, and when it is left alone.  Pure.

Lives here: one circuit. It begins open, so that no start waits for Redis; one failure opens it; only the keeper's own
probe closes it again, and rests longer each time Redis fails soon after it came back. Does not live here: asking
(`connection`). `now_s` is a monotonic clock's.
"""

from __future__ import annotations

from dataclasses import dataclass

REST_FIRST_S = 0.5
REST_MAX_S = 10.0
FORGIVEN_AFTER_S = 30.0
"""A Redis that served for so long has its former failures forgotten."""


@dataclass(slots=True)
class Circuit:
    """Closed: Redis is asked. Open: it is not, and the in-process equals serve."""

    is_closed: bool = False
    failures: int = 0
    closed_at_s: float = 0.0

    def fail(self, now_s: float) -> bool:
        """Note a failure; True if it opened the circuit now."""
        opened = self.is_closed
        if opened and now_s - self.closed_at_s >= FORGIVEN_AFTER_S:
            self.failures = 0
        self.failures += 1
        self.is_closed = False
        return opened

    def succeed(self, now_s: float) -> bool:
        """Note a probe that was answered; True if it closed the circuit now."""
        if self.is_closed:
            return False
        self.is_closed, self.closed_at_s = True, now_s
        return True

    @property
    def rest_s(self) -> float:
        """How long to wait before the next probe while it is open."""
        return min(REST_FIRST_S * 2.0 ** min(max(self.failures - 1, 0), 16), REST_MAX_S)

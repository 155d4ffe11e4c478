"""Whether a websocket tells heads in time: what the timer may rely on.  Pure.

A subscription earns belief by naming, by hash, the blocks that providers then
show; it loses it when a provider shows a new head that was not named in time,
and has to name more of them before it is believed again.  Until then the timer
goes on as if there were no websocket.  On a chain that stands still there is
nothing to earn it by: there one that stands is taken at its word until a head
is shown that it did not name.  Hearing is `heads`.
"""

from __future__ import annotations

from collections import deque

TOLD_MAX = 64
EARN_FIRST = 2
EARN_MAX = 64
LATE_BLOCK_TIMES = 1 / 8
LATE_MIN_S = 0.25
"""Later than this after a look had found the block is too late: the timer would have been the quicker one."""


class HintTrust:
    """What one chain's websocket has told and what its providers showed; seconds of one monotonic clock."""

    def __init__(self, block_time_s: float) -> None:
        self._late_s = max(LATE_BLOCK_TIMES * block_time_s, LATE_MIN_S)
        self._told: deque[str] = deque(maxlen=TOLD_MAX)
        self._seen = ""
        self._untold = ""
        self._untold_since_s = 0.0
        self._in_time = 0
        self._to_earn = EARN_FIRST
        self._is_open = False
        self._kept = ""

    def note_open(self) -> None:
        """A subscription stands: from now on every head is to be named."""
        self._is_open = True

    def note_told(self, head: str, now_s: float) -> bool:
        """A head was named; False where the last look showed it, so that there is nothing to look for."""
        self._told.append(head)
        self._judge_untold(now_s)
        if head == self._kept:
            self._kept = ""  # late, and not silent
        if head == self._untold:
            self._untold = ""
            self._note_in_time()
        return head != self._seen

    def note_seen(self, head: str, now_s: float) -> bool:
        """The provider of a look showed this head; True where it is the one that was named last."""
        self._judge_untold(now_s)
        if head != self._seen:
            was_seen, self._seen = self._is_open and self._seen, head
            if head in self._told:
                self._note_in_time()
            elif (self._told or was_seen) and not self._untold:
                self._untold, self._untold_since_s = head, now_s
        return bool(self._told) and self._told[-1] == head

    def name_next(self, now_s: float) -> str | None:
        """What the next look will show, as it seems: the only head that was named since the last, while names are believed."""
        if len(self._told) < 2 or not self.is_live(now_s):
            return None
        before, last = self._told[-2], self._told[-1]
        return last if before == self._seen != last else None

    def is_live(self, now_s: float) -> bool:
        """Whether new heads are told in time."""
        self._judge_untold(now_s)
        return self._in_time >= self._to_earn

    def would_tell(self, now_s: float) -> bool:
        """Whether a subscription stands, and none has kept a head to itself since the last that was believed."""
        self._judge_untold(now_s)
        return self._is_open and not self._kept

    def forget(self) -> None:
        """The subscription ended: another one has to earn it anew."""
        self._is_open = False
        self._told.clear()
        self._untold = ""
        self._in_time = 0

    def _note_in_time(self) -> None:
        self._in_time += 1
        if self._in_time >= self._to_earn:
            self._kept = ""
        if self._in_time >= EARN_MAX:
            self._to_earn = EARN_FIRST

    def _judge_untold(self, now_s: float) -> None:
        if not self._untold or now_s - self._untold_since_s <= self._late_s:
            return
        self._kept, self._untold = self._untold, ""
        if self._in_time >= self._to_earn:
            self._to_earn = min(2 * self._to_earn, EARN_MAX)
        self._in_time = 0

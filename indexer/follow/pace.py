"""When the head is read next: when a hint comes, or when the next block is due.  Pure.

Each look is a call that somebody counts, so none is made that can hardly tell
anything new.  A block is due after the interval that this chain showed lately.
Being wrong here costs seconds and never a decision.  Waiting is `loop`,
reading is `step`, finality tags are `tags`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

LEARN_BY = 1 / 8
CREEP = 1 / 64
"""A block that was there at the first look came earlier: by so much of a block time, it is supposed."""

SHORT_WAITS_MAX = 4
"""So often a block that is late is looked for twice as often as `poll_interval_s` says."""

QUIET_BLOCK_TIMES = 3
"""A block so long overdue is looked for once in a block time, where a websocket would tell of it at once."""

WATCHDOG_BLOCK_TIMES = 2
WATCHDOG_MAX_S = 60.0
BATCH_FROM_S = 0.5
"""Where blocks come as often as this, hints are collected for `poll_interval_s`: one look for several blocks."""


class Occasion(StrEnum):
    """What a step is for; any of them may find that the head has to be read."""

    HEAD = "head"
    """Read the head: a hint came, or the next block is due."""

    TICK = "tick"
    """Nothing is due: ask others again where they have not agreed, and let deposits mature."""

    WORD = "word"
    """Somebody else has answered: hear it."""


@dataclass(slots=True)
class HeadPace:
    """When the head is read next, from when it was read and what it was; seconds of one monotonic clock.

    Without hints it locks onto the chain's rhythm: the first look when a block
    is due, then a few more in short waits.  It forgets nothing it would miss:
    no wait is longer than the watchdog's.
    """

    block_time_s: float
    poll_interval_s: float
    height: int | None = None
    came_at_s: float = 0.0
    looked_at_s: float = 0.0
    fruitless_looks: int = 0
    is_hint_open: bool = False
    interval_s: float = 0.0
    spread_s: float = 0.0

    def __post_init__(self) -> None:
        self.interval_s = self.block_time_s

    @property
    def watchdog_s(self) -> float:
        """How long a look can be put off, whatever is believed of hints."""
        return max(min(WATCHDOG_BLOCK_TIMES * self.block_time_s, WATCHDOG_MAX_S), self.poll_interval_s)

    def note_look(self, now_s: float, height: int, *, is_hinted: bool = False) -> None:
        """The head was asked for at `now_s`, and was at `height`."""
        before_s, self.looked_at_s = self.looked_at_s, now_s
        if self.height is None or height < self.height:
            self.height, self.came_at_s, self.fruitless_looks = height, now_s, 0
            return
        if height == self.height:
            self.fruitless_looks += 1
            self.is_hint_open |= is_hinted
            return
        self.is_hint_open = False
        if is_hinted:
            came_at_s = now_s
        elif self.fruitless_looks:
            came_at_s = (before_s + now_s) / 2
        else:
            # A look that began late says nothing of when the block came, or each would be later than the last.
            came_at_s = min(now_s, max(self._due_s(), before_s)) - CREEP * self.block_time_s
        error_s = (came_at_s - self.came_at_s) / (height - self.height) - self.interval_s
        learnt_s = self.interval_s + LEARN_BY * error_s
        self.interval_s = min(max(learnt_s, self.block_time_s / 4), 4 * self.block_time_s)
        self.spread_s += LEARN_BY * (abs(error_s) - self.spread_s)
        self.height, self.came_at_s, self.fruitless_looks = height, came_at_s, 0

    def put_off(self, now_s: float) -> None:
        """A look was due and there was nothing to look for: the chain is halted, or has not begun."""
        self.looked_at_s = now_s

    def compute_next_look(self, *, are_hints_live: bool, would_hint: bool = False) -> float:
        """When the head is read if no hint comes; a hint whose block was not there yet is no reason to wait."""
        latest_s = self.looked_at_s + self.watchdog_s
        if are_hints_live and not self.is_hint_open:
            return latest_s
        if would_hint and not self.is_hint_open and self._is_quiet():
            return min(self.looked_at_s + max(self.block_time_s, self.poll_interval_s), latest_s)
        return min(max(self._due_s(), self.looked_at_s + self._wait_s()), latest_s)

    def compute_next_hint(self) -> float:
        """Until when hints are collected: at once for most chains, unless the last one was for nothing."""
        if self.is_hint_open:
            return self.looked_at_s + self._wait_s()
        collects_s = self.poll_interval_s if self.block_time_s <= BATCH_FROM_S else 0.0
        return self.looked_at_s + collects_s

    def _is_quiet(self) -> bool:
        return self.looked_at_s - self._due_s() > QUIET_BLOCK_TIMES * self.interval_s

    def _due_s(self) -> float:
        return self.came_at_s + self.interval_s - self.spread_s

    def _wait_s(self) -> float:
        """Between two looks for one block; an interval that was set longer than blocks take is kept as it is."""
        is_short = self.fruitless_looks <= SHORT_WAITS_MAX and self.poll_interval_s <= self.block_time_s / 2
        return self.poll_interval_s / 2 if is_short else self.poll_interval_s

"""Which finality tags are asked for with a head: those that can have moved, where something waits.  Pure.

A tag that is not asked for is unknown, as one that a node does not know.  It
is asked for while a deposit lies above it, but not before it has stood as long
as it did last time; and now and then in any case, so that finality that is
late is noticed.  What the answers mean is `finality`, asking is `step`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from chains.model import HeadReport
from indexer.rules.deposits import Change
from indexer.rules.policy import ConfirmedBy
from indexer.settings import FollowSettings

IDLE_BLOCK_TIMES = 16
IDLE_MIN_S, IDLE_MAX_S = 10.0, 192.0
EARLY = 0.95


@dataclass(slots=True)
class TagPace:
    """When a finality tag is asked for next; seconds of one clock, which may be set back.

    `hold_s` is how long it surely stands still after it moved, as far as that
    was seen: nothing for a tag that moves with every block.
    """

    block_time_s: float
    asked_at_s: float | None = None
    height: int = -1
    moved_at_s: float = 0.0
    still_at_s: float | None = None
    hold_s: float = 0.0

    @property
    def idle_s(self) -> float:
        """How often it is asked for at least, so that finality that is late is noticed."""
        return min(max(IDLE_BLOCK_TIMES * self.block_time_s, IDLE_MIN_S), IDLE_MAX_S)

    def is_due(self, now_s: float, *, waits: bool, recorded_height: int | None) -> bool:
        """Whether to ask with the next head; `waits`: something happens once it moves."""
        if self.asked_at_s is None or not 0 <= now_s - self.asked_at_s < self.idle_s:
            return True
        if not waits:
            return False
        # What was answered and could not be used yet, as while catching up, is worth asking for again.
        is_usable = self.height > _height(recorded_height)
        return is_usable or now_s - self.moved_at_s >= self.hold_s

    def note_answer(self, now_s: float, height: int | None) -> None:
        """It was asked for now; None where the node does not know it."""
        self.asked_at_s = now_s
        if height is None:
            return
        if height == self.height:
            self.still_at_s = now_s
            return
        if self.still_at_s is None:
            self.hold_s /= 2
        else:
            self.hold_s = max(0.0, EARLY * (self.still_at_s - self.moved_at_s))
        self.height, self.moved_at_s, self.still_at_s = height, now_s, None


@dataclass(frozen=True, slots=True)
class Wanted:
    """The tags of one look."""

    safe: bool
    final: bool


class TagWatch:
    """Both tags of one chain, and up to where something may wait for them.

    Until we know better that is the tip with which we started.  Deposits that
    history adds above the tags wait for `idle_s` at most.
    """

    def __init__(self, settings: FollowSettings) -> None:
        block_time_s = settings.traits.block_time_s
        self._safe = TagPace(block_time_s)
        self._final = TagPace(block_time_s)
        self._is_safe_awaited = any(
            rule.requirement.by is ConfirmedBy.SAFE for rule in settings.confirm_rules
        )
        self._paid_height: int | None = None

    def choose(
        self, now_s: float, *, tip_height: int, safe_height: int | None, final_height: int | None
    ) -> Wanted:
        """What to ask for with the next head, from the heights on record."""
        if self._paid_height is None:
            self._paid_height = tip_height
        return Wanted(
            self._safe.is_due(
                now_s,
                waits=self._is_safe_awaited and self._paid_height > _height(safe_height),
                recorded_height=safe_height,
            ),
            self._final.is_due(
                now_s, waits=self._paid_height > _height(final_height), recorded_height=final_height
            ),
        )

    def note_answer(self, now_s: float, wanted: Wanted, report: HeadReport) -> None:
        """What was asked for has been answered."""
        if wanted.safe:
            self._safe.note_answer(now_s, None if report.safe is None else report.safe.height)
        if wanted.final:
            self._final.note_answer(now_s, None if report.final is None else report.final.height)

    def note_changes(self, changes: Iterable[Change]) -> None:
        """A move touched these deposits: what is on chain waits."""
        places = (change.deposit.occurrence for change in changes)
        heights = [place.height for place in places if place is not None]
        self._paid_height = max([*heights, _height(self._paid_height)])


def _height(height: int | None) -> int:
    return -1 if height is None else height

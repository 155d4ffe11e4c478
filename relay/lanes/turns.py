"""Whose turn it is among endpoints that all have something to send.

Lives here, pure: the line of those who took what they were sent last, the line of all others, and how the two alternate: a
thousand endpoints that are gone, and all that is tried again at them, are not felt by who answers. Does not live here: what
a lane sends in its turn (`lane`), what one host or one endpoint may get at once (`hosts`, `dispatch`).
"""

from __future__ import annotations

from uuid import UUID

QUANTUM = 4
"""Attempts one lane may start before the next one has its turn."""
WELL_FIRST = 3 * QUANTUM
"""Attempts for endpoints that took what they were sent last, before one that did not, or is not known, has its turn."""
SHARE_OF_OTHERS = 0.75
"""Of what may be in flight, for those others: however many of them never answer, something is left for who does."""


class Turns:
    """Both lines, first come first served in each. Whoever waits already keeps its place."""

    __slots__ = ("_others", "_others_in_flight", "_others_max", "_well", "_well_in_a_row")

    def __init__(self, in_flight_max: int) -> None:
        self._well: dict[UUID, None] = {}
        self._others: dict[UUID, None] = {}
        self._others_max = max(1, int(in_flight_max * SHARE_OF_OTHERS))
        self._others_in_flight = 0
        self._well_in_a_row = 0

    def line_up(self, endpoint_id: UUID, *, well: bool) -> None:
        """Let it have a turn."""
        line, other = (self._well, self._others) if well else (self._others, self._well)
        other.pop(endpoint_id, None)
        line.setdefault(endpoint_id)

    @property
    def may_start(self) -> bool:
        """Somebody's turn can come now."""
        return bool(self._line())

    def take(self) -> UUID | None:
        """Whose turn it is, taken out of its line; None where nobody may start."""
        line = self._line()
        endpoint_id = next(iter(line), None)
        if endpoint_id is not None:
            del line[endpoint_id]
        return endpoint_id

    def room(self, *, well: bool) -> int:
        """How many attempts a turn is."""
        return QUANTUM if well else min(QUANTUM, self._others_max - self._others_in_flight)

    def started(self, count: int, *, well: bool) -> None:
        """So many attempts began, in a turn or as a probe."""
        if well:
            self._well_in_a_row += count
        elif count:
            self._well_in_a_row = 0
            self._others_in_flight += count

    def ended(self, *, well: bool) -> None:
        """One of those that `started` so is over."""
        self._others_in_flight -= not well

    def _line(self) -> dict[UUID, None]:
        if self._others_in_flight >= self._others_max or not self._others:
            return self._well
        return self._well if self._well and self._well_in_a_row < WELL_FIRST else self._others

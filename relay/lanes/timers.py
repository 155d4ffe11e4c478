"""When each lane is to be looked at without any news: one moment a lane, the earliest it asked for.

A lane names another moment at every turn, so what was pushed for it before is out of date. Lives here, pure: `Timers`, a heap
that is sifted before what is out of date outweighs the rest. Does not live here: what a lane waits for (`lane`).
"""

from __future__ import annotations

import heapq
from collections.abc import Container, Iterator
from datetime import datetime
from uuid import UUID

SIFTED_FROM = 64
"""A heap this small is not worth sifting."""


class Timers:
    """Moments by lane. `lanes` is who is there at all; of others nothing is kept beyond the next sifting."""

    __slots__ = ("_heap", "_lanes", "_moments")

    def __init__(self, lanes: Container[UUID]) -> None:
        self._lanes = lanes
        self._heap: list[tuple[datetime, UUID]] = []
        self._moments: dict[UUID, datetime] = {}

    def __len__(self) -> int:
        return len(self._heap)

    @property
    def next_moment(self) -> datetime | None:
        """The first one; it may be out of date, then nobody is due. None if never."""
        return self._heap[0][0] if self._heap else None

    def set(self, endpoint_id: UUID, moment: datetime) -> None:
        """Look at this lane then, unless it is looked at earlier anyway."""
        known = self._moments.get(endpoint_id)
        if known is not None and known <= moment:
            return
        self._moments[endpoint_id] = moment
        heapq.heappush(self._heap, (moment, endpoint_id))
        if len(self._heap) > max(SIFTED_FROM, 2 * len(self._moments)):
            self._sift()

    def pop_due(self, now: datetime) -> Iterator[UUID]:
        """Whose moment has come."""
        while self._heap and self._heap[0][0] <= now:
            moment, endpoint_id = heapq.heappop(self._heap)
            if self._moments.get(endpoint_id) == moment:
                del self._moments[endpoint_id]
                yield endpoint_id

    def clear(self) -> None:
        """Forget all moments."""
        self._heap.clear()
        self._moments.clear()

    def _sift(self) -> None:
        self._moments = {lane: moment for lane, moment in self._moments.items() if lane in self._lanes}
        self._heap = [(moment, lane) for lane, moment in self._moments.items()]
        heapq.heapify(self._heap)

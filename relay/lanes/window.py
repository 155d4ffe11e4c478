"""The events between an endpoint's cursor and what was read: in log order outside, in version order inside an object.

Lives here, pure: which events may go now (the oldest of each object), and how far the cursor may follow (over what is
settled, never past anything else). Does not live here: rows, retries, pace (`lane`), reading (`dispatch`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping

from relay.model import Blocked, LogEvent


class Entry:
    """One event of the window; `settled` once the cursor may pass it."""

    __slots__ = ("event", "prev_sequence", "settled")

    def __init__(self, event: LogEvent, prev_sequence: int, *, settled: bool) -> None:
        self.event = event
        self.prev_sequence = prev_sequence
        self.settled = settled


class Window:
    """Sequences (`cursor`, `position`] of one log as one endpoint sees them.

    `matched` is the last sequence up to the cursor that matched its filter, 0 if none did.
    """

    __slots__ = (
        "_entries", "_matched_read", "_queues", "_ready", "_rowed", "cursor", "matched", "position", "unsent",
    )  # fmt: skip

    def __init__(self, cursor: int, matched: int, rowed: frozenset[int] = frozenset()) -> None:
        self.cursor = cursor
        self.matched = matched
        self.position = cursor
        self.unsent = 0
        self._rowed = rowed
        self._matched_read = matched
        self._entries: deque[Entry] = deque()
        self._queues: dict[str, deque[Entry]] = {}
        self._ready: deque[Entry] = deque()

    def offer(self, events: Iterable[LogEvent], blocked: Mapping[str, Blocked]) -> list[Entry]:
        """Take events read behind `position`, without a hole; returns those that get rows, settled: what belongs to
        `blocked` objects, and what something newer covers.
        """
        behind: list[Entry] = []
        for event in events:
            assert event.sequence == self.position + 1, "a log is read without holes"
            self.position = event.sequence
            # Told before a crash, by a row that is gone: the cursor had not come so far.
            behind_it = blocked.get(event.object_id)
            was_told = behind_it is not None and event.sequence < behind_it.first_sequence
            has_row = event.sequence in self._rowed
            if event.body is None:
                # What is covered is not there for `chainbell-prev-sequence`: a receiver would wait for it.
                unsent = Entry(event, self._matched_read, settled=True)
                self._entries.append(unsent)
                if event.covered_by is not None and not (has_row or was_told):
                    behind.append(unsent)
                continue
            entry = Entry(event, self._matched_read, settled=has_row or behind_it is not None)
            self._matched_read = event.sequence
            self._entries.append(entry)
            if has_row or was_told:
                continue
            if entry.settled:
                behind.append(entry)
                continue
            self.unsent += 1
            queue = self._queues.get(event.object_id)
            if queue is None:
                self._queues[event.object_id] = deque((entry,))
                self._ready.append(entry)
            else:
                queue.append(entry)
        return behind

    def take(self) -> Entry | None:
        """The next event that nothing of its object stands before; it counts as sent until `settle` or `put_back`."""
        if not self._ready:
            return None
        self.unsent -= 1
        return self._ready.popleft()

    def put_back(self, entries: Iterable[Entry]) -> None:
        """Return what `take` gave, unsent, to the front in their order."""
        returned = list(entries)
        self.unsent += len(returned)
        self._ready.extendleft(reversed(returned))

    @property
    def has_ready(self) -> bool:
        return bool(self._ready)

    def settle(self, entry: Entry) -> None:
        """The cursor may pass this one, and the next version of its object may go."""
        queue = self._queues[entry.event.object_id]
        assert queue[0] is entry, "the oldest of an object settles first"
        queue.popleft()
        entry.settled = True
        if queue:
            self._ready.append(queue[0])
        else:
            del self._queues[entry.event.object_id]

    def followers(self, entry: Entry) -> list[Entry]:
        """The later versions of its object that stand behind this one."""
        return list(self._queues[entry.event.object_id])[1:]

    def evict(self, entry: Entry) -> list[Entry]:
        """This one has a row now: the cursor may pass it and what waits behind it; returns the latter, for rows."""
        queue = self._queues.pop(entry.event.object_id)
        assert queue.popleft() is entry, "only what was sent can get a row"
        entry.settled = True
        for follower in queue:
            follower.settled = True
        self.unsent -= len(queue)
        return list(queue)

    def advance(self) -> bool:
        """Move the cursor over what is settled; True if it moved."""
        entries = self._entries
        before = self.cursor
        while entries and entries[0].settled:
            entry = entries.popleft()
            self.cursor = entry.event.sequence
            if entry.event.body is not None:
                self.matched = self.cursor
        return self.cursor != before

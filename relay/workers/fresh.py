"""Events that were just told in this process, for lanes that want them: nobody reads from disk what is still at hand.

Whoever publishes notes its events before the commit, which may yet fail. They are handed on only once the database's notice,
which comes with a commit and with nothing else, names the hash of the last of them: an event contains the hash of the body
before it, so that one hash proves them all, byte for byte. Lives here, pure: `FreshEvents`, of bounded size; what is not here
is read. Does not live here: reading (`dispatch`), the form of a notice (`log.eventlog`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from uuid import UUID

from relay.log.bodies import Published

EVENTS_MAX = 2_000
BYTES_MAX = 8 * 1024 * 1024


class FreshEvents:
    """Of each log one stretch is proven, if any: `_proven` has its first and last sequence."""

    __slots__ = ("_bytes", "_events", "_proven")

    def __init__(self) -> None:
        self._events: dict[tuple[UUID, int], Published] = {}
        self._bytes = 0
        self._proven: dict[UUID, tuple[int, int]] = {}

    def __len__(self) -> int:
        return len(self._events)

    def note(self, events: Iterable[Published]) -> None:
        """These are written and perhaps not committed. What was noted for the same place before was not."""
        for event in events:
            self._drop(event.merchant_id, event.sequence)
            self._events[event.merchant_id, event.sequence] = event
            self._bytes += len(event.body)
        while len(self._events) > EVENTS_MAX or self._bytes > BYTES_MAX:
            self._drop(*next(iter(self._events)))

    def prove(self, merchant_id: UUID, sequence: int, hash_start: str) -> None:
        """The database says that this log reaches so far, and how the hash of its last body begins, in hex."""
        event = self._events.get((merchant_id, sequence))
        if event is None or not _hash_of(event).hex().startswith(hash_start):
            return
        first, last = self._proven.get(merchant_id, (0, 0))
        begin = sequence
        while begin != last + 1 and (before := self._events.get((merchant_id, begin - 1))) is not None:
            if _hash_of(before) != event.prev_hash:
                break
            begin, event = begin - 1, before
        if sequence > last:
            self._proven[merchant_id] = (first if last and begin == last + 1 else begin, sequence)

    def behind(self, merchant_id: UUID, after_sequence: int, limit: int) -> list[Published]:
        """Up to `limit` events that come next, ascending and without a hole; none where the next one is not here."""
        first, last = self._proven.get(merchant_id, (0, 0))
        if not first <= after_sequence + 1 <= last:
            return []
        until = min(last, after_sequence + limit)
        return [self._events[merchant_id, one] for one in range(after_sequence + 1, until + 1)]

    def _drop(self, merchant_id: UUID, sequence: int) -> None:
        event = self._events.pop((merchant_id, sequence), None)
        if event is None:
            return
        self._bytes -= len(event.body)
        first, last = self._proven.get(merchant_id, (0, 0))
        if first <= sequence < last:
            self._proven[merchant_id] = (sequence + 1, last)
        elif sequence == last:
            del self._proven[merchant_id]


def _hash_of(event: Published) -> bytes:
    return hashlib.sha256(event.body).digest()

"""A chain's row as its lease holder remembers it, so that a chain that stands still is not read again and again.

Whoever holds the lease writes every change of the row but an operator's word; the row is known after each of its
own moves, and each renewal of the lease brings it along.  What was read while a move was under way may be older than the
move, and is not kept.  Nothing rests on it but what a step looks at first: a move reads the row under the chain's lock.
Asking the database is `store`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from indexer.rows.storage import ChainRecord
from indexer.rules.identity import AddressId

REMEMBERED_MAX_S = 10.0
"""How long a chain's row is believed without a renewed lease: an operator's word is heard by then."""


@dataclass(slots=True)
class RememberedChain:
    """One chain; seconds of one monotonic clock.  Nothing is remembered before a lease, nor after it was to be renewed."""

    good_until_s: float = 0.0
    _record: ChainRecord | None = None
    _moves_open: int = 0
    _changes: int = 0

    def recall(self, now_s: float) -> ChainRecord | None:
        """The row, or None where it has to be read."""
        return self._record if now_s < self.good_until_s else None

    def forget(self) -> None:
        """The lease is another's, or what was written is not known."""
        self.good_until_s, self._record = 0.0, None

    def begin_reading(self) -> int:
        """A ticket for `note_read`."""
        return self._changes

    def note_read(
        self, ticket: int, record: ChainRecord | None, *, good_until_s: float | None = None
    ) -> None:
        """The row as it was read; `good_until_s` where the lease was taken or renewed with it."""
        if good_until_s is not None:
            self.good_until_s = good_until_s
        if ticket == self._changes and not self._moves_open:
            self._record = record

    def begin_move(self) -> int:
        """A move may change the row from now on; a ticket for `end_move`."""
        self._moves_open += 1
        self._changes += 1
        self._record = None
        return self._changes

    def end_move(self, ticket: int, record: ChainRecord | None) -> None:
        """The row after the move; None where it was not committed, as far as is known."""
        self._moves_open -= 1
        if ticket == self._changes and not self._moves_open:
            self._record = record
        self._changes += 1


@dataclass(slots=True)
class LockedRow:
    """The chain's row as a move found it, and as it wrote it, if it did; with it what spares the move a question."""

    record: ChainRecord
    written: ChainRecord | None = None
    watch_version: int | None = None
    """The newest registration's; None where the lock is not held, so that it has to be asked for."""

    may_have_conflicts: bool = True
    may_have_doubts: bool = True
    references: dict[AddressId, str | None] = field(default_factory=dict)
    """What merchants call those addresses of which a row was read already."""

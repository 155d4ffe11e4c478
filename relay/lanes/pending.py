"""What one endpoint still has to write: gathered between settles, kept until the database said yes.

Lives here, pure: merging. A settle that failed may have been committed all the same (the answer was lost), so what it
held is merged with what came since and written again; writing it twice changes nothing. Does not live here: what is
written when (`lane`), the writing (`store`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from relay.model import AttemptRow, Covers, ExceptionRow, Freed, Hurry, LastContact, Transition


@dataclass(slots=True)
class Pending:
    """One endpoint's unwritten changes. Rows are keyed by sequence; a later word on a row replaces an earlier one."""

    closed: set[int] = field(default_factory=set)
    rows: dict[int, ExceptionRow] = field(default_factory=dict)
    freed: dict[Freed, None] = field(default_factory=dict)  # a set that keeps its order
    hurries: dict[str, Hurry] = field(default_factory=dict)
    attempts: list[AttemptRow] = field(default_factory=list)
    health: LastContact = field(default_factory=LastContact)
    transition: Transition | None = None
    wakes: int | None = None
    free_all: bool = False

    def put(self, row: ExceptionRow) -> None:
        """This row is to stand as given."""
        self.rows[row.sequence] = row

    def close(self, sequence: int) -> None:
        """This delivery has no row any more."""
        self.rows.pop(sequence, None)
        self.closed.add(sequence)

    def speaks_of(self, sequence: int) -> bool:
        """The row of this sequence, as the database has it, is out of date."""
        return sequence in self.rows or sequence in self.closed

    def find_covers(self) -> dict[int, Covers]:
        """Sequence → what it stands for, as far as the rows here say."""
        found: dict[int, Covers] = {}
        for sequence, row in self.rows.items():
            if row.covered_by is not None:
                found[row.covered_by] = Covers(sequence, sequence).with_(found.get(row.covered_by))
        return found

    def note_success(self, at: datetime) -> None:
        """Remember the newest success."""
        self.health = LastContact(at, self.health.failure_at, self.health.failure)

    def note_failure(self, at: datetime, failure: str) -> None:
        """Remember the newest failure."""
        self.health = LastContact(self.health.success_at, at, failure)

    @property
    def is_urgent(self) -> bool:
        """More than that something went well or badly: somebody waits for it."""
        return bool(
            self.closed
            or self.rows
            or self.freed
            or self.attempts
            or self.hurries
            or self.transition is not None
            or self.wakes is not None
            or self.free_all
        )

    def __bool__(self) -> bool:
        return self.is_urgent or self.health != LastContact()

    def followed_by(self, newer: Pending) -> Pending:
        """Both as one: what `newer` says about a row wins."""
        rows = {sequence: row for sequence, row in self.rows.items() if sequence not in newer.closed}
        return Pending(
            closed=self.closed | newer.closed,
            rows=rows | newer.rows,
            freed=self.freed | newer.freed,
            hurries=self.hurries | newer.hurries,
            attempts=self.attempts + newer.attempts,
            health=LastContact(
                newer.health.success_at or self.health.success_at,
                newer.health.failure_at or self.health.failure_at,
                newer.health.failure or self.health.failure,
            ),
            transition=newer.transition or self.transition,
            wakes=self.wakes if newer.wakes is None else newer.wakes,
            free_all=self.free_all or newer.free_all,
        )

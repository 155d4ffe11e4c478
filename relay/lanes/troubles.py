"""The rows of one endpoint as its lane knows them: which objects wait, how many fail, what is due when.

Lives here, pure: making and changing rows so that of each object only the oldest is tried, the haste in front of a
reversal, the count that makes an endpoint failing. Bounded: an endpoint with more failing objects than allowed gets no
new ones. Does not live here: events without trouble (`window`), verdicts (`schedule`), the rows themselves (`store`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from relay.lanes.pending import Pending
from relay.lanes.schedule import REVERSAL, Delivered, Exhausted, RetryLater, Verdict, decide
from relay.lanes.window import Entry
from relay.model import (
    SAYS_NOTHING,
    AttemptRow,
    Blocked,
    Covers,
    ExceptionRow,
    Freed,
    Hurry,
    LogEvent,
    Outcome,
    RowState,
)
from relay.settings import RetrySettings

LONG_AGO = datetime.min.replace(tzinfo=UTC)


class Troubles:
    """What has a row, and the changes to rows still unwritten in `pending`."""

    __slots__ = ("_settings", "blocked", "failing_objects", "next_retry_at", "pending")

    def __init__(
        self, blocked: Mapping[str, Blocked], next_retry_at: datetime | None, settings: RetrySettings
    ) -> None:
        self.blocked = {object_id: replace(one) for object_id, one in blocked.items()}
        self.failing_objects = sum(one.failed for one in blocked.values())
        self.next_retry_at = next_retry_at
        self.pending = Pending()
        self._settings = settings

    def due_by(self, moment: datetime | None) -> None:
        """Something is due at `moment`, perhaps sooner than anything known."""
        if moment is not None and (self.next_retry_at is None or moment < self.next_retry_at):
            self.next_retry_at = moment

    def look_again(self) -> None:
        """Rows may have changed behind our back: ask for what is due."""
        self.next_retry_at = LONG_AGO

    def park(
        self, entry: Entry, followers: Iterable[Entry], now: datetime, *, retry_at: datetime
    ) -> ExceptionRow:
        """An attempt takes long: it gets a row, and so does what stands behind it. Returns its row."""
        row = replace(row_of(entry, RowState.SENDING, now), retry_at=retry_at)
        self._block(row, followers, now)
        return row

    def fail(
        self,
        entry: Entry,
        followers: Iterable[Entry],
        started_at: datetime,
        outcome: Outcome,
        now: datetime,
        chance: float,
    ) -> bool:
        """A first try failed. True if it is to be tried again, and has a row as what stands behind it; False if
        there are no retries: then its row holds up nobody.
        """
        row = self._attempted(row_of(entry, RowState.RETRYING, now), started_at, outcome)
        match self._decide(row, outcome, now, chance):
            case RetryLater(failures=failures, retry_at=retry_at, free=free):
                self._block(replace(row, failures=failures, retry_at=retry_at, free=free), followers, now)
                self._mark_failed(row.object_id)
                return True
            case Exhausted(failures=failures):
                self._exhaust(replace(row, failures=failures))
                return False
            case Delivered():
                raise AssertionError("a success needs no row")

    def conclude(
        self, row: ExceptionRow, started_at: datetime, outcome: Outcome, now: datetime, chance: float
    ) -> None:
        """Another try of a delivery that has a row came to its end."""
        verdict = self._decide(row, outcome, now, chance)
        counts = outcome.kind not in SAYS_NOTHING
        if counts:
            row = self._attempted(row, started_at, outcome)
        match verdict:
            case Delivered():
                self.pending.close(row.sequence)
                self._free(row)
            case Exhausted(failures=failures):
                self._exhaust(replace(row, failures=failures))
                self._free(row)
            case RetryLater(failures=failures, retry_at=retry_at, free=free):
                self.pending.put(
                    replace(row, state=RowState.RETRYING, failures=failures, retry_at=retry_at, free=free)
                )
                self.due_by(retry_at)
                if counts and not row.replay:
                    self._mark_failed(row.object_id)

    def note_covers(self, events: Iterable[LogEvent]) -> list[LogEvent]:
        """Complete what each of these stands for, by what no row in the store says yet."""
        unwritten = self.pending.find_covers()
        noted: list[LogEvent] = []
        for event in events:
            if event.covered_by is not None:
                own = Covers(event.sequence, event.sequence)
                unwritten[event.covered_by] = own.with_(unwritten.get(event.covered_by))
            elif event.sequence in unwritten:
                event = replace(event, covers=unwritten[event.sequence].with_(event.covers))  # noqa: PLW2901
            noted.append(event)
        return noted

    def keep(self, entry: Entry, now: datetime) -> None:
        """One that is read and not to be sent yet, or not at all: it gets a row."""
        if entry.event.covered_by is None:
            self.wait(entry, now)
        else:
            covered = row_of(entry, RowState.COVERED, now)
            self.pending.put(replace(covered, covered_by=entry.event.covered_by))

    def wait(self, entry: Entry, now: datetime) -> None:
        """A later version of an object that has rows: it gets one, too."""
        row = row_of(entry, RowState.WAITING, now)
        blocked = self.blocked[row.object_id]
        blocked.rows += 1
        self.pending.put(row)
        if row.type == REVERSAL:
            blocked.reversal_sequence = row.sequence
            latest = now + timedelta(seconds=self._settings.hurry_s)
            self.pending.hurries[row.object_id] = Hurry(row.object_id, row.sequence, latest)
            self.due_by(latest)

    def _decide(self, row: ExceptionRow, outcome: Outcome, now: datetime, chance: float) -> Verdict:
        blocked = self.blocked.get(row.object_id)
        return decide(
            outcome,
            failures=row.failures,
            free=row.free,
            hurried=not row.replay and blocked is not None and blocked.reversal_sequence > row.sequence,
            now=now,
            chance=chance,
            settings=self._settings,
        )

    def _attempted(self, row: ExceptionRow, started_at: datetime, outcome: Outcome) -> ExceptionRow:
        number = row.attempts + 1
        self.pending.attempts.append(
            AttemptRow(
                sequence=row.sequence,
                number=number,
                started_at=started_at,
                duration_ms=outcome.duration_ms,
                outcome=outcome.kind,
                status_code=outcome.status_code,
                excerpt=outcome.excerpt,
                detail=outcome.detail,
            )
        )
        return replace(row, attempts=number)

    def _exhaust(self, row: ExceptionRow) -> None:
        self.pending.put(replace(row, state=RowState.EXHAUSTED, retry_at=None, free=False))

    def _block(self, row: ExceptionRow, followers: Iterable[Entry], now: datetime) -> None:
        assert row.object_id not in self.blocked, "what stands behind a row is never tried"
        self.blocked[row.object_id] = Blocked(rows=1)
        self.pending.put(row)
        self.due_by(row.retry_at)
        for entry in followers:
            self.wait(entry, now)

    def _mark_failed(self, object_id: str) -> None:
        blocked = self.blocked[object_id]
        self.failing_objects += not blocked.failed
        blocked.failed = True

    def _free(self, row: ExceptionRow) -> None:
        self.pending.freed[Freed(row.object_id, row.replay)] = None
        if row.replay:
            return
        blocked = self.blocked[row.object_id]
        blocked.rows -= 1
        self.failing_objects -= blocked.failed
        blocked.failed = False
        if blocked.rows == 0:
            del self.blocked[row.object_id]


def row_of(entry: Entry, state: RowState, now: datetime) -> ExceptionRow:
    """The row of an event that had none, untried."""
    event = entry.event
    return ExceptionRow(
        sequence=event.sequence,
        event_id=event.event_id,
        object_id=event.object_id,
        version=event.version,
        type=event.type,
        event_at=event.created_at,
        prev_sequence=entry.prev_sequence,
        state=state,
        failures=0,
        attempts=0,
        retry_at=None,
        free=False,
        replay=False,
        created_at=now,
    )

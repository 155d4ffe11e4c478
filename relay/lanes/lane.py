"""One endpoint's deliveries as a state machine: events and outcomes in, sends and settlements out.

Lives here, pure: what may be sent now, what an outcome changes, how far the cursor may follow, what
is to be written. Does not live here: order and cursor (`window`), rows (`troubles`), well or failing (`condition`),
time until the next try (`schedule`), speed (`pace`), and everything that waits (`dispatch`, `service`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from relay.lanes.condition import Condition
from relay.lanes.pace import Pace
from relay.lanes.pending import Pending
from relay.lanes.troubles import Troubles
from relay.lanes.window import Entry, Window
from relay.model import (
    SAYS_NOTHING,
    Covers,
    DueRow,
    EndpointState,
    ExceptionRow,
    LaneConfig,
    LanePosition,
    LogEvent,
    Outcome,
    OutcomeKind,
    Send,
    Settlement,
)
from relay.settings import RelaySettings

PARKED_GRACE_S = 5
"""Beyond an attempt's own deadline, before a row whose sender vanished is tried by somebody else."""


@dataclass(slots=True)
class _Flight:
    started_at: datetime
    body: bytes
    entry: Entry | None  # of the window, while no row has been made
    row: ExceptionRow | None
    probe: bool
    covers: Covers | None


class Lane:
    """One endpoint. The caller reads, sends and writes; the lane says what, and remembers until it is written."""

    def __init__(self, config: LaneConfig, position: LanePosition, settings: RelaySettings) -> None:
        self.config = config
        self.condition = Condition(config.state, settings.retry)
        self.closing = self.well = False  # well: the last attempt that says anything was delivered
        self.window = Window(position.cursor, position.matched, position.rowed)
        self.troubles = Troubles(position.blocked, position.next_retry_at, settings.retry)
        self._settings = settings
        self.filter_revision = position.filter_revision
        self._drain_sequence = position.drain_sequence
        self._wakes = position.wakes
        self._pace = Pace(
            limit_max=config.max_in_flight,
            rate_per_s=config.rate_per_s,
            limit_start=settings.lane.in_flight_start,
        )
        if position.draining:
            self._pace.restart()
        self._due: deque[DueRow] = deque()
        self._flights: dict[int, _Flight] = {}
        self._fresh: dict[int, _Flight] = {}  # those that may yet become slow, oldest first
        self._flying_objects: set[str] = set()
        self._writing: Pending | None = None
        self._cursor_written = position.cursor
        self._cursor_writing = (position.cursor, position.matched)
        self._take_wakes(config.wakes)

    # --- what is there to do ---------------------------------------------------------------------------------------

    @property
    def in_flight(self) -> int:
        """Attempts under way."""
        return len(self._flights)

    @property
    def dirty(self) -> bool:
        """There is something to write, or being written."""
        moved = self.window.cursor != self._cursor_written
        return self._writing is not None or moved or bool(self.troubles.pending)

    @property
    def urgent(self) -> bool:
        """Somebody waits for what is to be written: for a row, or this lane itself for room to read more."""
        unwritten = self.window.position - self._cursor_written
        return self.troubles.pending.is_urgent or 2 * unwritten > self._settings.lane.window_events_max

    @property
    def state(self) -> EndpointState:
        """Active, failing or paused, as decided here or read last."""
        return self.condition.state

    @property
    def open(self) -> bool:
        """Events and due rows may be sent."""
        return self.state is EndpointState.ACTIVE and self.config.enabled and not self.closing

    def wants_events(self, head_sequence: int) -> int:
        """How many events behind `window.position` to read now; 0 for none. What is read and unwritten, a crash repeats."""
        window, bounds = self.window, self._settings.lane
        if not self.open or window.position >= head_sequence:
            return 0
        wanted = max(bounds.read_ahead_min, 2 * self._pace.limit)
        if window.unsent * 2 > wanted:
            return 0
        position_max = self._cursor_written + bounds.window_events_max
        return max(0, min(wanted - window.unsent, position_max - window.position))

    @property
    def needs_the_log(self) -> bool:
        """What comes next was told by the end of an outage: only the store knows what covers it."""
        return self.window.position < self._drain_sequence

    def wants_rows(self, now: datetime) -> int:
        """How many due rows to load now; 0 for none."""
        next_retry_at = self.troubles.next_retry_at
        if not self.open or self._due or next_retry_at is None or now < next_retry_at:
            return 0
        return self._settings.lane.due_rows_max + len(self._flights)

    def wants_probe(self, now: datetime) -> bool:
        """A failing endpoint whose oldest delivery should be tried."""
        if self.state is not EndpointState.FAILING or not self.config.enabled or self.closing:
            return False
        if self._flights or self._pace.rests(now):
            return False
        probe_at = self.condition.probe_at
        return probe_at is None or now >= probe_at

    def opens_at(self, now: datetime) -> datetime | None:
        """When there may be something to do without any news: a retry, a probe, the end of a rest; None for never."""
        if not self.config.enabled or self.closing:
            return None
        if self.state is EndpointState.FAILING:
            probe_at = max(self.condition.probe_at or now, self._pace.resting_until or now)
            return None if self._flights else probe_at
        if self._due or self.window.has_ready:
            return self._pace.opens_at(now)
        return self.troubles.next_retry_at if self.open else None

    # --- feeding ---------------------------------------------------------------------------------------------------

    def offer_events(self, events: Sequence[LogEvent], now: datetime) -> None:
        """Take what was read behind `window.position`, matched and unmatched alike."""
        for entry in self.window.offer(self.troubles.note_covers(events), self.troubles.blocked):
            self.troubles.keep(entry, now)
        self.window.advance()

    def offer_rows(self, due: Sequence[DueRow], next_retry_at: datetime | None) -> None:
        """Take due rows with their bytes; `next_retry_at` is when the next of the others is due."""
        self.troubles.next_retry_at = next_retry_at
        for one in due:
            sequence = one.row.sequence
            if sequence not in self._flights and not self.troubles.pending.speaks_of(sequence):
                self._due.append(one)

    def offer_probe(self, oldest: DueRow | None, now: datetime) -> list[Send]:
        """Take the oldest delivery that has a row, or None; returns the probe to send, if any.

        Without rows the oldest event of the window probes; without either nothing is failing, and it is well again.
        """
        if not self.wants_probe(now):
            return []
        if oldest is not None:
            if self.troubles.pending.speaks_of(oldest.row.sequence):
                return []
            return [self._start_row(oldest, now, probe=True)]
        entry = self.window.take()
        if entry is not None:
            return [self._start_entry(entry, now, probe=True)]
        self._recover()
        return []

    def reconfigure(self, config: LaneConfig) -> None:
        """Take the endpoint as it is now. A change of state that is still being written here stands, unless it is older
        than a wake.
        """
        if config.wakes != self._wakes:
            self.troubles.pending.transition = None
            if self._writing is not None:
                self._writing.transition = None
        deciding = self.troubles.pending.transition or (self._writing and self._writing.transition)
        self.config = config
        if not deciding:
            if config.state is EndpointState.ACTIVE and self.state is not EndpointState.ACTIVE:
                self._pace.restart()
            self.condition.state = config.state
        self._pace.configure(limit_max=config.max_in_flight, rate_per_s=config.rate_per_s)
        self._take_wakes(config.wakes)

    def _take_wakes(self, wakes: int) -> None:
        if wakes != self._wakes:
            self._wakes = wakes
            self.troubles.pending.wakes = wakes
            self._free_all()

    def forget_times(self) -> None:
        """The clock was set back: try all that waits once, at no cost, instead of waiting until that time is over again."""
        self._pace.forget_times()
        self._free_all()

    def _free_all(self) -> None:
        self.troubles.pending.free_all = True
        self._due.clear()
        self.condition.probe_at_once()

    # --- sending ---------------------------------------------------------------------------------------------------

    def start(self, now: datetime, room: int) -> list[Send]:
        """The attempts to make now, at most `room`; due rows and new events take turns."""
        if not self.open or not (self._due or self.window.has_ready):
            return []
        room = min(room, self._pace.room(len(self._flights), now))
        sends: list[Send] = []
        busy_rows: list[DueRow] = []
        busy_entries: list[Entry] = []
        row_next = True
        while len(sends) < room and (self._due or self.window.has_ready):
            if self._due and (row_next or not self.window.has_ready):
                due = self._due.popleft()
                if due.row.object_id in self._flying_objects:
                    busy_rows.append(due)
                else:
                    sends.append(self._start_row(due, now, probe=False))
            else:
                entry = self.window.take()
                assert entry is not None
                if entry.event.object_id in self._flying_objects:
                    busy_entries.append(entry)
                else:
                    sends.append(self._start_entry(entry, now, probe=False))
            row_next = not row_next
        self._due.extendleft(reversed(busy_rows))
        self.window.put_back(busy_entries)
        return sends

    def park(self, now: datetime) -> None:
        """Give a row to every attempt that takes long, so that the cursor passes it."""
        slow_since = now - timedelta(seconds=self._settings.lane.slow_after_s)
        while self._fresh:
            sequence, flight = next(iter(self._fresh.items()))
            if flight.started_at > slow_since:
                break
            del self._fresh[sequence]
            assert flight.entry is not None
            deadline_s = self._settings.attempt_timeout_s + PARKED_GRACE_S
            retry_at = flight.started_at + timedelta(seconds=deadline_s)
            followers = self.window.evict(flight.entry)
            flight.row = self.troubles.park(flight.entry, followers, now, retry_at=retry_at)
            flight.entry = None
        self.window.advance()

    def _start_entry(self, entry: Entry, now: datetime, *, probe: bool) -> Send:
        event = entry.event
        assert event.body is not None
        flight = _Flight(now, event.body, entry, None, probe, event.covers)
        if not probe:
            self._fresh[event.sequence] = flight
        return self._fly(flight, event, entry.prev_sequence)

    def _start_row(self, due: DueRow, now: datetime, *, probe: bool) -> Send:
        flight = _Flight(now, due.body, None, due.row, probe, due.covers)
        return self._fly(flight, due.row, due.row.prev_sequence)

    def _fly(self, flight: _Flight, event: LogEvent | ExceptionRow, prev_sequence: int) -> Send:
        assert event.sequence not in self._flights, "one attempt of a delivery at a time"
        self._flights[event.sequence] = flight
        self._flying_objects.add(event.object_id)
        self._pace.started(flight.started_at)
        return Send(
            self.config.endpoint_id,
            event.sequence,
            event.event_id,
            prev_sequence,
            flight.body,
            flight.started_at,
            flight.covers,
        )

    # --- outcomes --------------------------------------------------------------------------------------------------

    def finish(self, sequence: int, outcome: Outcome, now: datetime, chance: float) -> None:
        """Take the outcome of one attempt; `chance` in [0, 1) spreads its retry."""
        flight = self._flights.pop(sequence)
        self._fresh.pop(sequence, None)
        event = flight.row if flight.entry is None else flight.entry.event
        assert event is not None
        self._flying_objects.discard(event.object_id)
        self._feel(flight, outcome, now)
        if flight.probe and outcome.kind is not OutcomeKind.DELIVERED:
            self._fail_probe(flight, outcome, now, chance)
        elif flight.row is not None:
            self.troubles.conclude(flight.row, flight.started_at, outcome, now, chance)
        elif flight.entry is not None:
            self._finish_entry(flight.entry, flight, outcome, now, chance)
        if outcome.kind is OutcomeKind.DELIVERED and self.state is EndpointState.FAILING:
            self._recover()
        elif outcome.kind is OutcomeKind.GONE:
            self.troubles.pending.transition = self.condition.pause() or self.troubles.pending.transition
        elif self.troubles.failing_objects > self._settings.retry.failing_objects_max:
            self.troubles.pending.transition = (
                self.condition.fail(now, chance) or self.troubles.pending.transition
            )
        self.window.advance()

    def _feel(self, flight: _Flight, outcome: Outcome, now: datetime) -> None:
        self._pace.feel(outcome, flight.started_at, now, self._settings.lane)
        if outcome.kind is OutcomeKind.DELIVERED:
            self.well = True
            self.troubles.pending.note_success(now)
        elif outcome.kind not in SAYS_NOTHING:
            self.well = False
            self.troubles.pending.note_failure(now, outcome.kind)

    def _finish_entry(
        self, entry: Entry, flight: _Flight, outcome: Outcome, now: datetime, chance: float
    ) -> None:
        if outcome.kind is OutcomeKind.DELIVERED:
            self.window.settle(entry)
            return
        if outcome.kind in SAYS_NOTHING:
            self.window.put_back([entry])
            return
        if self.troubles.fail(entry, self.window.followers(entry), flight.started_at, outcome, now, chance):
            self.window.evict(entry)
        else:
            self.window.settle(entry)

    def _fail_probe(self, flight: _Flight, outcome: Outcome, now: datetime, chance: float) -> None:
        if flight.entry is not None:
            self.window.put_back([flight.entry])
        if outcome.kind not in SAYS_NOTHING:
            self.condition.fail_probe(now, chance, outcome.retry_after_s)

    def _recover(self) -> None:
        self.troubles.pending.transition = self.condition.recover()
        self._pace.restart()
        self._free_all()

    # --- writing ---------------------------------------------------------------------------------------------------

    def collect(self) -> Settlement | None:
        """What is to be written now, or None; then say `committed` or `refused`, one settlement at a time."""
        assert self._writing is None, "one settlement at a time"
        pending = self.troubles.pending
        if not pending and self.window.cursor == self._cursor_written:
            return None
        self._writing = pending
        self.troubles.pending = Pending()
        self._cursor_writing = (self.window.cursor, self.window.matched)
        return Settlement(
            endpoint_id=self.config.endpoint_id,
            merchant_id=self.config.merchant_id,
            shard=self.config.shard,
            epoch=self.config.epoch,
            filter_revision=self.filter_revision,
            wakes_seen=self._wakes,
            cursor_before=self._cursor_written,  # what could not be written may stand all the same, further on
            cursor=self.window.cursor,
            matched=self.window.matched,
            closed=tuple(sorted(pending.closed)),
            rows=tuple(pending.rows[sequence] for sequence in sorted(pending.rows)),
            freed=tuple(pending.freed),
            hurries=tuple(pending.hurries.values()),
            attempts=tuple(pending.attempts),
            health=pending.health,
            transition=pending.transition,
            wakes=pending.wakes,
            free_all=pending.free_all,
        )

    def committed(self, now: datetime) -> None:
        """The settlement stands."""
        assert self._writing is not None
        written = self._writing
        if written.freed or written.free_all:
            self.troubles.due_by(now)
        # While this was not written, a look at what is due did not see it, and forgot when it would be.
        for row in written.rows.values():
            self.troubles.due_by(row.retry_at)
        for hurry in written.hurries.values():
            self.troubles.due_by(hurry.retry_at)
        self._writing = None
        self._cursor_written = self._cursor_writing[0]

    def refused(self) -> None:
        """The settlement may or may not stand: write it again, with what came since."""
        assert self._writing is not None
        self.troubles.pending = self._writing.followed_by(self.troubles.pending)
        self._writing = None

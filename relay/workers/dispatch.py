"""One worker's lanes: loads them, feeds them, says what to send, takes outcomes, settles.

Lives here: `Dispatcher`. Its `step_*` wait only for the store, so that a simulation can drive them by hand; sending
itself is for whoever calls (`service`): `start` hands out attempts, `finish` takes their outcomes. Does not live here:
what one endpoint does next (`lane`), whose shards (`shards`), loading and changing endpoints (`roster`), HTTP (`egress`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from uuid import UUID

import structlog

from migrations.ids import encode_id
from relay.alerting import OnAlert
from relay.lanes.hosts import Hosts
from relay.lanes.lane import Lane
from relay.lanes.timers import Timers
from relay.lanes.turns import Turns
from relay.metrics import RelayMetrics
from relay.model import DueRow, Outcome, RowState, Send, Settlement
from relay.settings import RelaySettings
from relay.workers.fresh import FreshEvents
from relay.workers.heads import Heads
from relay.workers.roster import Attempt, Roster, Seat
from relay.workers.storage import HeadSequences, ReadBehind, RelayStore, SettlementRefused

ROUND = 64
"""Attempts one round may start before answers are read: the fewer are under way at once, the less each of them costs."""
READ_EVENTS_MAX = 4_000
SETTLE_LANES_MAX = 500
UNWRITTEN_MAX = 128
"""Attempts that ended before what they changed is written without waiting for more: what a crash repeats of all endpoints."""
LANES_ASKED_MAX = 32
"""Lanes one round asks for rows, each with a query of its own: what is new elsewhere does not wait for all the others."""
REPLAY_BATCH = 100
REPLAY_ROWS_MAX = 200

_log = structlog.get_logger()


class Dispatcher:
    """All lanes of one worker. `chance` gives numbers in [0, 1): the only randomness."""

    def __init__(
        self,
        store: RelayStore,
        roster: Roster,
        settings: RelaySettings,
        *,
        chance: Callable[[], float],
        metrics: RelayMetrics,
        on_alert: OnAlert,
        fresh: FreshEvents | None = None,
    ) -> None:
        self._store = store
        self._roster = roster
        self._settings = settings
        self._chance = chance
        self._metrics = metrics
        self._on_alert = on_alert
        self._fresh = FreshEvents() if fresh is None else fresh
        self._heads = Heads(roster.merchants)
        self._touched: dict[UUID, None] = {}
        self._unread: dict[UUID, None] = {}
        self._turns = Turns(settings.in_flight_max)
        self._dirty: dict[UUID, None] = {}
        self._timers = Timers(roster.seats)
        self._hosts = Hosts(settings.host_in_flight_max)
        self._share = max(1, int(settings.in_flight_max * settings.endpoint_share))
        self._delivered = 0  # since the last settle
        self.urgent = False  # what is to be written is waited for
        self.reads_made = 0
        self.cut_short = False  # the last round left something that may start
        self.in_flight = 0
        self.stopping = False

    # --- news ------------------------------------------------------------------------------------------------------

    def wake(self, heads: HeadSequences) -> bool:
        """Some logs grew. True if an endpoint of ours may have something to send."""
        ours = {one: sequence for one, sequence in heads.items() if one in self._roster.merchants}
        self._heads.note(ours)
        self._touch_merchants(ours)
        return bool(ours)

    def ask_again(self, heads: HeadSequences) -> bool:
        """Somebody says that these logs grew; the database says how far. True if an endpoint of ours is concerned."""
        known = self._roster.merchants
        ours = [one for one, sequence in heads.items() if one in known and sequence > self._heads.of(one)]
        self._heads.ask(ours)
        self._touch_merchants(ours)
        return bool(ours)

    def touch_all(self, *, asks: bool = True) -> None:
        """Look at every lane again, and with `asks` how far every log is: the poll behind all wake-ups."""
        if asks:
            self._heads.ask(self._roster.merchants)
        self._touch(self._roster.seats)

    def forget_times(self) -> None:
        """The clock was set back: nobody waits for a moment that is further away than was meant."""
        self._timers.clear()
        for seat in self._roster.seats.values():
            seat.lane.forget_times()
        self.touch_all()

    def _touch_merchants(self, merchants: Iterable[UUID]) -> None:
        known = self._roster.merchants
        self._touch(endpoint_id for merchant_id in merchants for endpoint_id in known[merchant_id])

    def _touch(self, endpoints: Iterable[UUID]) -> None:
        for endpoint_id in endpoints:
            self._touched[endpoint_id] = None

    # --- feeding ---------------------------------------------------------------------------------------------------

    async def step_feed(self, now: datetime, *, reads: bool = True) -> list[Attempt]:
        """Read what the touched lanes want: events, due rows, replays. Returns probes, to be sent like any attempt.

        Without `reads` whoever wants a few events waits for the next time; whoever has a backlog does not.
        """
        await self._load_heads()
        self._touch(self._timers.pop_due(now))
        if reads:
            self._touch(self._unread)
            self._unread = {}
        touched, self._touched = self._touched, {}
        try:
            return await self._feed(list(touched), now, reads=reads)
        except BaseException:
            self._touched = touched | self._touched
            raise

    async def _load_heads(self) -> None:
        fresh = self._roster.take_fresh()
        self._heads.ask(seat.merchant_id for seat in fresh)
        self._touch(seat.endpoint_id for seat in fresh)
        await self._heads.load(self._store)

    async def _feed(self, touched: list[UUID], now: datetime, *, reads: bool) -> list[Attempt]:
        asked_for: list[ReadBehind] = []
        probing: list[tuple[Seat, DueRow | None]] = []
        wanted = asked = 0
        for endpoint_id in touched:
            seat = self._roster.seats.get(endpoint_id)
            if seat is None:
                continue
            lane = seat.lane
            replays = seat.replaying and lane.open
            probes = lane.wants_probe(now) and not self.stopping and self._hosts.free(seat.target.host)
            if replays or probes or lane.wants_rows(now):
                if asked == LANES_ASKED_MAX:
                    self._touched[endpoint_id] = None
                    continue
                asked += 1
            if replays:
                await self._advance_replay(seat, now)
            if limit := lane.wants_rows(now):
                due = await self._store.load_due_rows(endpoint_id, now, limit)
                lane.offer_rows(due.rows, due.look_again_at(now))
            if probes:
                probing.append((seat, await self._store.load_oldest_row(endpoint_id)))
            head = self._heads.of(seat.merchant_id)
            limit = self._hand_over(seat, head, now)
            if limit and not reads and head < lane.window.position + limit:
                self._unread[endpoint_id] = None
            elif limit and wanted < READ_EVENTS_MAX:
                wanted += limit
                asked_for.append(ReadBehind(endpoint_id, seat.merchant_id, lane.window.position, limit))
            elif limit:
                self._touched[endpoint_id] = None
            self._turns.line_up(endpoint_id, well=lane.well)
            self._mark(lane)
        await self._read(asked_for, now)
        attempts = [  # nothing may fail from here on: a lane counts what it starts as in flight
            attempt
            for seat, oldest in probing
            if self._hosts.free(seat.target.host)
            for attempt in self._attempts(seat, seat.lane.offer_probe(oldest, now), now)
        ]
        for seat, _ in probing:
            self._mark(seat.lane)
        return attempts

    def _hand_over(self, seat: Seat, head: int, now: datetime) -> int:
        """Give the lane what is at hand; how many events are to be read all the same."""
        limit = seat.lane.wants_events(head)
        if limit and seat.may_be_handed:
            handed = self._fresh.behind(seat.merchant_id, seat.lane.window.position, limit)
            seat.lane.offer_events([seat.see(event) for event in handed], now)
            limit = seat.lane.wants_events(head)
        return limit

    async def _read(self, reads: list[ReadBehind], now: datetime) -> None:
        if not reads:
            return
        self.reads_made += 1
        found = await self._store.load_events(reads)
        for read in reads:
            seat = self._roster.seats.get(read.endpoint_id)
            events = found.get(read.endpoint_id)
            if seat is not None and events:
                seat.lane.offer_events(events, now)
                self._mark(seat.lane)
                # There may be more, also where fewer came than were wanted: a read ends with its day.
                if seat.lane.window.position < self._heads.of(seat.merchant_id):
                    self._touched[read.endpoint_id] = None

    async def _advance_replay(self, seat: Seat, now: datetime) -> None:
        seat.replaying = await self._store.advance_replay(
            seat.endpoint_id, now=now, limit=REPLAY_BATCH, rows_max=REPLAY_ROWS_MAX
        )
        seat.lane.troubles.due_by(now)

    # --- sending ---------------------------------------------------------------------------------------------------

    def start(self, now: datetime) -> list[Attempt]:
        """The attempts to make now; lanes take turns, none more than its share, and no host more than it may get."""
        self.cut_short = False
        if self.stopping or not self._roster.may_send(now):
            return []
        attempts: list[Attempt] = []
        allowed = self._settings.in_flight_max - self.in_flight
        budget = min(allowed, ROUND)
        while budget > 0 and (endpoint_id := self._turns.take()) is not None:
            seat = self._roster.seats.get(endpoint_id)
            if seat is None:
                self._call_next(self._hosts.leave(endpoint_id))
                continue
            host = seat.target.host
            free = self._hosts.room(host, endpoint_id)
            if not free:
                self._hosts.wait(host, seat.merchant_id, endpoint_id)
                self._call_next(host)
                continue
            well = seat.lane.well
            room = min(self._turns.room(well=well), budget, self._share - seat.lane.in_flight, free)
            sends = seat.lane.start(now, room) if room > 0 else []
            if len(sends) == room > 0:
                self._turns.line_up(endpoint_id, well=well)
            else:
                self._set_timer(seat, now)
            budget -= len(sends)
            attempts += self._attempts(seat, sends, now)
            self._call_next(self._hosts.leave(endpoint_id))
        self.cut_short = self._turns.may_start and len(attempts) < allowed
        return attempts

    def _call_next(self, host: str | None) -> None:
        """Let the first who waits for this host have its turn; who is not ours any more does not keep the line."""
        while host is not None and (first := self._hosts.next_at(host)) is not None:
            if first in self._roster.seats:
                self._turns.line_up(first, well=self._roster.seats[first].lane.well)
                return
            self._hosts.leave(first)

    def _attempts(self, seat: Seat, sends: Iterable[Send], now: datetime) -> list[Attempt]:
        attempts = [seat.attempt(send, now) for send in sends]
        self.in_flight += len(attempts)
        self._turns.started(len(attempts), well=seat.lane.well)
        self._hosts.started(seat.target.host, len(attempts))
        return attempts

    def _set_timer(self, seat: Seat, now: datetime) -> None:
        moment = seat.lane.opens_at(now)
        if moment is not None:
            self._timers.set(seat.endpoint_id, moment)

    def next_moment(self) -> datetime | None:
        """When there is something to do without any news; None if never."""
        return self._timers.next_moment

    @property
    def has_work(self) -> bool:
        """A step would find something to do at once."""
        return bool(self._touched) or self.cut_short

    @property
    def wants_reading(self) -> bool:
        """Some lane waits for a step that reads."""
        return bool(self._unread)

    def finish(self, attempt: Attempt, outcome: Outcome, now: datetime) -> None:
        """Take the outcome of an attempt. A lane that is not ours any more only forgets it."""
        self.in_flight -= 1
        self._turns.ended(well=attempt.well)
        self._hosts.ended(attempt.host)
        self._call_next(attempt.host)
        self._metrics.note_attempt(outcome)
        if outcome.alert:
            self._on_alert(outcome.alert, {})
        lane = attempt.lane
        lane.finish(attempt.sequence, outcome, now, self._chance())
        endpoint_id = lane.config.endpoint_id
        if self._roster.is_current(lane):
            self._touched[endpoint_id] = None
            self._delivered += 1
            self._mark(lane)
        else:
            self._roster.note_drained(lane)

    def park(self, now: datetime) -> None:
        """Give rows to attempts that take long, so that cursors pass them."""
        for seat in self._roster.seats.values():
            if seat.lane.in_flight:
                seat.lane.park(now)
                self._mark(seat.lane)

    # --- settling --------------------------------------------------------------------------------------------------

    @property
    def dirty(self) -> bool:
        """Some lane has something to write."""
        return bool(self._dirty)

    def _mark(self, lane: Lane) -> None:
        """Note what is to be written, and whether anybody waits for it: a cursor alone may follow a moment later."""
        if lane.dirty:
            self._dirty[lane.config.endpoint_id] = None
            self.urgent = self.urgent or lane.urgent or self._delivered >= UNWRITTEN_MAX

    async def step_settle(self, now: datetime) -> int:
        """Write what lanes have to write, in one transaction; returns for how many. DatabaseAway: call again.

        Never while `step_feed` runs: what was read and what is written must not overtake each other.
        """
        batch: list[tuple[Lane, Settlement]] = []
        self._delivered, self.urgent = 0, False
        for endpoint_id in list(self._dirty):  # oldest first: none waits for ever
            if len(batch) == SETTLE_LANES_MAX:
                self.urgent = True  # the others waited already
                break
            del self._dirty[endpoint_id]
            seat = self._roster.seats.get(endpoint_id)
            if seat is not None and (settlement := seat.lane.collect()) is not None:
                batch.append((seat.lane, settlement))
        if not batch:
            return 0
        try:
            await self._settle(batch, now)
        except SettlementRefused:
            await self._settle_singly(batch, now)
        return len(batch)

    async def _settle(self, batch: list[tuple[Lane, Settlement]], now: datetime) -> None:
        try:
            result = await self._store.settle([settlement for _, settlement in batch], now=now)
        except BaseException:
            for lane, settlement in batch:
                lane.refused()
                self._dirty[settlement.endpoint_id] = None
            self.urgent = True
            self._metrics.settle_failures.inc()
            raise
        for lane, settlement in batch:
            if settlement.shard not in result.fenced and settlement.endpoint_id not in result.stale:
                lane.committed(now)
                self._touched[settlement.endpoint_id] = None
                self._tell_exhausted(settlement)
        self._roster.lose_shards({one.shard: one.epoch for _, one in batch if one.shard in result.fenced})
        for endpoint_id in result.stale | result.draining:
            self._roster.restart(endpoint_id)

    async def _settle_singly(self, batch: list[tuple[Lane, Settlement]], now: datetime) -> None:
        """One endpoint's broken invariant must not keep the others from settling: find it, begin it again."""
        for lane, refused in batch:
            settlement = lane.collect()
            if settlement is None:
                continue
            try:
                await self._settle([(lane, settlement)], now)
            except SettlementRefused as error:
                endpoint = encode_id("end", refused.endpoint_id)
                _log.error("settlement-refused", endpoint=endpoint, error=str(error))
                self._on_alert("settlement-refused", {"endpoint_id": endpoint})
                self._roster.restart(refused.endpoint_id)

    def _tell_exhausted(self, settlement: Settlement) -> None:
        for row in settlement.rows:
            if row.state is RowState.EXHAUSTED:
                self._metrics.exhausted.inc()
                self._on_alert(
                    "delivery-exhausted",
                    {
                        "endpoint_id": encode_id("end", settlement.endpoint_id),
                        "event_id": encode_id("evt", row.event_id),
                        "sequence": row.sequence,
                        "type": row.type,
                    },
                )

    def measure(self) -> None:
        """Set the gauges."""
        seats = self._roster.seats.values()
        self._metrics.measure((seat.lane, self._heads.of(seat.merchant_id)) for seat in seats)
        self._metrics.in_flight.set(self.in_flight)
        self._metrics.waiting_for_host.set(self._hosts.waiting)

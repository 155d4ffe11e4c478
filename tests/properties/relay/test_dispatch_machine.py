"""A worker, its lanes and a store under every order of events, outcomes, crashes and commands that Hypothesis finds.

The real dispatcher, roster, shards and lanes run on a store in memory whose every call may fail before or after it took
effect. After every step the laws hold: nothing is passed without being delivered or kept, versions of one object never
overtake, a row never waits for nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import hypothesis
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from prometheus_client import CollectorRegistry

from migrations.errors import DatabaseAway
from relay.keys.secretbox import Column, Place, SecretBox
from relay.lanes.schedule import REVERSAL
from relay.log.bodies import LogHead, Published, RelayFact, compute_events
from relay.metrics import RelayMetrics
from relay.model import Drain, EndpointState, Outcome, OutcomeKind, RowState
from relay.settings import LaneSettings, RelaySettings, RetrySettings
from relay.workers.dispatch import Dispatcher
from relay.workers.fresh import FreshEvents
from relay.workers.roster import Attempt, Roster
from relay.workers.shards import Shards
from relay.workers.storage import SealedSecret
from tests.depth import times
from tests.properties.relay.covering import OVER, TAKES_BACK
from tests.properties.relay.memory import MemoryStore, StoredReplay, drive, promote

START = datetime(2026, 11, 20, tzinfo=UTC)
MERCHANTS = (UUID(int=1 << 70), UUID(int=2 << 70))
ENDPOINTS = (
    UUID(int=(3 << 70) + 1), UUID(int=(4 << 70) + 1), UUID(int=(5 << 70) + 2), UUID(int=(6 << 70) + 2)
)  # fmt: skip
OWNER_OF = dict(zip(ENDPOINTS, (MERCHANTS[0], MERCHANTS[0], MERCHANTS[1], MERCHANTS[1]), strict=True))
LATEST_ONLY = {ENDPOINTS[1], ENDPOINTS[3]}
OBJECTS = ("dep_a", "dep_b", "dep_c", "dep_d")
TYPES = ("deposit.included", "deposit.confirmed", REVERSAL, "deposit.amended")
SETTINGS = RelaySettings(
    retry=RetrySettings(schedule_s=(5, 600, 7200), failing_objects_max=2, jitter=0.0),
    lane=LaneSettings(window_events_max=12, read_ahead_min=4, in_flight_start=2, due_rows_max=3),
    in_flight_max=6,
    host_in_flight_max=4,  # all three endpoints are at one host
    endpoint_share=0.5,
)
BOX = SecretBox([bytes(32)])
FAILURES = st.builds(
    Outcome,
    kind=st.sampled_from([kind for kind in OutcomeKind if kind is not OutcomeKind.DELIVERED]),
    duration_ms=st.just(1),
    status_code=st.none(),
    retry_after_s=st.none() | st.integers(0, 100_000),
)
DELIVERED = Outcome(OutcomeKind.DELIVERED, 1, 200)


class RelayMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.store = MemoryStore()
        self.store.fault = self._fault
        self.failing_call: tuple[int, bool] | None = None
        self.now = START
        self.delivered: dict[UUID, set[int]] = {endpoint_id: set() for endpoint_id in ENDPOINTS}
        self.versions: dict[tuple[UUID, str], int] = {}
        self.alerts: list[str] = []
        self.workers = 0
        self.fresh = FreshEvents()
        self.flying: list[Attempt] = []
        for endpoint_id in ENDPOINTS:
            self.store.add_endpoint(
                endpoint_id,
                OWNER_OF[endpoint_id],
                sealed=SealedSecret(BOX.seal(b"s" * 32, Place(Column.ENDPOINT_SECRET, endpoint_id)), None),
                signing_key_sealed=BOX.seal(bytes(32), Place(Column.ENDPOINT_SEED, endpoint_id)),
                event_types=frozenset({"deposit.included", REVERSAL, "endpoint.failing"})
                if endpoint_id == ENDPOINTS[1]
                else None,
                drain=Drain.LATEST_ONLY if endpoint_id in LATEST_ONLY else Drain.ALL,
            )
        self._begin_worker()

    # --- the product -----------------------------------------------------------------------------------------------

    def _begin_worker(self) -> None:
        self.workers += 1
        self.shards = Shards(self.store, UUID(int=self.workers), 10.0)
        self.roster = Roster(self.store, self.shards, BOX, SETTINGS, on_alert=self._alert)
        self.dispatcher = Dispatcher(
            self.store,
            self.roster,
            SETTINGS,
            chance=lambda: 0.5,
            metrics=RelayMetrics(CollectorRegistry()),
            on_alert=self._alert,
            fresh=self.fresh,
        )
        self.flying = []

    def _alert(self, kind: str, _detail: Mapping[str, object]) -> None:
        self.alerts.append(kind)

    def _fault(self, _name: str, after: bool) -> None:
        if self.failing_call is None:
            return
        countdown, when_after = self.failing_call
        if after is not when_after:
            return
        self.failing_call = (countdown - 1, when_after)
        if countdown == 0:
            self.failing_call = None
            raise DatabaseAway("planted")

    def _work(self) -> None:
        """One round of the worker's loop, as `relay.workers.worker` makes it; a planted fault ends it early."""
        try:
            drive(self.roster.step_leases(self.now))
            drive(self.roster.step_revisions())
            drive(self.roster.step_load())
            self.dispatcher.touch_all()
            self.dispatcher.park(self.now)
            self._fly(drive(self.dispatcher.step_feed(self.now)))
            self._fly(self.dispatcher.start(self.now))
            drive(self.dispatcher.step_settle(self.now))
        except DatabaseAway:
            pass
        self.failing_call = None

    def _fly(self, attempts: list[Attempt]) -> None:
        for attempt in attempts:
            endpoint_id = attempt.lane.config.endpoint_id
            stored = self.store.endpoints[endpoint_id]
            event = self.store.event_at(stored.record.merchant_id, attempt.sequence)
            assert attempt.body == event.body, "something else was sent than was told"
            row = stored.rows.get(attempt.sequence)
            if row is None or not row.replay:
                self._check_order(endpoint_id, attempt.sequence)
            self._check_covers(endpoint_id, event, attempt.headers.get("chainbell-covers"))
            if row is None and attempt.lane.filter_revision == stored.record.filter_revision:
                assert self.store.matches(stored, event), "the endpoint did not ask for that"
            if row is None and self.roster.is_current(attempt.lane):
                ahead = attempt.sequence - stored.cursor
                assert ahead <= SETTINGS.lane.window_events_max, "a crash would repeat more than it may"
            assert (
                stored.record.merchant_id not in self.store.disabled
                or not self.roster.is_current(attempt.lane)
                or (attempt.lane.config.enabled)
            )
            self.flying.append(attempt)

    def _check_order(self, endpoint_id: UUID, sequence: int) -> None:
        """Every earlier version of this object that the endpoint should have has come to its end."""
        stored = self.store.endpoints[endpoint_id]
        events = self.store.events[stored.record.merchant_id]
        kept = [stored.rows]
        if endpoint_id in self.roster.seats:
            kept.append(self.roster.seats[endpoint_id].lane.troubles.pending.rows)
        for earlier in events[: sequence - 1]:
            if earlier.object_id != events[sequence - 1].object_id or not stored.wanted(earlier):
                continue
            rows = [rows[earlier.sequence] for rows in kept if earlier.sequence in rows]
            over = any(row.state in OVER or row.replay for row in rows)
            assert over or earlier.sequence in self.delivered[endpoint_id], (
                f"{sequence} overtook {earlier.sequence}"
            )

    def _check_covers(self, endpoint_id: UUID, event: Published, header: str | None) -> None:
        """The header names all that was written as covered by this event, and no take-back lies in between."""
        stored = self.store.endpoints[endpoint_id]
        covered = [row.sequence for row in stored.rows.values() if row.covered_by == event.sequence]
        if header is None:
            assert not covered, f"{event.sequence} does not say that it covers {covered}"
            return
        first, last = map(int, header.split("-"))
        assert first <= min(covered, default=first)
        assert max(covered, default=last) <= last < event.sequence
        log = self.store.events[stored.record.merchant_id]
        assert log[first - 1].object_id == log[last - 1].object_id == event.object_id
        between = [one for one in log[first - 1 : event.sequence] if one.object_id == event.object_id]
        assert not TAKES_BACK & {one.type for one in between}, "something was covered over a take-back"

    # --- what happens ----------------------------------------------------------------------------------------------

    @rule(
        merchant=st.sampled_from(MERCHANTS),
        told=st.lists(st.tuples(st.sampled_from(OBJECTS), st.sampled_from(TYPES)), min_size=1, max_size=5),
        rolled_back=st.booleans(),
        heard=st.booleans(),
    )
    def publish(self, merchant: UUID, told: list[tuple[str, str]], *, rolled_back: bool, heard: bool) -> None:
        """In the worker's process; perhaps at the second try, and perhaps its notice is late."""
        facts = []
        for object_id, type_ in told:
            version = self.versions[merchant, object_id] = self.versions.get((merchant, object_id), 0) + 1
            facts.append(RelayFact(merchant, object_id, version, type_, {}, self.now))
        if rolled_back:
            lost = [replace(fact, data={"lost": True}) for fact in (*facts, *facts)]
            heads = {merchant: self.store.heads.get(merchant, LogHead())}
            self.fresh.note(compute_events(lost, heads, reversible={}, now=self.now)[0])
        self.fresh.note(self.store.publish(facts, self.now))
        if heard:
            self.hear(merchant)

    @rule(merchant=st.sampled_from(MERCHANTS))
    def hear(self, merchant: UUID) -> None:
        """A notice comes: it names the head, and how its hash begins."""
        if merchant in self.store.heads:
            head = self.store.heads[merchant]
            self.fresh.prove(merchant, head.sequence, head.head_hash.hex()[:32])
            self.dispatcher.wake({merchant: head.sequence})

    @rule()
    def work(self) -> None:
        self._work()

    @rule(countdown=st.integers(0, 12), after=st.booleans())
    def work_with_a_fault(self, countdown: int, after: bool) -> None:
        self.failing_call = (countdown, after)
        self._work()

    @rule(countdown=st.integers(0, 12), after=st.booleans())
    def crash_in_the_middle_of_work(self, countdown: int, after: bool) -> None:
        self.failing_call = (countdown, after)
        self._work()
        self.crash()

    @rule(seconds=st.sampled_from([0.1, 1.1, 4.0, 30.0, 301.0, 2000.0, 8000.0]))
    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self.store.now_s += seconds

    @precondition(lambda self: self.flying)
    @rule(data=st.data())
    def deliver(self, data: st.DataObject) -> None:
        attempt = self.flying.pop(data.draw(st.integers(0, len(self.flying) - 1)))
        self.delivered[attempt.lane.config.endpoint_id].add(attempt.sequence)
        self.dispatcher.finish(attempt, DELIVERED, self.now)

    @precondition(lambda self: self.flying)
    @rule(data=st.data(), outcome=FAILURES)
    def fail(self, data: st.DataObject, outcome: Outcome) -> None:
        attempt = self.flying.pop(data.draw(st.integers(0, len(self.flying) - 1)))
        self.dispatcher.finish(attempt, outcome, self.now)

    @precondition(lambda self: self.flying)
    @rule(data=st.data())
    def deliver_and_lose_the_answer(self, data: st.DataObject) -> None:
        attempt = self.flying.pop(data.draw(st.integers(0, len(self.flying) - 1)))
        self.delivered[attempt.lane.config.endpoint_id].add(attempt.sequence)
        self.dispatcher.finish(attempt, Outcome(OutcomeKind.TIMEOUT, 1), self.now)

    @rule()
    def crash(self) -> None:
        """The process dies; its leases run out, and another worker takes over."""
        self._begin_worker()
        self.now += timedelta(seconds=11)
        self.store.now_s += 11

    @rule()
    def take_over_while_the_old_one_lives(self) -> None:
        """Somebody else's clock: the leases are gone, and the worker has not noticed yet."""
        before = {
            endpoint_id: (one.cursor, dict(one.rows)) for endpoint_id, one in self.store.endpoints.items()
        }
        for shard in self.store.shards.values():
            if shard.owner is not None:
                shard.epoch += 1
                shard.owner = None
        drive(self.dispatcher.step_settle(self.now))
        for endpoint_id, (cursor, rows) in before.items():
            assert self.store.endpoints[endpoint_id].cursor == cursor, "an old epoch moved a cursor"
            assert self.store.endpoints[endpoint_id].rows == rows, "an old epoch wrote a row"

    # --- what merchants do -----------------------------------------------------------------------------------------

    @rule(endpoint_id=st.sampled_from(ENDPOINTS))
    def pause(self, endpoint_id: UUID) -> None:
        self.store.change(endpoint_id, state=EndpointState.PAUSED)

    @rule(endpoint_id=st.sampled_from(ENDPOINTS))
    def resume(self, endpoint_id: UUID) -> None:
        self.store.resume(endpoint_id, self.now)

    @rule(endpoint_id=st.sampled_from(ENDPOINTS), drain=st.sampled_from(Drain))
    def change_the_drain(self, endpoint_id: UUID, drain: Drain) -> None:
        self.store.set_drain(endpoint_id, drain, self.now)

    @rule(merchant=st.sampled_from(MERCHANTS), enabled=st.booleans())
    def enable(self, merchant: UUID, enabled: bool) -> None:
        (self.store.disabled.discard if enabled else self.store.disabled.add)(merchant)
        for endpoint_id, owner in OWNER_OF.items():
            if owner == merchant:
                wakes = self.store.endpoints[endpoint_id].record.wakes + int(enabled)
                self.store.change(endpoint_id, wakes=wakes)

    @rule(
        endpoint_id=st.sampled_from(ENDPOINTS),
        types=st.none() | st.frozensets(st.sampled_from(TYPES), min_size=1),
    )
    def change_the_filter(self, endpoint_id: UUID, types: frozenset[str] | None) -> None:
        self.store.set_filter(endpoint_id, types, self.now)

    @rule(endpoint_id=st.sampled_from(ENDPOINTS), begin=st.integers(1, 20), length=st.integers(0, 10))
    def replay(self, endpoint_id: UUID, begin: int, length: int) -> None:
        stored = self.store.endpoints[endpoint_id]
        if begin <= stored.cursor:
            stored.replays.append(StoredReplay(begin - 1, min(begin + length, stored.cursor), 0))
            self.store.change(endpoint_id)

    @rule(endpoint_id=st.sampled_from(ENDPOINTS), data=st.data())
    def retry_by_hand(self, endpoint_id: UUID, data: st.DataObject) -> None:
        stored = self.store.endpoints[endpoint_id]
        if stored.cursor:
            sequence = data.draw(st.integers(1, stored.cursor))
            event = self.store.event_at(stored.record.merchant_id, sequence)
            self.store.put_beside(stored, event, 0, self.now)
            promote(stored, event.object_id, self.now, replay_=True)
            self.store.change(endpoint_id)

    @rule(
        endpoint_id=st.sampled_from(sorted(LATEST_ONLY)),
        told=st.lists(
            st.tuples(st.sampled_from(OBJECTS[:2]), st.sampled_from(TYPES[:2])), min_size=2, max_size=8
        ),
        reached=st.booleans(),
    )
    def go_through_an_outage(self, endpoint_id: UUID, told: list[tuple[str, str]], reached: bool) -> None:
        """Much is told about little while an endpoint is away, and sometimes the relay has read some of it before."""
        if reached:
            self.publish(OWNER_OF[endpoint_id], told[:3], rolled_back=False, heard=True)
            self._work()
        self.pause(endpoint_id)
        self.publish(OWNER_OF[endpoint_id], told, rolled_back=False, heard=True)
        self.resume(endpoint_id)

    # --- the laws --------------------------------------------------------------------------------------------------

    @invariant()
    def a_cursor_passes_only_what_was_delivered_or_kept(self) -> None:
        for endpoint_id, stored in self.store.endpoints.items():
            for event in self.store.events.get(stored.record.merchant_id, [])[: stored.cursor]:
                if stored.wanted(event) and event.sequence not in self.delivered[endpoint_id]:
                    assert event.sequence in stored.rows, f"{event.sequence} was passed and lost"

    @invariant()
    def what_covers_was_told_or_is_to_come(self) -> None:
        for endpoint_id, stored in self.store.endpoints.items():
            for row in stored.rows.values():
                if row.covered_by is None:
                    continue
                newest = self.store.event_at(stored.record.merchant_id, row.covered_by)
                told = row.covered_by in self.delivered[endpoint_id]
                kept = stored.rows.get(row.covered_by)
                to_come = row.covered_by > stored.cursor and stored.wanted(newest)
                assert told or kept is not None or to_come, f"nothing stands for {row}"
                assert kept is None or told or kept.state is not RowState.COVERED, f"{row} and {kept}"
                assert newest.object_id == row.object_id

    @invariant()
    def what_takes_back_is_never_covered_nor_what_was_told_before_it(self) -> None:
        for stored in self.store.endpoints.values():
            for row in stored.rows.values():
                if row.covered_by is not None:
                    log = self.store.events[stored.record.merchant_id]
                    versions = [one for one in log[: row.covered_by] if one.object_id == row.object_id]
                    assert not TAKES_BACK & {one.type for one in versions if one.version >= row.version}

    @invariant()
    def what_is_in_flight_is_bounded_and_counted(self) -> None:
        assert self.dispatcher.in_flight == len(self.flying) <= SETTINGS.host_in_flight_max
        current = [attempt for attempt in self.flying if self.roster.is_current(attempt.lane)]
        assert sum(seat.lane.in_flight for seat in self.roster.seats.values()) == len(current)
        for endpoint_id in ENDPOINTS:
            mine = [one for one in current if one.lane.config.endpoint_id == endpoint_id]
            assert len(mine) <= 3
            merchant_id = OWNER_OF[endpoint_id]
            objects = [self.store.event_at(merchant_id, one.sequence).object_id for one in mine]
            assert len(objects) == len(set(objects)), "two versions of one object in flight"

    @invariant()
    def lanes_count_rows_as_the_store_has_them(self) -> None:
        for seat in self.roster.seats.values():
            stored = self.store.endpoints[seat.endpoint_id]
            if seat.lane.dirty or seat.lane.config.epoch != self.store.shards[seat.shard].epoch:
                continue
            if seat.lane.filter_revision != stored.record.filter_revision:
                continue  # it begins again, once it knows
            rows: dict[str, int] = {}
            for row in stored.rows.values():
                if not row.replay and row.state not in OVER:
                    rows[row.object_id] = rows.get(row.object_id, 0) + 1
            assert {name: one.rows for name, one in seat.lane.troubles.blocked.items()} == rows
            assert seat.lane.window.cursor == stored.cursor
            assert seat.lane.troubles.failing_objects == sum(
                one.failed for one in seat.lane.troubles.blocked.values()
            )

    @invariant()
    def no_lane_forgets_when_its_next_retry_is_due(self) -> None:
        for seat in self.roster.seats.values():
            lane, stored = seat.lane, self.store.endpoints[seat.endpoint_id]
            if lane.dirty or lane._due or not lane.open or seat.revision != stored.record.revision:
                continue
            flying = {attempt.sequence for attempt in self.flying if attempt.lane is lane}
            known = lane.troubles.next_retry_at
            for row in stored.rows.values():
                if row.retry_at is not None and row.sequence not in flying:
                    assert known is not None, f"nobody will look at {row}"
                    assert known <= row.retry_at or known <= self.now, f"nobody will look at {row} in time"

    @invariant()
    def nothing_waits_long_in_front_of_a_reversal(self) -> None:
        latest = self.now + timedelta(seconds=SETTINGS.retry.hurry_s)
        for stored in self.store.endpoints.values():
            for row in stored.rows.values():
                if row.state is not RowState.WAITING or row.type != REVERSAL or row.replay:
                    continue
                for head in stored.rows.values():
                    if (
                        head.object_id == row.object_id
                        and not head.replay
                        and head.state is RowState.RETRYING
                    ):
                        assert head.retry_at is not None
                        assert head.retry_at <= latest

    @invariant()
    def tries_are_counted_without_a_hole_and_end(self) -> None:
        for stored in self.store.endpoints.values():
            for row in stored.rows.values():
                assert row.failures <= len(SETTINGS.retry.schedule_s) + 1
                assert (row.failures > len(SETTINGS.retry.schedule_s)) == (row.state is RowState.EXHAUSTED)
                for number in range(1, row.attempts + 1):
                    assert (row.sequence, number) in stored.attempts

    def teardown(self) -> None:
        """Everybody is well again: in the end everything was delivered, or is exhausted and kept."""
        for merchant in MERCHANTS:
            self.enable(merchant, True)
        for _ in range(400):
            for endpoint_id in ENDPOINTS:
                self.resume(endpoint_id)  # also one whose 410 is written only now
            self.wait(2000.0)
            self._work()
            while self.flying:
                attempt = self.flying.pop()
                self.delivered[attempt.lane.config.endpoint_id].add(attempt.sequence)
                self.dispatcher.finish(attempt, DELIVERED, self.now)
            self._work()
            if not self.flying and self._all_done():
                break
        for endpoint_id, stored in self.store.endpoints.items():
            head = self.store.heads.get(stored.record.merchant_id)
            assert stored.cursor == (head.sequence if head else 0), endpoint_id
            assert {row.state for row in stored.rows.values()} <= OVER
            assert not stored.replays
            self._check_what_the_receiver_ends_up_with(endpoint_id)
        self.a_cursor_passes_only_what_was_delivered_or_kept()
        self.what_covers_was_told_or_is_to_come()

    def _check_what_the_receiver_ends_up_with(self, endpoint_id: UUID) -> None:
        """Applying by (object, version), it has what it would have of everything; it heard of every take-back."""
        stored = self.store.endpoints[endpoint_id]
        exhausted = {sequence for sequence, row in stored.rows.items() if row.state is RowState.EXHAUSTED}
        heard = self.delivered[endpoint_id] | exhausted
        newest: dict[str, int] = {}
        for event in filter(stored.wanted, self.store.events.get(stored.record.merchant_id, [])):
            newest[event.object_id] = event.sequence
            assert event.type not in TAKES_BACK or event.sequence in heard, f"{event.sequence} was kept quiet"
        assert set(newest.values()) <= heard

    def _all_done(self) -> bool:
        return all(
            stored.cursor == self.store.heads[stored.record.merchant_id].sequence
            and not stored.replays
            and all(row.state in OVER for row in stored.rows.values())
            for stored in self.store.endpoints.values()
            if stored.record.merchant_id in self.store.heads
        )


TestRelayMachine = RelayMachine.TestCase
TestRelayMachine.settings = hypothesis.settings(
    max_examples=times(50, ci=150),
    stateful_step_count=60,
    report_multiple_bugs=False,
    phases=[hypothesis.Phase.generate],
    suppress_health_check=list(hypothesis.HealthCheck),
)

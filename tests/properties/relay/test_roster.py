"""Which lanes exist: leases that end, filters that change, secrets that do not open; on the store in memory."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from prometheus_client import CollectorRegistry

from relay.keys.secretbox import Column, Place, SecretBox
from relay.log.bodies import RelayFact
from relay.metrics import RelayMetrics
from relay.model import Outcome, OutcomeKind
from relay.settings import RelaySettings
from relay.workers import dispatch
from relay.workers.dispatch import Dispatcher
from relay.workers.fresh import FreshEvents
from relay.workers.roster import Attempt, Roster
from relay.workers.shards import Shards, decide_share
from relay.workers.storage import SealedSecret, ShardCensus, ShardLease
from tests.properties.relay.memory import MemoryStore, drive

NOW = datetime(2026, 11, 20, tzinfo=UTC)
MERCHANT = UUID(int=1 << 70)
BOX = SecretBox([bytes(32)])
OK = Outcome(OutcomeKind.DELIVERED, 1, 200)


class Bench:
    """One worker and its store, driven by hand."""

    def __init__(self, store: MemoryStore | None = None, worker: int = 1) -> None:
        self.store = store or MemoryStore()
        self.alerts: list[str] = []
        self.fresh = FreshEvents()
        settings = RelaySettings(lease_s=10.0)
        self.shards = Shards(self.store, UUID(int=worker), settings.lease_s)
        self.roster = Roster(self.store, self.shards, BOX, settings, on_alert=self.alert)
        self.dispatcher = Dispatcher(
            self.store,
            self.roster,
            settings,
            chance=lambda: 0.5,
            metrics=RelayMetrics(CollectorRegistry()),
            on_alert=self.alert,
            fresh=self.fresh,
        )

    def alert(self, kind: str, _detail: Mapping[str, object]) -> None:
        self.alerts.append(kind)

    def endpoint(self, number: int, *, box: SecretBox = BOX) -> UUID:
        endpoint_id = UUID(int=(2 << 70) + number)
        self.store.add_endpoint(
            endpoint_id,
            MERCHANT,
            sealed=SealedSecret(box.seal(b"s" * 32, Place(Column.ENDPOINT_SECRET, endpoint_id)), None),
            signing_key_sealed=box.seal(bytes(32), Place(Column.ENDPOINT_SEED, endpoint_id)),
        )
        return endpoint_id

    def tell(self, *objects: str) -> None:
        first = self.store.heads[MERCHANT].sequence + 1 if MERCHANT in self.store.heads else 1
        facts = [
            RelayFact(MERCHANT, name, version, "deposit.included", {}, NOW)
            for version, name in enumerate(objects, start=first)
        ]
        self.store.publish(facts, NOW)

    def load(self, now: datetime = NOW) -> None:
        drive(self.roster.step_leases(now))
        drive(self.roster.step_revisions())
        drive(self.roster.step_load())

    def start(self, now: datetime = NOW) -> list[Attempt]:
        self.dispatcher.touch_all()
        return drive(self.dispatcher.step_feed(now)) + self.dispatcher.start(now)


def test_a_lane_begins_again_only_after_the_old_one_is_empty() -> None:
    bench = Bench()
    endpoint = bench.endpoint(1)
    bench.tell("dep_a", "dep_a")
    bench.load()
    (first,) = bench.start()
    bench.store.set_filter(endpoint, frozenset({"deposit.included"}), NOW)
    for _ in range(3):
        bench.load()
        assert bench.start() == []
        assert endpoint not in bench.roster.seats
    bench.dispatcher.finish(first, OK, NOW)
    bench.load()
    (again,) = bench.start()
    assert (again.sequence, again.body) == (1, first.body)
    assert again.lane is not first.lane


def test_what_was_learnt_under_an_old_filter_is_not_written() -> None:
    bench = Bench()
    endpoint = bench.endpoint(1)
    bench.tell("dep_a", "dep_b")
    bench.load()
    for attempt in bench.start():
        bench.dispatcher.finish(attempt, OK, NOW)
    bench.store.set_filter(endpoint, None, NOW)
    drive(bench.dispatcher.step_settle(NOW))
    assert bench.store.endpoints[endpoint].cursor == 0
    assert bench.roster.seats == {}
    bench.load()
    assert [attempt.sequence for attempt in bench.start()] == [1, 2]


def test_a_worker_that_cannot_renew_stops_sending_before_its_lease_ends() -> None:
    bench = Bench()
    bench.endpoint(1)
    bench.tell("dep_a", "dep_b")
    bench.load()
    assert bench.start(NOW + timedelta(seconds=8.1)) == []
    assert len(bench.start(NOW + timedelta(seconds=7.9))) == 2


def test_a_lost_shard_is_forgotten_and_begun_again_when_it_comes_back() -> None:
    bench = Bench()
    endpoint = bench.endpoint(1)
    bench.tell("dep_a")
    bench.load()
    (attempt,) = bench.start()
    bench.store.now_s += 11
    other = Bench(bench.store, worker=2)
    other.load()
    assert endpoint in other.roster.seats
    bench.dispatcher.finish(attempt, OK, NOW)
    drive(bench.dispatcher.step_settle(NOW))
    assert bench.store.endpoints[endpoint].cursor == 0
    assert bench.roster.seats == {}
    (resent,) = other.start()
    assert resent.body == attempt.body


def test_two_workers_come_to_hold_an_equal_share_without_losing_what_is_under_way() -> None:
    one = Bench()
    for number in range(64):
        one.endpoint(number)
    one.tell("dep_a")
    one.load()
    under_way = one.start()
    two = Bench(one.store, worker=2)
    two.load()
    assert two.roster.seats == {}
    one.load()
    busy = {attempt.lane.config.shard for attempt in under_way}
    assert busy <= set(one.shards.epochs)
    for attempt in under_way:
        one.dispatcher.finish(attempt, OK, NOW)
    while one.dispatcher.dirty:
        drive(one.dispatcher.step_settle(NOW))
    one.load()
    two.load()
    assert (len(one.roster.seats), len(two.roster.seats)) == (32, 32)
    assert not set(one.shards.epochs) & set(two.shards.epochs)


def test_whoever_is_left_takes_all_shards_of_the_dead_once_their_lease_has_ended() -> None:
    one = Bench()
    one.load()
    two = Bench(one.store, worker=2)
    for each in (two, one, two):
        each.load()
    assert (len(one.shards.epochs), len(two.shards.epochs)) == (32, 32)
    one.store.now_s += 6
    two.load()
    assert len(two.shards.epochs) == 32
    one.store.now_s += 5
    two.load()
    assert len(two.shards.epochs) == 64


def test_of_more_lanes_than_one_settle_takes_those_that_wait_longest_are_written_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dispatch, "SETTLE_LANES_MAX", 2)
    bench = Bench()
    endpoints = [bench.endpoint(number) for number in range(4)]
    bench.tell(*[f"dep_{number}" for number in range(8)])
    bench.load()
    attempts: dict[UUID, list[Attempt]] = {one: [] for one in endpoints}
    for attempt in bench.start():
        attempts[attempt.lane.config.endpoint_id].append(attempt)
    drive(bench.dispatcher.step_settle(NOW))  # nothing to write yet
    written = []
    for turn in (endpoints, endpoints[2:], endpoints[:2]):
        for endpoint in turn:
            bench.dispatcher.finish(attempts[endpoint].pop(0), OK, NOW)
        drive(bench.dispatcher.step_settle(NOW))
        written.append([bench.store.endpoints[endpoint].cursor for endpoint in endpoints])
    assert written == [[1, 1, 0, 0], [1, 1, 2, 2], [2, 2, 2, 2]]


def test_an_endpoint_whose_secret_does_not_open_is_reported_once_and_not_sent_to() -> None:
    bench = Bench()
    strange = bench.endpoint(1, box=SecretBox([b"x" * 32]))
    fine = bench.endpoint(2)
    bench.tell("dep_a")
    for _ in range(3):
        bench.load()
    assert bench.alerts == ["secret-unreadable"]
    assert [attempt.lane.config.endpoint_id for attempt in bench.start()] == [fine]
    key = SealedSecret(BOX.seal(bytes(32), Place(Column.ENDPOINT_SEED, strange)), None)
    bench.store.change(strange, signing_keys=(key,), secrets=())
    bench.load()
    assert strange in bench.roster.seats


def test_a_deleted_endpoint_is_sent_nothing_more() -> None:
    bench = Bench()
    endpoint = bench.endpoint(1)
    bench.tell("dep_a")
    bench.load()
    del bench.store.endpoints[endpoint]
    drive(bench.roster.step_revisions())
    assert bench.start() == []
    assert bench.roster.merchants == {}


def test_a_shard_is_not_given_away_while_a_lane_that_begins_again_still_sends() -> None:
    bench = Bench()
    endpoint = bench.endpoint(40)  # and its shard
    bench.tell("dep_a")
    bench.load()
    (first,) = bench.start()
    bench.store.set_filter(endpoint, frozenset({"deposit.included"}), NOW)
    bench.load()
    assert endpoint not in bench.roster.seats
    drive(bench.store.renew_leases(UUID(int=2), 10.0))
    drive(bench.roster.step_leases(NOW))
    assert set(range(32)) | {40} == bench.shards.epochs.keys()
    bench.dispatcher.finish(first, OK, NOW)
    drive(bench.roster.step_release())
    assert set(range(32)) == bench.shards.epochs.keys()


def test_a_share_is_rounded_up_and_only_the_surplus_is_released() -> None:
    held = tuple(ShardLease(n, 1) for n in range(40))
    share = decide_share(ShardCensus(held, free=tuple(range(40, 64)), workers=2))
    assert (share.claim, share.release) == ((), tuple(range(32, 40)))
    share = decide_share(ShardCensus(held[:10], free=tuple(range(40, 64)), workers=3))
    assert (share.claim, share.release) == (tuple(range(40, 52)), ())
    share = decide_share(ShardCensus((), free=tuple(range(64)), workers=0))
    assert share.claim == tuple(range(64))

"""What is at hand is not read again; and what only the store may decide is read all the same."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from relay.log.bodies import RelayFact
from relay.model import Drain, EndpointState, LanePosition
from tests.properties.relay.memory import MemoryStore, drive
from tests.properties.relay.test_roster import MERCHANT, NOW, OK, Bench

INCLUDED, FINAL = "deposit.included", "deposit.final"


def tell_at_hand(bench: Bench, object_id: str, *, version: int = 1, type_: str = INCLUDED) -> None:
    """Told in this process, committed, and heard."""
    events = bench.store.publish([RelayFact(MERCHANT, object_id, version, type_, {}, NOW)], NOW)
    bench.fresh.note(events)
    head = bench.store.heads[MERCHANT]
    bench.fresh.prove(MERCHANT, head.sequence, head.head_hash.hex()[:32])
    bench.dispatcher.wake({MERCHANT: head.sequence})


def start(bench: Bench) -> list[int]:
    attempts = drive(bench.dispatcher.step_feed(NOW, reads=False)) + bench.dispatcher.start(NOW)
    for attempt in attempts:
        assert attempt.body == bench.store.event_at(MERCHANT, attempt.sequence).body
        bench.dispatcher.finish(attempt, OK, NOW)
    return [attempt.sequence for attempt in attempts]


def test_what_was_told_in_this_process_is_sent_without_a_read() -> None:
    bench = Bench()
    first, second = bench.endpoint(1), bench.endpoint(2)
    bench.store.set_filter(second, frozenset({FINAL}), NOW)
    bench.load()
    bench.start()
    tell_at_hand(bench, "dep_a")
    tell_at_hand(bench, "dep_b", type_=FINAL)
    assert sorted(start(bench)) == [1, 2, 2]
    drive(bench.dispatcher.step_settle(NOW))
    assert bench.dispatcher.reads_made == 0
    assert [bench.store.endpoints[one].cursor for one in (first, second)] == [2, 2]


def test_what_somebody_else_told_in_between_is_read() -> None:
    bench = Bench()
    bench.endpoint(1)
    bench.load()
    bench.start()
    bench.tell("dep_x")
    tell_at_hand(bench, "dep_a")
    assert start(bench) == []
    drive(bench.dispatcher.step_feed(NOW))
    assert (start(bench), bench.dispatcher.reads_made) == ([1, 2], 1)


class ChangingStore(MemoryStore):
    """The filter changes after the endpoint was read, and before its place is."""

    changing: UUID | None = None

    async def load_positions(
        self, endpoints: Collection[UUID], *, reversal_type: str
    ) -> dict[UUID, LanePosition]:
        if self.changing is not None:
            self.set_filter(self.changing, None, NOW)
            self.changing = None
        return await super().load_positions(endpoints, reversal_type=reversal_type)


def test_a_filter_that_changed_while_it_was_read_decides_nothing() -> None:
    store = ChangingStore()
    bench = Bench(store)
    endpoint = bench.endpoint(1)
    store.set_filter(endpoint, frozenset({FINAL}), NOW)
    store.changing = endpoint
    bench.load()
    bench.start()
    tell_at_hand(bench, "dep_a")
    start(bench)
    drive(bench.dispatcher.step_settle(NOW))
    assert store.endpoints[endpoint].cursor == 0, "it passed what it did not send"
    for _ in range(2):
        bench.load()
    assert [attempt.sequence for attempt in bench.start()] == [1]


def test_what_was_told_during_an_outage_is_read_for_what_covers_it() -> None:
    bench = Bench()
    endpoint = bench.endpoint(1)
    stored = bench.store.endpoints[endpoint]
    stored.drain = Drain.LATEST_ONLY
    bench.store.change(endpoint, state=EndpointState.PAUSED)
    bench.load()
    bench.start()
    tell_at_hand(bench, "dep_a")
    tell_at_hand(bench, "dep_a", version=2)
    bench.store.resume(endpoint, NOW)
    for _ in range(2):
        bench.load()
        bench.dispatcher.touch_all()
    assert start(bench) == [], "the first is covered by the second, which only the store knows"
    drive(bench.dispatcher.step_feed(NOW))
    assert start(bench) == [2]
    drive(bench.dispatcher.step_settle(NOW))
    tell_at_hand(bench, "dep_a", version=3)
    assert start(bench) == [3], "the outage is over"

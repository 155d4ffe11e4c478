"""What may wait and what may not: cursors follow a moment later, a few new events are read together."""

from __future__ import annotations

from relay.model import Outcome, OutcomeKind
from relay.workers.dispatch import UNWRITTEN_MAX
from tests.properties.relay.memory import drive
from tests.properties.relay.test_roster import MERCHANT, NOW, OK, Bench

BROKEN = Outcome(OutcomeKind.BROKEN, 1, 500)


def is_urgent(bench: Bench) -> bool:
    return bench.dispatcher.urgent


def is_dirty(bench: Bench) -> bool:
    return bench.dispatcher.dirty


def wants_reading(bench: Bench) -> bool:
    return bench.dispatcher.wants_reading


def test_a_success_may_be_written_later_and_a_failure_may_not() -> None:
    bench = Bench()
    bench.endpoint(1)
    bench.tell("dep_a", "dep_b")
    bench.load()
    good, bad = bench.start()
    bench.dispatcher.finish(good, OK, NOW)
    assert is_dirty(bench)
    assert not is_urgent(bench)
    bench.dispatcher.finish(bad, BROKEN, NOW)
    assert is_urgent(bench)
    drive(bench.dispatcher.step_settle(NOW))
    assert not is_dirty(bench)
    assert not is_urgent(bench)


def test_an_attempt_that_takes_long_is_written_soon() -> None:
    bench = Bench()
    bench.endpoint(1)
    bench.tell("dep_a")
    bench.load()
    bench.start()
    bench.dispatcher.park(NOW.replace(minute=1))
    assert is_urgent(bench)


def test_no_more_than_so_many_successes_wait_to_be_written() -> None:
    bench = Bench()
    for number in range(UNWRITTEN_MAX // 2):
        bench.endpoint(number)
    bench.tell("dep_a", "dep_b")
    bench.load()
    finished, attempts = 0, bench.start()
    while finished < UNWRITTEN_MAX:
        assert not is_urgent(bench)
        attempts = attempts or bench.dispatcher.start(NOW)
        bench.dispatcher.finish(attempts.pop(), OK, NOW)
        finished += 1
    assert is_urgent(bench)
    assert drive(bench.dispatcher.step_settle(NOW)) == UNWRITTEN_MAX // 2
    assert not is_urgent(bench)


def test_a_lane_that_passes_by_much_does_not_wait_to_pass_by_more() -> None:
    bench = Bench()
    endpoint = bench.endpoint(1)
    bench.store.set_filter(endpoint, frozenset({"deposit.final"}), NOW)
    bench.tell(*(f"dep_{number}" for number in range(600)))
    bench.load()
    bench.dispatcher.touch_all()
    for _ in range(600):
        if not is_urgent(bench):
            drive(bench.dispatcher.step_feed(NOW))
    assert is_urgent(bench)
    assert 256 < bench.roster.seats[endpoint].lane.window.cursor <= 512


def test_a_lane_with_nothing_to_write_is_not_settled_for() -> None:
    bench = Bench()
    bench.endpoint(1)
    bench.load()
    assert bench.start() == []
    assert not bench.dispatcher.dirty


def test_a_few_events_wait_for_the_next_read_and_a_backlog_does_not() -> None:
    bench = Bench()
    bench.endpoint(1)
    bench.load()
    assert bench.start() == []
    bench.tell("dep_a")
    bench.dispatcher.wake({MERCHANT: 1})
    assert drive(bench.dispatcher.step_feed(NOW, reads=False)) == bench.dispatcher.start(NOW) == []
    assert wants_reading(bench)
    assert not bench.dispatcher.has_work, "the loop rests until then"
    drive(bench.dispatcher.step_feed(NOW))
    assert [attempt.sequence for attempt in bench.dispatcher.start(NOW)] == [1]
    assert not wants_reading(bench)
    bench.tell(*(f"dep_{number}" for number in range(300)))
    bench.dispatcher.wake({MERCHANT: 301})
    made = bench.dispatcher.reads_made
    drive(bench.dispatcher.step_feed(NOW, reads=False))
    assert bench.dispatcher.reads_made == made + 1


def test_what_is_known_is_not_asked_for_again() -> None:
    bench = Bench()
    bench.endpoint(1)
    bench.load()
    bench.start()
    bench.dispatcher.wake({MERCHANT: 7})
    assert not bench.dispatcher.ask_again({MERCHANT: 7})
    assert bench.dispatcher.ask_again({MERCHANT: 8})

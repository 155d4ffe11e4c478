"""Attempts start in rounds, between which answers are read; and nobody hurries to a next round that may not begin."""

from __future__ import annotations

from datetime import timedelta

from relay.workers.dispatch import ROUND
from tests.properties.relay.test_roster import NOW, OK, Bench

ENDPOINTS = 40


def loaded_bench() -> Bench:
    bench = Bench()
    for number in range(ENDPOINTS):
        bench.endpoint(number)
    bench.tell(*(f"dep_{number}" for number in range(8)))
    bench.load()
    return bench


def test_a_round_ends_before_all_is_started_and_the_next_one_goes_on() -> None:
    bench = loaded_bench()
    first = bench.start()
    assert len(first) == ROUND
    assert bench.dispatcher.cut_short
    second = bench.dispatcher.start(NOW)
    started = {(one.lane.config.endpoint_id, one.sequence) for one in (*first, *second)}
    assert len(started) == len(first) + len(second) > ROUND, "nothing twice"
    for attempt in (*first, *second):
        bench.dispatcher.finish(attempt, OK, NOW)
    while attempts := bench.start():
        for attempt in attempts:
            bench.dispatcher.finish(attempt, OK, NOW)
            started.add((attempt.lane.config.endpoint_id, attempt.sequence))
    assert len(started) == 8 * ENDPOINTS
    assert not bench.dispatcher.cut_short


def test_without_a_lease_there_is_no_next_round_to_hurry_to() -> None:
    bench = loaded_bench()
    bench.start()
    assert bench.dispatcher.cut_short
    assert bench.dispatcher.start(NOW + timedelta(hours=1)) == []
    assert not bench.dispatcher.cut_short

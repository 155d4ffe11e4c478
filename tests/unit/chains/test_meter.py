"""Calls a day: exact over whole hours, at the pace seen before a day is over, and forgotten after one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chains.rpc.meter import CallMeter

HOUR_S = 3_600.0


def test_a_start_is_no_day() -> None:
    meter = CallMeter(1_000.0)
    meter.note(500, 1_000.0)
    assert meter.per_day(1_599.0) is None
    assert meter.per_day(1_600.0) == 500 * 144


@given(st.integers(1, 60), st.integers(1, 100), st.floats(0, 1e6))
def test_a_steady_pace_is_told_as_it_is(hours: int, each_minute: int, began_s: float) -> None:
    meter = CallMeter(began_s)
    for minute in range(hours * 60):
        meter.note(each_minute, began_s + 60.0 * minute)
    told = meter.per_day(began_s + hours * HOUR_S)
    assert told is not None
    # The hour that has just begun was asked nothing yet.
    assert abs(told - each_minute * 1_440) <= each_minute * 1_440 / min(hours, 23) + 1


def test_what_was_more_than_a_day_ago_is_not_counted() -> None:
    meter = CallMeter(0.0)
    meter.note(1_000_000, 10.0)
    for hour in range(1, 40):
        meter.note(10, hour * HOUR_S)
    assert meter.per_day(40 * HOUR_S - 1) == 240


def test_a_clock_that_stands_still_loses_no_call() -> None:
    meter = CallMeter(0.0)
    for _ in range(50):
        meter.note(2, 100.0)
    assert meter.per_day(HOUR_S - 1) == round(100 * 24 * HOUR_S / (HOUR_S - 1))

"""How fast one endpoint is sent to: slow start, halving once per mishap, rates, rests."""

from __future__ import annotations

from bisect import bisect_left
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.lanes.pace import Pace

NOW = datetime(2026, 11, 20, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def test_each_success_raises_the_limit_by_one_until_something_goes_wrong() -> None:
    pace = Pace(limit_max=32, rate_per_s=None, limit_start=4)
    for _ in range(4):
        pace.succeeded()
    assert pace.limit == 8
    for _ in range(100):
        pace.succeeded()
    assert pace.limit == 32


def test_a_burst_of_failures_halves_once_and_growth_is_slow_from_there() -> None:
    pace = Pace(limit_max=64, rate_per_s=None, limit_start=32)
    for _ in range(32):
        pace.congested(started_at=NOW, now=after(1))
    assert pace.limit == 16
    for _ in range(16):
        pace.succeeded()
    assert pace.limit == 16
    pace.succeeded()
    assert pace.limit == 17
    pace.congested(started_at=after(2), now=after(3))
    assert pace.limit == 8


def test_the_limit_never_falls_below_one_attempt() -> None:
    pace = Pace(limit_max=4, rate_per_s=None, limit_start=4)
    for second in range(10):
        pace.congested(started_at=after(second), now=after(second + 0.5))
    assert pace.limit == 1
    assert pace.room(0, after(20)) == 1
    assert pace.room(1, after(20)) == 0


def test_a_429_rests_the_endpoint_for_what_it_asks_within_bounds() -> None:
    pace = Pace(limit_max=4, rate_per_s=None, limit_start=4)
    pace.throttled(NOW, NOW, 10, 60)
    assert pace.room(0, after(9)) == 0
    assert pace.opens_at(after(9)) == after(10)
    assert pace.room(0, after(10)) == 2
    pace.throttled(after(11), after(11), 3600, 60)
    assert pace.opens_at(after(12)) == after(71)


def test_a_429_without_advice_rests_longer_each_time() -> None:
    pace = Pace(limit_max=4, rate_per_s=None, limit_start=4)
    rests = []
    now = NOW
    for _ in range(8):
        now += timedelta(minutes=5)
        pace.throttled(now, now, None, 60)
        assert pace.resting_until is not None
        rests.append((pace.resting_until - now).total_seconds())
    assert rests == [1, 2, 4, 8, 16, 32, 60, 60]


def test_a_recovered_endpoint_begins_again_at_one() -> None:
    pace = Pace(limit_max=32, rate_per_s=None, limit_start=32)
    pace.throttled(NOW, NOW, 50, 60)
    pace.restart()
    assert pace.room(0, NOW) == 1


def test_a_smaller_bound_holds_at_once() -> None:
    pace = Pace(limit_max=32, rate_per_s=None, limit_start=32)
    pace.configure(limit_max=3, rate_per_s=None)
    assert pace.limit == 3


def test_a_larger_bound_is_grown_into_as_fast_as_at_the_beginning_unless_something_went_wrong() -> None:
    pace = Pace(limit_max=2, rate_per_s=None, limit_start=2)
    pace.configure(limit_max=32, rate_per_s=None)
    for _ in range(6):
        pace.succeeded()
    assert pace.limit == 8
    pace.congested(NOW, NOW)
    pace.configure(limit_max=64, rate_per_s=None)
    for _ in range(4):
        pace.succeeded()
    assert pace.limit == 4


@pytest.mark.parametrize("rate_per_s", [1, 3, 10, 50, 1000])
def test_a_rate_is_never_exceeded_over_any_second_and_nearly_reached(rate_per_s: int) -> None:
    pace = Pace(limit_max=1000, rate_per_s=rate_per_s, limit_start=1000)
    starts: list[datetime] = []
    now = NOW
    while now < after(5):
        for _ in range(pace.room(0, now)):
            pace.started(now)
            starts.append(now)
        opens_at = pace.opens_at(now)
        now = max(now + timedelta(milliseconds=1), opens_at or now)
    assert starts == sorted(starts)
    for first, begin in enumerate(starts):
        within_count = bisect_left(starts, begin + timedelta(seconds=1)) - first
        assert within_count <= rate_per_s * 1.06 + 1
    assert len(starts) >= 5 * rate_per_s * 0.95


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["ok", "slow", "429", "ours", "start", "restart"]),
            st.floats(0, 3),
            st.integers(0, 100),
        ),
        max_size=60,
    ),
    st.integers(1, 50),
    st.none() | st.integers(1, 100),
)
def test_whatever_happens_the_limit_stays_within_its_bounds(
    steps: list[tuple[str, float, int]], limit_max: int, rate_per_s: int | None
) -> None:
    pace = Pace(limit_max=limit_max, rate_per_s=rate_per_s, limit_start=4)
    now = NOW
    for step, seconds, number in steps:
        started, now = now, now + timedelta(seconds=seconds)
        match step:
            case "ok":
                pace.succeeded()
            case "slow":
                pace.congested(started, now)
            case "429":
                pace.throttled(started, now, number or None, 60)
            case "ours":
                pace.detained(started, now, 30)
            case "start":
                pace.started(now)
            case _:
                pace.restart()
        assert 1 <= pace.limit <= limit_max
        assert pace.room(0, now) <= limit_max
        opens_at = pace.opens_at(now)
        assert opens_at is None or opens_at <= now + timedelta(seconds=61)


def test_while_our_own_way_out_fails_an_endpoint_rests_longer_each_time_and_comes_back_with_one() -> None:
    pace = Pace(limit_max=32, rate_per_s=None, limit_start=8)
    now, rests = NOW, []
    for _ in range(7):
        pace.detained(now, now + timedelta(milliseconds=1), 30)
        pace.detained(now, now + timedelta(milliseconds=2), 30)  # of the same moment: counted once
        assert pace.resting_until is not None
        assert pace.rests(pace.resting_until - timedelta(milliseconds=1))
        assert pace.room(0, pace.resting_until) == 1
        rests.append(round((pace.resting_until - now).total_seconds()))
        now = pace.resting_until
    assert rests == [1, 2, 4, 8, 16, 30, 30]
    pace.succeeded()
    assert pace.room(0, now) == 2

"""Verdicts on outcomes: the schedule, Retry-After, haste in front of a reversal, tries that cost nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.lanes.schedule import Delivered, Exhausted, RetryLater, Verdict, compute_probe_wait_s, decide
from relay.model import Outcome, OutcomeKind
from relay.settings import RetrySettings

NOW = datetime(2026, 11, 20, tzinfo=UTC)
SETTINGS = RetrySettings()
FAILED_KINDS = [
    kind
    for kind in OutcomeKind
    if kind not in {OutcomeKind.DELIVERED, OutcomeKind.INTERRUPTED, OutcomeKind.UNSENT, OutcomeKind.GONE}
]


def judge(
    kind: OutcomeKind = OutcomeKind.BROKEN,
    *,
    failures: int = 0,
    free: bool = False,
    hurried: bool = False,
    chance: float = 0.5,
    retry_after_s: int | None = None,
) -> Verdict:
    return decide(
        Outcome(kind, 1, retry_after_s=retry_after_s),
        failures=failures,
        free=free,
        hurried=hurried,
        now=NOW,
        chance=chance,
        settings=SETTINGS,
    )


def wait_s(verdict: Verdict) -> float:
    assert isinstance(verdict, RetryLater)
    return (verdict.retry_at - NOW).total_seconds()


def test_the_schedule_is_ten_tries_over_three_days() -> None:
    waits = []
    failures = 0
    while isinstance(verdict := judge(failures=failures), RetryLater):
        waits.append(wait_s(verdict))
        failures = verdict.failures
    assert waits == [5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400]
    assert verdict == Exhausted(10)


@pytest.mark.parametrize("chance, seconds", [(0.0, 240.0), (0.5, 300.0), (1.0, 360.0)])
def test_a_wait_is_spread_by_a_fifth_either_way(chance: float, seconds: float) -> None:
    assert wait_s(judge(failures=1, chance=chance)) == pytest.approx(seconds)


def test_success_is_success_whatever_came_before() -> None:
    assert judge(OutcomeKind.DELIVERED, failures=9, hurried=True) == Delivered()


@pytest.mark.parametrize("asked_s, waited_s", [(1, 5), (5, 5), (90, 90), (86_400, 86_400), (999_999, 86_400)])
def test_retry_after_is_obeyed_between_five_seconds_and_a_day(asked_s: int, waited_s: int) -> None:
    assert wait_s(judge(retry_after_s=asked_s)) == waited_s


def test_a_short_retry_after_is_obeyed_by_one_try_that_costs_nothing() -> None:
    first = judge(failures=3, retry_after_s=10)
    assert first == RetryLater(4, NOW + timedelta(seconds=10), free=True)
    second = judge(failures=4, free=True, retry_after_s=10)
    assert second == RetryLater(4, NOW + timedelta(seconds=7200), free=False)


def test_a_free_try_that_fails_leaves_the_count_where_it_was() -> None:
    assert judge(failures=2, free=True) == RetryLater(2, NOW + timedelta(seconds=300), free=False)


def test_being_gone_and_being_interrupted_cost_nothing() -> None:
    gone = judge(OutcomeKind.GONE, failures=2)
    assert isinstance(gone, RetryLater)
    assert gone.failures == 2
    for kind in (OutcomeKind.INTERRUPTED, OutcomeKind.UNSENT):
        assert judge(kind, failures=2, free=True) == RetryLater(2, NOW, free=True)
        assert judge(kind, failures=9, free=False) == RetryLater(9, NOW, free=False)


@given(
    kind=st.sampled_from(FAILED_KINDS),
    failures=st.integers(0, 9),
    free=st.booleans(),
    chance=st.floats(0, 1, exclude_max=True),
    retry_after_s=st.none() | st.integers(0, 10**9),
)
def test_what_stands_before_a_reversal_never_waits_longer_than_five_minutes(
    kind: OutcomeKind, failures: int, free: bool, chance: float, retry_after_s: int | None
) -> None:
    verdict = judge(
        kind, failures=failures, free=free, hurried=True, chance=chance, retry_after_s=retry_after_s
    )
    assert isinstance(verdict, Exhausted) or 0 <= wait_s(verdict) <= 300


@given(
    outcomes=st.lists(
        st.tuples(
            st.sampled_from(FAILED_KINDS),
            st.none() | st.integers(0, 100_000),
            st.floats(0, 1, exclude_max=True),
        ),
        min_size=25,
        max_size=25,
    )
)
def test_however_it_fails_it_ends_after_at_most_twice_the_tries_and_no_sooner_than_the_schedule(
    outcomes: list[tuple[OutcomeKind, int | None, float]],
) -> None:
    failures, free, waited_s, tries = 0, False, 0.0, 0
    for kind, retry_after_s, chance in outcomes:
        tries += 1
        verdict = judge(kind, failures=failures, free=free, chance=chance, retry_after_s=retry_after_s)
        if isinstance(verdict, Exhausted):
            break
        assert isinstance(verdict, RetryLater)
        assert verdict.failures - failures in {0, 1}
        failures, free = verdict.failures, verdict.free
        waited_s += wait_s(verdict)
    else:
        pytest.fail("it never ended")
    assert 10 <= tries <= 19
    assert waited_s >= sum(SETTINGS.schedule_s) * (1 - SETTINGS.jitter)


def test_probes_come_more_and_more_rarely_up_to_a_bound() -> None:
    waits = [compute_probe_wait_s(n, chance=0.5, settings=SETTINGS) for n in range(8)]
    assert waits == [10, 30, 60, 120, 300, 300, 300, 300]


def test_without_retries_the_first_failure_is_the_last() -> None:
    verdict = decide(
        Outcome(OutcomeKind.TIMEOUT, 1),
        failures=0,
        free=False,
        hurried=False,
        now=NOW,
        chance=0.5,
        settings=RetrySettings(schedule_s=()),
    )
    assert verdict == Exhausted(1)

"""What may become of a day, given who needs it: for every day, need and configuration."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from relay.log.retention import (
    WARNED_BEFORE,
    Fate,
    Need,
    decide_fate,
    first_day_kept,
    first_day_unwarned,
    lost_at,
)

NOW = datetime(2026, 6, 15, 12, tzinfo=UTC)
TODAY = NOW.date()
days = st.integers(0, 400).map(lambda ago: TODAY - timedelta(days=ago))
moments = st.integers(0, 100 * 24).map(lambda hours: NOW - timedelta(hours=hours))


def need_of(day: date, warned_since: datetime | None) -> Need:
    return Need(UUID(int=1), UUID(int=2), "cursor", 1, day, "paused", NOW, warned_since, True)


needs_of_some = st.lists(st.builds(need_of, days, st.none() | moments), max_size=4)
limits = st.none() | st.integers(1, 300)


def fate_of(day: date, needs: list[Need], kept: int | None, at_most: int | None) -> Fate:
    return decide_fate(day, needs, retention_days=kept, retention_max_days=at_most, now=NOW)


@given(days, needs_of_some, limits, limits)
def test_nothing_goes_that_retention_keeps(
    day: date, needs: list[Need], kept: int | None, at_most: int | None
) -> None:
    if kept is None or NOW - datetime(day.year, day.month, day.day, tzinfo=UTC) < timedelta(days=kept):
        assert fate_of(day, needs, kept, at_most) is Fate.YOUNG


@given(days, needs_of_some, limits, limits)
def test_what_is_needed_goes_only_after_its_full_time_and_a_week_of_warning(
    day: date, needs: list[Need], kept: int | None, at_most: int | None
) -> None:
    fate = fate_of(day, needs, kept, at_most)
    needing = [need for need in needs if need.day <= day]
    if fate is Fate.FREE:
        assert not needing
    if fate is Fate.LOST:
        assert at_most is not None
        ends = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)
        assert NOW - ends >= timedelta(days=at_most)
        assert all(
            need.warned_since is not None and NOW - need.warned_since >= WARNED_BEFORE for need in needing
        )


@given(days, st.integers(1, 100), st.integers(107, 300))
def test_who_will_lose_something_within_a_week_is_warned(day: date, kept: int, at_most: int) -> None:
    over = lost_at(need_of(day, None), retention_max_days=at_most)
    assert over is not None
    warned = day < first_day_unwarned(NOW, retention_days=kept, retention_max_days=at_most)
    assert warned == (over - WARNED_BEFORE <= NOW)


def test_a_day_is_kept_until_its_last_moment_is_old_enough() -> None:
    assert first_day_kept(NOW, 1) == TODAY - timedelta(days=1)
    assert fate_of(TODAY - timedelta(days=1), [], 1, None) is Fate.YOUNG
    assert fate_of(TODAY - timedelta(days=2), [], 1, None) is Fate.FREE


def test_the_loss_of_who_is_warned_late_waits_for_a_week_of_warning() -> None:
    old = TODAY - timedelta(days=200)
    assert lost_at(need_of(old, NOW), retention_max_days=100) == NOW + WARNED_BEFORE
    assert lost_at(need_of(old, NOW), retention_max_days=None) is None

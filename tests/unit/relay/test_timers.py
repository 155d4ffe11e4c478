"""The heap of moments: nobody is forgotten, and it never outgrows the lanes it is for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from relay.lanes.timers import SIFTED_FROM, Timers

START = datetime(2026, 11, 20, tzinfo=UTC)
LANES = st.integers(0, 79).map(lambda number: UUID(int=number))
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("set"), LANES, st.integers(1, 86_400)),
        st.tuples(st.just("leave"), LANES, st.just(0)),
        st.tuples(st.just("pass"), LANES, st.integers(0, 600)),
    ),
    max_size=400,
)


def after(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def test_a_near_retry_before_a_far_one_leaves_nothing_behind() -> None:
    lanes = {UUID(int=1)}
    timers = Timers(lanes)
    for second in range(10_000):
        timers.set(UUID(int=1), after(second + 86_400))
        timers.set(UUID(int=1), after(second + 1))
        assert list(timers.pop_due(after(second + 1))) == [UUID(int=1)]
        assert len(timers) <= SIFTED_FROM


@given(STEPS)
def test_every_lane_that_asked_is_due_at_its_earliest_moment_and_the_heap_is_bounded(
    steps: list[tuple[str, UUID, int]],
) -> None:
    lanes = {UUID(int=number) for number in range(80)}
    timers, now, asked = Timers(lanes), START, dict[UUID, datetime]()
    for what, lane, seconds in steps:
        if what == "set" and lane in lanes:
            moment = now + timedelta(seconds=seconds)
            timers.set(lane, moment)
            asked[lane] = min(moment, asked.get(lane, moment))
        elif what == "leave":
            lanes.discard(lane)
        else:
            now += timedelta(seconds=seconds)
            due = set(timers.pop_due(now))
            assert due >= {one for one, moment in asked.items() if moment <= now and one in lanes}
            assert due <= {one for one, moment in asked.items() if moment <= now}
            asked = {one: moment for one, moment in asked.items() if moment > now}
        assert len(timers) <= max(SIFTED_FROM, 2 * 80)
        earliest = min((moment for one, moment in asked.items() if one in lanes), default=None)
        assert earliest is None or (timers.next_moment or now) <= earliest

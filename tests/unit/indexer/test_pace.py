"""When a head is read: about once and a half a block, sooner than a steady poll would, and never later than the watchdog."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import pytest

from indexer.follow.pace import BATCH_FROM_S, WATCHDOG_MAX_S, HeadPace

WAKES_LATE_S = 0.01
"""How much later than planned a look begins."""


def steady(every_s: float, count: int, jitter_s: float = 0.0) -> list[float]:
    rng = random.Random(7)
    return [every_s * (number + 1) + 0.3 + rng.uniform(0, jitter_s) for number in range(count)]


def slots_with_gaps(count: int) -> list[float]:
    """Twelve seconds, each block a second or two after its slot, one in a hundred missing."""
    rng = random.Random(8)
    slots = [number for number in range(1, 2 * count) if rng.random() > 0.01][:count]
    return [12 * slot + 1.2 + rng.lognormvariate(0, 0.5) for slot in slots]


def follow(
    pace: HeadPace, arrivals: Sequence[float], *, late_s: float = WAKES_LATE_S, step_s: float = 0.0
) -> tuple[float, list[float]]:
    """Looks a block, and how late each block was seen, by the timer alone."""
    now_s, height, looks = 0.0, 0, 0
    seen_late_s: list[float] = []
    pace.note_look(now_s, height)
    while height < len(arrivals):
        now_s = max(pace.compute_next_look(are_hints_live=False), now_s) + late_s
        looks += 1
        before = height
        while height < len(arrivals) and arrivals[height] <= now_s:
            seen_late_s.append(now_s - arrivals[height])
            height += 1
        pace.note_look(now_s, height)
        now_s += step_s if height > before else 0.0
    return looks / len(arrivals), seen_late_s


@pytest.mark.parametrize(
    ("block_time_s", "arrivals", "looks_max"),
    [
        (12.0, steady(12.0, 600), 1.8),
        (12.0, slots_with_gaps(600), 2.1),
        (2.0, steady(2.0, 600, 0.15), 1.8),
        (1.75, steady(1.75, 600, 0.3), 1.9),
        (12.0, steady(15.0, 600), 1.8),
        (12.0, steady(5.0, 600), 1.8),
    ],
)
def test_a_block_costs_less_than_two_looks_and_is_seen_sooner_than_by_a_steady_poll(
    block_time_s: float, arrivals: list[float], looks_max: float
) -> None:
    poll_interval_s = block_time_s / 4
    looks, late_s = follow(HeadPace(block_time_s, poll_interval_s), arrivals)
    assert looks <= looks_max
    assert sum(late_s) / len(late_s) < poll_interval_s / 2, "what polling every quarter of a block gives"


def test_blocks_without_any_rhythm_are_looked_for_all_the_time() -> None:
    rng = random.Random(9)
    arrivals: list[float] = []
    while len(arrivals) < 600:
        arrivals.append((arrivals[-1] if arrivals else 0.0) + rng.expovariate(1 / 12))
    _, late_s = follow(HeadPace(12.0, 3.0), arrivals)
    assert sum(late_s) / len(late_s) < 2.0
    assert max(late_s) <= HeadPace(12.0, 3.0).watchdog_s + WAKES_LATE_S


def test_a_busy_machine_does_not_fall_behind_block_by_block() -> None:
    looks, late_s = follow(HeadPace(12.0, 3.0), steady(12.0, 600), late_s=0.4, step_s=1.0)
    assert looks <= 1.9
    assert sum(late_s) / len(late_s) < 1.5 + 0.4
    assert max(late_s[50:]) < 3.0


@pytest.mark.parametrize("block_time_s", [0.25, 1.0, 12.0, 600.0])
@pytest.mark.parametrize("are_hints_live", [True, False])
@pytest.mark.parametrize("would_hint", [True, False])
def test_no_look_waits_longer_than_the_watchdog(
    block_time_s: float, are_hints_live: bool, would_hint: bool
) -> None:
    rng = random.Random(10)
    pace = HeadPace(block_time_s, min(max(block_time_s / 4, 0.2), 5.0))
    now_s, height = 100.0, 0
    for _ in range(300):
        pace.note_look(now_s, height, is_hinted=rng.random() < 0.5)
        wait_s = pace.compute_next_look(are_hints_live=are_hints_live, would_hint=would_hint) - now_s
        longest_s = max(min(2 * block_time_s, WATCHDOG_MAX_S), pace.poll_interval_s)
        assert 0 < wait_s <= longest_s + 1e-6
        now_s += rng.choice((wait_s, wait_s / 7, 50 * block_time_s))
        height += rng.choice((0, 0, 1, 1, 5, 1000, -3))


def test_live_hints_leave_the_timer_to_the_watchdog() -> None:
    pace = HeadPace(12.0, 3.0)
    pace.note_look(0.0, 1)
    pace.note_look(12.0, 2, is_hinted=True)
    assert pace.compute_next_look(are_hints_live=True) == 12.0 + 24.0
    assert pace.compute_next_look(are_hints_live=False) < 12.0 + 12.5


def stand_still(pace: HeadPace, until_s: float, *, would_hint: bool) -> list[float]:
    """How long each wait for a look is, on a chain that shows its third block and then no more."""
    now_s, waits_s = 0.0, []
    for height in (1, 2, 3):
        now_s += pace.block_time_s
        pace.note_look(now_s, height)
    while now_s < until_s:
        due_s = pace.compute_next_look(are_hints_live=False, would_hint=would_hint)
        waits_s.append(due_s - now_s)
        now_s = due_s
        pace.note_look(now_s, 3)
    return waits_s


def test_a_chain_that_stands_still_is_looked_at_once_in_a_block_time_where_a_websocket_would_tell() -> None:
    waits_s = stand_still(HeadPace(1.0, 0.25), 60.0, would_hint=True)
    assert waits_s[-1] == pytest.approx(1.0)
    late = [wait_s for wait_s in waits_s if wait_s < 0.9]
    assert 8 <= len(late) <= 20, "a block that is a little late is looked for as ever"


def test_without_a_websocket_a_chain_that_stands_still_is_looked_at_as_ever() -> None:
    assert max(stand_still(HeadPace(1.0, 0.25), 60.0, would_hint=False)[1:]) == pytest.approx(0.25)


def test_the_first_block_after_a_standstill_brings_the_short_waits_back() -> None:
    pace = HeadPace(1.0, 0.25)
    stand_still(pace, 60.0, would_hint=True)
    pace.note_look(61.0, 4)
    assert pace.compute_next_look(are_hints_live=False, would_hint=True) <= 61.0 + 4.0
    pace.note_look(62.0, 4, is_hinted=True)
    assert pace.compute_next_look(are_hints_live=False, would_hint=True) <= 62.0 + 0.25, "as a hint promised"


def looked(*heights: int, is_hinted: bool) -> Callable[[HeadPace], HeadPace]:
    def apply(pace: HeadPace) -> HeadPace:
        for height in heights:
            pace.note_look(100.0, height, is_hinted=is_hinted)
        return pace

    return apply


def test_a_hint_is_followed_at_once_unless_the_last_was_for_nothing() -> None:
    assert looked(1, 2, is_hinted=True)(HeadPace(12.0, 3.0)).compute_next_hint() == 100.0
    assert looked(1, 1, is_hinted=False)(HeadPace(12.0, 3.0)).compute_next_hint() == 100.0
    assert looked(1, 1, is_hinted=True)(HeadPace(12.0, 3.0)).compute_next_hint() == 101.5


def test_a_hint_that_came_before_its_block_is_looked_after() -> None:
    pace = HeadPace(12.0, 3.0)
    pace.note_look(0.0, 1)
    pace.note_look(12.0, 1, is_hinted=True)
    assert pace.compute_next_look(are_hints_live=True) == 13.5, (
        "the node may be a moment behind its websocket"
    )
    pace.note_look(13.5, 1)
    assert pace.compute_next_look(are_hints_live=True) == 15.0
    pace.note_look(15.0, 2)
    assert pace.compute_next_look(are_hints_live=True) == 15.0 + 24.0


def test_a_chain_that_is_halted_or_has_not_begun_is_no_busy_loop() -> None:
    pace = HeadPace(12.0, 3.0)
    pace.put_off(500.0)
    assert pace.compute_next_look(are_hints_live=False) >= 501.5


def test_several_blocks_a_second_share_a_look() -> None:
    fast = looked(1, 2, is_hinted=True)(HeadPace(BATCH_FROM_S / 2, 0.5))
    assert fast.compute_next_hint() == 100.5
    looks, _ = follow(HeadPace(0.25, 0.5), steady(0.25, 600))
    assert looks <= 0.55


def test_an_interval_longer_than_blocks_take_is_kept() -> None:
    pace = HeadPace(1.0, 60.0)
    pace.note_look(0.0, 1)
    pace.note_look(60.0, 60)
    assert pace.compute_next_look(are_hints_live=False) == 120.0

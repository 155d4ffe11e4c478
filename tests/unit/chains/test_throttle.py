"""A budget learns what a provider bears, and the head goes before history.

Time is real but short here, because asyncio-throttle has its own clock; what
shrinks and grows is asked of the numbers.
"""

from __future__ import annotations

import asyncio
import math
import time

import pytest

from chains.rpc.throttle import BACKFILL_SHARE, RATE_MIN_PER_S, Budget, Priority


def test_nothing_is_held_back_while_nothing_is_known_against_it() -> None:
    assert math.isinf(Budget().rate_per_s)
    assert Budget(20).rate_per_s == 20


def test_a_refusal_halves_what_was_really_sent() -> None:
    now = [0.0]
    budget = Budget(clock=lambda: now[0])
    for _ in range(40):
        budget.record_success(0.01, 1)
    budget.record_throttled()
    assert budget.rate_per_s == pytest.approx(20)
    budget.record_throttled()
    assert budget.rate_per_s == pytest.approx(20), "calls that were under way together are one refusal"
    now[0] = 1.0
    budget.record_throttled()
    assert budget.rate_per_s == pytest.approx(10)


def test_refusals_never_silence_a_provider_for_good() -> None:
    now = [0.0]
    budget = Budget(10, clock=lambda: now[0])
    for second in range(50):
        now[0] = float(second)
        budget.record_throttled()
    assert budget.rate_per_s == RATE_MIN_PER_S


def test_near_a_rate_that_was_refused_it_climbs_slowly() -> None:
    budget = Budget()
    for _ in range(20):
        budget.record_success(0.01, 1)
    budget.record_throttled()
    for _ in range(100):
        budget.record_success(0.01, 1)
    assert 16 <= budget.rate_per_s < 20, "five seconds at twenty a second, and not refused again"


def test_success_grows_it_back_to_what_was_configured_and_no_further() -> None:
    budget = Budget(100)
    budget.record_throttled()
    rates = []
    for _ in range(200):
        budget.record_success(0.01, 1)
        rates.append(budget.rate_per_s)
    assert rates == sorted(rates)
    assert rates[0] < 60
    assert rates[-1] == 100


def test_a_learnt_limit_that_has_grown_away_is_none() -> None:
    budget = Budget()
    budget.record_success(0.01, 1)
    budget.record_throttled()
    for _ in range(400):
        budget.record_success(0.01, 1)
    assert math.isinf(budget.rate_per_s)


def test_slow_answers_shrink_it_too() -> None:
    budget = Budget(100)
    for _ in range(10):
        budget.record_success(0.1, 1)
    budget.record_success(5.0, 1)
    assert budget.rate_per_s == 50


async def spend(budget: Budget, priority: Priority, calls_count: int) -> float:
    began = time.monotonic()
    async with budget.admit(priority, calls_count):
        return time.monotonic() - began


async def test_a_budget_is_kept_and_a_batch_costs_its_calls() -> None:
    budget = Budget(20)
    assert await spend(budget, Priority.HEAD, 20) < 0.5
    assert await spend(budget, Priority.HEAD, 5) > 0.4


async def test_history_may_not_take_the_heads_share() -> None:
    budget = Budget(20)
    share = int(20 * BACKFILL_SHARE)
    await spend(budget, Priority.BACKFILL, share)
    waiting = asyncio.create_task(spend(budget, Priority.BACKFILL, 10))
    await asyncio.sleep(0.05)
    assert await spend(budget, Priority.HEAD, 20 - share) < 0.3, "the head finds its share untouched"
    assert await waiting > 0.5


async def test_a_head_that_waits_is_served_before_history_that_came_later() -> None:
    budget = Budget(4)
    await spend(budget, Priority.HEAD, 4)
    served: list[Priority] = []

    async def ask(priority: Priority, calls_count: int) -> None:
        async with budget.admit(priority, calls_count):
            served.append(priority)

    head = asyncio.create_task(ask(Priority.HEAD, 6))
    await asyncio.sleep(0.02)
    history = [asyncio.create_task(ask(Priority.BACKFILL, 1)) for _ in range(2)]
    await asyncio.wait([head, *history])
    assert served == [Priority.HEAD, Priority.BACKFILL, Priority.BACKFILL]


async def test_calls_in_flight_have_a_bound_and_leave_room_for_the_head() -> None:
    budget = Budget()
    inside = 0
    most = 0
    release = asyncio.Event()

    async def hold() -> None:
        nonlocal inside, most
        async with budget.admit(Priority.BACKFILL, 1):
            inside += 1
            most = max(most, inside)
            await release.wait()
            inside -= 1

    tasks = [asyncio.create_task(hold()) for _ in range(30)]
    await asyncio.sleep(0.05)
    assert await spend(budget, Priority.HEAD, 1) < 0.2
    release.set()
    await asyncio.wait(tasks)
    assert most == 4


async def test_a_cancelled_wait_gives_its_place_back() -> None:
    budget = Budget(2)
    await spend(budget, Priority.HEAD, 2)
    waiting = asyncio.create_task(spend(budget, Priority.HEAD, 2))
    await asyncio.sleep(0.05)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert await asyncio.wait_for(spend(budget, Priority.BACKFILL, 1), 3) > 0

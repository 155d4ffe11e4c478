"""Budgets of providers: all processes together keep to them, heads go first, and a lost Redis leaves each its share."""

from __future__ import annotations

import asyncio
import functools
import time

import pytest

from chains.rpc.node_endpoint import NodeEndpoint
from chains.rpc.throttle import Budget, Priority
from gateway.redis.budgets import SharedProviderBudget
from tests.redis.conftest import Member, until
from tests.redis.server import RedisServer

pytestmark = pytest.mark.usefixtures("patient")
RATE_PER_S = 40.0
NODE = NodeEndpoint("http://node.example/v1/a-key-that-stays-secret", requests_per_s=RATE_PER_S)


def budget_of(member: Member, endpoint: NodeEndpoint = NODE) -> SharedProviderBudget:
    assert member.shared.share_budget is not None
    budget = member.shared.share_budget(endpoint)
    assert isinstance(budget, SharedProviderBudget)
    return budget


async def spend_for(
    budget: SharedProviderBudget, seconds: float, *, priority: Priority = Priority.HEAD, calls: int = 1
) -> int:
    """How many calls go through in that time, asked one after the other."""
    count, end_s = 0, time.monotonic() + seconds
    while (left_s := end_s - time.monotonic()) > 0:
        try:
            async with asyncio.timeout(left_s):
                await budget.spend(priority, calls)
        except TimeoutError:
            break
        count += calls
    return count


async def test_two_processes_together_keep_to_one_budget(members: tuple[Member, Member]) -> None:
    counts = await asyncio.gather(*(spend_for(budget_of(member), 2.0) for member in members))
    assert RATE_PER_S * 2 * 0.4 <= sum(counts) <= RATE_PER_S * (2 + 1) + 4, (
        "the budget, and one second of it ahead"
    )
    assert min(counts) > 5, "nobody is shut out"


async def test_a_batch_larger_than_a_second_of_budget_passes_and_is_paid_for(
    members: tuple[Member, Member],
) -> None:
    one, other = (budget_of(member) for member in members)
    began_s = time.monotonic()
    await one.spend(Priority.HEAD, 100)
    assert time.monotonic() - began_s < 1.4, "it is not paid for in advance"
    await other.spend(Priority.HEAD, 1)
    assert 1.2 < time.monotonic() - began_s < 10, "2.5 s of budget, of which one may be taken ahead"


async def test_heads_do_not_wait_for_another_process_that_backfills(members: tuple[Member, Member]) -> None:
    backfiller, follower = (budget_of(member) for member in members)
    backfill = asyncio.create_task(spend_for(backfiller, 2.0, priority=Priority.BACKFILL, calls=5))
    await asyncio.sleep(0.5)
    waits_s = []
    for _ in range(10):
        began_s = time.monotonic()
        await follower.spend(Priority.HEAD, 2)
        waits_s.append(time.monotonic() - began_s)
        await asyncio.sleep(0.1)
    assert max(waits_s) < 0.15
    assert await backfill > 10


async def test_a_refusal_told_to_one_process_slows_the_other(
    members: tuple[Member, Member], server: RedisServer
) -> None:
    unlimited = NodeEndpoint("http://public.example")
    one, other = (budget_of(member, unlimited) for member in members)
    for _ in range(50):
        await one.spend(Priority.HEAD, 1)
        await other.spend(Priority.HEAD, 1)
    began_s = time.monotonic()
    assert await spend_for(other, 0.5) > 100, "nothing is known against it"
    one.record_throttled()
    await one.spend(Priority.HEAD, 1)
    sent_per_s = 2 * await spend_for(other, 0.5) / (time.monotonic() - began_s)
    assert await spend_for(other, 1.0) < 5 * sent_per_s
    (key,) = [key for key in await server.keys() if b":budget:" in key]
    rate = await server.command("HGET", key, "rate")
    assert isinstance(rate, bytes)
    assert 0 < float(rate) < 5_000


async def test_what_was_learnt_grows_back(members: tuple[Member, Member], server: RedisServer) -> None:
    one = budget_of(members[0])
    await one.spend(Priority.HEAD, 1)
    one.record_throttled()
    await one.spend(Priority.HEAD, 1)
    (key,) = [key for key in await server.keys() if b":budget:" in key]
    assert await server.command("HEXISTS", key, "rate") == 1
    a_minute_ago = int((time.time() - 60) * 1_000_000)
    await server.command("HSET", key, "rated_at_us", a_minute_ago)
    await one.spend(Priority.HEAD, 1)
    assert await server.command("HEXISTS", key, "rate") == 0, "climbed to what is configured"


async def test_a_url_never_stands_in_redis(members: tuple[Member, Member], server: RedisServer) -> None:
    await budget_of(members[0]).spend(Priority.HEAD, 1)
    (key,) = [key for key in await server.keys() if b":budget:" in key]
    assert b"secret" not in key
    assert b"node" not in key
    assert 0 < int(str(await server.command("PTTL", key))) <= 61_000, "and nothing stays there"


async def test_without_redis_each_process_keeps_to_its_share(
    members: tuple[Member, Member], server: RedisServer
) -> None:
    budgets = [budget_of(member) for member in members]
    for budget in budgets:
        await budget.spend(Priority.HEAD, 1)
    await budgets[0].spend(Priority.HEAD, 1)  # it has seen the other now
    server.kill()
    counts = await asyncio.gather(*(spend_for(budget, 2.0) for budget in budgets))
    assert sum(counts) <= RATE_PER_S * 3 + 4
    assert all(member.metric("chainbell_redis_fallbacks_total", use="budgets") >= 1 for member in members)


async def test_without_redis_and_without_a_configured_rate_nothing_waits(
    members: tuple[Member, Member], server: RedisServer
) -> None:
    budget = budget_of(members[0], NodeEndpoint("http://public.example"))
    server.kill()
    assert await spend_for(budget, 0.5) > 500


def went_on(asked: list[int], before: list[int]) -> bool:
    """Whether everybody has asked a few times more."""
    return all(now >= then + 5 for now, then in zip(asked, before, strict=True))


async def test_killed_flushed_and_frozen_redis_never_stop_a_provider_being_asked(
    members: tuple[Member, Member], server: RedisServer
) -> None:
    budgets = [Budget(RATE_PER_S, shared=budget_of(member)) for member in members]
    asked = [0, 0]

    async def ask(index: int) -> None:
        while True:
            async with budgets[index].admit(Priority.HEAD, 1):
                asked[index] += 1

    asking = [asyncio.create_task(ask(index)) for index in range(2)]
    for trouble in ("flush", "freeze", "kill"):
        before = list(asked)
        if trouble == "flush":
            await server.command("FLUSHALL")
        elif trouble == "freeze":
            server.freeze()
        else:
            server.kill()
        await until(functools.partial(went_on, asked, before))
        if trouble == "freeze":
            server.thaw()
        elif trouble == "kill":
            await server.start()
    for task in asking:
        task.cancel()
    done, _ = await asyncio.wait(asking)
    assert all(task.cancelled() for task in done)

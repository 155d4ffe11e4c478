"""Rate limits: one formula in every process, one count over all of them, and no trouble when the count is gone."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ratelimits import LocalRateLimits, RateLimit
from tests.redis.conftest import SECRET, Member, open_member, until
from tests.redis.server import RedisServer

pytestmark = pytest.mark.usefixtures("patient")
HOURLY = RateLimit("hourly", 20, 3600.0)


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


async def allowed_count(member: Member, subject: str, tries: int, limit: RateLimit = HOURLY) -> int:
    verdicts = [await member.shared.limits.spend(subject, limit) for _ in range(tries)]
    return sum(verdict.allowed for verdict in verdicts)


@given(
    requests=st.integers(1, 50),
    period_s=st.integers(1, 100),
    gaps_ms=st.lists(st.integers(0, 5_000), max_size=60),
)
def test_no_window_of_one_period_ever_holds_more_than_twice_the_limit(
    requests: int, period_s: int, gaps_ms: list[int]
) -> None:
    limit = RateLimit("any", requests, float(period_s))
    clock = Clock()
    limits = LocalRateLimits(clock=clock)
    allowed_at_s: list[float] = []
    for gap_ms in gaps_ms:
        clock.now_s += gap_ms / 1000
        if limits.spend_now("caller", limit).allowed:
            allowed_at_s.append(clock.now_s)
    for began_s in allowed_at_s:
        inside = [at_s for at_s in allowed_at_s if began_s <= at_s < began_s + period_s]
        assert len(inside) <= 2 * requests
    assert len(allowed_at_s) <= requests + (clock.now_s - 1_000.0) * requests / period_s + 1


def test_a_refusal_says_exactly_when_to_come_again() -> None:
    clock = Clock()
    limits = LocalRateLimits(clock=clock)
    limit = RateLimit("api", 10, 5.0)
    assert [limits.spend_now("caller", limit).remaining for _ in range(10)] == list(range(9, -1, -1))
    refused = limits.spend_now("caller", limit)
    assert not refused.allowed
    assert refused.headers() == {
        "RateLimit-Limit": "10",
        "RateLimit-Remaining": "0",
        "RateLimit-Reset": "5",
        "RateLimit-Policy": "10;w=5",
        "Retry-After": "1",
    }
    clock.now_s += refused.retry_after_s - 0.001
    assert not limits.spend_now("caller", limit).allowed
    clock.now_s += 0.002
    assert limits.spend_now("caller", limit).allowed


def test_callers_and_limits_are_counted_apart_within_a_bound() -> None:
    limits = LocalRateLimits(clock=Clock(), subjects_max=3)
    once = RateLimit("once", 1, 60.0)
    assert limits.spend_now("a", once).allowed
    assert not limits.spend_now("a", once).allowed
    assert limits.spend_now("b", once).allowed
    assert limits.spend_now("a", RateLimit("other", 1, 60.0)).allowed
    for caller in "cdefgh":
        limits.spend_now(caller, once)
    assert len(limits._paid_at_us) == 3


async def test_two_gateways_count_together(members: tuple[Member, Member]) -> None:
    one, other = members
    assert await allowed_count(one, "key", 15) == 15
    assert await allowed_count(other, "key", 15) == 5
    assert await allowed_count(one, "key", 3) == 0
    assert await allowed_count(other, "another key", 3) == 3


async def test_many_calls_at_once_get_exactly_the_limit(members: tuple[Member, Member]) -> None:
    calls = [member.shared.limits.spend("key", HOURLY) for member in members for _ in range(40)]
    verdicts = await asyncio.gather(*calls)
    assert sum(verdict.allowed for verdict in verdicts) == HOURLY.requests


async def test_the_shared_count_gives_the_same_verdicts_as_the_local_one(
    members: tuple[Member, Member],
) -> None:
    limit = RateLimit("api", 10, 3600.0)
    local = LocalRateLimits()
    for _ in range(13):
        ours = local.spend_now("key", limit)
        shared = await members[0].shared.limits.spend("key", limit)
        assert (shared.allowed, shared.remaining) == (ours.allowed, ours.remaining)
        assert abs(shared.reset_s - ours.reset_s) < 2
        assert abs(shared.retry_after_s - ours.retry_after_s) < 2


async def test_a_bucket_refills_and_leaves_nothing_behind(
    members: tuple[Member, Member], server: RedisServer
) -> None:
    quick = RateLimit("quick", 2, 0.2)
    assert await allowed_count(members[0], "key", 2, quick) == 2
    await asyncio.sleep(0.25)
    assert await allowed_count(members[1], "key", 2, quick) == 2
    await asyncio.sleep(0.25)
    assert not [key for key in await server.keys() if b":limit:" in key]


async def test_a_call_refused_by_all_costs_its_own_gateway_nothing(
    members: tuple[Member, Member], server: RedisServer
) -> None:
    one, other = members
    assert await allowed_count(one, "key", 20) == 20
    assert await allowed_count(other, "key", 100) == 0
    await server.command("FLUSHALL")
    assert await allowed_count(other, "key", 25) == 20


async def test_a_gateway_goes_on_counting_where_it_stood_when_redis_dies(
    members: tuple[Member, Member], server: RedisServer
) -> None:
    one, _ = members
    assert await allowed_count(one, "key", 15) == 15
    server.kill()
    assert await allowed_count(one, "key", 15) == 5
    await until(lambda: not one.is_up)
    assert one.metric("chainbell_redis_fallbacks_total", use="rate_limits") >= 1
    assert one.errors() >= 1
    await server.start()
    await until(lambda: one.is_up)
    assert await allowed_count(one, "key", 5) == 0, "its own count still holds"


async def test_a_flush_forgives_at_most_one_bucket(
    members: tuple[Member, Member], server: RedisServer
) -> None:
    one, other = members
    assert await allowed_count(one, "key", 20) == 20
    await server.command("FLUSHALL")
    await server.command("SCRIPT", "FLUSH")
    assert await allowed_count(one, "key", 5) == 0
    assert await allowed_count(other, "key", 30) == 20
    assert one.is_up
    assert one.errors() == 0


async def test_two_installations_on_one_redis_never_meet(server: RedisServer) -> None:
    async with open_member(server.url) as ours, open_member(server.url, SECRET[::-1]) as theirs:
        await until(lambda: ours.is_up and theirs.is_up)
        assert await allowed_count(ours, "key", 20) == 20
        assert await allowed_count(theirs, "key", 20) == 20

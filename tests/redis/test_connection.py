"""The connection: it costs little, notices trouble of every kind, says so, and comes back by itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from gateway.config.settings import Secret, Settings
from gateway.demo.ports import choose_port
from gateway.doctor.machine import check_redis
from gateway.ratelimits import LocalRateLimits, RateLimit
from gateway.redis.circuit import REST_MAX_S, Circuit
from gateway.redis.connection import ANSWER_S, RedisAway, RedisConnection
from gateway.redis.metrics import RedisMetrics, Use
from gateway.redis.service import build_shared
from gateway.statuscache import LocalStatusCache
from gateway.wakes import LocalWakes
from tests.redis.conftest import SECRET, Member, open_member, until
from tests.redis.server import RedisServer

GENEROUS = RateLimit("generous", 1_000_000, 1.0)


async def spend(member: Member) -> float:
    """One question; how long it took."""
    began_s = time.monotonic()
    assert (await member.shared.limits.spend("key", GENEROUS)).allowed
    return time.monotonic() - began_s


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 100)), max_size=50))
def test_a_circuit_rests_longer_with_each_failure_and_within_its_bound(
    story: list[tuple[bool, float]],
) -> None:
    circuit, now_s = Circuit(), 0.0
    assert not circuit.is_closed, "no start waits for Redis"
    for works, gap_s in story:
        now_s += gap_s
        before = circuit.rest_s
        if works:
            assert circuit.succeed(now_s) != circuit.succeed(now_s) or circuit.is_closed
            assert circuit.is_closed
        else:
            was_closed = circuit.is_closed
            assert circuit.fail(now_s) == was_closed
            assert not circuit.is_closed
            assert circuit.rest_s >= before or was_closed
        assert 0 < circuit.rest_s <= REST_MAX_S


def test_without_an_address_every_helper_is_the_one_of_this_process() -> None:
    registry = CollectorRegistry()
    shared = build_shared("", SECRET, registry)
    assert isinstance(shared.limits, LocalRateLimits)
    assert isinstance(shared.wakes, LocalWakes)
    assert isinstance(shared.cache, LocalStatusCache)
    assert shared.share_budget is None
    assert asyncio.run(shared.run()) is None
    assert not list(registry.collect()), "an alert on chainbell_redis_up must stay silent"


PROMPT_S = 3.0
"""At once, on a busy machine."""


@pytest.mark.parametrize("url", ["redis://host:not-a-port/0", "redis://host/0?socket_timeout=soon"])
def test_an_address_that_can_not_be_used_is_refused_at_the_start(url: str) -> None:
    with pytest.raises(ValueError):
        build_shared(url, SECRET, CollectorRegistry())


async def test_a_start_without_redis_serves_at_once_and_says_so() -> None:
    async with open_member(f"redis://127.0.0.1:{choose_port()}/0") as member:
        assert await spend(member) < PROMPT_S
        await until(lambda: member.errors() >= 1)
        assert not member.is_up
        assert member.metric("chainbell_redis_fallbacks_total", use="rate_limits") >= 1


async def test_a_frozen_redis_costs_one_deadline_and_then_nothing(
    members: tuple[Member, Member], server: RedisServer
) -> None:
    one, _ = members
    await spend(one)
    server.freeze()
    took_s = [await spend(one) for _ in range(50)]
    assert sum(took_s) < len(took_s) * ANSWER_S / 2, "one deadline, and the noise of a busy machine"
    assert not one.is_up
    server.thaw()
    await until(lambda: one.is_up)
    fallbacks = one.metric("chainbell_redis_fallbacks_total", use="rate_limits")
    await spend(one)
    assert one.metric("chainbell_redis_fallbacks_total", use="rate_limits") == fallbacks


async def test_a_crowd_that_meets_a_frozen_redis_waits_together(
    members: tuple[Member, Member], server: RedisServer
) -> None:
    one, _ = members
    server.freeze()
    began_s = time.monotonic()
    await asyncio.gather(*(spend(one) for _ in range(300)))
    assert time.monotonic() - began_s < 300 * ANSWER_S / 10
    assert not one.is_up


async def test_answers_are_never_mixed_up_after_a_pause(
    members: tuple[Member, Member], server: RedisServer
) -> None:
    connection = members[0].shared.connection
    assert connection is not None
    await connection.client.mset({f"n:{n}": str(n) for n in range(50)})
    for pause_ms in (100, 400, 200):
        await server.command("CLIENT", "PAUSE", pause_ms)
        answers = await asyncio.gather(
            *(connection.ask(Use.CACHE, _getting(connection, n)) for n in range(50)), return_exceptions=True
        )
        for n, answer in enumerate(answers):
            assert answer == str(n).encode() or isinstance(answer, RedisAway)
        await until(lambda: members[0].is_up)
    assert await asyncio.gather(*(_getting(connection, n)() for n in range(50))) == [
        str(n).encode() for n in range(50)
    ]


def _getting(connection: RedisConnection, n: int) -> Callable[[], Coroutine[Any, Any, object]]:
    async def question() -> object:
        return await connection.client.get(f"n:{n}")

    return question


async def test_a_cancelled_question_leaves_its_connection_usable(members: tuple[Member, Member]) -> None:
    connection = members[0].shared.connection
    assert connection is not None
    await connection.client.mset({"n:1": "1", "b": "2"})
    for _ in range(100):
        task = asyncio.create_task(_getting(connection, 1)())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert await connection.client.get("b") == b"2"


async def test_a_full_redis_is_away_although_it_answers(tmp_path: object, server: RedisServer) -> None:
    async with open_member(server.url) as member:
        await until(lambda: member.is_up)
        await server.command("CONFIG", "SET", "maxmemory", 1)
        await spend(member)
        await until(lambda: not member.is_up)
        await asyncio.sleep(1.0)
        assert not member.is_up, "the probe writes, so it sees what a ping would not"
        await server.command("CONFIG", "SET", "maxmemory", 0)
        await until(lambda: member.is_up)


async def test_a_read_only_redis_is_away_although_it_answers(server: RedisServer) -> None:
    async with open_member(server.url) as member:
        await until(lambda: member.is_up)
        await server.command("REPLICAOF", "127.0.0.1", choose_port())
        await until(lambda: not member.is_up)
        assert (await member.shared.limits.spend("key", GENEROUS)).allowed
        await server.command("REPLICAOF", "NO", "ONE")
        await until(lambda: member.is_up)


async def test_a_wrong_password_is_told_without_being_shown(server: RedisServer) -> None:
    await server.command("CONFIG", "SET", "requirepass", "right")
    with capture_logs() as logs:
        async with open_member(server.url.replace("//", "//:wrong-and-secret@")) as member:
            await until(lambda: member.errors() >= 2)
            assert (await member.shared.limits.spend("key", GENEROUS)).allowed
    told = [entry for entry in logs if entry["event"] == "redis-away"]
    assert len(told) == 1, "damped"
    assert "wrong-and-secret" not in repr(logs)


async def test_an_outage_is_told_once_and_its_end_once(
    members: tuple[Member, Member], server: RedisServer
) -> None:
    one, other = members
    with capture_logs() as logs:
        server.kill()
        for _ in range(20):
            await spend(one)
        await until(lambda: not one.is_up and not other.is_up)
        await asyncio.sleep(1.2)
        await server.start()
        await until(lambda: one.is_up and other.is_up)
    events = [entry["event"] for entry in logs]
    assert events.count("redis-away") == 2, "each process once"
    assert events.count("redis-back") == 2


async def test_the_doctor_sees_what_a_ping_would_not(server: RedisServer) -> None:
    async def graded(url: str) -> tuple[str, str]:
        (finding,) = await check_redis(Settings(redis_url=Secret(url)))
        return finding.grade.value, finding.found

    assert (await graded(server.url))[0] == "ok"
    await server.command("CONFIG", "SET", "maxmemory", 1)
    assert await graded(server.url) == ("warn", "127.0.0.1: OutOfMemoryError")
    await server.command("CONFIG", "SET", "maxmemory", 0)
    await server.command("CONFIG", "SET", "requirepass", "right")
    grade, found = await graded(server.url.replace("//", "//:wrong-and-secret@"))
    assert grade == "warn"
    assert "wrong-and-secret" not in found
    server.kill()
    assert (await graded(server.url))[0] == "warn"
    assert await check_redis(Settings()) == []


def test_metrics_are_there_before_anything_happened() -> None:
    registry = CollectorRegistry()
    RedisMetrics(registry)
    assert registry.get_sample_value("chainbell_redis_up") == 0.0
    assert registry.get_sample_value("chainbell_redis_fallbacks_total", {"use": "budgets"}) == 0.0

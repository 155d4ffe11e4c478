"""The status cache: shared, bounded, and never older than what its caller has seen, whatever Redis does."""

from __future__ import annotations

import asyncio
import random
from uuid import UUID

import pytest

from gateway.redis.cache import SharedStatusCache
from gateway.statuscache import ANSWER_BYTES_MAX, KEPT_S, LocalStatusCache, Question, StatusCache, Watermark
from tests.redis.conftest import Member, until
from tests.redis.server import RedisServer

pytestmark = pytest.mark.usefixtures("patient")
MERCHANT = UUID(int=7)


class Ledger:
    """A database of one number: every commit moves the watermark with it, and reads cost a moment."""

    def __init__(self) -> None:
        self.version = 0
        self.computed = 0

    def question(self, asked: str = "deposits", merchant_id: UUID = MERCHANT) -> Question:
        return Question(merchant_id, asked, self._read_watermark, self._compute)

    async def _read_watermark(self) -> Watermark:
        await asyncio.sleep(0)
        return (1, self.version)

    async def _compute(self) -> bytes:
        self.computed += 1
        await asyncio.sleep(0.001)
        version = self.version
        await asyncio.sleep(0.001)
        return str(version).encode()


def shared_only(member: Member) -> SharedStatusCache:
    """A cache whose process remembers nothing itself: everything comes from Redis or is computed."""
    assert member.shared.connection is not None
    return SharedStatusCache(member.shared.connection, LocalStatusCache(bytes_max=0))


async def test_what_one_gateway_computed_the_other_finds(members: tuple[Member, Member]) -> None:
    ledger = Ledger()
    for member in members:
        assert await member.shared.cache.answer(ledger.question()) == b"0"
    assert ledger.computed == 1
    assert members[1].metric("chainbell_redis_cache_lookups_total", result="hit") == 1
    ledger.version = 1
    for member in members:
        assert await member.shared.cache.answer(ledger.question()) == b"1"
    assert ledger.computed == 2


async def test_merchants_and_questions_never_share_an_answer(members: tuple[Member, Member]) -> None:
    ledger = Ledger()
    cache = members[0].shared.cache
    asked = [("a", MERCHANT), ("b", MERCHANT), ("a", UUID(int=8))]
    for what, merchant_id in asked:
        await cache.answer(ledger.question(what, merchant_id))
    assert ledger.computed == len(asked)


async def test_nobody_ever_sees_an_older_answer_than_before(
    members: tuple[Member, Member], server: RedisServer, rng: random.Random
) -> None:
    ledger = Ledger()
    caches: list[StatusCache] = [member.shared.cache for member in members]
    caches += [shared_only(member) for member in members]
    running = True

    async def commit() -> None:
        while running:
            await asyncio.sleep(rng.random() * 0.004)
            ledger.version += 1

    async def read() -> None:
        seen = -1
        while running:
            committed = ledger.version
            answer = int(await rng.choice(caches).answer(ledger.question()))
            assert answer >= max(seen, committed), (
                "older than what its caller saw, or than what was committed"
            )
            seen = answer
            await asyncio.sleep(rng.random() * 0.002)

    readers = [asyncio.create_task(read()) for _ in range(8)]
    writer = asyncio.create_task(commit())
    await asyncio.sleep(0.5)
    await server.command("FLUSHALL")
    await asyncio.sleep(0.3)
    server.freeze()
    await until(lambda: not any(member.is_up for member in members))
    await asyncio.sleep(0.3)
    server.thaw()
    await until(lambda: all(member.is_up for member in members))
    await asyncio.sleep(0.3)
    server.kill()
    await asyncio.sleep(0.3)
    await server.start()
    await until(lambda: all(member.is_up for member in members))
    await asyncio.sleep(0.3)
    running = False
    await asyncio.gather(*readers, writer)
    assert members[0].metric("chainbell_redis_fallbacks_total", use="cache") > 0


@pytest.mark.parametrize("damage", ["cut", "changed", "moved", "planted"])
async def test_an_entry_that_is_not_ours_is_no_entry(
    members: tuple[Member, Member], server: RedisServer, damage: str
) -> None:
    ledger = Ledger()
    cache = shared_only(members[0])
    assert await cache.answer(ledger.question("a")) == b"0"
    (key,) = [key for key in await server.keys() if b":status:" in key]
    entry = await server.command("GET", key)
    assert isinstance(entry, bytes)
    assert await cache.answer(ledger.question("b")) == b"0"
    (other,) = [one for one in await server.keys() if b":status:" in one and one != key]
    spoiled = {"cut": entry[:-1], "changed": entry[:-1] + b"9", "planted": b"9", "moved": entry}[damage]
    await server.command("SET", other if damage == "moved" else key, spoiled)
    computed = ledger.computed
    assert await cache.answer(ledger.question("b" if damage == "moved" else "a")) == b"0"
    assert ledger.computed == computed + 1
    assert members[0].metric("chainbell_redis_cache_lookups_total", result="refused") == 1


async def test_without_redis_a_process_remembers_for_itself(
    members: tuple[Member, Member], server: RedisServer
) -> None:
    server.kill()
    ledger = Ledger()
    for _ in range(5):
        assert await members[0].shared.cache.answer(ledger.question()) == b"0"
    assert ledger.computed == 1


async def test_memory_is_bounded_and_time_too() -> None:
    now_s = 0.0
    cache = LocalStatusCache(clock=lambda: now_s, bytes_max=1_000)
    for n in range(100):
        cache.keep(n.to_bytes(24, "big"), b"x" * 76)
    assert cache._bytes_count <= 1_000
    assert cache.find((99).to_bytes(24, "big")) is not None
    assert cache.find((0).to_bytes(24, "big")) is None
    cache.keep(b"large" * 5, b"x" * (ANSWER_BYTES_MAX + 1))
    assert cache.find(b"large" * 5) is None
    now_s = KEPT_S + 1
    assert cache.find((99).to_bytes(24, "big")) is None
    assert cache._bytes_count == sum(len(key) + len(entry[1]) for key, entry in cache._answers.items())


async def test_a_large_answer_is_given_and_not_kept(
    members: tuple[Member, Member], server: RedisServer
) -> None:
    async def watermark() -> Watermark:
        return (1,)

    async def compute() -> bytes:
        return b"x" * (ANSWER_BYTES_MAX + 1)

    answer = await members[0].shared.cache.answer(Question(MERCHANT, "all", watermark, compute))
    assert len(answer) == ANSWER_BYTES_MAX + 1
    assert not [key for key in await server.keys() if b":status:" in key]


async def test_a_failed_computation_is_raised_and_never_kept(members: tuple[Member, Member]) -> None:
    async def watermark() -> Watermark:
        return (1,)

    async def compute() -> bytes:
        raise LookupError("not there")

    for _ in range(2):
        with pytest.raises(LookupError):
            await members[0].shared.cache.answer(Question(MERCHANT, "one", watermark, compute))

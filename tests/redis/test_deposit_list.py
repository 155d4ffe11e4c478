"""The list of deposits through the shared cache: built once for all gateways, and new in the moment it is new."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.api.world import ANOTHER, CONFIG, World, open_world, read_settings
from tests.redis.conftest import Member
from tests.redis.server import RedisServer

pytestmark = pytest.mark.usefixtures("patient")


@pytest_asyncio.fixture
async def world(database_url: str, tmp_path: Path) -> AsyncIterator[World]:
    """The API on a followed chain."""
    async with open_world(database_url, read_settings(CONFIG, tmp_path)) as opened:
        yield opened


async def list_through(world: World, member: Member, key: str, query: str = "") -> list[tuple[str, str, int]]:
    """(id, state, confirmations) of each deposit, as the gateway of this member answers."""
    world.services.cache = member.shared.cache
    reply = await world.call("GET", f"/v1/deposits{query}", key=key)
    assert reply.status == 200, reply.body
    return [(one["id"], one["state"], one["confirmations"]) for one in reply.json["items"]]


def hits(member: Member) -> float:
    return member.metric("chainbell_redis_cache_lookups_total", result="hit")


async def test_another_gateway_finds_what_one_listed(world: World, members: tuple[Member, Member]) -> None:
    key = await world.create_merchant()
    await world.watch(key)
    await world.pay()
    listed = await list_through(world, members[0], key)
    assert [state for _, state, _ in listed] == ["included"]
    assert await list_through(world, members[1], key) == listed
    assert hits(members[1]) == 1


async def test_every_block_and_every_payment_is_seen_at_once_through_every_gateway(
    world: World, members: tuple[Member, Member]
) -> None:
    key = await world.create_merchant()
    await world.watch(key)
    for expected in range(1, 4):
        await world.pay()
        for member in members:
            listed = await list_through(world, member, key)
            assert [confirmations for _, _, confirmations in listed] == list(range(expected, 0, -1))


async def test_merchants_and_filters_never_share_a_list(world: World, members: tuple[Member, Member]) -> None:
    first, second = await world.create_merchant("first"), await world.create_merchant("second")
    await world.watch(first)
    await world.watch(second, ANOTHER)
    await world.pay()
    for member in members:
        assert len(await list_through(world, member, first)) == 1
        assert await list_through(world, member, second) == []
        assert await list_through(world, member, first, "?state=final") == []
        assert len(await list_through(world, member, first, "?state=included")) == 1


async def test_the_list_is_right_without_redis_too(
    world: World, members: tuple[Member, Member], server: RedisServer
) -> None:
    key = await world.create_merchant()
    await world.watch(key)
    await world.pay()
    assert len(await list_through(world, members[0], key)) == 1
    server.kill()
    for expected in range(2, 5):
        await world.pay()
        for member in members:
            assert len(await list_through(world, member, key)) == expected

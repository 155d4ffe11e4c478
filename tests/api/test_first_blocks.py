"""One chain that has no first block yet stops nobody: what can be watched is, and what can not is named."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.api.world import ANOTHER, CONFIG, WATCHED, World, open_world, read_settings, start_line

SICK = """
[chains.sick]
family = "evm"
chain_id = 31339
native = { symbol = "ETH", decimals = 18, slip44 = 60 }
endpoints = ["http://127.0.0.1:1"]
confirmed = { confirmations = 1 }
"""
STAR = {"chain": "*", "address": WATCHED, "reference": "order-17"}


@pytest_asyncio.fixture
async def world(database_url: str, tmp_path: Path) -> AsyncIterator[World]:
    """Two chains that are followed, and a third without a first block."""
    settings = read_settings(CONFIG + SICK, tmp_path)
    async with open_world(database_url, settings, without={"sick"}) as opened:
        yield opened


async def heal(world: World) -> None:
    """The third chain gets its first block."""
    world.lines["sick"] = await start_line(world.services.settings, "sick", world.pool)


async def test_a_star_watches_what_it_can_and_says_what_it_can_not(world: World, key: str) -> None:
    reply = await world.call("POST", "/v1/addresses", STAR, key=key)
    assert reply.status == 201
    assert [item["chain_alias"] for item in reply.json["items"]] == ["local", "other"]
    (missing,) = reply.json["not_watched"]
    assert (missing["chain"], missing["chain_alias"]) == ("eip155:31339", "sick")
    assert "sick has no first block yet" in missing["detail"]
    assert len((await world.call("GET", "/v1/addresses", key=key)).json["items"]) == 2


async def test_the_same_call_later_completes_the_rest_under_the_same_key_too(world: World, key: str) -> None:
    headers = {"Idempotency-Key": "order-17"}
    first = await world.call("POST", "/v1/addresses", STAR, key=key, headers=headers)
    again = await world.call("POST", "/v1/addresses", STAR, key=key, headers=headers)
    assert (again.status, again.json) == (200, first.json)
    await heal(world)
    whole = await world.call("POST", "/v1/addresses", STAR, key=key, headers=headers)
    assert (whole.status, whole.json["not_watched"]) == (201, [])
    assert [item["chain_alias"] for item in whole.json["items"]] == ["local", "other", "sick"]
    replayed = await world.call("POST", "/v1/addresses", STAR, key=key, headers=headers)
    assert replayed.headers["Idempotency-Replayed"] == "true"
    assert (replayed.status, replayed.body) == (201, whole.body)


async def test_a_bulk_that_names_it_points_at_those_items_and_watches_nothing(world: World, key: str) -> None:
    chains = ["local", "sick", "other", "eip155:31339"]
    items = [{"chain": chain, "address": ANOTHER} for chain in chains]
    for headers in ({}, {"Idempotency-Key": "a"}):
        reply = await world.call("POST", "/v1/addresses", {"items": items}, key=key, headers=headers)
        assert (reply.status, reply.headers["Retry-After"]) == (503, "5")
        assert reply.pointers == ["/items/1/chain", "/items/3/chain"]
        assert all("sick has no first block" in flaw["detail"] for flaw in reply.json["errors"])
    assert (await world.call("GET", "/v1/addresses", key=key)).json["items"] == []
    await heal(world)
    reply = await world.call(
        "POST", "/v1/addresses", {"items": items}, key=key, headers={"Idempotency-Key": "a"}
    )
    assert reply.status == 201


async def test_a_bulk_without_it_is_not_affected(world: World, key: str) -> None:
    items = [{"chain": chain, "address": ANOTHER} for chain in ("local", "other")]
    reply = await world.call("POST", "/v1/addresses", {"items": items}, key=key)
    assert (reply.status, reply.json["not_watched"]) == (201, [])


async def test_named_by_itself_it_is_503_that_names_it(world: World, key: str) -> None:
    reply = await world.call("POST", "/v1/addresses", {"chain": "sick", "address": WATCHED}, key=key)
    assert (reply.status, reply.pointers) == (503, ["/chain"])
    assert "sick" in reply.json["detail"]


async def test_where_no_chain_can_be_watched_a_star_is_503(database_url: str, tmp_path: Path) -> None:
    everywhere = {"local", "other", "sick"}
    settings = read_settings(CONFIG + SICK, tmp_path)
    async with open_world(database_url, settings, without=everywhere) as world:
        reply = await world.call("POST", "/v1/addresses", STAR, key=await world.create_merchant())
        assert (reply.status, reply.pointers) == (503, ["/chain"] * 3)
        assert all(alias in reply.body.decode() for alias in everywhere)


async def test_a_conflict_on_a_watchable_chain_is_still_a_conflict(world: World, key: str) -> None:
    await world.watch(key, reference="another")
    reply = await world.call("POST", "/v1/addresses", STAR, key=key)
    assert reply.status == 409
    assert len((await world.call("GET", "/v1/addresses", key=key)).json["items"]) == 1


async def test_readiness_names_it_and_a_setting_decides_what_it_means(
    database_url: str, tmp_path: Path
) -> None:
    for ready_when, without, status in (
        ("every_chain", {"sick"}, 503),
        ("any_chain", {"sick"}, 200),
        ("any_chain", {"local", "other", "sick"}, 503),
        ("database", {"local", "other", "sick"}, 200),
    ):
        settings = read_settings(f'[http]\nready_when = "{ready_when}"\n{CONFIG}{SICK}', tmp_path)
        async with open_world(database_url, settings, without=without) as world:
            await world.pool.execute("delete from chain_status where alias = 'sick'")
            if without != {"sick"}:
                await world.pool.execute("delete from chain_status")
            reply = await world.call("GET", "/readyz")
            assert reply.status == status, (ready_when, without)
            assert reply.json["status"] == ("ready" if status == 200 else "not ready")
            reasons = {chain["alias"]: chain["reason"] for chain in reply.json["chains"]}
            assert reasons["sick"] == "no process follows it, or its follower is silent"

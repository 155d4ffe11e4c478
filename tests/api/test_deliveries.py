"""What a merchant, and whoever holds one of its keys, learns from deliveries: what became of them, and nothing to keep."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry

from relay.out.egress import Egress
from relay.service import RelayService
from tests.api.test_endpoints import create
from tests.api.world import World
from tests.relay_live.receiver import Received, Receiver
from tests.relay_live.shop import SETTINGS


@asynccontextmanager
async def relaying(world: World, *, allow_private_networks: bool = True) -> AsyncIterator[None]:
    """A relay beside the API, on the same database."""
    settings = replace(SETTINGS, allow_private_networks=allow_private_networks)
    relay = RelayService(
        world.pool,
        world.services.box,
        settings,
        registry=CollectorRegistry(),
        on_alert=lambda kind, fields: None,
    )
    async with asyncio.TaskGroup() as group:
        running = group.create_task(relay.run())
        yield
        relay.stop()
        await running


async def attempted(world: World, key: str, endpoint_id: str, count: int = 1) -> Any:
    """The first delivery of an endpoint as soon as it has so many attempts, with the bytes of the answer."""
    async with asyncio.timeout(20):
        while True:
            listed = await world.call("GET", f"/v1/endpoints/{endpoint_id}/deliveries", key=key)
            for item in listed.json["items"]:
                shown = await world.call("GET", f"/v1/deliveries/{item['id']}", key=key)
                if len(shown.json["attempts"]) >= count:
                    return shown
            await asyncio.sleep(0.05)


async def test_a_receiver_that_repeats_our_request_gives_no_secret_away(world: World, key: str) -> None:
    async def repeat(received: Received) -> web.StreamResponse:
        return web.Response(status=500, text=str(dict(received.headers)) + "x" * 5_000)

    await world.watch(key)
    async with Receiver(repeat) as receiver, relaying(world):
        made = await create(world, key, url=receiver.url, headers={"Authorization": "Bearer t0psecret"})
        await world.pay()
        shown = await attempted(world, key, made["id"], 2)
        tested = await world.call("POST", f"/v1/endpoints/{made['id']}/test", key=key)
    assert receiver.received[0].headers["Authorization"] == "Bearer t0psecret"
    kept = await world.pool.fetch("select excerpt from delivery_attempts")
    for text in (shown.body, tested.body, *[row["excerpt"] for row in kept]):
        assert b"Authorization" in text
        assert b"t0ps" not in text
        assert made["secret"].encode() not in text
    one, two, *_ = shown.json["attempts"]
    assert [one["number"], two["number"]] == [1, 2]
    assert (one["outcome"], one["status_code"]) == ("server_error", 500)
    assert len(one["excerpt"].encode()) <= 1_024
    assert one["duration_ms"] >= 0


FAR_AND_NEAR = [
    ("http://127.0.0.1:9/", "address_forbidden"),
    ("http://localhost:9/", "address_forbidden"),
    ("http://0.0.0.0:9/", "address_forbidden"),
    ("https://localhost/", "address_forbidden"),
    ("https://nowhere.invalid/", "unreachable"),
]


@pytest.mark.parametrize(("url", "outcome"), FAR_AND_NEAR)
async def test_an_attempt_at_our_own_network_says_one_word_and_no_address(
    world: World, key: str, url: str, outcome: str
) -> None:
    await world.watch(key)
    made = await create(world, key, url=url)  # accepted here, as by a name that leads elsewhere later
    async with (
        relaying(world, allow_private_networks=False),
        Egress(timeout_s=3, allow_private_networks=False) as egress,
    ):
        world.services.egress = egress
        await world.pay()
        shown = await attempted(world, key, made["id"])
        tested = await world.call("POST", f"/v1/endpoints/{made['id']}/test", key=key)
    endpoint = await world.call("GET", f"/v1/endpoints/{made['id']}", key=key)
    attempt = shown.json["attempts"][0]
    assert (attempt["outcome"], attempt["status_code"], attempt["excerpt"]) == (outcome, None, "")
    assert (tested.json["outcome"], tested.json["excerpt"]) == (outcome, "")
    assert endpoint.json["last_failure"] == outcome
    for said in (shown.body, tested.body):
        assert b"127.0.0.1" not in said
        assert b"Errno" not in said
        assert b"::1" not in said

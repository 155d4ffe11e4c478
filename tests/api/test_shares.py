"""What one merchant, one address, or a crowd of strangers keeps busy is felt by nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from gateway.apikeys import new_api_key
from gateway.http.edge import connections
from gateway.http.edge.limits import FAILED_LOGINS
from gateway.process.files import FileShares
from migrations.ids import new_id
from tests.api.sockets import connected, request, until
from tests.api.world import ADMIN_TOKEN, CONFIG, World, open_world, read_settings

FEW = FileShares(connections=64, backlog=8)
AT_ONCE = 20
PROXIED = '[http]\ntrusted_proxies = ["127.0.0.1"]\n' + CONFIG


@pytest_asyncio.fixture
async def small(database_url: str, tmp_path: Path) -> AsyncIterator[World]:
    """The API with files for 64 connections."""
    async with open_world(database_url, read_settings(CONFIG, tmp_path), files=FEW) as opened:
        yield opened


@pytest_asyncio.fixture
async def proxied(database_url: str, tmp_path: Path) -> AsyncIterator[World]:
    """The API behind a proxy it trusts, which is us."""
    async with open_world(database_url, read_settings(PROXIED, tmp_path), files=FEW) as opened:
        yield opened


async def check_others_are_served(world: World, stranger: str) -> None:
    """Health, another merchant, and the operator."""
    assert (await world.call("GET", "/healthz")).status == 200
    await world.report_heads()
    assert (await world.call("GET", "/readyz")).status == 200
    assert (await world.call("GET", "/v1/addresses", key=stranger)).status == 200
    assert (await world.call("GET", "/v1/merchants", key=ADMIN_TOKEN)).status == 200


async def guess(world: World, headers: dict[str, str] | None = None) -> set[int]:
    """Show more wrong keys than anybody may; the statuses."""

    async def show_one() -> int:
        key = new_api_key(new_id(0)).text
        return (await world.call("GET", "/v1/addresses", key=key, headers=headers)).status

    statuses: set[int] = set()
    for _ in range(FAILED_LOGINS.requests // AT_ONCE + 2):
        async with asyncio.TaskGroup() as group:
            shown = [group.create_task(show_one()) for _ in range(AT_ONCE)]
        statuses |= {one.result() for one in shown}
    return statuses


async def test_a_key_whose_bodies_never_come_keeps_nobody_out(small: World) -> None:
    mine, stranger = await small.create_merchant("A"), await small.create_merchant("B")
    waiting = request("POST", "/v1/addresses", mine, Content_Length="100")
    async with connected(small.base_url, 150) as clients:
        for client in clients:
            client.writer.write(waiting)
        await until(lambda: ("watch_addresses", 429) in small.calls)
        await check_others_are_served(small, stranger)


async def test_idle_connections_keep_nobody_out_and_the_oldest_goes_first(
    small: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "HEADER_TIMEOUT_S", 3_600.0)  # nothing else may close them
    key = await small.create_merchant()
    async with connected(small.base_url, 150) as clients:
        await check_others_are_served(small, key)
        assert await clients[0].closed()
        await clients[-1].send(request("GET", "/healthz"))
        assert await clients[-1].status() == 200


async def test_a_connection_at_work_is_never_closed_for_a_new_one(small: World) -> None:
    key = await small.create_merchant()
    async with connected(small.base_url) as [stream]:
        await stream.send(request("GET", "/v1/events/stream", key))
        assert await stream.status() == 200
        async with connected(small.base_url, 150):
            await check_others_are_served(small, key)
        assert not stream.reader.at_eof()
        assert small.services.streams.held == 1


async def test_strangers_with_wrong_keys_lock_nobody_out(small: World) -> None:
    right = await small.create_merchant()

    statuses = await guess(small)
    assert statuses == {401, 429}
    assert (await small.call("GET", "/v1/addresses", key=right)).status == 200
    assert (await small.call("GET", "/v1/merchants", key=ADMIN_TOKEN)).status == 200
    assert (await small.call("GET", "/v1/addresses")).status == 401


async def test_clients_behind_a_trusted_proxy_are_counted_one_by_one(proxied: World) -> None:
    key = await proxied.create_merchant()
    wrong = new_api_key(new_id(0)).text
    guesser, neighbour = {"X-Forwarded-For": "6.6.6.6, 198.51.100.1"}, {"X-Forwarded-For": "198.51.100.2"}
    await guess(proxied, guesser)
    assert (await proxied.call("GET", "/v1/addresses", key=wrong, headers=guesser)).status == 429
    assert (await proxied.call("GET", "/v1/addresses", key=wrong, headers=neighbour)).status == 401
    assert (await proxied.call("GET", "/v1/addresses", key=key, headers=guesser)).status == 200


async def test_a_trusted_proxy_may_hold_every_connection(proxied: World) -> None:
    async with connected(proxied.base_url, FEW.connections - 4) as clients:
        for client in clients:
            await client.send(request("GET", "/healthz"))
        assert {await client.status() for client in clients} == {200}


async def test_calls_of_one_merchant_at_once_are_all_answered_and_keep_their_connections(
    world: World,
) -> None:
    merchant = await world.create_merchant()
    asked = request("GET", "/v1/addresses", key=merchant)
    async with connected(world.base_url, AT_ONCE) as clients:
        for _ in range(3):
            for client in clients:
                await client.send(asked)
            for client in clients:
                assert await client.status() == 200
                await client.reader.readuntil(b"}")

"""A new endpoint proves that it wants our webhooks before it gets any, on a real database and real sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio
from aiohttp import web

from relay.desk import endpoints
from relay.desk.endpoints import Endpoint
from relay.verify import challenge_of
from tests.relay_live.name_server import serve_names
from tests.relay_live.receiver import Received, Receiver, accept
from tests.relay_live.shop import MERCHANT, RULES, Shop

ASKING = replace(RULES, verify_endpoints=True)
STRICT = {"allow_private_networks": False}  # of the settings; the way out is one that reaches this machine


async def echo(received: Received) -> web.StreamResponse:
    return web.Response(text=challenge_of(received.body) or "")


def types(receiver: Receiver) -> list[str]:
    return [one.event["type"] for one in receiver.received]


@pytest_asyncio.fixture
async def public(shop: Shop) -> AsyncIterator[Shop]:
    """A shop whose receivers have names of the public kind."""
    async with serve_names({"shop.test": ["127.0.0.1"], "other.test": ["127.0.0.1"]}) as names:
        shop.name_servers = [names.place]
        yield shop


async def state(shop: Shop, endpoint: Endpoint) -> tuple[Any, ...]:
    (row,) = await shop.fetch(
        "select verification, verification_failure, challenges, challenge_at from endpoints where endpoint_id = $1",
        endpoint.endpoint_id,
    )
    return tuple(row)


async def until_verified(shop: Shop, receiver: Receiver, endpoint: Endpoint) -> None:
    await receiver.until(lambda: "endpoint.challenge" in types(receiver))
    await shop.until_row("verification = 'verified'", endpoint)


async def change(shop: Shop, endpoint_id: UUID, **changes: Any) -> Endpoint:
    async with shop.pool.acquire() as conn, conn.transaction():
        return await endpoints.change_endpoint(
            conn, shop.box, MERCHANT, endpoint_id, changes, rules=ASKING, now=datetime.now(UTC)
        )


async def test_a_pending_endpoint_gets_a_signed_challenge_and_after_its_echo_everything_it_waited_for(
    public: Shop, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.desk.ownership.CHALLENGE_WAITS_S", (0,) * 50)
    endpoint = await public.endpoint(receiver, url=f"http://shop.test:{receiver.port}/hook", rules=ASKING)
    assert (endpoint.verification, endpoint.sequence) == ("pending", 0)
    await public.publish("dep_a", "dep_b")
    await public.publish("dep_a")
    async with public.relay(**STRICT):
        await receiver.until_received(2)  # it answers 204, which is no echo: it is asked again
        await public.until_row("verification_failure = 'not_echoed'", endpoint)
        await public.publish("dep_c")
        assert set(types(receiver)) == {"endpoint.challenge"}
        receiver.answer = echo
        await receiver.until(lambda: types(receiver).count("deposit.included") >= 4)
        await public.settled(endpoint, 4)
    verification, failure, _, again_at = await state(public, endpoint)
    assert (verification, failure, again_at) == ("verified", None, None)
    told = [one.event["sequence"] for one in receiver.received if challenge_of(one.body) is None]
    assert sorted(told) == [1, 2, 3, 4]
    assert receiver.forged == []
    texts = [text for one in receiver.received if (text := challenge_of(one.body)) is not None]
    assert len(texts) == len(set(texts))  # never the same twice


async def test_an_endpoint_that_never_echoes_is_asked_a_few_times_and_keeps_its_place(
    public: Shop, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.desk.ownership.CHALLENGE_WAITS_S", (0, 0))
    endpoint = await public.endpoint(receiver, url=f"http://shop.test:{receiver.port}/hook", rules=ASKING)
    await public.publish("dep_a")
    async with public.relay(**STRICT):
        await public.until_row("challenge_at is null", endpoint)
        assert await state(public, endpoint) == ("pending", "not_echoed", 3, None)
        assert types(receiver) == ["endpoint.challenge"] * 3
    assert [row["sequence"] for row in await public.fetch("select sequence from endpoint_cursors")] == [0]
    assert await public.fetch("select from delivery_exceptions") == []


async def test_another_host_is_asked_again_before_it_gets_anything(public: Shop, receiver: Receiver) -> None:
    receiver.answer = echo
    endpoint = await public.endpoint(receiver, url=f"http://shop.test:{receiver.port}/hook", rules=ASKING)
    async with public.relay(**STRICT):
        await until_verified(public, receiver, endpoint)
        same = await change(public, endpoint.endpoint_id, url=f"http://shop.test:{receiver.port}/elsewhere")
        assert same.verification == "verified"
        async with Receiver(answer=accept) as victim:
            moved = await change(public, endpoint.endpoint_id, url=f"http://other.test:{victim.port}/hook")
            assert moved.verification == "pending"
            await public.publish("dep_a")
            await public.until_row("verification_failure = 'not_echoed'", endpoint)
            assert types(victim) == ["endpoint.challenge"]
        await change(public, endpoint.endpoint_id, url=f"http://shop.test:{receiver.port}/hook")
        await public.settled(endpoint, 1)
    assert types(receiver).count("deposit.included") == 1


async def test_turning_it_on_asks_nobody_who_is_there_and_turning_it_off_asks_nobody(
    public: Shop, receiver: Receiver
) -> None:
    before = await public.endpoint(receiver, url=f"http://shop.test:{receiver.port}/before")
    assert before.verification == "verified"
    async with public.relay(**STRICT):
        await public.publish("dep_a")
        await public.settled(before, 1)
    pending = await public.endpoint(receiver, url=f"http://shop.test:{receiver.port}/new", rules=ASKING)
    assert pending.verification == "pending"
    async with public.relay(**STRICT, verify_endpoints=False):
        await public.publish("dep_b")
        await public.settled(pending, 2)
    assert set(types(receiver)) == {"deposit.included"}


async def test_a_receiver_on_this_machine_is_not_asked(shop: Shop, receiver: Receiver) -> None:
    endpoint = await shop.endpoint(receiver, rules=ASKING)
    assert endpoint.verification == "verified"


async def test_an_echo_for_an_url_that_was_changed_meanwhile_proves_nothing(
    public: Shop, receiver: Receiver
) -> None:
    endpoint = await public.endpoint(receiver, url=f"http://shop.test:{receiver.port}/hook", rules=ASKING)

    async def echo_late(received: Received) -> web.StreamResponse:
        if received.path == "/hook":
            await change(public, endpoint.endpoint_id, url=f"http://other.test:{receiver.port}/victim")
            return await echo(received)
        return web.Response(status=204)

    receiver.answer = echo_late
    async with public.relay(**STRICT):
        await receiver.until(lambda: [one.path for one in receiver.received] == ["/hook", "/victim"])
        await public.until_row("verification_failure = 'not_echoed'", endpoint)
    assert (await state(public, endpoint))[0] == "pending"

"""One caller's calls never stop the others for want of a connection: every POST at once, against a pool of two."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
import pytest_asyncio
from aiohttp import web

from gateway.http.edge.calls import AdminAccess, Operation
from gateway.http.edge.decoding import members_of
from gateway.http.operations import OPERATIONS
from migrations.connect import connect
from migrations.handles import Pool
from migrations.ids import encode_id
from migrations.pool import BoundedPool, ConnectionsBusy, borrowing_for
from tests.api.world import ADMIN_TOKEN, CONFIG, WATCHED, Reply, World, open_world, read_clock, read_settings
from tests.relay_live.receiver import Receiver

POSTS = [one for one in OPERATIONS if one.method == "POST"]
PING = next(one for one in POSTS if one.name == "test_endpoint")
ABSENT = encode_id("dlv", UUID(int=7 << 76 | 2 << 62))
EACH = 16
ANSWERED_WITHIN_S = 100.0
EXAMPLES: dict[str, Any] = {"chain": "local", "address": WATCHED, "url": "https://shop.example/hook"}


@pytest_asyncio.fixture
async def narrow(database_url: str, tmp_path: Path) -> AsyncIterator[World]:
    """The API with two connections."""
    async with open_world(database_url, read_settings(CONFIG, tmp_path), pool_size=2) as opened:
        yield opened


def body_for(operation: Operation) -> dict[str, Any]:
    """A body that a new operation accepts or refuses for its own reasons: required members by their types."""
    if operation.body is None:
        return {}
    shape = members_of(operation.body)[0]
    values: dict[str, Any] = {}
    for field in msgspec.structs.fields(shape):
        if field.required:
            values[field.encode_name] = EXAMPLES.get(field.encode_name, 1 if field.type is int else "one")
    return values


async def post(world: World, operation: Operation, key: str, ids: dict[str, str], number: int) -> Reply:
    """One POST with an Idempotency-Key of its own."""
    return await world.call(
        "POST",
        operation.path.format(**ids),
        body_for(operation),
        key=ADMIN_TOKEN if isinstance(operation.access, AdminAccess) else key,
        headers={"Idempotency-Key": f"{operation.name}-{number}"},
    )


def lines_of(pool: Pool) -> Mapping[Any, Any]:
    """Who waits in the pool under a name, or holds a connection."""
    assert isinstance(pool, BoundedPool)
    return pool.lines


async def check_ready(world: World) -> None:
    """Ready, as far as the API is concerned."""
    await world.report_heads()
    assert (await world.call("GET", "/readyz")).status == 200


async def test_every_post_at_once_with_keys_is_answered_from_two_connections(narrow: World) -> None:
    key = await narrow.create_merchant()
    (merchant,) = (await narrow.admin("GET", "/v1/merchants")).json["items"]
    async with Receiver() as receiver:
        made = await narrow.call("POST", "/v1/endpoints", {"url": receiver.url}, key=key)
        ids = {"merchant_id": merchant["merchant_id"], "endpoint_id": made.json["id"], "delivery_id": ABSENT}
        async with asyncio.timeout(ANSWERED_WITHIN_S), asyncio.TaskGroup() as group:
            calls = [
                group.create_task(post(narrow, operation, key, ids, number))
                for number in range(EACH)
                for operation in POSTS
            ]
        assert {call.result().status for call in calls} <= {200, 201, 202, 404, 409, 422}
        replayed = await post(narrow, PING, key, ids, 0)
        assert replayed.headers["Idempotency-Replayed"] == "true"
    await check_ready(narrow)


async def test_a_receiver_that_never_answers_keeps_no_connection_from_others(narrow: World) -> None:
    key = await narrow.create_merchant()
    silence = asyncio.Event()

    async def say_nothing(_received: object) -> web.StreamResponse:
        await silence.wait()
        return web.Response()

    async with Receiver(answer=say_nothing) as receiver, asyncio.TaskGroup() as group:
        made = await narrow.call("POST", "/v1/endpoints", {"url": receiver.url}, key=key)
        ids = {"endpoint_id": made.json["id"]}
        pings = [group.create_task(post(narrow, PING, key, ids, number)) for number in range(EACH)]
        await receiver.until_received(EACH)
        await check_ready(narrow)
        assert (await narrow.call("GET", "/v1/endpoints", key=key)).status == 200
        repeated = await post(narrow, PING, key, ids, 0)
        assert repeated.status == 409
        assert "in progress" in repeated.json["detail"]
        silence.set()
    first = pings[0].result()
    again = await post(narrow, PING, key, ids, 0)
    assert (again.status, again.body) == (200, first.body)
    assert len(receiver.received) == EACH, "what was remembered is not done again"


async def test_a_key_of_a_process_that_died_is_free_after_its_time(narrow: World) -> None:
    key = await narrow.create_merchant()
    async with Receiver() as receiver:
        made = await narrow.call("POST", "/v1/endpoints", {"url": receiver.url}, key=key)
        ids = {"endpoint_id": made.json["id"]}
        path = PING.path.format(**ids)
        left = "insert into calls_in_progress select id, $1, $2, gen_random_uuid(), $3 from api_keys"
        await narrow.pool.execute(left, path, "test_endpoint-0", read_clock() + timedelta(minutes=1))
        await narrow.pool.execute(left, path, "test_endpoint-1", read_clock() - timedelta(seconds=1))
        assert (await post(narrow, PING, key, ids, 0)).status == 409
        assert (await post(narrow, PING, key, ids, 1)).status == 200


async def test_who_lost_its_claim_does_not_remember_over_the_next_one(narrow: World) -> None:
    key = await narrow.create_merchant()
    silence = asyncio.Event()

    async def wait_first(_received: object) -> web.StreamResponse:
        if len(receiver.received) == 1:
            await silence.wait()
        return web.Response(text="late" if not silence.is_set() else f"answer {len(receiver.received)}")

    async with Receiver(answer=wait_first) as receiver, asyncio.TaskGroup() as group:
        made = await narrow.call("POST", "/v1/endpoints", {"url": receiver.url}, key=key)
        ids = {"endpoint_id": made.json["id"]}
        slow = group.create_task(post(narrow, PING, key, ids, 0))
        await receiver.until_received(1)
        await narrow.pool.execute("update calls_in_progress set until = now() - interval '1 second'")
        next_one = await post(narrow, PING, key, ids, 0)
        silence.set()
    assert slow.result().status == next_one.status == 200
    assert (await post(narrow, PING, key, ids, 0)).body == next_one.body
    assert await narrow.pool.fetchval("select count(*) from calls_in_progress") == 0


async def test_a_pool_in_which_nothing_comes_free_is_503_with_retry_after(
    narrow: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(narrow.pool, "_acquire_timeout_s", 0.05)
    async with asyncio.TaskGroup() as group:
        hold, held = asyncio.Event(), asyncio.Semaphore(0)
        for _ in range(2):
            group.create_task(keep_one(narrow.pool, held, hold))
            await held.acquire()
        for method, path in (("GET", "/v1/merchants"), ("POST", "/v1/merchants")):
            reply = await narrow.admin(method, path, {"name": "A"}, headers={"Idempotency-Key": "k"})
            assert reply.status == 503, reply.body
            assert reply.headers["Retry-After"]
        hold.set()
    await check_ready(narrow)


async def test_a_merchants_calls_in_the_database_leave_connections_to_the_others(
    narrow: World, database_url: str
) -> None:
    busy, other = await narrow.create_merchant("Busy"), await narrow.create_merchant("Other")
    lines = lines_of(narrow.pool)
    holder = await connect(database_url, application_name="test")
    async with asyncio.TaskGroup() as group:
        async with holder.transaction():
            await holder.execute("lock table addresses in access exclusive mode")
            stuck = [
                group.create_task(narrow.call("GET", "/v1/addresses", key=busy)) for _ in range(2 * EACH)
            ]
            while sum(line.members for line in lines.values()) < len(stuck):  # noqa: ASYNC110  # the API changes it
                await asyncio.sleep(0.01)
            for key in (other, other):
                assert (await narrow.call("GET", "/v1/endpoints", key=key)).status == 200
        await holder.close()
    assert {call.result().status for call in stuck} == {200}
    assert not lines, "who waits no more is forgotten"


async def test_who_gives_up_in_line_leaves_it(narrow: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(narrow.pool, "_acquire_timeout_s", 0.05)
    with borrowing_for("one"):
        async with narrow.pool.acquire():
            late = [asyncio.create_task(narrow.pool.fetchval("select 1")) for _ in range(3)]
            late[0].cancel()
            ended = await asyncio.gather(*late, return_exceptions=True)
        assert [type(one) for one in ended] == [asyncio.CancelledError, ConnectionsBusy, ConnectionsBusy]
        assert not lines_of(narrow.pool)
        assert await narrow.pool.fetchval("select 1") == 1


async def keep_one(pool: Pool, held: asyncio.Semaphore, until: asyncio.Event) -> None:
    """Borrow a connection and keep it."""
    async with pool.acquire():
        held.release()
        await until.wait()


async def test_a_task_that_holds_a_connection_waits_for_no_second_one(narrow: World) -> None:
    async with narrow.pool.acquire():
        with pytest.raises(AssertionError, match="one connection"):
            await narrow.pool.fetchval("select 1")
    assert await narrow.pool.fetchval("select 1") == 1

"""A merchant's log by pull, long poll and stream: the same bytes everywhere, and an honest 410."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from typing import Any

import pytest

from gateway import store
from migrations.handles import Connection
from relay.log import eventlog as log
from relay.log.eventlog import StoredEvent
from tests.api.world import World


async def someone_waits(world: World) -> None:
    """Return when a long poll or a stream has nothing to read and waits."""
    while not world.services.live._waiting:  # noqa: ASYNC110  (the program has no event for a test's curiosity)
        await asyncio.sleep(0.01)


async def read_stream(
    world: World, key: str, count: int, query: str = "", **headers: str
) -> list[dict[str, str]]:
    """The first events of a stream: id, event and data of each."""
    found: list[dict[str, str]] = []
    sent = {"Authorization": f"Bearer {key}", **headers}
    async with world.session.get(f"{world.base_url}/v1/events/stream{query}", headers=sent) as response:
        assert response.status == 200, await response.text()
        assert response.headers["Content-Type"] == "text/event-stream"
        block: dict[str, str] = {}
        async for raw in response.content:
            line = raw.decode().rstrip("\n")
            if not line:
                if "data" in block:
                    found.append(block)
                block = {}
                if len(found) == count:
                    break
            elif not line.startswith(":"):
                name, _, value = line.partition(": ")
                assert name not in block, "one data line an event"
                block[name] = value
    return found


async def test_events_are_verbatim_chained_and_numbered_from_one(world: World, key: str) -> None:
    await world.watch(key)
    await world.pay(empty=12)
    page = await world.call("GET", "/v1/events", key=key)
    items = page.json["items"]
    assert [item["sequence"] for item in items] == [1, 2]
    assert (page.json["next"], page.json["head_sequence"]) == (2, 2)
    before = "0" * 64
    for item in items:
        exact = (await world.call("GET", f"/v1/events/{item['id']}", key=key)).body
        assert exact in page.body
        assert item["prev_hash"] == before
        before = hashlib.sha256(exact).hexdigest()


async def test_the_head_says_where_the_log_ends_and_what_the_next_event_is_chained_to(
    world: World, key: str
) -> None:
    empty = await world.call("GET", "/v1/events/head", key=key)
    assert empty.json == {"sequence": 0, "log_epoch": 1, "head_hash": "0" * 64}
    await world.watch(key)
    await world.pay(empty=12)
    head = (await world.call("GET", "/v1/events/head", key=key)).json
    (last,) = (await world.call("GET", "/v1/events?after_sequence=1", key=key)).json["items"]
    exact = (await world.call("GET", f"/v1/events/{last['id']}", key=key)).body
    assert head == {"sequence": 2, "log_epoch": 1, "head_hash": hashlib.sha256(exact).hexdigest()}
    await world.pay()
    (after,) = (await world.call("GET", "/v1/events?after_sequence=2", key=key)).json["items"]
    assert after["prev_hash"] == head["head_hash"]


async def test_an_empty_log_names_the_epoch_that_its_first_event_will_have(world: World, key: str) -> None:
    async with world.pool.acquire() as conn:
        await log.raise_epochs(conn)
    head = (await world.call("GET", "/v1/events/head", key=key)).json
    await world.watch(key)
    await world.pay()
    (first,) = (await world.call("GET", "/v1/events", key=key)).json["items"]
    assert head["log_epoch"] == first["log_epoch"] > 1


async def test_the_end_of_the_log_is_null_and_types_filter(world: World, key: str) -> None:
    await world.watch(key)
    await world.pay(empty=12)
    end = (await world.call("GET", "/v1/events?after_sequence=2", key=key)).json
    assert (end["items"], end["next"], end["head_sequence"]) == ([], None, 2)
    final = (await world.call("GET", "/v1/events?types=deposit.final,deposit.seen", key=key)).json
    assert [item["sequence"] for item in final["items"]] == [2]
    wrong = await world.call("GET", "/v1/events?types=deposit.fianl", key=key)
    assert (wrong.status, wrong.pointers) == (422, ["/query/types"])
    assert "deposit.final" in wrong.json["detail"]


async def test_a_long_poll_ends_when_an_event_comes(world: World, key: str) -> None:
    await world.watch(key)
    async with asyncio.TaskGroup() as group:
        live = group.create_task(world.services.live.run(world.pool))
        waiting = group.create_task(world.call("GET", "/v1/events?wait=20", key=key))
        await someone_waits(world)
        started = time.monotonic()
        await world.pay()
        reply = await waiting
        live.cancel()
    assert [item["type"] for item in reply.json["items"]] == ["deposit.included"]
    assert time.monotonic() - started < 10


async def test_a_long_poll_without_an_event_ends_in_time(world: World, key: str) -> None:
    started = time.monotonic()
    reply = await world.call("GET", "/v1/events?wait=1", key=key)
    assert reply.json["items"] == []
    assert 0.9 < time.monotonic() - started < 20
    assert (await world.call("GET", "/v1/events?wait=31", key=key)).status == 422


async def test_a_stream_gives_the_exact_bytes_and_resumes_where_it_was(world: World, key: str) -> None:
    await world.watch(key)
    await world.pay(empty=12)
    first, second = await read_stream(world, key, 2, "?after_sequence=0")
    assert (first["id"], first["event"], second["id"]) == ("1", "deposit.confirmed", "2")
    exact = (await world.call("GET", f"/v1/events/{json.loads(first['data'])['id']}", key=key)).body
    assert first["data"].encode() == exact
    (resumed,) = await read_stream(world, key, 1, **{"Last-Event-ID": "1"})
    assert resumed == second
    (only,) = await read_stream(world, key, 1, "?after_sequence=0&types=deposit.final")
    assert only == second


async def test_a_stream_from_now_on_gives_what_comes(world: World, key: str) -> None:
    await world.watch(key)
    await world.pay()
    async with asyncio.TaskGroup() as group:
        reading = group.create_task(read_stream(world, key, 1))
        await someone_waits(world)
        await world.pay(empty=2)
    assert [event["id"] for event in reading.result()] == ["2"]


async def test_before_what_is_kept_there_is_410_with_the_oldest_sequence(world: World, key: str) -> None:
    await world.watch(key)
    await world.pay(empty=12)
    async with world.pool.acquire() as conn:
        await conn.execute("update event_days set first_sequence = 2")
    for path in ("/v1/events", "/v1/events/stream?after_sequence=0"):
        reply = await world.call("GET", path, key=key)
        assert (reply.status, reply.json["oldest_sequence"]) == (410, 2), path
    assert (await world.call("GET", "/v1/events?after_sequence=1", key=key)).status == 200


async def test_beyond_the_head_there_is_409_with_the_head_and_its_epoch(world: World, key: str) -> None:
    await world.watch(key)
    await world.pay(empty=12)
    paths = ("/v1/events?", "/v1/events?wait=20&", "/v1/events?types=deposit.final&", "/v1/events/stream?")
    for path in paths:
        for place in (3, 2**53 - 1):
            reply = await world.call("GET", f"{path}after_sequence={place}", key=key)
            assert (reply.status, reply.json["head_sequence"], reply.json["log_epoch"]) == (409, 2, 1), path
            assert reply.headers["Content-Type"] == "application/problem+json"
        if "stream" not in path:
            reply = await world.call("GET", f"{path.replace('wait=20&', '')}after_sequence=2", key=key)
            assert (reply.status, reply.json["items"]) == (200, []), path
    resumed = await world.call(
        "GET", "/v1/events/stream?after_sequence=0", key=key, headers={"Last-Event-ID": "3"}
    )
    assert (resumed.status, resumed.json["head_sequence"]) == (409, 2)


async def test_an_empty_log_has_nothing_beyond_its_beginning(world: World, key: str) -> None:
    async with world.pool.acquire() as conn:
        await log.raise_epochs(conn)
    assert (await world.call("GET", "/v1/events?after_sequence=0", key=key)).status == 200
    reply = await world.call("GET", "/v1/events?after_sequence=1", key=key)
    assert (reply.status, reply.json["head_sequence"]) == (409, 0)
    assert reply.json["log_epoch"] > 1


@pytest.mark.parametrize(
    "place", ["-1", str(2**53), str(2**63), str(2**64), "null", "1.0", "1e1", "x", "", "9" * 900]
)
async def test_what_is_no_sequence_is_refused_and_pointed_at(world: World, key: str, place: str) -> None:
    for path in ("/v1/events", "/v1/events/stream"):
        reply = await world.call("GET", f"{path}?after_sequence={place}", key=key)
        assert (reply.status, reply.pointers) == (422, ["/query/after_sequence"]), path
    reply = await world.call("GET", "/v1/events/stream", key=key, headers={"Last-Event-ID": place})
    assert reply.status == 400


async def test_more_streams_than_a_merchant_may_hold_are_429(world: World, key: str) -> None:
    world.services.streams.each_max = 0
    for path in ("/v1/events?wait=1", "/v1/events/stream"):
        reply = await world.call("GET", path, key=key)
        assert (reply.status, reply.headers["Retry-After"]) == (429, "5"), path
        assert reply.json["status"] == 429


async def test_a_stream_of_a_revoked_key_ends_also_while_events_come(
    world: World, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gateway.http.resources import events

    load_events_after = log.load_events_after

    async def load_and_revoke(conn: Connection, *arguments: Any, **options: Any) -> list[StoredEvent]:
        await conn.execute("update api_keys set revoked_at = now()")
        return await load_events_after(conn, *arguments, **options)

    monkeypatch.setattr(events, "COMMENT_EVERY_S", 0.0)
    monkeypatch.setattr(events, "STREAM_BATCH", 1)
    monkeypatch.setattr(log, "load_events_after", load_and_revoke)
    await world.watch(key)
    await world.pay(empty=12)
    async with world.session.get(
        f"{world.base_url}/v1/events/stream?after_sequence=0", headers={"Authorization": f"Bearer {key}"}
    ) as response:
        async with asyncio.timeout(10):
            rest = await response.read()
    assert b"data:" not in rest


async def test_a_stream_of_a_revoked_key_ends(world: World, key: str) -> None:
    from gateway.http.resources import events

    events_before, events.COMMENT_EVERY_S = events.COMMENT_EVERY_S, 0.1
    try:
        async with world.session.get(
            f"{world.base_url}/v1/events/stream", headers={"Authorization": f"Bearer {key}"}
        ) as response:
            (listed,) = await world.pool.fetch("select id from api_keys")
            async with world.pool.acquire() as conn:
                await store.mark_api_key_revoked(conn, listed["id"], now=world.services.clock())
            async with asyncio.timeout(10):
                rest = await response.read()
        assert b"data:" not in rest
    finally:
        events.COMMENT_EVERY_S = events_before

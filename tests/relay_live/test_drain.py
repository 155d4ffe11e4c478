"""Outages on real sockets and a real database: healing by itself, and draining of the latest only, through kill -9."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime

from aiohttp import web

from relay.desk import endpoints, views
from relay.desk.endpoints import Endpoint
from relay.desk.views import DeliveryState
from relay.model import Drain, delivery_id_of
from relay.verify import Event, GapTracker, repair
from tests.properties.relay.covering import TAKES_BACK
from tests.relay_live.receiver import Received, Receiver, accept, refuse
from tests.relay_live.shop import MERCHANT, SETTINGS, Shop
from tests.relay_live.test_crash import worker_process

FRAGILE = replace(SETTINGS.retry, failing_objects_max=3)


async def pause(shop: Shop, endpoint: Endpoint) -> None:
    async with shop.pool.acquire() as conn, conn.transaction():
        await endpoints.pause_endpoint(conn, shop.box, MERCHANT, endpoint.endpoint_id, now=datetime.now(UTC))


async def resume(shop: Shop, endpoint: Endpoint) -> None:
    async with shop.pool.acquire() as conn, conn.transaction():
        await endpoints.resume_endpoint(conn, shop.box, MERCHANT, endpoint.endpoint_id, now=datetime.now(UTC))


async def until(shop: Shop, query: str, *args: object, timeout_s: float = 15.0) -> None:
    """Wait until this query finds something."""
    async with asyncio.timeout(timeout_s):
        while True:
            if await shop.fetch(query, *args):
                return
            await asyncio.sleep(0.02)


async def drained(shop: Shop, endpoint: Endpoint, sequence: int, timeout_s: float = 30.0) -> None:
    """Wait until the endpoint's cursor is at `sequence`, and what has a row is covered."""
    query = """select from endpoint_cursors c where c.endpoint_id = $1 and c.sequence >= $2 and not exists (
      select from delivery_exceptions x where x.endpoint_id = c.endpoint_id and x.state <> 'covered'
    )"""
    await until(shop, query, endpoint.endpoint_id, sequence, timeout_s=timeout_s)


async def until_state(shop: Shop, endpoint: Endpoint, wanted: str) -> None:
    query = "select from endpoints where endpoint_id = $1 and state = $2"
    await until(shop, query, endpoint.endpoint_id, wanted)


async def test_a_sick_endpoint_is_only_probed_heals_by_itself_and_gets_everything(
    shop: Shop, receiver: Receiver
) -> None:
    endpoint = await shop.endpoint(receiver)
    receiver.answer = refuse(500)
    async with shop.relay(retry=FRAGILE):
        await shop.publish(*[f"dep_{n}" for n in range(6)])
        await until_state(shop, endpoint, "failing")
        place = await shop.fetch("select sequence from endpoint_cursors")
        rows = await shop.fetch("select sequence, failures, retry_at from delivery_exceptions order by 1")
        seen = len(receiver.received)
        await shop.publish(*[f"dep_{n}" for n in range(6, 30)])
        await receiver.until_received(seen + 2)
        oldest = rows[0]["sequence"]
        assert set(receiver.sequences[seen:]) == {oldest}, "a failing endpoint is given its oldest event only"
        assert await shop.fetch("select sequence from endpoint_cursors") == place
        assert (
            await shop.fetch("select sequence, failures, retry_at from delivery_exceptions order by 1")
            == rows
        )
        receiver.answer = accept
        await until_state(shop, endpoint, "active")
        await shop.settled(endpoint, 30)
    assert set(range(1, 31)) <= set(receiver.sequences)
    assert all("chainbell-covers" not in one.headers for one in receiver.received)


async def test_after_an_outage_the_latest_of_each_deposit_stands_for_the_others(
    shop: Shop, receiver: Receiver
) -> None:
    endpoint = await shop.endpoint(receiver, drain=Drain.LATEST_ONLY)
    receiver.answer = refuse(410)
    async with shop.relay():
        (first,) = await shop.publish("dep_a")
        await until_state(shop, endpoint, "paused")
        await shop.publish("dep_b", "dep_a", "dep_b")
        await shop.publish("dep_a", type_="deposit.confirmed")
        (reversal,) = await shop.publish("dep_a", type_="deposit.reversed")
        await shop.publish("dep_a", "dep_a")
        (last,) = await shop.publish("dep_a", type_="deposit.final")
        receiver.received.clear()
        receiver.answer = accept
        await resume(shop, endpoint)
        await drained(shop, endpoint, last.sequence)
    mine = [one for one in receiver.received if one.event["type"].startswith("deposit.")]
    by_object: dict[str, list[tuple[str, int, str | None]]] = {}
    for one in mine:
        told = one.event["type"], one.event["sequence"], one.headers.get("chainbell-covers")
        by_object.setdefault(one.object_id, []).append(told)
    confirmed = reversal.sequence - 1
    assert by_object["dep_a"] == [
        ("deposit.confirmed", confirmed, f"{first.sequence}-4"),
        ("deposit.reversed", reversal.sequence, None),
        ("deposit.final", last.sequence, f"{reversal.sequence + 1}-{reversal.sequence + 2}"),
    ]
    assert by_object["dep_b"] == [("deposit.included", 5, "3-3")]
    assert receiver.forged == []
    async with shop.pool.acquire() as conn:
        shown, _ = await views.load_delivery(
            conn, MERCHANT, delivery_id_of(endpoint.endpoint_id, first.event_id)
        )
    assert (shown.state, shown.covered_by) == (DeliveryState.COVERED, confirmed)


async def test_killed_again_and_again_in_outages_it_ends_where_everything_would_have_led(
    shop: Shop, receiver: Receiver, database_url: str, rng: random.Random
) -> None:
    endpoint = await shop.endpoint(receiver, drain=Drain.LATEST_ONLY)

    async def moody(received: Received) -> web.StreamResponse:
        await asyncio.sleep(rng.random() * 0.01)
        is_first = receiver.sequences.count(received.event["sequence"]) == 1
        return web.Response(status=500 if is_first and rng.random() < 0.1 else 200)

    receiver.answer = moody
    types = ("deposit.included", "deposit.confirmed", "deposit.final", "deposit.reversed")
    for _ in range(4):
        await pause(shop, endpoint)
        for _ in range(80):
            await shop.publish(f"dep_{rng.randrange(6)}", type_=rng.choices(types, weights=(9, 3, 3, 1))[0])
        seen = len(receiver.received)
        async with worker_process(database_url, settle_delay_s=0.05) as process:
            await asyncio.sleep(
                rng.random()
            )  # sometimes it knows of the pause, sometimes of the resumption only
            await resume(shop, endpoint)
            await receiver.until_received(seen + 5, timeout_s=30)
            await asyncio.sleep(rng.random() * 0.1)
            process.kill()
    (head,) = await shop.fetch("select sequence from merchant_logs")
    receiver.answer = accept
    async with shop.relay():
        await drained(shop, endpoint, head["sequence"], timeout_s=60)
    await check_outcome(shop, set(receiver.sequences))
    await check_gaps(shop, receiver.received)
    assert await shop.fetch("select from delivery_exceptions where state = 'covered'"), "nothing was covered"
    assert receiver.forged == []


async def check_outcome(shop: Shop, heard: Collection[int]) -> None:
    """The newest of every object and every take-back was heard; what was not is covered by something heard."""
    events = await shop.fetch("select sequence, object_id, type from events order by sequence")
    covered = {
        row["sequence"]: row["covered_by"]
        for row in await shop.fetch("select sequence, covered_by from delivery_exceptions")
    }
    newest = {row["object_id"]: row["sequence"] for row in events}
    assert set(newest.values()) <= set(heard)
    for row in events:
        assert row["type"] not in TAKES_BACK or row["sequence"] in heard
        assert row["sequence"] in heard or covered[row["sequence"]] in heard


async def check_gaps(shop: Shop, received: Collection[Received]) -> None:
    """What the receiver's kit finds missing it can pull, and then it lacks nothing; what had not come is covered."""
    events = await shop.fetch("select sequence, body from events order by sequence")
    tracker = GapTracker(0)
    for one in received:
        tracker.saw(one.event["sequence"], int(one.headers["chainbell-prev-sequence"]))
    heard = {one.event["sequence"] for one in received}
    covered = {one["sequence"] for one in await shop.fetch("select sequence from delivery_exceptions")}
    pulled: list[Event] = []

    def fetch_page(after_sequence: int) -> dict[str, object]:
        items = [json.loads(one["body"]) for one in events[after_sequence:]]
        return {"items": items, "head_sequence": len(events)}

    while tracker.gap is not None:
        repair(tracker, fetch_page, pulled.append)
    assert tracker.complete_to == max(heard)
    assert {one.sequence for one in pulled} - heard <= covered

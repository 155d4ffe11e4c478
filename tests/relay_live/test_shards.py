"""Workers that come and go: shards change hands in a moment, not when the next lease is due."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from aiohttp import web

from relay.workers.store import PostgresRelayStore
from tests.relay_live.receiver import Received, Receiver
from tests.relay_live.shop import Shop

LONG_LEASE_S = 600.0
"""So that nobody renews within the test: only notices can move a shard."""
PATIENT_S = 60.0
"""Receiver and relay are one process here: while a busy machine does not run it, nobody's attempt may be late and be repeated."""
ENDPOINTS = 8
HOLDERS = "select owner from relay_shards where owner is not null group by owner having count(*) = $1"
FREED = "select from relay_shards where owner is null having count(*) = $1"


async def until_held(shop: Shop, workers: int) -> None:
    """All shards are held, by so many workers in equal shares."""
    async with asyncio.timeout(20):
        while len(await shop.fetch(HOLDERS, 64 // workers)) != workers:  # noqa: ASYNC110  # a row tells nobody
            await asyncio.sleep(0.02)


async def test_a_worker_that_joins_or_leaves_is_answered_at_once(shop: Shop, receiver: Receiver) -> None:
    made = [await shop.endpoint(receiver) for _ in range(ENDPOINTS)]

    async def tell(name: str, events: int) -> None:
        told = await shop.publish(*(f"{name}_{number}" for number in range(events)))
        for endpoint in made:
            await shop.settled(endpoint, told[-1].sequence, timeout_s=20)

    async with shop.relay(lease_s=LONG_LEASE_S, attempt_timeout_s=PATIENT_S):
        await until_held(shop, 1)
        await tell("alone", 50)
        async with shop.relay(lease_s=LONG_LEASE_S, attempt_timeout_s=PATIENT_S):
            await until_held(shop, 2)
            await tell("together", 50)
        await until_held(shop, 1)
        await tell("alone_again", 50)
    assert not await shop.fetch(HOLDERS, 64), "the last one gave everything back"
    assert len(receiver.received) == 3 * 50 * ENDPOINTS, "nothing was sent by two"
    assert receiver.forged == []


async def test_a_worker_that_hears_late_takes_what_was_freed_before(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_listen, listens = asyncio.Event(), asyncio.Event()
    listen = PostgresRelayStore.listen

    async def listen_late(
        store: PostgresRelayStore, on_notice: Callable[[str, str], None], *, ready: Callable[[], None]
    ) -> None:
        def begin() -> None:
            ready()
            listens.set()

        await may_listen.wait()
        await listen(store, on_notice, ready=begin)

    monkeypatch.setattr(PostgresRelayStore, "listen", listen_late)
    may_listen.set()
    async with shop.relay(lease_s=LONG_LEASE_S):
        await until_held(shop, 1)
        await listens.wait()
        may_listen.clear()
        async with shop.relay(lease_s=LONG_LEASE_S):
            async with asyncio.timeout(20):
                while not await shop.fetch(FREED, 32):  # noqa: ASYNC110  # a row tells nobody
                    await asyncio.sleep(0.02)
            may_listen.set()
            await until_held(shop, 2)


async def test_a_shard_changes_hands_as_soon_as_nothing_of_it_is_under_way(
    shop: Shop, receiver: Receiver
) -> None:
    answer = asyncio.Event()

    async def hold(_received: Received) -> web.StreamResponse:
        await answer.wait()
        return web.Response(status=204)

    receiver.answer = hold
    made = [await shop.endpoint(receiver) for _ in range(4 * ENDPOINTS)]
    await shop.publish("dep_a")
    async with shop.relay(lease_s=LONG_LEASE_S, attempt_timeout_s=PATIENT_S):
        await receiver.until(lambda: len(receiver.received) == len(made), timeout_s=20)
        async with shop.relay(lease_s=LONG_LEASE_S):
            async with asyncio.timeout(20):
                while not await shop.fetch("select from relay_workers having count(*) = 2"):  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            assert not await shop.fetch(HOLDERS, 32), "what is under way is not taken away"
            answer.set()
            await until_held(shop, 2)
    assert len(receiver.received) == len(made), "nothing was sent by two"

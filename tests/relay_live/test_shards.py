"""Workers that come and go: shards change hands in a moment, not when the next lease is due."""

from __future__ import annotations

import asyncio

from tests.relay_live.receiver import Receiver
from tests.relay_live.shop import Shop

LONG_LEASE_S = 600.0
"""So that nobody renews within the test: only notices can move a shard."""
ENDPOINTS = 8
HOLDERS = "select owner from relay_shards where owner is not null group by owner having count(*) = $1"


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

    async with shop.relay(lease_s=LONG_LEASE_S):
        await until_held(shop, 1)
        await tell("alone", 50)
        async with shop.relay(lease_s=LONG_LEASE_S):
            await until_held(shop, 2)
            await tell("together", 50)
        await until_held(shop, 1)
        await tell("alone_again", 50)
    assert not await shop.fetch(HOLDERS, 64), "the last one gave everything back"
    assert len(receiver.received) == 3 * 50 * ENDPOINTS, "nothing was sent by two"
    assert receiver.forged == []

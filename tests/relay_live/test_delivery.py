"""Deliveries over real sockets and a real database: told once, in order, and nobody waits for a stranger."""

from __future__ import annotations

import asyncio

from tests.relay_live.receiver import Receiver
from tests.relay_live.shop import Shop


async def test_events_arrive_signed_in_order_with_the_bytes_of_the_log(
    shop: Shop, receiver: Receiver
) -> None:
    endpoint = await shop.endpoint(receiver)
    async with shop.relay():
        events = await shop.publish("dep_a", "dep_a", "dep_b")
        events += await shop.publish("dep_a")
        await receiver.until(lambda: len(receiver.received) == 4)
        await shop.settled(endpoint, 4)
    by_sequence = {one.event["sequence"]: one for one in receiver.received}
    for event in events:
        assert by_sequence[event.sequence].body == event.body
        assert by_sequence[event.sequence].headers["chainbell-prev-sequence"] == str(event.sequence - 1)
    versions = [
        one.event["sequence"] for one in receiver.received if one.event["data"]["deposit"]["id"] == "dep_a"
    ]
    assert versions == [1, 2, 4]
    assert receiver.forged == []
    assert await shop.fetch("select * from delivery_attempts") == []

"""Many endpoints at one host, on real sockets: it gets no more than it may, and every merchant has its turn."""

from __future__ import annotations

import asyncio
from uuid import UUID

from aiohttp import web

from tests.relay_live.name_server import serve_names
from tests.relay_live.receiver import Received, Receiver
from tests.relay_live.shop import Shop

NEIGHBOUR = UUID(int=78)
PLACES = 3


class Slow:
    """Answers one request after the other, when the test says so."""

    def __init__(self) -> None:
        self.turns = asyncio.Semaphore(0)
        self.under_way = 0
        self.most = 0

    def hurry(self) -> None:
        """Answer all there are, and all that come."""
        for _ in range(1_000):
            self.turns.release()

    async def __call__(self, _received: Received) -> web.StreamResponse:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await self.turns.acquire()
        self.under_way -= 1
        return web.Response(status=204)


async def test_one_host_gets_a_bounded_number_at_once_and_merchants_take_turns(
    shop: Shop, receiver: Receiver
) -> None:
    receiver.answer = slow = Slow()
    async with serve_names({"big.test": ["127.0.0.1"]}) as names:
        shop.name_servers = [names.place]
        for path in ("a", "b", "c"):
            await shop.endpoint(f"http://big.test:{receiver.port}/{path}")
        await shop.endpoint(f"http://big.test:{receiver.port}/neighbour", merchant=NEIGHBOUR)
        await shop.publish(*[f"dep_{number}" for number in range(30)])
        await shop.publish("dep_n", "dep_m", merchant=NEIGHBOUR)
        async with shop.relay(host_in_flight_max=PLACES, attempt_timeout_s=30.0):
            await receiver.until_received(PLACES)
            for _ in range(12):  # of the ninety that wait, few go before the neighbour's two
                before = len(receiver.received)
                slow.turns.release()
                await receiver.until_received(before + 1)
            assert [one.path for one in receiver.received].count("/neighbour") == 2
            slow.hurry()
            await receiver.until_received(92)
    assert slow.most == PLACES


async def test_receivers_on_this_machine_are_not_counted_together(shop: Shop, receiver: Receiver) -> None:
    receiver.answer = slow = Slow()
    await shop.endpoint(receiver)
    await shop.publish(*[f"dep_{number}" for number in range(30)])
    async with shop.relay(host_in_flight_max=1, attempt_timeout_s=30.0):
        await receiver.until(lambda: slow.under_way > 1)
        slow.hurry()

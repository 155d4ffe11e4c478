"""The machine's clock is set back by an hour under a running relay: nothing waits for that hour to pass again."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web

from relay import service
from relay.settings import RetrySettings
from tests.relay_live.receiver import Received, Receiver
from tests.relay_live.shop import Shop

HOUR = timedelta(hours=1)


class Clock:
    """The machine's, until it is set back."""

    def __init__(self) -> None:
        self.back = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) - self.back


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(service, "utc_now", made)
    return made


async def test_an_endpoint_with_a_rate_is_sent_to_without_a_pause(
    shop: Shop, receiver: Receiver, clock: Clock
) -> None:
    endpoint = await shop.endpoint(receiver, rate_per_s=50)
    async with shop.relay():
        await shop.publish("dep_a", "dep_b", "dep_c")
        await shop.settled(endpoint, 3)
        clock.back = HOUR
        await shop.publish("dep_d", "dep_e", "dep_f")
        await shop.settled(endpoint, 6)


async def test_who_asked_for_patience_is_tried_after_it_or_sooner(
    shop: Shop, receiver: Receiver, clock: Clock
) -> None:
    async def throttle(_received: Received) -> web.Response:
        return web.Response(status=429, headers={"Retry-After": "2"})

    receiver.answer, well = throttle, receiver.answer
    endpoint = await shop.endpoint(receiver)
    async with shop.relay():
        await shop.publish("dep_a")
        while not await shop.fetch("select from delivery_exceptions where state = 'retrying'"):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        clock.back = HOUR
        receiver.answer = well
        await shop.publish("dep_b")
        await shop.settled(endpoint, 2)


async def test_a_failing_endpoint_is_probed_on(shop: Shop, receiver: Receiver, clock: Clock) -> None:
    async def fail(_received: Received) -> web.Response:
        return web.Response(status=500)

    receiver.answer, well = fail, receiver.answer
    endpoint = await shop.endpoint(receiver)
    quick = RetrySettings(
        schedule_s=(3600,), jitter=0.0, probe_schedule_s=(1, 3, 3, 3), failing_objects_max=2
    )
    async with shop.relay(retry=quick):
        await shop.publish("dep_a", "dep_b", "dep_c")
        await shop.until_row("state = 'failing'", endpoint)
        await receiver.until_received(4)
        await asyncio.sleep(0.3)  # so that this probe, too, is over
        clock.back = HOUR
        receiver.answer = well
        await shop.settled(endpoint, 4)

"""A running relay under which a day of the log goes: what its lanes do about it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from aiohttp import web

from relay.log import audit
from relay.log import eventlog as log
from relay.log.prune import Pruned
from relay.settings import RetrySettings
from tests.pruning import prune
from tests.relay_live.receiver import Received, Receiver
from tests.relay_live.shop import MERCHANT, SETTINGS, Shop

LIMITS = replace(SETTINGS, retention_days=10, retention_max_days=30)
LOST = 2


async def refuse_what_will_be_lost(received: Received) -> web.Response:
    return web.Response(status=500 if received.event["sequence"] <= LOST else 204)


async def test_an_endpoint_that_lost_a_day_goes_on_behind_it(shop: Shop, receiver: Receiver) -> None:
    """What its lane holds in memory goes with the day: it begins again, and tries what waited for the lost events."""
    now = datetime.now(UTC)
    endpoint = await shop.endpoint(receiver)
    await shop.publish("dep_a", "dep_b", now=now - timedelta(days=100))
    await shop.publish("dep_a", "dep_c")
    receiver.answer = refuse_what_will_be_lost
    async with shop.relay(retry=RetrySettings(schedule_s=(3600,))):
        await receiver.until(lambda: {1, 2, 4} <= set(receiver.sequences))
        async with shop.pool.acquire() as conn:
            await log.make_partitions(conn, now=now)
            assert await prune(conn, LIMITS, now - timedelta(days=8), on_alert=shop.alert) is Pruned.DONE
            await receiver.until(lambda: 5 in receiver.sequences)  # the warning
            assert 3 not in receiver.sequences
            assert await prune(conn, LIMITS, now, on_alert=shop.alert) is Pruned.DONE
        await receiver.until(lambda: {3, 7} <= set(receiver.sequences))
        await shop.settled(endpoint, 7)
    async with shop.pool.acquire() as conn:
        assert await audit.verify_log(conn, MERCHANT) == []
    types = {one.event["sequence"]: one.event["type"] for one in receiver.received}
    assert [types[n] for n in (5, 6, 7)] == [*["endpoint.retention_warning"] * 2, "endpoint.events_lost"]
    losses = await shop.fetch("select first_sequence, last_sequence, events from endpoint_losses")
    assert [tuple(row) for row in losses] == [(1, LOST, 2)]
    kinds = [kind for kind, _ in shop.alerts]
    assert kinds == [*["retention-warning"] * 2, "events-lost"]
    lost = shop.alerts[-1][1]
    assert (lost["first_sequence"], lost["last_sequence"], lost["reason"]) == (1, LOST, "undelivered")

"""Killed, cut off, stopped, joined by others: at most repeated under the same id, never lost, never changed."""

from __future__ import annotations

import asyncio
import random
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from relay.log import audit
from tests.relay_live.receiver import Received, Receiver
from tests.relay_live.shop import Shop

DISK_FULL = (
    "create sequence refused",  # counts what is rolled back, too
    """create function refuse() returns trigger language plpgsql as $$
    begin
      perform nextval('refused');
      raise exception 'planted' using errcode = 'disk_full';
    end $$""",
    "create trigger disk_full before update on endpoint_cursors for each statement execute function refuse()",
)


async def count_refused(shop: Shop) -> int:
    (row,) = await shop.fetch("select case when is_called then last_value else 0 end as count from refused")
    return int(row["count"])


@asynccontextmanager
async def worker_process(
    database_url: str, settle_delay_s: float
) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.relay_live.worker_process", database_url, str(settle_delay_s)
    )
    yield process
    if process.returncode is None:
        process.kill()
    await process.wait()


async def test_killed_between_send_and_settle_it_sends_the_same_id_and_bytes_again(
    shop: Shop, receiver: Receiver, database_url: str
) -> None:
    endpoint = await shop.endpoint(receiver)
    (event,) = await shop.publish("dep_a")
    async with worker_process(database_url, settle_delay_s=30) as process:
        await receiver.until(lambda: len(receiver.received) == 1, timeout_s=30)
        process.kill()
        await process.wait()
    async with shop.relay():
        await receiver.until(lambda: len(receiver.received) == 2, timeout_s=20)
        await shop.settled(endpoint, 1)
    assert [one.body for one in receiver.received] == [event.body, event.body]
    assert len({one.headers["webhook-id"] for one in receiver.received}) == 1
    assert receiver.forged == []


async def test_killed_again_and_again_under_load_it_loses_nothing_and_changes_nothing(
    shop: Shop, receiver: Receiver, database_url: str, rng: random.Random
) -> None:
    endpoint = await shop.endpoint(receiver)

    refused: Counter[str] = Counter()

    async def moody(received: Received) -> web.StreamResponse:
        await asyncio.sleep(rng.random() * 0.02)
        webhook_id = received.headers["webhook-id"]
        is_refused = rng.random() < 0.1 and refused[webhook_id] < len(shop.settings.retry.schedule_s)
        refused[webhook_id] += is_refused  # never so often that we give up: this is about what is lost
        return web.Response(status=500 if is_refused else 200)

    receiver.answer = moody
    bodies: dict[int, bytes] = {}
    for round_ in range(4):
        for _ in range(5):
            events = await shop.publish(*[f"dep_{rng.randrange(20)}" for _ in range(20)])
            bodies |= {event.sequence: event.body for event in events}
        seen = len(receiver.received)
        async with worker_process(database_url, settle_delay_s=0.05) as process:
            await receiver.until_received(seen + 20 + round_, timeout_s=30)
            await asyncio.sleep(rng.random() * 0.2)
            process.kill()
    async with shop.relay():
        await shop.settled(endpoint, 400, timeout_s=60)
    assert {one.event["sequence"] for one in receiver.received} == set(bodies)
    assert all(one.body == bodies[one.event["sequence"]] for one in receiver.received)
    assert receiver.forged == []


async def test_while_nothing_can_be_written_no_more_is_sent_than_a_crash_may_repeat(
    shop: Shop, receiver: Receiver
) -> None:
    window_events_max = shop.settings.lane.window_events_max
    endpoint = await shop.endpoint(receiver, max_in_flight=200)
    total = 3 * window_events_max
    await shop.publish(*[f"dep_{number}" for number in range(total)])
    for statement in DISK_FULL:
        await shop.fetch(statement)
    async with shop.relay():
        await receiver.until_received(window_events_max, timeout_s=30)
        refused_before = await count_refused(shop)
        async with asyncio.timeout(30):
            while await count_refused(shop) < refused_before + 3:  # noqa: ASYNC110  # the database counts
                await asyncio.sleep(0.02)
        assert sorted(receiver.sequences) == list(range(1, window_events_max + 1))
        await shop.fetch("drop trigger disk_full on endpoint_cursors")
        await shop.settled(endpoint, total, timeout_s=30)
    assert sorted(receiver.sequences) == list(range(1, total + 1))


async def test_two_workers_share_the_endpoints_and_send_everything_once(shop: Shop) -> None:
    receivers = [Receiver() for _ in range(6)]
    for one in receivers:
        await one.__aenter__()
    made = [await shop.endpoint(one) for one in receivers]
    async with shop.relay(), shop.relay():
        await asyncio.sleep(2.5)
        for _ in range(10):
            await shop.publish(*[f"dep_{n}" for n in range(10)])
        for endpoint in made:
            await shop.settled(endpoint, 100, timeout_s=30)
        owners = await shop.fetch("select owner, count(*) as n from relay_shards group by owner")
    for one in receivers:
        assert sorted(one.sequences) == list(range(1, 101))
        await one.__aexit__()
    assert [row["n"] for row in owners] == [32, 32]


async def test_a_stopped_worker_hands_over_at_once_and_nothing_is_sent_twice(
    shop: Shop, receiver: Receiver
) -> None:
    endpoint = await shop.endpoint(receiver)

    async def slow(_received: Received) -> web.StreamResponse:
        await asyncio.sleep(0.3)
        return web.Response()

    receiver.answer = slow
    loop = asyncio.get_running_loop()
    async with shop.relay(stop_timeout_s=60.0) as service:
        await shop.publish(*[f"dep_{n}" for n in range(30)])
        await receiver.until(lambda: len(receiver.received) >= 4)
        stopped_at = loop.time()
        service.stop()
    assert loop.time() - stopped_at < 30
    assert await shop.fetch("select * from relay_shards where owner is not null") == []
    async with shop.relay():
        await shop.settled(endpoint, 30, timeout_s=20)
    assert sorted(receiver.sequences) == list(range(1, 31))


async def test_a_stop_does_not_wait_for_a_receiver_that_hangs(shop: Shop, receiver: Receiver) -> None:
    async def hang(_received: Received) -> web.StreamResponse:
        await asyncio.sleep(60)
        return web.Response()

    receiver.answer = hang
    endpoint = await shop.endpoint(receiver)
    loop = asyncio.get_running_loop()
    async with shop.relay(attempt_timeout_s=60.0, stop_timeout_s=1.0) as service:
        await shop.publish("dep_a", "dep_b")
        await receiver.until(lambda: len(receiver.received) == 2)
        stopped_at = loop.time()
        service.stop()
    assert loop.time() - stopped_at < 30
    receiver.answer = Receiver().answer
    async with shop.relay():
        await receiver.until(lambda: len(receiver.received) == 4)
        await shop.settled(endpoint, 2)


async def test_connections_that_break_are_replaced_and_nothing_is_lost(
    shop: Shop, receiver: Receiver
) -> None:
    endpoint = await shop.endpoint(receiver)
    async with shop.relay():
        for _ in range(5):
            await shop.publish(*[f"dep_{n}" for n in range(20)])
            await shop.fetch(
                """select pg_terminate_backend(pid) from pg_stat_activity
                where pid <> pg_backend_pid() and datname = current_database()
                and backend_type = 'client backend'"""
            )
            await asyncio.sleep(0.1)
        await shop.settled(endpoint, 100, timeout_s=30)
    assert set(receiver.sequences) == set(range(1, 101))


async def test_a_commit_reaches_the_receiver_within_milliseconds(shop: Shop, receiver: Receiver) -> None:
    await shop.endpoint(receiver)
    loop = asyncio.get_running_loop()
    waits = []
    async with shop.relay(poll_interval_s=5.0, refresh_interval_s=0.2):
        await asyncio.sleep(0.5)
        for number in range(50):
            await shop.publish(f"dep_{number}")
            committed_at = loop.time()
            await receiver.until_received(number + 1)
            waits.append(receiver.received[-1].at_s - committed_at)
    waits.sort()
    assert waits[len(waits) // 2] < 0.05, waits


async def test_the_log_stays_sound_while_chains_publish_and_endpoints_fail(
    shop: Shop, receiver: Receiver
) -> None:
    async def gone_sometimes(received: Received) -> web.StreamResponse:
        return web.Response(status=410 if received.event["sequence"] % 50 == 0 else 200)

    receiver.answer = gone_sometimes
    for _ in range(3):
        await shop.endpoint(receiver)

    async def chain(name: str) -> None:
        for number in range(30):
            await shop.publish(f"dep_{name}_{number % 5}", f"dep_{name}_x")

    async with shop.relay():
        async with asyncio.TaskGroup() as group:
            for name in "abc":
                group.create_task(chain(name))
        await asyncio.sleep(0.5)
    async with shop.pool.acquire() as conn:
        assert await audit.verify_logs(conn) == []
    assert await shop.fetch("select * from endpoints where state = 'paused'")

"""Deliveries over real sockets and a real database: told once, in order, and nobody waits for a stranger."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime

import pytest
import standardwebhooks
from aiohttp import web

from relay.desk import endpoints, redeliver
from relay.desk.ping import load_target, send_ping
from relay.log import audit
from relay.model import OutcomeKind, delivery_id_of
from relay.out.egress import Egress
from tests.relay_live import hostile
from tests.relay_live.receiver import Received, Receiver, accept, refuse
from tests.relay_live.shop import MERCHANT, RULES, Shop


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
    versions = [one.event["sequence"] for one in receiver.received if one.object_id == "dep_a"]
    assert versions == [1, 2, 4]
    assert receiver.forged == []
    assert await shop.fetch("select * from delivery_attempts") == []


async def test_housekeeping_that_fails_for_good_stops_no_delivery(shop: Shop, receiver: Receiver) -> None:
    await shop.pool.execute("alter function make_events_partition rename to mislaid")
    endpoint = await shop.endpoint(receiver)
    async with shop.relay():
        await shop.publish("dep_a", "dep_b")
        await shop.settled(endpoint, 2)
    assert receiver.sequences == [1, 2]


async def test_the_reference_library_believes_what_arrives(shop: Shop, receiver: Receiver) -> None:
    await shop.endpoint(receiver, headers={"x-shop": "7"})
    async with shop.relay():
        await shop.publish("dep_a")
        await receiver.until(lambda: len(receiver.received) == 1)
    (got,) = receiver.received
    assert standardwebhooks.Webhook(receiver.secrets[0]).verify(got.body, dict(got.headers)) == got.event
    assert got.headers["Content-Type"] == "application/json"
    assert got.headers["webhook-id"] == got.event["id"]
    assert got.headers["x-shop"] == "7"


async def test_a_failed_delivery_is_tried_again_with_the_same_id_and_bytes(
    shop: Shop, receiver: Receiver
) -> None:
    endpoint = await shop.endpoint(receiver)
    receiver.answer = refuse(500)
    async with shop.relay():
        await shop.publish("dep_a")
        await receiver.until(lambda: len(receiver.received) == 1)
        receiver.answer = accept
        await receiver.until(lambda: len(receiver.received) == 2)
        await shop.settled(endpoint, 1)
    first, second = receiver.received
    assert (first.body, first.headers["webhook-id"]) == (second.body, second.headers["webhook-id"])
    assert first.headers["chainbell-delivery"] == second.headers["chainbell-delivery"]
    assert 0.9 < second.at_s - first.at_s < 3
    assert int(second.headers["webhook-timestamp"]) > int(first.headers["webhook-timestamp"])
    assert receiver.forged == []
    attempts = await shop.fetch(
        "select number, outcome, status_code, excerpt from delivery_attempts order by 1"
    )
    assert [tuple(row) for row in attempts] == [(1, "server_error", 500, b"no"), (2, "delivered", 204, b"")]


async def test_only_the_same_object_waits_for_a_failed_delivery(shop: Shop, receiver: Receiver) -> None:
    endpoint = await shop.endpoint(receiver)

    async def refuse_a(received: Received) -> web.StreamResponse:
        return web.Response(status=500 if received.object_id == "dep_a" else 200)

    receiver.answer = refuse_a
    async with shop.relay():
        await shop.publish("dep_a", "dep_b", "dep_a", "dep_c", "dep_b")
        await receiver.until(lambda: {2, 4, 5} <= set(receiver.sequences))
        assert 3 not in receiver.sequences
        receiver.answer = accept
        await receiver.until(lambda: 3 in receiver.sequences)
        await shop.settled(endpoint, 5)
    assert [sequence for sequence in receiver.sequences if sequence in {1, 3}][-2:] == [1, 3]


async def test_when_all_retries_fail_it_is_exhausted_told_and_can_be_sent_again(
    shop: Shop, receiver: Receiver
) -> None:
    endpoint = await shop.endpoint(receiver)

    async def refuse_first(received: Received) -> web.StreamResponse:
        return web.Response(status=400 if received.event["sequence"] == 1 else 200)

    receiver.answer = refuse_first
    async with shop.relay():
        await shop.publish("dep_a", "dep_a")
        await receiver.until(lambda: 2 in receiver.sequences, timeout_s=20)
        assert receiver.sequences == [1, 1, 1, 1, 2]
        rows = await shop.fetch("select * from delivery_exceptions where sequence = 1")
        assert [(row["sequence"], row["state"], row["attempts"]) for row in rows] == [(1, "exhausted", 4)]
        assert [kind for kind, _ in shop.alerts] == ["delivery-exhausted"]
        assert shop.alerts[0][1]["sequence"] == 1
        receiver.answer = accept
        async with shop.pool.acquire() as conn, conn.transaction():
            delivery_id = delivery_id_of(endpoint.endpoint_id, rows[0]["event_id"])
            await redeliver.retry_delivery(conn, MERCHANT, delivery_id, now=datetime.now(UTC))
        await receiver.until(lambda: receiver.sequences[-1] == 1)
        await shop.settled(endpoint, 2)


async def test_everything_given_up_while_the_receiver_was_broken_is_sent_again_by_one_call(
    shop: Shop, receiver: Receiver
) -> None:
    endpoint = await shop.endpoint(receiver)
    receiver.answer = refuse(400)
    broken_at = datetime.now(UTC)
    async with shop.relay():
        await shop.publish(*[f"dep_{number}" for number in range(5)])

        async def given_up() -> int:
            (row,) = await shop.fetch("select count(*) from delivery_exceptions where state = 'exhausted'")
            return int(row["count"])

        async with asyncio.timeout(30):
            while await given_up() < 5:  # noqa: ASYNC110  (another process writes it)
                await asyncio.sleep(0.05)
        first = {one.event["sequence"]: one.body for one in receiver.received}
        receiver.answer, receiver.received = accept, []
        async with shop.pool.acquire() as conn, conn.transaction():
            accepted = await redeliver.replay_exhausted(
                conn, MERCHANT, endpoint.endpoint_id, since=broken_at, now=datetime.now(UTC)
            )
        assert accepted.deliveries == 5
        await receiver.until_received(5)
        await shop.settled(endpoint, 5)
    assert {one.event["sequence"]: one.body for one in receiver.received} == first


@pytest.mark.parametrize("behaviour", [hostile.hang, hostile.drip_headers])
async def test_a_black_hole_slows_nobody_else(
    shop: Shop, receiver: Receiver, behaviour: hostile.Behaviour
) -> None:
    async with hostile.hostile(behaviour) as hole, shop.relay():
        await shop.endpoint(receiver)
        for _ in range(5):
            await shop.endpoint(hole.url)
        await shop.publish("dep_warm")
        await receiver.until(lambda: len(receiver.received) == 1)
        loop = asyncio.get_running_loop()
        waits = []
        for number in range(60):
            published_at = loop.time()
            await shop.publish(f"dep_{number}")
            await receiver.until_received(number + 2)
            waits.append(loop.time() - published_at)
        waits.sort()
        assert waits[-1] < 1.5, waits[-5:]
        assert waits[len(waits) // 2] < 0.2
        parked = "select sequence from delivery_exceptions where state = 'sending'"
        async with asyncio.timeout(10):
            while not await shop.fetch(parked):  # what hangs gets a row, so that the cursor passes it
                await shop.publish("dep_more")
                await asyncio.sleep(0.2)


async def test_410_pauses_until_resumed_and_keeps_the_place(shop: Shop, receiver: Receiver) -> None:
    endpoint = await shop.endpoint(receiver)
    receiver.answer = refuse(410)
    async with Receiver() as other, shop.relay():
        await shop.endpoint(other, event_types=("endpoint.paused", "endpoint.resumed"))
        await shop.publish("dep_a", "dep_a")
        await other.until(lambda: len(other.received) == 1)
        assert other.received[0].event["type"] == "endpoint.paused"
        await shop.publish("dep_b")
        await asyncio.sleep(1.5)
        assert receiver.sequences == [1]
        receiver.answer = accept
        async with shop.pool.acquire() as conn, conn.transaction():
            await endpoints.resume_endpoint(
                conn, shop.box, MERCHANT, endpoint.endpoint_id, now=datetime.now(UTC)
            )
        await other.until(lambda: len(other.received) == 2)
        assert other.received[1].event["type"] == "endpoint.resumed"
        await receiver.until(lambda: {1, 2, 3, 4, 5} <= set(receiver.sequences))
        await shop.settled(endpoint, 5)
    assert await shop.fetch("select failures from delivery_exceptions") == []
    async with shop.pool.acquire() as conn:
        assert await audit.verify_logs(conn) == []


async def test_retry_after_is_obeyed_over_the_schedule(shop: Shop, receiver: Receiver) -> None:
    await shop.endpoint(receiver)
    receiver.answer = refuse(503, retry_after="3")
    async with shop.relay():
        await shop.publish("dep_a")
        await receiver.until(lambda: len(receiver.received) == 1)
        receiver.answer = accept
        await receiver.until(lambda: len(receiver.received) == 2)
    assert receiver.received[1].at_s - receiver.received[0].at_s > 2.9


async def test_a_filter_lets_through_what_it_names_and_changes_from_its_place_on(
    shop: Shop, receiver: Receiver
) -> None:
    endpoint = await shop.endpoint(receiver, event_types=("deposit.final",))
    async with shop.relay():
        await shop.publish("dep_a")
        await shop.publish("dep_a", type_="deposit.final")
        await shop.settled(endpoint, 2)
        async with shop.pool.acquire() as conn, conn.transaction():
            await endpoints.change_endpoint(
                conn,
                shop.box,
                MERCHANT,
                endpoint.endpoint_id,
                {"event_types": ("deposit.included",)},
                rules=RULES,
                now=datetime.now(UTC),
            )
        await shop.publish("dep_b", type_="deposit.final")
        await shop.publish("dep_b")
        await shop.settled(endpoint, 4)
    assert receiver.sequences == [2, 4]
    assert [one.headers["chainbell-prev-sequence"] for one in receiver.received] == ["0", "2"]


async def test_a_new_endpoint_starts_behind_the_log_or_where_it_asks(shop: Shop, receiver: Receiver) -> None:
    await shop.publish("dep_a", "dep_b", "dep_c")
    endpoint = await shop.endpoint(receiver)
    async with Receiver() as reader, shop.relay():
        await shop.endpoint(reader, from_sequence=2)
        await shop.publish("dep_d")
        await shop.settled(endpoint, 4)
        await reader.until(lambda: len(reader.received) == 3)
    assert receiver.sequences == [4]
    assert sorted(reader.sequences) == [2, 3, 4]


async def test_a_replay_sends_the_same_bytes_again_and_leaves_the_cursor_alone(
    shop: Shop, receiver: Receiver
) -> None:
    endpoint = await shop.endpoint(receiver)
    async with shop.relay():
        await shop.publish(*[f"dep_{n % 7}" for n in range(250)])
        await shop.settled(endpoint, 250, timeout_s=30)
        first = {one.event["sequence"]: one.body for one in receiver.received}
        receiver.received.clear()
        async with shop.pool.acquire() as conn, conn.transaction():
            accepted = await redeliver.replay(
                conn, MERCHANT, endpoint.endpoint_id, from_sequence=20, to_sequence=240, now=datetime.now(UTC)
            )
        assert (accepted.from_sequence, accepted.to_sequence) == (20, 240)
        await receiver.until(lambda: len(receiver.received) == 221, timeout_s=30)
        await shop.publish("dep_new")
        await receiver.until(lambda: 251 in receiver.sequences)
        await shop.settled(endpoint, 251)
    assert sorted(receiver.sequences) == [*range(20, 241), 251]
    assert all(one.body == first[one.event["sequence"]] for one in receiver.received[:-1])
    by_object: dict[str, list[int]] = {}
    for one in receiver.received:
        by_object.setdefault(one.object_id, []).append(one.event["sequence"])
    assert all(sequences == sorted(sequences) for sequences in by_object.values())


async def test_deliveries_of_a_disabled_merchant_wait_and_then_go_on(shop: Shop, receiver: Receiver) -> None:
    endpoint = await shop.endpoint(receiver)
    async with shop.relay():
        async with shop.pool.acquire() as conn, conn.transaction():
            await endpoints.set_merchant_enabled(conn, MERCHANT, False, now=datetime.now(UTC))
        await asyncio.sleep(0.3)
        await shop.publish("dep_a")
        await asyncio.sleep(1.0)
        assert receiver.received == []
        async with shop.pool.acquire() as conn, conn.transaction():
            await endpoints.set_merchant_enabled(conn, MERCHANT, True, now=datetime.now(UTC))
        await receiver.until(lambda: len(receiver.received) == 1)
        await shop.settled(endpoint, 1)


async def test_a_rotated_secret_signs_beside_the_old_one_while_they_overlap(
    shop: Shop, receiver: Receiver
) -> None:
    endpoint = await shop.endpoint(receiver)
    async with shop.relay():
        async with shop.pool.acquire() as conn, conn.transaction():
            new = await endpoints.rotate_secret(
                conn, shop.box, MERCHANT, endpoint.endpoint_id, overlap_s=60, now=datetime.now(UTC)
            )
        await asyncio.sleep(0.3)
        await shop.publish("dep_a")
        await receiver.until(lambda: len(receiver.received) == 1)
        (got,) = receiver.received
        for secret in (receiver.secrets[0], new):
            assert standardwebhooks.Webhook(secret).verify(got.body, dict(got.headers))
        async with shop.pool.acquire() as conn, conn.transaction():
            newest = await endpoints.rotate_secret(
                conn, shop.box, MERCHANT, endpoint.endpoint_id, overlap_s=0, now=datetime.now(UTC)
            )
        await asyncio.sleep(0.3)
        await shop.publish("dep_a")
        await receiver.until(lambda: len(receiver.received) == 2)
        got = receiver.received[1]
        assert standardwebhooks.Webhook(newest).verify(got.body, dict(got.headers))
        with pytest.raises(standardwebhooks.WebhookVerificationError):
            standardwebhooks.Webhook(new).verify(got.body, dict(got.headers))


async def test_a_ping_goes_to_one_endpoint_only_and_says_what_became_of_it(
    shop: Shop, receiver: Receiver
) -> None:
    endpoint = await shop.endpoint(receiver)
    async with Receiver() as other, shop.relay():
        await shop.endpoint(other)
        async with shop.pool.acquire() as conn:
            target, log_epoch = await load_target(conn, shop.box, MERCHANT, endpoint.endpoint_id)
        async with Egress(timeout_s=2, allow_private_networks=True) as egress:
            outcome = await send_ping(
                egress, target, merchant_id=MERCHANT, log_epoch=log_epoch, now=datetime.now(UTC)
            )
        assert (outcome.kind, outcome.status_code) == (OutcomeKind.DELIVERED, 204)
        await asyncio.sleep(0.3)
        assert other.received == []
    (got,) = receiver.received
    assert (got.event["type"], got.event["sequence"]) == ("test.ping", None)
    assert "chainbell-prev-sequence" not in got.headers
    assert receiver.forged == []
    assert await shop.fetch("select * from events") == []


async def test_custom_headers_and_secrets_are_nowhere_in_the_database_in_plain(
    shop: Shop, receiver: Receiver
) -> None:
    await shop.endpoint(receiver, headers={"authorization": "Bearer open-sesame"})
    dump = json.dumps(
        [
            [repr(value) for value in row.values()]
            for table in ("endpoints", "endpoint_secrets", "endpoint_keys")
            for row in await shop.fetch(f"select * from {table}")
        ]
    )
    assert "open-sesame" not in dump
    assert receiver.secrets[0][6:] not in dump

"""A running relay signs logs by itself, sends checkpoints to who asked, and tells the operator of a log that lies."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

from migrations.ids import encode_id
from relay import service as service_module
from relay import verify_log
from relay.proof import checkpoints
from tests.relay_live.receiver import Receiver
from tests.relay_live.shop import MERCHANT, Shop

OTHER = UUID(int=78)


async def test_a_checkpoint_arrives_signed_twice_once_by_the_log_and_once_as_a_webhook(
    shop: Shop, receiver: Receiver
) -> None:
    await shop.endpoint(receiver, event_types=("deposit.included", "log.checkpoint"))
    told = await shop.publish("dep_a", "dep_b")
    async with shop.relay():
        await receiver.until(lambda: len(receiver.received) == 3)
    assert receiver.forged == []
    (event,) = [one.event for one in receiver.received if one.event["type"] == "log.checkpoint"]
    shown = event["data"]["checkpoint"]
    checkpoint = verify_log.verify_checkpoint(
        shown["note"], merchant_id=encode_id("mer", MERCHANT), public_key=shown["public_key"]
    )
    verify_log.verify_bodies([one.body for one in told], checkpoint)


async def test_a_log_that_contradicts_what_was_signed_is_told_once_and_holds_up_no_other(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_module, "SIGNING_INTERVAL_S", 0.05)
    monkeypatch.setattr(checkpoints, "INTERVAL", checkpoints.INTERVAL * 0)
    monkeypatch.setattr(service_module, "UNSIGNED_AGAIN", service_module.UNSIGNED_AGAIN * 1000)
    await shop.publish("dep_a", "dep_b")

    async def sizes(merchant: UUID) -> list[int]:
        rows = await shop.fetch(
            "select size from log_checkpoints where merchant_id = $1 order by 1", merchant
        )
        return [row["size"] for row in rows]

    async with shop.relay(), asyncio.timeout(20):
        while await sizes(MERCHANT) != [2]:  # noqa: ASYNC110  # the database changes it
            await asyncio.sleep(0.02)
        async with shop.pool.acquire() as conn, conn.transaction():
            await conn.execute("alter table events disable trigger user")
            await conn.execute("update events set body = body || ' ' where sequence = 1")
            await conn.execute("alter table events enable trigger user")
        await shop.publish("dep_a")
        for signed in (1, 2, 3):
            await shop.publish("dep_c", merchant=OTHER)
            while len(await sizes(OTHER)) < signed:  # noqa: ASYNC110  # the database changes it
                await asyncio.sleep(0.02)
    assert await sizes(MERCHANT) == [2]
    assert shop.alerts == [
        (
            "log-not-signed",
            {
                "merchant_id": encode_id("mer", MERCHANT),
                "detail": "the first 2 events are not those that were signed",
            },
        )
    ]

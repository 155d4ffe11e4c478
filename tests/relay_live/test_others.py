"""What the relay really sends is accepted by the packages merchants install, also while a secret changes."""

from __future__ import annotations

from dataclasses import replace

from relay.desk import endpoints
from relay.desk.endpoints import Endpoint
from relay.keys import signing
from relay.service import utc_now
from tests.relay_live.others import ALL, NONE, Case, judge
from tests.relay_live.receiver import Received, Receiver
from tests.relay_live.shop import MERCHANT, Shop

STRANGE = signing.encode_secret(bytes(32))


async def rotate(shop: Shop, endpoint: Endpoint, overlap_s: int) -> str:
    """A new secret for this endpoint."""
    async with shop.pool.acquire() as conn, conn.transaction():
        return await endpoints.rotate_secret(
            conn, shop.box, MERCHANT, endpoint.endpoint_id, overlap_s=overlap_s, now=utc_now()
        )


async def deliver_one(shop: Shop, receiver: Receiver, object_id: str) -> Received:
    """Publish one event and have it delivered."""
    before = len(receiver.received)
    async with shop.relay():
        await shop.publish(object_id)
        await receiver.until_received(before + 1)
    return receiver.received[-1]


def case(secret: str, sent: Received) -> Case:
    return Case(secret, sent.headers, sent.body)


async def test_every_package_verifies_with_the_old_and_with_the_new_secret_during_the_overlap(
    shop: Shop, receiver: Receiver
) -> None:
    endpoint = await shop.endpoint(receiver)
    (first,) = receiver.secrets
    second = await rotate(shop, endpoint, 3600)
    sent = await deliver_one(shop, receiver, "dep_ä")
    versions = [part.partition(",")[0] for part in sent.headers["webhook-signature"].split(" ")]
    assert versions == ["v1", "v1", "v1a"]
    assert judge(case(first, sent), case(second, sent)) == [ALL, ALL]
    assert not receiver.forged


async def test_every_package_refuses_what_was_changed_and_a_secret_that_is_over(
    shop: Shop, receiver: Receiver
) -> None:
    endpoint = await shop.endpoint(receiver)
    (first,) = receiver.secrets
    second = await rotate(shop, endpoint, 0)
    receiver.secrets[:] = [second]
    sent = await deliver_one(shop, receiver, "dep_a")
    assert len(sent.headers["webhook-signature"].split(" ")) == 2
    later = {"webhook-timestamp": str(int(sent.headers["webhook-timestamp"]) + 1)}
    changed = [
        replace(sent, body=sent.body + b" "),
        replace(sent, headers={**sent.headers, "webhook-id": "evt_other"}),
        replace(sent, headers={**sent.headers, **later}),
    ]
    assert judge(case(second, sent), case(first, sent), case(STRANGE, sent)) == [ALL, NONE, NONE]
    assert judge(*[case(second, one) for one in changed]) == [NONE, NONE, NONE]

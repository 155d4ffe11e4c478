"""`/v1/deliveries`, and what is asked of an endpoint's deliveries: tests, challenges, replays, tries again.

Lives here: the handlers. Does not live here: deliveries (relay.desk.views), sending again (relay.desk.redeliver), the test event
(relay.desk.ping), the challenge (relay.desk.challenges).
"""

from __future__ import annotations

import secrets

import msgspec

from gateway.http.edge.calls import Answer, Call, json_answer
from gateway.http.edge.cursors import decode_numbered, page
from gateway.http.edge.decoding import in_utc
from gateway.http.resources.trail import acting_on, mine, note
from gateway.http.shapes.forms import shown
from gateway.http.shapes.relay import (
    AcceptedReplay,
    AttemptObject,
    DeliveryDetail,
    DeliveryObject,
    PingResult,
    ReplayDeposit,
    ReplayExhausted,
    ReplayRange,
    VerificationResult,
)
from migrations.handles import Connection
from migrations.ids import encode_id
from relay.desk import redeliver, views
from relay.desk.challenges import load_challenge, send_challenge, settle_challenge
from relay.desk.endpoints import load_endpoint
from relay.desk.ping import load_target, send_ping
from relay.desk.views import Delivery, DeliveryAttempt, DeliveryState
from relay.out.excerpts import show_excerpt


async def get_deliveries(call: Call) -> Answer:
    """List an endpoint's deliveries."""
    query = call.query
    endpoint_id = call.id("endpoint_id")
    async with call.pool.acquire() as conn:
        await load_endpoint(conn, call.services.box, call.merchant_id, endpoint_id)
        found = await views.load_deliveries(
            conn,
            endpoint_id,
            state=None if query.state is None else DeliveryState(query.state),
            after_sequence=decode_numbered("deliveries", query.after),
            limit=query.limit + 1,
        )
    listed = page(
        "deliveries", found, query.limit, place=lambda one: (one.event_at, one.sequence), view=_delivery
    )
    return json_answer(listed)


async def get_delivery(call: Call) -> Answer:
    """One delivery with its attempts."""
    async with call.pool.acquire() as conn:
        delivery, attempts = await views.load_delivery(conn, call.merchant_id, call.id("delivery_id"))
    return json_answer(_detail(delivery, attempts))


async def post_retry(call: Call) -> Answer:
    """Try one delivery again now."""
    async with call.pool.acquire() as conn, conn.transaction():
        delivery = await redeliver.retry_delivery(
            conn, call.merchant_id, call.id("delivery_id"), now=call.now
        )
        detail = {"delivery_id": call.path["delivery_id"].lower(), "sequence": delivery.sequence}
        await note(conn, call, "retry-asked", delivery.endpoint_id, detail)
    return json_answer(_delivery(delivery), 202)


async def post_replay(call: Call) -> Answer:
    """Deliver again: a stretch of the log, one deposit's events, or what was exhausted."""
    asked = {name: value for name, value in msgspec.structs.asdict(call.body).items() if value is not None}
    async with acting_on(call, "replay-asked", msgspec.to_builtins(asked)) as conn:
        accepted = await _replay(conn, call)
    view = shown(AcceptedReplay, accepted, endpoint_id=encode_id("end", accepted.endpoint_id))
    return json_answer(view, 202)


async def _replay(conn: Connection, call: Call) -> redeliver.Replay:
    asked: ReplayRange | ReplayDeposit | ReplayExhausted = call.body
    endpoint_id = call.id("endpoint_id")
    match asked:
        case ReplayDeposit(deposit_id=deposit_id):
            return await redeliver.replay_object(
                conn, call.merchant_id, endpoint_id, object_id=deposit_id.lower(), now=call.now
            )
        case ReplayExhausted(exhausted_since=since):
            return await redeliver.replay_exhausted(
                conn, call.merchant_id, endpoint_id, since=in_utc("/exhausted_since", since), now=call.now
            )
        case ReplayRange(from_sequence=first, to_sequence=last):
            return await redeliver.replay(
                conn, call.merchant_id, endpoint_id, from_sequence=first, to_sequence=last, now=call.now
            )


async def post_test(call: Call) -> Answer:
    """Send a test event to one endpoint, and say what became of it."""
    async with call.pool.acquire() as conn:
        target, log_epoch = await load_target(conn, *mine(call))
        await note(conn, call, "endpoint-tested", target.endpoint_id)
    assert call.services.egress is not None, "the gateway has a way out"
    outcome = await send_ping(
        call.services.egress, target, merchant_id=call.merchant_id, log_epoch=log_epoch, now=call.now
    )
    result = shown(PingResult, outcome, outcome=outcome.kind, excerpt=show_excerpt(outcome.excerpt))
    return json_answer(result)


async def post_verify(call: Call) -> Answer:
    """Ask whoever answers at an endpoint's URL to echo a challenge, now."""
    async with call.pool.acquire() as conn:
        challenge = await load_challenge(conn, *mine(call), text=secrets.token_urlsafe(32))
        await note(conn, call, "endpoint-challenged", challenge.target.endpoint_id)
    assert call.services.egress is not None, "the gateway has a way out"
    reply = await send_challenge(call.services.egress, challenge, now=call.now)
    async with call.pool.acquire() as conn, conn.transaction():
        await settle_challenge(conn, challenge, reply, now=call.now)
        endpoint = await load_endpoint(conn, *mine(call))
    result = shown(
        VerificationResult,
        reply.outcome,
        verification="pending" if endpoint.verification == "pending" else "verified",
        failure=reply.failure,
        outcome=reply.outcome.kind,
        excerpt=show_excerpt(reply.outcome.excerpt),
    )
    return json_answer(result)


def _delivery(delivery: Delivery) -> DeliveryObject:
    return shown(
        DeliveryObject,
        delivery,
        id=encode_id("dlv", delivery.delivery_id),
        endpoint_id=encode_id("end", delivery.endpoint_id),
        event_id=encode_id("evt", delivery.event_id),
        attempt_count=delivery.attempts,
        covered_by_sequence=delivery.covered_by,
    )


def _detail(delivery: Delivery, attempts: list[DeliveryAttempt]) -> DeliveryDetail:
    tries = [shown(AttemptObject, one, excerpt=show_excerpt(one.excerpt)) for one in attempts]
    return DeliveryDetail(attempts=tries, **msgspec.structs.asdict(_delivery(delivery)))

"""`/v1/endpoints`: where a merchant's webhooks go.

Lives here: the handlers. Does not live here: what an endpoint may be and what changes it (relay.desk.endpoints), deliveries
(`deliveries`). An endpoint's secret is in the answer that made it, and nowhere else.
"""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.event_types import EVENT_TYPES
from gateway.http.edge.calls import NO_CONTENT, Answer, Call, json_answer
from gateway.http.edge.cursors import decode_after, page
from gateway.http.resources.public_keys import view_public_key
from gateway.http.resources.trail import acting_on, describe_terms, mine, note
from gateway.http.shapes.forms import shown
from gateway.http.shapes.relay import (
    CreatedEndpoint,
    EndpointChanges,
    EndpointObject,
    EndpointSecret,
    NewEndpoint,
)
from migrations.ids import encode_id
from relay.desk import endpoints
from relay.desk.endpoints import Endpoint
from relay.desk.terms import EndpointTerms, Rules
from relay.keys import keyring
from relay.model import Drain


def rules_of(call: Call) -> Rules:
    """What the operator allows."""
    relay = call.services.settings.relay
    return Rules(EVENT_TYPES, relay.allow_private_networks, relay.allowed_ports, relay.asks_for_proof)


async def post_endpoint(call: Call) -> Answer:
    """Create an endpoint."""
    body: NewEndpoint = call.body
    given = _read_terms(body)
    given.pop("from_sequence")
    terms = EndpointTerms(**given)
    async with call.pool.acquire() as conn, conn.transaction():
        endpoint, secret = await endpoints.create_endpoint(
            conn,
            call.services.box,
            call.merchant_id,
            terms,
            rules=rules_of(call),
            from_sequence=None if body.from_sequence is None else max(1, body.from_sequence),
            now=call.now,
        )
        asked = {
            name: value for name, value in msgspec.structs.asdict(body).items() if value not in (None, "")
        }
        await note(conn, call, "endpoint-created", endpoint.endpoint_id, describe_terms(asked))
    created = CreatedEndpoint(secret=secret, **msgspec.structs.asdict(view_endpoint(endpoint)))
    return json_answer(created, 201)


async def get_endpoints(call: Call) -> Answer:
    """List endpoints."""
    after, limit = decode_after("endpoints", call.query.after), call.query.limit
    async with call.pool.acquire() as conn:
        found = await endpoints.load_endpoints(
            conn,
            call.services.box,
            call.merchant_id,
            after=None if after is None else after[1],
            limit=limit + 1,
        )
    return json_answer(
        page(
            "endpoints", found, limit, place=lambda one: (one.created_at, one.endpoint_id), view=view_endpoint
        )
    )


async def get_endpoint(call: Call) -> Answer:
    """One endpoint."""
    async with call.pool.acquire() as conn:
        endpoint = await endpoints.load_endpoint(conn, *mine(call))
    return json_answer(view_endpoint(endpoint))


async def patch_endpoint(call: Call) -> Answer:
    """Change some of an endpoint's terms."""
    given = _read_terms(call.body)
    async with acting_on(call, "endpoint-changed", describe_terms(given)) as conn:
        endpoint = await endpoints.change_endpoint(
            conn, *mine(call), given, rules=rules_of(call), now=call.now
        )
    return json_answer(view_endpoint(endpoint))


async def delete_one_endpoint(call: Call) -> Answer:
    """Delete an endpoint."""
    async with acting_on(call, "endpoint-deleted") as conn:
        await endpoints.delete_endpoint(conn, call.merchant_id, call.id("endpoint_id"), now=call.now)
    return NO_CONTENT


async def post_rotate_secret(call: Call) -> Answer:
    """Give an endpoint a new secret; the one before signs along for a while."""
    async with acting_on(call, "secret-rotated", {"overlap_s": call.body.overlap_s}) as conn:
        secret = await endpoints.rotate_secret(conn, *mine(call), overlap_s=call.body.overlap_s, now=call.now)
    return json_answer(EndpointSecret(secret=secret))


async def post_rotate_key(call: Call) -> Answer:
    """Give an endpoint a new signing key; the one before signs along for a while."""
    async with call.pool.acquire() as conn, conn.transaction():
        key = await keyring.rotate_key(conn, *mine(call), overlap_s=call.body.overlap_s, now=call.now)
    return json_answer(view_public_key(key))


async def post_pause(call: Call) -> Answer:
    """Send nothing more until resumed."""
    async with acting_on(call, "endpoint-paused") as conn:
        endpoint = await endpoints.pause_endpoint(conn, *mine(call), now=call.now)
    return json_answer(view_endpoint(endpoint))


async def post_resume(call: Call) -> Answer:
    """Go on where it stood."""
    async with acting_on(call, "endpoint-resumed") as conn:
        endpoint = await endpoints.resume_endpoint(conn, *mine(call), now=call.now)
    return json_answer(view_endpoint(endpoint))


def _read_terms(body: NewEndpoint | EndpointChanges) -> dict[str, Any]:
    """What a body says of an endpoint's terms, by name; each event type once."""
    given = {
        name: value for name, value in msgspec.structs.asdict(body).items() if value is not msgspec.UNSET
    }
    if given.get("event_types") is not None:
        given["event_types"] = tuple(dict.fromkeys(given["event_types"]))
    if "drain" in given:
        given["drain"] = Drain(given["drain"])
    return given


def view_endpoint(endpoint: Endpoint) -> EndpointObject:
    """An endpoint as its merchant sees it."""
    return shown(
        EndpointObject,
        endpoint,
        id=encode_id("end", endpoint.endpoint_id),
        verification="pending" if endpoint.verification == "pending" else "verified",
        lost=endpoint.losses,
    )

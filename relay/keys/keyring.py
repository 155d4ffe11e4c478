"""Ed25519 keys of endpoints: the first one, changing it with an overlap, and the public halves with when each holds.

Lives here: plain functions on a connection, inside the caller's transaction. A key that has ended signs nothing more; its
public half stays listed for those who check later. Does not live here: HMAC secrets and endpoints themselves (`endpoints`),
signing (`signing`), the page that shows the list to everybody (the gateway).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from migrations.handles import Connection
from migrations.queries import load_queries
from relay.errors import Conflict, Flaw, NotFound, RequestFlawed
from relay.keys import signing
from relay.keys.secretbox import Column, Place, SecretBox
from relay.log import eventlog as log
from relay.log.bodies import endpoint_fact, format_time

QUERIES = load_queries("relay", "endpoints.sql")

OVERLAP_MAX_S = 7 * 86_400
"""How long a former secret or key may sign along."""
KEYS_CHANGED = "endpoint.keys_changed"
"""The event type. Keys that come or go with their endpoint are told only where an endpoint of the merchant names it."""
KEYS_MAX = 10
"""Listed per endpoint, ended ones included: with 100 endpoints a list has at most 1,000."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """The public half (`whpk_…`) of a key that signs from `valid_from` until before `valid_until`; None: without end."""

    endpoint_id: UUID
    public_key: str
    valid_from: datetime
    valid_until: datetime | None


async def tell_keys(conn: Connection, merchant_id: UUID, endpoint_id: UUID, *, now: datetime) -> None:
    """Tell the log which keys an endpoint has since now."""
    row = await conn.fetchrow(QUERIES.raise_version, endpoint_id)
    assert row is not None, "an endpoint's row outlives it"
    fact = endpoint_fact(
        merchant_id,
        endpoint_id,
        version=row["version"],
        event_type=KEYS_CHANGED,
        state=row["state"],
        reason=row["state_reason"],
        at=now,
        more={
            "keys": [
                {
                    "public_key": signing.encode_public_key(key["public_key"]),
                    "valid_from": format_time(key["valid_from"]),
                    "valid_until": None if key["valid_until"] is None else format_time(key["valid_until"]),
                }
                for key in await conn.fetch(QUERIES.load_keys_of, endpoint_id)
            ]
        },
    )
    await log.append(conn, [fact], now=now)


async def tell_keys_where_asked(
    conn: Connection, merchant_id: UUID, endpoint_id: UUID, *, now: datetime
) -> None:
    """Tell of an endpoint that comes or goes where one of the merchant's endpoints names the type: no key was changed."""
    if await conn.fetchval(QUERIES.names_event_type, merchant_id, KEYS_CHANGED):
        await tell_keys(conn, merchant_id, endpoint_id, now=now)


async def insert_key(conn: Connection, box: SecretBox, endpoint_id: UUID, *, now: datetime) -> PublicKey:
    """Give an endpoint that has no current key a new one."""
    seed = os.urandom(signing.SEED_BYTES)
    public = signing.public_bytes(signing.signing_key_from_seed(seed))
    sealed = box.seal(seed, Place(Column.ENDPOINT_SEED, endpoint_id, public))
    await conn.execute(QUERIES.insert_key, endpoint_id, public, sealed, now)
    return PublicKey(endpoint_id, signing.encode_public_key(public), now, None)


async def rotate_key(
    conn: Connection, box: SecretBox, merchant_id: UUID, endpoint_id: UUID, *, overlap_s: int, now: datetime
) -> PublicKey:
    """Give an endpoint a new key and return it; the one before signs along for `overlap_s` (0: no more).

    RequestFlawed, NotFound, Conflict (too many keys still valid).
    """
    assert conn.is_in_transaction(), "a change of an endpoint is one transaction"
    if not 0 <= overlap_s <= OVERLAP_MAX_S:
        raise RequestFlawed(Flaw("/overlap_s", f"0 to {OVERLAP_MAX_S} seconds"))
    if await conn.fetchrow(QUERIES.lock_endpoint, endpoint_id, merchant_id) is None:
        raise NotFound("no such endpoint")
    await conn.execute(QUERIES.expire_current_key, endpoint_id, now + timedelta(seconds=overlap_s))
    await conn.execute(QUERIES.forget_ended_seeds, endpoint_id, now)
    await conn.execute(QUERIES.delete_surplus_keys, endpoint_id, now, KEYS_MAX - 1)
    if await conn.fetchval(QUERIES.count_keys, endpoint_id) >= KEYS_MAX:
        raise Conflict(f"{KEYS_MAX} keys are still valid: wait for the oldest to end")
    made = await insert_key(conn, box, endpoint_id, now=now)
    await conn.execute(QUERIES.touch_endpoint, endpoint_id)
    await conn.execute(QUERIES.notify_endpoint, endpoint_id)
    await tell_keys(conn, merchant_id, endpoint_id, now=now)
    return made


async def load_public_keys(conn: Connection, merchant_id: UUID) -> list[PublicKey]:
    """The keys of all endpoints of a merchant, by endpoint, the current one first."""
    return [
        PublicKey(
            row["endpoint_id"],
            signing.encode_public_key(row["public_key"]),
            row["valid_from"],
            row["valid_until"],
        )
        for row in await conn.fetch(QUERIES.load_public_keys, merchant_id)
    ]

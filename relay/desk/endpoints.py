"""What merchants do with endpoints: create, change, delete, pause, resume, rotate the secret, send a test.

Lives here: plain functions on a connection, inside the caller's transaction, each checked before anything is written.
Merchants never reach another's endpoint: that is NotFound. Does not live here: JSON and HTTP (the gateway), signing
keys (`keyring`), deliveries sent again (`redeliver`), reading (`views`), sending itself (`dispatch`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from migrations.handles import Connection, Row
from migrations.ids import new_id
from migrations.queries import load_queries
from relay.desk.ownership import must_prove, must_prove_again
from relay.desk.terms import EndpointTerms, Rules, check_terms
from relay.errors import Conflict, Flaw, NotFound, RequestFlawed, SequencePruned
from relay.keys import signing
from relay.keys.keyring import OVERLAP_MAX_S, insert_key, tell_keys_where_asked
from relay.keys.secretbox import Column, Place, SecretBox
from relay.log import eventlog as log
from relay.log.bodies import endpoint_fact
from relay.log.losses import Loss, read_losses
from relay.model import Drain, shard_of
from relay.out.targets import open_headers, seal_headers
from relay.workers import drain

QUERIES = load_queries("relay", "endpoints.sql")

ENDPOINTS_MAX = 100
SECRETS_MAX = 10


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint as merchants see it. Of its own headers only the names: values may be secrets."""

    endpoint_id: UUID
    merchant_id: UUID
    url: str
    description: str
    event_types: tuple[str, ...] | None
    header_names: tuple[str, ...]
    max_in_flight: int
    rate_per_s: int | None
    drain: Drain
    public_key: str
    state: str
    state_reason: str | None
    state_since: datetime
    enabled: bool
    version: int
    sequence: int
    last_success_at: datetime | None
    last_failure_at: datetime | None
    last_failure: str | None
    verification: str
    verification_failure: str | None
    created_at: datetime
    updated_at: datetime
    losses: tuple[Loss, ...]


async def create_endpoint(
    conn: Connection,
    box: SecretBox,
    merchant_id: UUID,
    terms: EndpointTerms,
    *,
    rules: Rules,
    from_sequence: int | None = None,
    now: datetime,
) -> tuple[Endpoint, str]:
    """Make an endpoint; returns it with its secret (`whsec_…`), which is never shown again.

    It starts behind the log's head, or with the event `from_sequence`. RequestFlawed, SequencePruned (that event is
    not kept any more), Conflict (too many endpoints).
    """
    check_terms(terms, rules)
    head = await log.load_head(conn, merchant_id)
    start = head.sequence
    if from_sequence is not None:
        if not 1 <= from_sequence <= head.sequence + 1:
            raise RequestFlawed(Flaw("/from_sequence", f"a sequence from 1 to {head.sequence + 1}"))
        oldest = await log.hold_oldest_sequence(conn, merchant_id)
        if from_sequence < oldest:
            raise SequencePruned(oldest)
        start = from_sequence - 1
    if await conn.fetchval(QUERIES.count_endpoints, merchant_id) >= ENDPOINTS_MAX:
        raise Conflict(f"a merchant has at most {ENDPOINTS_MAX} endpoints")
    endpoint_id = new_id(int(now.timestamp() * 1000))
    secret = os.urandom(signing.SECRET_BYTES)
    await conn.execute(
        QUERIES.insert_endpoint,
        endpoint_id,
        merchant_id,
        shard_of(endpoint_id),
        terms.url,
        terms.description,
        None if terms.event_types is None else list(terms.event_types),
        seal_headers(terms.headers, box, endpoint_id),
        terms.max_in_flight,
        terms.rate_per_s,
        terms.drain,
        start,
        now,
    )
    if must_prove(terms.url, asked=rules.verify_endpoints):
        await conn.execute(QUERIES.ask_for_proof, endpoint_id, now)
    await conn.execute(QUERIES.insert_cursor, endpoint_id, start)
    await conn.execute(QUERIES.insert_filter, endpoint_id, start, _listed(terms.event_types))
    await _insert_secret(conn, box, endpoint_id, secret, now)
    await insert_key(conn, box, endpoint_id, now=now)
    await conn.execute(QUERIES.notify_endpoint, endpoint_id)
    await tell_keys_where_asked(conn, merchant_id, endpoint_id, now=now)
    endpoint = await load_endpoint(conn, box, merchant_id, endpoint_id)
    return endpoint, signing.encode_secret(secret)


async def load_endpoint(conn: Connection, box: SecretBox, merchant_id: UUID, endpoint_id: UUID) -> Endpoint:
    """One endpoint of this merchant; NotFound."""
    return _endpoint(await _load_row(conn, merchant_id, endpoint_id), box)


async def find_merchant(conn: Connection, endpoint_id: UUID) -> UUID:
    """Whose endpoint this is, for operators, who may reach everybody's; NotFound."""
    merchant_id: UUID | None = await conn.fetchval(QUERIES.find_merchant, endpoint_id)
    if merchant_id is None:
        raise NotFound("no such endpoint")
    return merchant_id


async def load_endpoints(
    conn: Connection, box: SecretBox, merchant_id: UUID, *, after: UUID | None = None, limit: int
) -> list[Endpoint]:
    """Up to `limit` endpoints of this merchant, oldest first, behind the endpoint `after`."""
    rows = await conn.fetch(QUERIES.load_endpoints_of_merchant, merchant_id, after, limit)
    return [_endpoint(row, box) for row in rows]


async def change_endpoint(
    conn: Connection,
    box: SecretBox,
    merchant_id: UUID,
    endpoint_id: UUID,
    changes: Mapping[str, Any],
    *,
    rules: Rules,
    now: datetime,
) -> Endpoint:
    """Change some of EndpointTerms, by field name. A new filter, and the end of a short drain, hold from the
    endpoint's place in the log on.

    A URL at another host is asked for proof again. RequestFlawed, NotFound. An attempt under way may still go by the
    old terms.
    """
    if "event_types" in changes or "drain" in changes:
        await log.hold_oldest_sequence(conn, merchant_id)  # what a drain left out may be given back
    await lock_endpoint(conn, merchant_id, endpoint_id)
    row = await _load_row(conn, merchant_id, endpoint_id)
    before = EndpointTerms(
        url=row["url"],
        event_types=_tupled(row["event_types"]),
        description=row["description"],
        headers=open_headers(row["headers_sealed"], box, endpoint_id),
        max_in_flight=row["max_in_flight"],
        rate_per_s=row["rate_per_s"],
        drain=Drain(row["drain"]),
    )
    terms = replace(before, **changes)
    check_terms(terms, rules)
    sequence = await conn.fetchval(QUERIES.lock_cursor, endpoint_id)
    if terms.event_types != before.event_types:
        await conn.execute(QUERIES.insert_filter, endpoint_id, sequence, _listed(terms.event_types))
    if terms.event_types != before.event_types or (
        terms.drain is Drain.ALL and before.drain is not Drain.ALL
    ):
        await conn.execute(QUERIES.raise_filter_revision, endpoint_id)
        await drain.begin_terms(conn, endpoint_id, behind_sequence=sequence, now=now)
    await conn.execute(
        QUERIES.change_endpoint,
        endpoint_id,
        terms.url,
        terms.description,
        _listed(terms.event_types),
        seal_headers(terms.headers, box, endpoint_id) if "headers" in changes else row["headers_sealed"],
        terms.max_in_flight,
        terms.rate_per_s,
        terms.drain,
        now,
    )
    if must_prove_again(before.url, terms.url, proven=row["verification"] == "verified") and must_prove(
        terms.url, asked=rules.verify_endpoints
    ):
        await conn.execute(QUERIES.ask_for_proof, endpoint_id, now)
    await conn.execute(QUERIES.notify_endpoint, endpoint_id)
    return await load_endpoint(conn, box, merchant_id, endpoint_id)


async def delete_endpoint(conn: Connection, merchant_id: UUID, endpoint_id: UUID, *, now: datetime) -> None:
    """Delete an endpoint with its secrets and what waited for it; NotFound. Its attempts stay until pruned."""
    await lock_endpoint(conn, merchant_id, endpoint_id)
    await conn.execute(QUERIES.mark_endpoint_deleted, endpoint_id, now)
    for query in (
        QUERIES.delete_cursor,
        QUERIES.delete_rows,
        QUERIES.delete_replays,
        QUERIES.delete_secrets,
        QUERIES.delete_keys,
    ):
        await conn.execute(query, endpoint_id)
    await conn.execute(QUERIES.notify_endpoint, endpoint_id)
    await tell_keys_where_asked(conn, merchant_id, endpoint_id, now=now)


async def rotate_secret(
    conn: Connection, box: SecretBox, merchant_id: UUID, endpoint_id: UUID, *, overlap_s: int, now: datetime
) -> str:
    """Give an endpoint a new secret and return it; the one before signs along for `overlap_s` (0: no more).

    RequestFlawed, NotFound, Conflict (too many secrets still valid).
    """
    if not 0 <= overlap_s <= OVERLAP_MAX_S:
        raise RequestFlawed(Flaw("/overlap_s", f"0 to {OVERLAP_MAX_S} seconds"))
    await lock_endpoint(conn, merchant_id, endpoint_id)
    await conn.execute(QUERIES.expire_current_secret, endpoint_id, now + timedelta(seconds=overlap_s))
    await conn.execute(QUERIES.delete_expired_secrets, endpoint_id, now)
    if await conn.fetchval(QUERIES.count_secrets, endpoint_id) >= SECRETS_MAX:
        raise Conflict(f"{SECRETS_MAX} secrets are still valid: wait for the oldest to expire")
    secret = os.urandom(signing.SECRET_BYTES)
    await _insert_secret(conn, box, endpoint_id, secret, now)
    await conn.execute(QUERIES.touch_endpoint, endpoint_id)
    await conn.execute(QUERIES.notify_endpoint, endpoint_id)
    return signing.encode_secret(secret)


async def pause_endpoint(
    conn: Connection, box: SecretBox, merchant_id: UUID, endpoint_id: UUID, *, now: datetime
) -> Endpoint:
    """Send nothing more until resumed; its place is kept. Pausing twice is pausing once. NotFound."""
    await lock_endpoint(conn, merchant_id, endpoint_id)
    reason = "paused by request"
    version = await conn.fetchval(QUERIES.pause_endpoint, endpoint_id, reason, now)
    await conn.execute(QUERIES.notify_endpoint, endpoint_id)
    endpoint = await load_endpoint(conn, box, merchant_id, endpoint_id)
    await _tell(conn, endpoint, version, "endpoint.paused", reason, now)
    return endpoint


async def resume_endpoint(
    conn: Connection, box: SecretBox, merchant_id: UUID, endpoint_id: UUID, *, now: datetime
) -> Endpoint:
    """Go on where it stood, paused or failing; what waited for a retry gets one at once, at no cost. NotFound.

    An endpoint that is drained of the latest only begins that drain.
    """
    await lock_endpoint(conn, merchant_id, endpoint_id)
    version = await conn.fetchval(QUERIES.resume_endpoint, endpoint_id, now)
    if version is not None:
        await drain.begin_short_drains(conn, [endpoint_id], now=now)
    await conn.execute(QUERIES.notify_endpoint, endpoint_id)
    endpoint = await load_endpoint(conn, box, merchant_id, endpoint_id)
    await _tell(conn, endpoint, version, "endpoint.resumed", "resumed by request", now)
    return endpoint


async def set_merchant_enabled(
    conn: Connection,
    merchant_id: UUID,
    enabled: bool,  # noqa: FBT001  # a setter's value
    *,
    now: datetime,
) -> None:
    """Let all deliveries of a merchant wait (False), or go on. The log and every endpoint's place are untouched."""
    if enabled:
        await conn.execute(QUERIES.delete_disabled_merchant, merchant_id)
    else:
        await conn.execute(QUERIES.insert_disabled_merchant, merchant_id, now)
    await conn.execute(QUERIES.wake_endpoints_of_merchant, merchant_id, int(enabled))


async def lock_endpoint(conn: Connection, merchant_id: UUID, endpoint_id: UUID) -> None:
    """Hold this merchant's endpoint until the transaction ends: its changes are one after the other. NotFound."""
    assert conn.is_in_transaction(), "a change of an endpoint is one transaction"
    if await conn.fetchrow(QUERIES.lock_endpoint, endpoint_id, merchant_id) is None:
        raise NotFound("no such endpoint")


async def _load_row(conn: Connection, merchant_id: UUID, endpoint_id: UUID) -> Row:
    row = await conn.fetchrow(QUERIES.load_endpoint, endpoint_id, merchant_id)
    if row is None:
        raise NotFound("no such endpoint")
    return row


async def _insert_secret(
    conn: Connection, box: SecretBox, endpoint_id: UUID, secret: bytes, now: datetime
) -> None:
    secret_id = new_id(int(now.timestamp() * 1000))
    sealed = box.seal(secret, Place(Column.ENDPOINT_SECRET, endpoint_id, secret_id.bytes))
    await conn.execute(QUERIES.insert_secret, endpoint_id, secret_id, sealed, now)


async def _tell(
    conn: Connection, endpoint: Endpoint, version: int | None, event_type: str, reason: str, now: datetime
) -> None:
    if version is None:  # it was so already
        return
    fact = endpoint_fact(
        endpoint.merchant_id,
        endpoint.endpoint_id,
        version=version,
        event_type=event_type,
        state=endpoint.state,
        reason=reason,
        at=now,
    )
    await log.append(conn, [fact], now=now)


def _listed(types: Sequence[str] | None) -> list[str] | None:
    return None if types is None else list(types)


def _tupled(types: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if types is None else tuple(types)


def _endpoint(row: Row, box: SecretBox) -> Endpoint:
    read: dict[str, Any] = {
        "event_types": _tupled(row["event_types"]),
        "drain": Drain(row["drain"]),
        "header_names": tuple(open_headers(row["headers_sealed"], box, row["endpoint_id"])),
        "public_key": signing.encode_public_key(row["public_key"]),
        "losses": read_losses(row["losses"]),
    }
    same = (field.name for field in fields(Endpoint) if field.name not in read)
    return Endpoint(**{name: row[name] for name in same}, **read)

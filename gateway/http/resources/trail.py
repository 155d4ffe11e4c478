"""What merchants do to their endpoints, written down as it is done, and shown to them: who, when, what.

Lives here: the transaction that holds an endpoint and writes its line (`acting_on`), what a line says of an endpoint's
terms, and `GET /v1/endpoints/{endpoint_id}/audit`. Does not live here: the table (`gateway.store`), which operators read as
a whole (`gateway.commands.trail`). A line holds no secret: URLs can, and are named by their host; headers by their names.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from gateway import store
from gateway.http.edge.calls import Answer, Call, json_answer
from gateway.http.edge.cursors import decode_numbered, page
from gateway.http.shapes.forms import shown
from gateway.http.shapes.relay import AuditObject
from gateway.store import AuditEntry
from migrations.handles import Connection
from migrations.ids import encode_id
from relay.desk.endpoints import lock_endpoint
from relay.desk.views import check_had_endpoint
from relay.keys.secretbox import SecretBox

BY_KEY = "api:"
OPERATOR = "operator"
"""Everybody who is not a key of the merchant: names of people and hosts are the operator's own affair."""


@asynccontextmanager
async def acting_on(
    call: Call, action: str, detail: Mapping[str, object] | None = None
) -> AsyncIterator[Connection]:
    """One transaction that holds the endpoint of the path, its line written; a refusal takes the line back. NotFound.

    Holding comes first, so lines stand in the order in which things were done; and the line comes before the deed, because
    a deed may end by locking the merchant's log, which nothing may follow.
    """
    endpoint_id = call.id("endpoint_id")
    async with call.pool.acquire() as conn, conn.transaction():
        await lock_endpoint(conn, call.merchant_id, endpoint_id)
        await note(conn, call, action, endpoint_id, detail)
        yield conn


def mine(call: Call) -> tuple[SecretBox, UUID, UUID]:
    """What the relay's desk is asked with: the box, the merchant who asks, and the endpoint of the path."""
    return call.services.box, call.merchant_id, call.id("endpoint_id")


async def note(
    conn: Connection, call: Call, action: str, endpoint_id: UUID, detail: Mapping[str, object] | None = None
) -> None:
    """Write one line inside the caller's transaction."""
    actor = BY_KEY + encode_id("key", call.caller.key_id)
    entry = AuditEntry(call.now, actor, action, encode_id("end", endpoint_id), detail or {})
    await store.insert_audit(conn, entry)


async def get_audit(call: Call) -> Answer:
    """What was done to an endpoint, oldest first; also of one that was deleted."""
    endpoint_id = call.id("endpoint_id")
    after, limit = decode_numbered("audit", call.query.after), call.query.limit
    async with call.pool.acquire() as conn:
        await check_had_endpoint(conn, call.merchant_id, endpoint_id)
        found = await store.list_audit_of(conn, encode_id("end", endpoint_id), after=after, limit=limit + 1)
    return json_answer(
        page(
            "audit", found, limit, place=lambda one: (one[1].at, one[0]), view=lambda one: view_entry(one[1])
        )
    )


def describe_terms(terms: Mapping[str, Any]) -> dict[str, object]:
    """What a line says of terms that were asked for, by name: all but what may be secret."""
    said = dict(terms)
    if said.get("url") is not None:
        said["url"] = _host_of(said["url"])
    if said.get("headers") is not None:
        said["headers"] = sorted(said["headers"])
    return said


def _host_of(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:  # it will be refused
        return None


def view_entry(entry: AuditEntry) -> AuditObject:
    """A line as the merchant sees it."""
    by_key = entry.actor.startswith(BY_KEY + "key_")
    actor = entry.actor.removeprefix(BY_KEY) if by_key else OPERATOR
    return shown(AuditObject, entry, actor=actor)

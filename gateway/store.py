"""The gateway's own tables: one typed function a named query.

Lives here: merchants, API keys, remembered answers and the audit trail; the room's only import of asyncpg. What may be part of a
transaction takes a connection, a question by itself the pool. Does not live
here: what a key looks like (`apikeys`), when an answer is remembered (`http.edge.idempotency`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from migrations import notices
from migrations.handles import Connection, Pool
from migrations.queries import load_queries

_MERCHANTS = load_queries("gateway", "merchants.sql")
_CALLS = load_queries("gateway", "calls.sql")

CALL_LOCK_CLASS = 0x6364
"""First key of the advisory locks of calls with an Idempotency-Key; the indexer's chains have another one."""

EXPIRED_BATCH = 1_000


@dataclass(frozen=True, slots=True)
class Merchant:
    """One merchant."""

    id: UUID
    name: str
    created_at: datetime
    disabled_at: datetime | None


@dataclass(frozen=True, slots=True)
class KeyRow:
    """One API key without its secret."""

    id: UUID
    merchant_id: UUID
    scopes: tuple[str, ...]
    created_at: datetime
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class KeyForAuth:
    """What a call is judged by."""

    key: KeyRow
    secret_hash: bytes = field(repr=False)
    merchant_disabled: bool


@dataclass(frozen=True, slots=True)
class RememberedAnswer:
    """The first answer to a call, and the hash of what was asked."""

    request_hash: bytes
    status: int
    content_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One line of the trail; `detail` holds no secret."""

    at: datetime
    actor: str
    action: str
    subject: str
    detail: Mapping[str, Any] = field(default_factory=dict)


async def insert_merchant(conn: Connection, merchant_id: UUID, name: str, *, now: datetime) -> None:
    """A new merchant."""
    await conn.execute(_MERCHANTS["insert_merchant"], merchant_id, name, now)


async def load_merchant(conn: Connection, merchant_id: UUID) -> Merchant | None:
    """One merchant, disabled or not."""
    row = await conn.fetchrow(_MERCHANTS["load_merchant"], merchant_id)
    return None if row is None else Merchant(**dict(row))


async def list_merchants(pool: Pool, *, after: tuple[datetime, UUID] | None, limit: int) -> list[Merchant]:
    """Merchants, oldest first by (created_at, id)."""
    at, last = after or (None, None)
    rows = await pool.fetch(_MERCHANTS["list_merchants"], at, last, limit)
    return [Merchant(**dict(row)) for row in rows]


async def mark_merchant_disabled(conn: Connection, merchant_id: UUID, *, now: datetime) -> Merchant | None:
    """Refuse its keys from now on; None where there is no such merchant."""
    row = await conn.fetchrow(_MERCHANTS["mark_merchant_disabled"], merchant_id, now)
    return None if row is None else Merchant(**dict(row))


async def mark_merchant_enabled(conn: Connection, merchant_id: UUID) -> Merchant | None:
    """Accept its keys again; None where there is no such merchant."""
    row = await conn.fetchrow(_MERCHANTS["mark_merchant_enabled"], merchant_id)
    return None if row is None else Merchant(**dict(row))


async def insert_api_key(
    conn: Connection,
    key_id: UUID,
    merchant_id: UUID,
    *,
    secret_hash: bytes,
    scopes: Sequence[str],
    now: datetime,
) -> None:
    """A new key of a merchant that exists."""
    await conn.execute(_MERCHANTS["insert_api_key"], key_id, merchant_id, secret_hash, list(scopes), now)


async def load_api_key(pool: Pool, key_id: UUID) -> KeyForAuth | None:
    """A key with what a call is judged by, revoked or not."""
    row = await pool.fetchrow(_MERCHANTS["load_api_key"], key_id)
    if row is None:
        return None
    return KeyForAuth(_decode_key(row), row["secret_hash"], row["disabled_at"] is not None)


async def list_api_keys(
    pool: Pool, merchant_id: UUID, *, after: tuple[datetime, UUID] | None, limit: int
) -> list[KeyRow]:
    """A merchant's keys, revoked ones included, oldest first."""
    at, last = after or (None, None)
    rows = await pool.fetch(_MERCHANTS["list_api_keys"], merchant_id, at, last, limit)
    return [_decode_key(row) for row in rows]


async def mark_api_key_revoked(conn: Connection, key_id: UUID, *, now: datetime) -> KeyRow | None:
    """Refuse a key from now on; None where there is no such key."""
    row = await conn.fetchrow(_MERCHANTS["mark_api_key_revoked"], key_id, now)
    return None if row is None else _decode_key(row)


def _decode_key(row: asyncpg.Record) -> KeyRow:
    return KeyRow(row["id"], row["merchant_id"], tuple(row["scopes"]), row["created_at"], row["revoked_at"])


async def try_lock_call(conn: Connection, lock_key: int) -> bool:
    """Hold this call alone until the transaction ends; False while another one does."""
    locked: bool = await conn.fetchval(_CALLS["try_lock_call"], CALL_LOCK_CLASS, lock_key)
    return locked


async def claim_call(
    conn: Connection, caller: UUID, path: str, key: str, *, claim: UUID, lease_s: float
) -> bool:
    """Hold this call alone until `let_go_of_call`, or for `lease_s` by the database's clock; False while another does."""
    return bool(await conn.fetchval(_CALLS["claim_call"], caller, path, key, claim, lease_s))


async def let_go_of_call(conn: Connection, caller: UUID, path: str, key: str, *, claim: UUID) -> bool:
    """The end of `claim_call`; False where it was over before, and the call may be somebody else's."""
    return bool(await conn.fetchval(_CALLS["let_go_of_call"], caller, path, key, claim))


async def delete_abandoned_calls(pool: Pool) -> None:
    """Forget claims whose time is over: few, since each is of a process that died."""
    await pool.execute(_CALLS["delete_abandoned_calls"])


async def load_answer(
    conn: Connection, caller: UUID, path: str, key: str, *, now: datetime
) -> RememberedAnswer | None:
    """The first answer to a call, unless it has expired."""
    row = await conn.fetchrow(_CALLS["load_answer"], caller, path, key, now)
    return None if row is None else RememberedAnswer(**dict(row))


async def insert_answer(
    conn: Connection,
    caller: UUID,
    path: str,
    key: str,
    answer: RememberedAnswer,
    *,
    now: datetime,
    expires_at: datetime,
) -> None:
    """Remember an answer; an expired one is overwritten."""
    await conn.execute(
        _CALLS["insert_answer"],
        caller,
        path,
        key,
        answer.request_hash,
        answer.status,
        answer.content_type,
        answer.body,
        now,
        expires_at,
    )


async def delete_expired_answers(pool: Pool, *, now: datetime) -> int:
    """Forget a batch of expired answers; how many."""
    count: int = await pool.fetchval(_CALLS["delete_expired_answers"], now, EXPIRED_BATCH)
    return count


async def insert_audit(conn: Connection, entry: AuditEntry) -> None:
    """Write one line of the trail."""
    await conn.execute(
        _CALLS["insert_audit"], entry.at, entry.actor, entry.action, entry.subject, dict(entry.detail)
    )


async def list_audit(pool: Pool, *, since: datetime | None, limit: int) -> list[AuditEntry]:
    """The trail, newest first."""
    rows = await pool.fetch(_CALLS["list_audit"], since, limit)
    return [AuditEntry(**dict(row)) for row in rows]


async def list_audit_of(
    conn: Connection, subject: str, *, after: int, limit: int
) -> list[tuple[int, AuditEntry]]:
    """The trail of one subject, oldest first, behind the line numbered `after`; each line with its number."""
    rows = await conn.fetch(_CALLS["list_audit_of"], subject, after, limit)
    return [(number, AuditEntry(*entry)) for number, *entry in rows]


async def load_is_writable(pool: Pool) -> bool:
    """False where the database takes no writes: a standby, or one that is set to read only."""
    writable: bool = await pool.fetchval(_CALLS["load_is_writable"])
    return writable


async def load_database_time(pool: Pool) -> datetime:
    """The database's own clock."""
    at: datetime = await pool.fetchval(_CALLS["load_database_time"])
    return at


async def listen(pool: Pool, channel: str, take: Callable[[str], None], *, ready: Callable[[], None]) -> None:
    """Hand every notice of a channel to `take` until the connection is lost, which is DatabaseAway."""
    await notices.listen(pool, [channel], lambda _channel, payload: take(payload), ready=ready)

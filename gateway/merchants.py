"""What can be done with merchants and their keys, for commands and API alike.

Lives here: one transaction for each, with its line in the audit trail. Does not live here: the tables (`store`), how a key
looks (`apikeys`), who may ask (`http.edge.auth` for the API; whoever can read the configuration for commands).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from gateway import store
from gateway.apikeys import ALL_SCOPES, ApiKey, new_api_key
from gateway.store import AuditEntry, KeyRow, Merchant
from migrations.handles import Connection, Pool
from migrations.ids import encode_id, new_id
from relay.desk.endpoints import set_merchant_enabled

NAME_CHARACTERS_MAX = 200


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key at the only moment it is known."""

    row: KeyRow
    api_key: ApiKey = field(repr=False)


def check_name(name: str) -> str | None:
    """What is wrong with a merchant's name; None when nothing is."""
    if not 1 <= len(name) <= NAME_CHARACTERS_MAX:
        return f"a name has 1 to {NAME_CHARACTERS_MAX} characters"
    if not name.strip() or not all(character.isprintable() for character in name):
        return "a name has printable characters only"
    return None


async def create_merchant(pool: Pool, name: str, *, actor: str, now: datetime) -> tuple[Merchant, NewKey]:
    """A merchant and a first key with every scope."""
    merchant = Merchant(_fresh(now), name, now, None)
    async with pool.acquire() as conn, conn.transaction():
        await store.insert_merchant(conn, merchant.id, name, now=now)
        key = await _insert_key(conn, merchant.id, ALL_SCOPES, now=now)
        await _audit(conn, actor, "merchant-created", encode_id("mer", merchant.id), now, {"name": name})
    return merchant, key


async def set_merchant_disabled(
    pool: Pool, merchant_id: UUID, *, disabled: bool, actor: str, now: datetime
) -> Merchant | None:
    """Refuse its keys and hold its deliveries, or take that back; None where there is no such merchant."""
    async with pool.acquire() as conn, conn.transaction():
        if disabled:
            merchant = await store.mark_merchant_disabled(conn, merchant_id, now=now)
        else:
            merchant = await store.mark_merchant_enabled(conn, merchant_id)
        if merchant is None:
            return None
        await set_merchant_enabled(conn, merchant_id, not disabled, now=now)
        action = "merchant-disabled" if disabled else "merchant-enabled"
        await _audit(conn, actor, action, encode_id("mer", merchant_id), now, {})
    return merchant


async def create_key(
    pool: Pool, merchant_id: UUID, scopes: Sequence[str], *, actor: str, now: datetime
) -> NewKey | None:
    """One more key; None where there is no such merchant."""
    async with pool.acquire() as conn, conn.transaction():
        if await store.load_merchant(conn, merchant_id) is None:
            return None
        key = await _insert_key(conn, merchant_id, scopes, now=now)
        detail = {"merchant_id": encode_id("mer", merchant_id), "scopes": list(scopes)}
        await _audit(conn, actor, "key-created", encode_id("key", key.row.id), now, detail)
    return key


async def revoke_key(pool: Pool, key_id: UUID, *, actor: str, now: datetime) -> KeyRow | None:
    """Refuse a key from now on; None where there is no such key."""
    async with pool.acquire() as conn, conn.transaction():
        key = await store.mark_api_key_revoked(conn, key_id, now=now)
        if key is None:
            return None
        detail = {"merchant_id": encode_id("mer", key.merchant_id)}
        await _audit(conn, actor, "key-revoked", encode_id("key", key_id), now, detail)
    return key


async def _insert_key(conn: Connection, merchant_id: UUID, scopes: Sequence[str], *, now: datetime) -> NewKey:
    key = new_api_key(_fresh(now))
    kept = tuple(dict.fromkeys(str(scope) for scope in scopes))
    await store.insert_api_key(conn, key.id, merchant_id, secret_hash=key.secret_hash, scopes=kept, now=now)
    return NewKey(KeyRow(key.id, merchant_id, kept, now, None), key)


async def _audit(
    conn: Connection, actor: str, action: str, subject: str, now: datetime, detail: Mapping[str, object]
) -> None:
    await store.insert_audit(conn, AuditEntry(now, actor, action, subject, detail))


def _fresh(now: datetime) -> UUID:
    return new_id(int(now.timestamp() * 1000))

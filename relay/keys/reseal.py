"""Moving every stored secret to today's form under the first encryption key: after an upgrade, or a new key in front.

Lives here: `reseal_all`, safe to run at any time, by several at once, and to repeat; where nothing is to be done it is one
query a column. When it leaves nothing behind, the old keys may go. Does not live here: the encryption (`secretbox`).
Remembered answers are not moved: they expire within a day.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from migrations.handles import Connection
from migrations.queries import load_queries
from relay.errors import SecretUnreadable
from relay.keys import signing
from relay.keys.secretbox import Column, Place, SecretBox

QUERIES = load_queries("relay", "reseal.sql")

BATCH = 200


@dataclass(frozen=True, slots=True)
class Resealed:
    """How many values were moved, and how many can not be opened (their key is gone, or they were changed)."""

    moved: int
    unreadable: int


@dataclass(frozen=True, slots=True)
class _Kind:
    column: Column
    load: str
    store: str
    fits: Callable[[bytes, bytes], bool]  # plain, the row's key
    is_of_endpoint: bool = True

    @property
    def by_seed(self) -> bool:
        """Whether it may be anything an API key was answered, where it is of the form before and the owner such a key."""
        return self.column in (Column.ENDPOINT_HEADERS, Column.ENDPOINT_SECRET)


def _is_seed_of(plain: bytes, public_key: bytes) -> bool:
    if len(plain) != signing.SEED_BYTES:
        return False
    return signing.public_bytes(Ed25519PrivateKey.from_private_bytes(plain)) == public_key


def _is_secret(plain: bytes, _row: bytes) -> bool:
    return signing.SECRET_BYTES_MIN <= len(plain) <= signing.SECRET_BYTES_MAX


def _is_headers(plain: bytes, _row: bytes) -> bool:
    try:
        return isinstance(json.loads(plain), dict)
    except ValueError:
        return False


_KINDS = (
    # Seeds first: by the seed of an endpoint its other values are known to be an endpoint's.
    _Kind(Column.ENDPOINT_SEED, QUERIES.load_stale_seeds, QUERIES.reseal_seed, _is_seed_of),
    _Kind(Column.ENDPOINT_HEADERS, QUERIES.load_stale_headers, QUERIES.reseal_headers, _is_headers),
    _Kind(Column.ENDPOINT_SECRET, QUERIES.load_stale_secrets, QUERIES.reseal_secret, _is_secret),
    _Kind(
        Column.LOG_SEED,
        QUERIES.load_stale_log_seeds,
        QUERIES.reseal_log_seed,
        _is_seed_of,
        is_of_endpoint=False,
    ),
)


async def reseal_all(conn: Connection, box: SecretBox) -> Resealed:
    """Re-encrypt what is not in today's form under the first key, a batch a transaction; what can not be opened stays."""
    moved = unreadable = 0
    for kind in _KINDS:
        owner, row = UUID(int=0), b""
        count = BATCH
        while count == BATCH:
            async with conn.transaction():
                found = await conn.fetch(kind.load, box.head, owner, row, BATCH)
                touched: set[UUID] = set()
                for owner, row, sealed in found:  # the last one is where the next batch begins
                    new = _reencrypt(box, kind, Place(kind.column, owner, row), sealed)
                    if new is None or (kind.by_seed and not await _has_seed(conn, box, owner)):
                        unreadable += 1
                        continue
                    moved += 1
                    touched.add(owner)
                    await conn.execute(kind.store, owner, row, new)
                if kind.is_of_endpoint and touched:
                    await conn.execute(QUERIES.touch_endpoints, list(touched))
            count = len(found)
    return Resealed(moved, unreadable)


async def _has_seed(conn: Connection, box: SecretBox, endpoint_id: UUID) -> bool:
    """Whether a key of this endpoint opens, as only what was sealed for an endpoint does; each has one while it lives."""
    for row in await conn.fetch(QUERIES.load_seeds_of, endpoint_id):
        try:
            box.open(row["seed_sealed"], Place(Column.ENDPOINT_SEED, endpoint_id, row["public_key"]))
        except SecretUnreadable:
            continue
        return True
    return False


def _reencrypt(box: SecretBox, kind: _Kind, place: Place, sealed: bytes) -> bytes | None:
    try:
        return box.reencrypt(sealed, place, lambda plain: kind.fits(plain, place.row))
    except SecretUnreadable:
        return None

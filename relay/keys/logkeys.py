"""The key of a merchant's log: made when it is first needed, one for all of its epochs, and what strangers call the log by.

It signs checkpoints and the list of the merchant's webhook keys, each under a name of its own, so that neither is ever taken
for the other. Lives here: making it, opening it, and the list. Does not live here: checkpoints (`checkpoints`), the texts
(`notes`).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from migrations.handles import Connection
from migrations.ids import encode_id
from migrations.queries import load_queries
from relay.keys import signing
from relay.keys.keyring import PublicKey
from relay.keys.secretbox import Column, Place, SecretBox
from relay.log.bodies import format_time
from relay.proof import notes

QUERIES = load_queries("relay", "checkpoints.sql")


@dataclass(frozen=True, slots=True)
class SignedList:
    """The public half of the log's key, and the note by which it says which webhook keys there are."""

    log_key: bytes
    note: str


def log_id_of(public_key: bytes) -> str:
    """`log_…`: who knows it can ask for the newest checkpoint without an API key, and knows the key by it."""
    return encode_id("log", UUID(bytes=sha256(public_key).digest()[:16]))


async def lock_key(conn: Connection, box: SecretBox, merchant_id: UUID, now: datetime) -> Ed25519PrivateKey:
    """The key of a log; its row is the lock under which a log is signed. SecretUnreadable."""
    return await _open(conn, box, merchant_id, now, QUERIES.lock_log_key)


async def load_key(conn: Connection, box: SecretBox, merchant_id: UUID, now: datetime) -> Ed25519PrivateKey:
    """The key of a log, for what needs no lock. SecretUnreadable."""
    return await _open(conn, box, merchant_id, now, QUERIES.load_log_key)


async def _open(
    conn: Connection, box: SecretBox, merchant_id: UUID, now: datetime, query: str
) -> Ed25519PrivateKey:
    row = await conn.fetchrow(query, merchant_id)
    if row is None:
        seed = os.urandom(signing.SEED_BYTES)
        verify_key = signing.public_bytes(signing.signing_key_from_seed(seed))
        sealed = box.seal(seed, Place(Column.LOG_SEED, merchant_id, verify_key))
        await conn.execute(QUERIES.insert_log_key, merchant_id, sealed, verify_key, now)
        row = await conn.fetchrow(query, merchant_id)
        assert row is not None, "a log's key is never deleted"
    place = Place(Column.LOG_SEED, merchant_id, row["verify_key"])
    return signing.signing_key_from_seed(box.open(row["signing_key_sealed"], place))


async def sign_key_list(
    conn: Connection, box: SecretBox, merchant_id: UUID, keys: Sequence[PublicKey], *, now: datetime
) -> SignedList:
    """Sign which keys a merchant's endpoints have at `now`, in the order given. SecretUnreadable."""
    key = await load_key(conn, box, merchant_id, now)
    name = f"chainbell/keys/{encode_id('mer', merchant_id)}"
    lines = [name, f"time {int(now.timestamp())}"]
    for one in keys:
        until = "-" if one.valid_until is None else format_time(one.valid_until)
        endpoint_id = encode_id("end", one.endpoint_id)
        lines.append(f"{endpoint_id} {one.public_key} {format_time(one.valid_from)} {until}")
    text = "".join(f"{line}\n" for line in lines)
    return SignedList(signing.public_bytes(key), notes.sign_note(text, name, key))

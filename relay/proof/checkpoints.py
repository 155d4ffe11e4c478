"""Signed checkpoints: so many events, this root, said with the log's own key; whoever keeps one can hold us to it.

Lives here: making one (the same way by the hour and on demand), announcing it in the log of merchants who asked for
that, reading them, and one bounded step over all logs whose turn it is. What would contradict an earlier
checkpoint is never signed: LogBroken. Does not live here: the tree (`tree`), the text (`notes`), proofs (`proofs`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from uuid import UUID

from migrations.handles import Connection, Row
from migrations.ids import encode_id, new_id
from migrations.queries import load_queries
from relay.errors import Conflict, LogBroken
from relay.keys import logkeys, signing
from relay.keys.secretbox import SecretBox
from relay.log import eventlog as log
from relay.log.bodies import RelayFact, format_time
from relay.proof import notes, tree

QUERIES = load_queries("relay", "checkpoints.sql")
ENDPOINTS = load_queries("relay", "endpoints.sql")

CHECKPOINT = "log.checkpoint"
"""The event type; published only for merchants of whom an endpoint names it."""
INTERVAL = timedelta(hours=1)
GROUPS_PER_STEP = 64
"""One transaction hashes 16,384 leaves at most, some tenths of a second; a longer backlog takes several."""
MERCHANTS_BATCH = 200
RENEWED_AFTER = timedelta(minutes=1)
"""Asked for a checkpoint while nothing is told, a log says again when that was, so often at most."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What was signed of a merchant's log. `note` is the signed text, `public_key` the raw 32 bytes that check it."""

    checkpoint_id: UUID
    merchant_id: UUID
    log_epoch: int
    size: int
    root_hash: bytes
    note: str
    cosignatures: str
    announced: bool
    created_at: datetime
    public_key: bytes

    @property
    def signed_at(self) -> datetime:
        """When this was said last: a note is signed again while nothing is told."""
        return notes.read_time(self.note)

    @property
    def told(self) -> int:
        """How many events the log has when nothing was told since, but that this was signed."""
        return self.size + self.announced


@dataclass(frozen=True, slots=True)
class Signing:
    """What became of one `make_checkpoint`: the newest checkpoint, and whether it was made now.

    None while the tree is still behind the log: what was stored of it now is kept, and the next call goes on.
    """

    checkpoint: Checkpoint | None
    made: bool


async def make_checkpoint(
    conn: Connection, box: SecretBox, merchant_id: UUID, *, now: datetime, renew: bool = False
) -> Signing:
    """Sign where the log stands, unless nothing was told since the last time; at most GROUPS_PER_STEP groups of work.

    With `renew`, the last one is looked at again even so, and signed with the time of now.

    In a transaction of its own. Conflict: nothing was ever told. LogBroken: what would be signed contradicts what was.
    SecretUnreadable.
    """
    assert conn.is_in_transaction(), "a checkpoint and its announcement are one transaction"
    key = await logkeys.lock_key(conn, box, merchant_id, now)
    head = await conn.fetchrow(QUERIES.load_log_to_sign, merchant_id)
    last = await load_last(conn, merchant_id)
    if last is not None and (head is None or head["sequence"] < last.size):
        raise LogBroken(f"{last.size} events were signed, the log has {head['sequence'] if head else 0}")
    if head is None or head["sequence"] == 0:
        raise Conflict("nothing was told yet: an empty log has no checkpoint")
    size: int = head["sequence"]
    name = notes.name_log(merchant_id, head["log_epoch"], head["epoch_after"])
    is_told = last is not None and last.told >= size and last.log_epoch == head["log_epoch"]
    if last is not None and is_told and not (renew and _is_old(last, now)):
        return Signing(last, made=False)
    if not await tree.grow(conn, merchant_id, size, groups_max=GROUPS_PER_STEP):
        return Signing(None, made=False)
    spans = [(0, size)] if last is None else [(0, size), (0, last.size)]
    root_hash, *earlier = await tree.load_roots(conn, merchant_id, spans)
    if last is not None and earlier != [last.root_hash]:
        raise LogBroken(f"the first {last.size} events are not those that were signed")
    at = now if last is None else max(now, last.signed_at)
    if last is not None and is_told:
        text = notes.compose_checkpoint(name, size=last.size, root_hash=last.root_hash)
        renewed = replace(last, note=notes.sign_note(text, name, key, at=at))
        await conn.execute(QUERIES.renew_note, last.checkpoint_id, renewed.note)
        return Signing(renewed, made=False)
    text = notes.compose_checkpoint(name, size=size, root_hash=root_hash)
    checkpoint = Checkpoint(
        checkpoint_id=new_id(int(at.timestamp() * 1000)),
        merchant_id=merchant_id,
        log_epoch=head["log_epoch"],
        size=size,
        root_hash=root_hash,
        note=notes.sign_note(text, name, key, at=at),
        cosignatures="",
        announced=await conn.fetchval(ENDPOINTS.names_event_type, merchant_id, CHECKPOINT),
        created_at=at,
        public_key=signing.public_bytes(key),
    )
    await _insert(conn, checkpoint, now)
    return Signing(checkpoint, made=True)


async def load_last(conn: Connection, merchant_id: UUID, *, size: int | None = None) -> Checkpoint | None:
    """The newest checkpoint of a log, or the newest of this size; None if there is none."""
    row = await conn.fetchrow(QUERIES.load_last_checkpoint, merchant_id, size)
    return None if row is None else _checkpoint(row)


async def load_public(conn: Connection, log_id: UUID) -> Checkpoint | None:
    """The newest checkpoint of the log that strangers call so."""
    row = await conn.fetchrow(QUERIES.load_public_checkpoint, log_id)
    return None if row is None else _checkpoint(row)


async def load_checkpoints(
    conn: Connection, merchant_id: UUID, *, after: tuple[datetime, UUID] | None = None, limit: int
) -> list[Checkpoint]:
    """Up to `limit` checkpoints of a log, oldest first, behind the one with this time and id."""
    rows = await conn.fetch(QUERIES.load_checkpoints, merchant_id, *(after or (None, None)), limit)
    return [_checkpoint(row) for row in rows]


async def load_logs_to_sign(conn: Connection, *, after: UUID, now: datetime) -> list[UUID]:
    """Merchants, by id behind `after`, whose log grew and was last signed an INTERVAL ago or never."""
    rows = await conn.fetch(QUERIES.load_logs_to_sign, after, now - INTERVAL, MERCHANTS_BATCH)
    return [row["merchant_id"] for row in rows]


async def load_next_signing_at(conn: Connection) -> datetime | None:
    """When the next log is to be signed that grew since it was last; None where none did."""
    signed_at: datetime | None = await conn.fetchval(QUERIES.load_next_signing)
    return None if signed_at is None else signed_at + INTERVAL


async def step_checkpoint(conn: Connection, box: SecretBox, merchant_id: UUID, *, now: datetime) -> bool:
    """One bounded piece of the work for one log; True when its checkpoint stands. Raises as `make_checkpoint`."""
    async with conn.transaction():
        signed = await make_checkpoint(conn, box, merchant_id, now=now)
    return signed.checkpoint is not None


def describe(checkpoint: Checkpoint) -> Mapping[str, str | int]:
    """A checkpoint as merchants see it, in the API and in `log.checkpoint`."""
    name = notes.name_of(checkpoint.note)
    return {
        "id": encode_id("chk", checkpoint.checkpoint_id),
        "log_id": logkeys.log_id_of(checkpoint.public_key),
        "log_epoch": checkpoint.log_epoch,
        "size": checkpoint.size,
        "root_hash": checkpoint.root_hash.hex(),
        "note": checkpoint.note + checkpoint.cosignatures,
        "public_key": signing.encode_public_key(checkpoint.public_key),
        "verifier_key": notes.encode_verifier_key(name, checkpoint.public_key),
        "created_at": format_time(checkpoint.created_at),
    }


def _is_old(last: Checkpoint, now: datetime) -> bool:
    return last.signed_at + RENEWED_AFTER <= now


async def _insert(conn: Connection, checkpoint: Checkpoint, now: datetime) -> None:
    await conn.execute(
        QUERIES.insert_checkpoint,
        checkpoint.checkpoint_id,
        checkpoint.merchant_id,
        checkpoint.log_epoch,
        checkpoint.size,
        checkpoint.root_hash,
        checkpoint.note,
        checkpoint.announced,
        checkpoint.created_at,
    )
    if checkpoint.announced:
        fact = RelayFact(
            merchant_id=checkpoint.merchant_id,
            object_id=encode_id("chk", checkpoint.checkpoint_id),
            version=1,
            type=CHECKPOINT,
            data={"checkpoint": describe(checkpoint)},
            at=checkpoint.created_at,
        )
        await log.append(conn, [fact], now=now)


def _checkpoint(row: Row) -> Checkpoint:
    same = (field.name for field in fields(Checkpoint) if field.name != "public_key")
    return Checkpoint(**{name: row[name] for name in same}, public_key=row["verify_key"])

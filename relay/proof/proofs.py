"""Proofs for merchants: that an event stands under a checkpoint, that a log is the continuation of an earlier one.

Lives here: reading them, in a few rows each however long the log is. What is proven is what is stored now: of rows that
were altered, no proof fits what was signed. Does not live here: the arithmetic (`merkle`), checking (`verify`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from uuid import UUID

from migrations.handles import Connection
from migrations.queries import load_queries
from relay.errors import Conflict, Flaw, NotFound, RequestFlawed
from relay.log import eventlog as log
from relay.proof import checkpoints, tree
from relay.proof.checkpoints import Checkpoint
from relay.proof.merkle import compute_consistency, compute_inclusion

QUERIES = load_queries("relay", "checkpoints.sql")


@dataclass(frozen=True, slots=True)
class Inclusion:
    """The event with this `sequence` and SHA-256 of its body is leaf `sequence` - 1 under `checkpoint`."""

    event_id: UUID
    sequence: int
    body_hash: bytes
    path: tuple[bytes, ...]
    checkpoint: Checkpoint


@dataclass(frozen=True, slots=True)
class Consistency:
    """The log of `second` events begins with the log of `first` events."""

    first: int
    second: int
    path: tuple[bytes, ...]


async def load_inclusion(
    conn: Connection, merchant_id: UUID, event_id: UUID, *, size: int | None = None
) -> Inclusion:
    """The proof of one event, also of one whose body is kept no longer, under the newest checkpoint or that of `size`.

    NotFound: no such event, or no checkpoint of that size. Conflict: the checkpoint is older than the event.
    """
    sequence, body_hash = await _find_event(conn, merchant_id, event_id)
    checkpoint = await checkpoints.load_last(conn, merchant_id, size=size)
    if checkpoint is None and size is not None:
        raise NotFound(f"there is no checkpoint of {size} events")
    if checkpoint is None or checkpoint.size < sequence:
        raise Conflict("no checkpoint covers this event yet: wait for the next one, or ask for one now")
    spans = compute_inclusion(sequence - 1, checkpoint.size)
    path = await tree.load_roots(conn, merchant_id, spans)
    return Inclusion(event_id, sequence, body_hash, tuple(path), checkpoint)


async def load_consistency(
    conn: Connection, merchant_id: UUID, *, first: int, second: int | None = None
) -> Consistency:
    """The proof from a log of `first` events to one of `second`, by default that of the newest checkpoint.

    NotFound: nothing was signed yet. RequestFlawed: a size beyond what was signed, or the two the wrong way round.
    """
    last = await checkpoints.load_last(conn, merchant_id)
    if last is None:
        raise NotFound("there is no checkpoint yet")
    end = last.size if second is None else second
    flaws = [] if end <= last.size else [Flaw("/query/to", f"{last.size} events are signed")]
    if not 1 <= first <= end:
        flaws.append(Flaw("/query/from", f"from 1 to {min(end, last.size)}"))
    if flaws:
        raise RequestFlawed(*flaws)
    path = await tree.load_roots(conn, merchant_id, compute_consistency(first, end))
    return Consistency(first, end, tuple(path))


async def _find_event(conn: Connection, merchant_id: UUID, event_id: UUID) -> tuple[int, bytes]:
    event = await log.load_event(conn, merchant_id, event_id)
    if event is not None:
        return event.sequence, hashlib.sha256(event.body).digest()
    leaf = await conn.fetchrow(QUERIES.find_leaf, merchant_id, event_id)
    if leaf is None:
        raise NotFound("there is no such event")
    return leaf["sequence"], leaf["body_hash"]

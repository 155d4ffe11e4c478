"""The event log of every merchant: the one door in, and what merchants read by pull and stream.

Lives here: `append`, inside the caller's transaction, so that an event and what it tells commit together; readers; new
epochs after a restore; partitions made ahead. Does not live here: the form of an event (`bodies`), checking a log
(`audit`), sending (`dispatch`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from migrations.handles import Connection
from migrations.queries import load_queries
from relay.bodies import CREDITED, Fact, LogHead, Published, Reversible, compute_event_id, compute_events

QUERIES = load_queries("relay", "log.sql")

CHANNEL = "chainbell_events"
"""The channel on which `append` tells which logs grew."""
NOTICE_BYTES_MAX = 7_900
MONTHS_AHEAD = 2


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """One event as merchants read it; `body` is the exact bytes every webhook of it had."""

    sequence: int
    event_id: UUID
    type: str
    body: bytes


async def append(conn: Connection, facts: Sequence[Fact], *, now: datetime) -> list[Published]:
    """Publish `facts` in their order: give each its sequence, id, hash and bytes, and write it.

    Call it last in the transaction (which is the caller's, and must be one): from here to the commit the logs of these
    merchants are locked, in the order of their ids. A fact told before is asyncpg's UniqueViolationError; a reversal of
    what was never told is LogBroken. Nothing is told to anyone before the commit.
    """
    if not facts:
        return []
    merchants = list({fact.merchant_id: None for fact in facts})
    rows = await conn.fetch(QUERIES.lock_merchant_logs, merchants)
    heads = {
        row["merchant_id"]: LogHead(row["log_epoch"], row["sequence"], row["head_hash"], row["head_at"])
        for row in rows
    }
    reversible = await _load_reversible(conn, facts)
    events, after = compute_events(facts, heads, reversible=reversible, now=now)
    await conn.execute(
        QUERIES.insert_events,
        [event.merchant_id for event in events],
        [event.sequence for event in events],
        [event.log_epoch for event in events],
        [event.event_id for event in events],
        [event.object_id for event in events],
        [event.version for event in events],
        [event.type for event in events],
        [event.prev_hash for event in events],
        [event.body for event in events],
        [event.created_at for event in events],
        list(after),
        [head.sequence for head in after.values()],
        [head.head_hash for head in after.values()],
        [head.head_at for head in after.values()],
        encode_notice({merchant_id: head.sequence for merchant_id, head in after.items()}),
    )
    return events


async def _load_reversible(conn: Connection, facts: Sequence[Fact]) -> dict[Reversible, UUID]:
    asked = [
        (fact.merchant_id, fact.object_id, fact.reverses_version)
        for fact in facts
        if fact.reverses_version is not None
    ]
    if not asked:
        return {}
    columns = [list(column) for column in zip(*asked, strict=True)]
    rows = await conn.fetch(QUERIES.load_reversible, *columns)
    found = {(row["merchant_id"], row["object_id"], row["version"]): row["event_id"] for row in rows}
    if missing := [key for key in asked if key not in found]:
        # Their partition may have been dropped; its ids were kept.
        epochs = {1, *(row["log_epoch"] for row in await conn.fetch(QUERIES.load_log_epochs))}
        candidates = {
            compute_event_id(key[0], log_epoch, key[1], key[2], CREDITED): key
            for key in missing
            for log_epoch in epochs
        }
        for row in await conn.fetch(QUERIES.load_leaves_by_id, list(candidates)):
            found[candidates[row["event_id"]]] = row["event_id"]
    return found


def encode_notice(sequences: Mapping[UUID, int]) -> str:
    """What is sent on CHANNEL: merchants and the heads of their logs, or nothing where that would be too long."""
    notice = ",".join(f"{merchant_id.hex}:{sequence}" for merchant_id, sequence in sequences.items())
    return notice if len(notice) <= NOTICE_BYTES_MAX else ""


def decode_notice(notice: str) -> dict[UUID, int]:
    """Merchant → head sequence of what `encode_notice` wrote; empty: any log may have grown."""
    pairs = (pair.partition(":") for pair in notice.split(",") if pair)
    return {UUID(hex=merchant): int(sequence) for merchant, _, sequence in pairs}


async def load_events_after(
    conn: Connection, merchant_id: UUID, *, after_sequence: int, types: Collection[str] | None, limit: int
) -> list[StoredEvent]:
    """Up to `limit` events behind `after_sequence`, ascending; only of `types` unless that is None."""
    rows = await conn.fetch(
        QUERIES.load_events_after, merchant_id, after_sequence, None if types is None else list(types), limit
    )
    return [StoredEvent(row["sequence"], row["event_id"], row["type"], row["body"]) for row in rows]


async def load_event(conn: Connection, merchant_id: UUID, event_id: UUID) -> StoredEvent | None:
    """One event of this merchant, or None."""
    row = await conn.fetchrow(QUERIES.load_event, event_id, merchant_id)
    return None if row is None else StoredEvent(row["sequence"], row["event_id"], row["type"], row["body"])


async def load_events_of_object(
    conn: Connection, merchant_id: UUID, object_id: str, *, after_sequence: int, limit: int
) -> list[StoredEvent]:
    """Up to `limit` events about one object behind `after_sequence`, ascending, as far as they are kept."""
    rows = await conn.fetch(QUERIES.load_events_of_object, merchant_id, object_id, after_sequence, limit)
    return [StoredEvent(row["sequence"], row["event_id"], row["type"], row["body"]) for row in rows]


async def load_head(conn: Connection, merchant_id: UUID) -> LogHead:
    """Where this merchant's log stands; sequence 0 if nothing was ever told, in the epoch its first event will have."""
    row = await conn.fetchrow(QUERIES.load_head, merchant_id)
    if row is None:
        return LogHead(log_epoch=await conn.fetchval(QUERIES.load_newest_epoch))
    return LogHead(*row)


async def load_oldest_sequence(conn: Connection, merchant_id: UUID) -> int:
    """The first sequence that is still kept: reading after anything below this minus one has a hole (410)."""
    oldest: int | None = await conn.fetchval(QUERIES.load_oldest_sequence, merchant_id)
    if oldest is not None:
        return oldest
    return (await load_head(conn, merchant_id)).sequence + 1


async def raise_epochs(conn: Connection) -> None:
    """Start a new epoch of every log, also of those still empty: what is told from now on has new ids, sequences count on.

    After a restore. Restoring the same backup again starts another one.
    """
    await conn.execute(QUERIES.raise_log_epochs)


async def make_partitions(conn: Connection, *, now: datetime) -> int:
    """Make the partitions of this month and the next ones, and of any month whose events came before its partition.

    Those are what followers told while no relay ran, and what a restore brought back. Returns how many were missing.
    Safe to repeat.
    """
    months = [now.month - 1 + ahead for ahead in range(MONTHS_AHEAD + 1)]
    wanted = {date(now.year + month // 12, month % 12 + 1, 1) for month in months}
    wanted.update(row["month"] for row in await conn.fetch(QUERIES.load_months_without_partition))
    made = 0
    for first_day in sorted(wanted):
        made += bool(await conn.fetchval(QUERIES.make_events_partition, first_day))
    return made

"""The event log of every merchant: the one door in, and what merchants read by pull and stream.

Lives here: `append`, inside the caller's transaction, so that an event and what it tells commit together; readers; new
epochs after a restore; partitions made ahead. Readers name the days they read, since a query that does not opens every
partition there is (docs/decisions/0007-a-partition-a-day.md). Does not live here: the form of an event (`bodies`),
checking a log (`audit`), sending (`dispatch`), dropping a day (`prune`).
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from migrations.handles import Connection
from migrations.queries import load_queries
from relay.errors import LogBroken
from relay.log.bodies import (
    CREDITED,
    Draft,
    Fact,
    LogHead,
    Published,
    Reversible,
    compute_drafts,
    compute_event_id,
    place_drafts,
)

QUERIES = load_queries("relay", "log.sql")

_PARTITION_NAME = re.compile(r"events_([0-9]{4})_([0-9]{2})_([0-9]{2})")

CHANNEL = "chainbell_events"
"""The channel on which `append` tells which logs grew."""
NOTICE_BYTES_MAX = 7_900
DAYS_AHEAD = 7
"""So long a relay may be away, or a stranger's transaction in the way, before events go to the default partition."""
DAYS_A_READ = 100
"""Partitions one statement opens at most: each is some locks of the server's, which it has a few thousand of."""
TABLES_MAX = 40_000
"""More days than a century has."""
STRETCH_EVENTS = 10_000
"""How far one statement looks for events of rare types."""


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """One event as merchants read it; `body` is the exact bytes every webhook of it had."""

    sequence: int
    event_id: UUID
    type: str
    body: bytes


async def append(conn: Connection, facts: Sequence[Fact], *, now: datetime) -> list[Published]:
    """Publish `facts` in their order: give each its sequence, id, hash and bytes, and write it. One statement.

    In a transaction, call it last: from here to the commit the logs of these merchants are locked, in the order of their
    ids. A fact told before is asyncpg's UniqueViolationError; a reversal of what was never told is LogBroken. Nothing is
    told to anyone before the commit.
    """
    if not facts:
        return []
    reversible = await _load_reversible(conn, facts)
    merchants = sorted({fact.merchant_id for fact in facts})
    epochs = dict.fromkeys(merchants, _Epoch.seen_last)
    heads: dict[UUID, LogHead] = {}
    while True:
        drafts = compute_drafts(facts, epochs, reversible=reversible)
        rows = await _append_drafts(conn, epochs, drafts, now)
        heads = {
            row["merchant_id"]: LogHead(row["log_epoch"], row["sequence"], row["head_hash"], row["head_at"])
            for row in rows
        }
        if (found := {merchant_id: head.log_epoch for merchant_id, head in heads.items()}) == epochs:
            break
        epochs, _Epoch.seen_last = found, max(found.values())  # nothing was written; it is ours now
    events, after = place_drafts(drafts, heads, now=now)
    if any(row["hash_after"] != after[row["merchant_id"]].head_hash for row in rows):
        raise LogBroken("the database wrote other bytes than were told")
    return events


class _Epoch:
    """The epoch in which something was told last, by this process: a guess that the database judges."""

    seen_last = 1


async def _append_drafts(
    conn: Connection, epochs: Mapping[UUID, int], drafts: Sequence[Draft], now: datetime
) -> Sequence[Any]:
    told = sorted(drafts, key=lambda draft: draft.fact.merchant_id)
    return await conn.fetch(
        QUERIES.append_events,
        list(epochs),
        list(epochs.values()),
        now,
        [draft.fact.merchant_id for draft in told],
        [draft.event_id for draft in told],
        [draft.fact.object_id for draft in told],
        [draft.fact.version for draft in told],
        [draft.fact.type for draft in told],
        [draft.before for draft in told],
        [draft.after for draft in told],
    )


def day_of(moment: datetime) -> date:
    """The day, in UTC, whose partition an event of that moment is in."""
    return moment.astimezone(UTC).date()


async def _load_reversible(conn: Connection, facts: Sequence[Fact]) -> dict[Reversible, UUID]:
    asked = [
        (fact.merchant_id, fact.object_id, fact.reverses_version)
        for fact in facts
        if fact.reverses_version is not None
    ]
    if not asked:
        return {}
    # What a credit was told as follows from what it said; only in which epoch it was told must be looked up.
    epochs = {1, *(row["log_epoch"] for row in await conn.fetch(QUERIES.load_log_epochs))}
    candidates = {
        compute_event_id(key[0], log_epoch, key[1], key[2], CREDITED): key
        for key in asked
        for log_epoch in epochs
    }
    found: dict[Reversible, UUID] = {}
    for days in await load_days(conn, {key[0] for key in asked}):
        missing = [event_id for event_id, key in candidates.items() if key not in found]
        async with glance(conn):
            rows = await conn.fetch(QUERIES.load_event_ids, missing, days, len(asked) - len(found))
        found.update((candidates[row["event_id"]], row["event_id"]) for row in rows)
        if len(found) == len(asked):
            return found
    # Its partition may have been dropped; the ids were kept.
    for row in await conn.fetch(QUERIES.load_leaves_by_id, list(candidates)):
        found[candidates[row["event_id"]]] = row["event_id"]
    return found


async def load_days(
    conn: Connection, merchants: Collection[UUID], *, after_sequence: int = 0
) -> list[list[date]]:
    """The days of these logs from the event behind `after_sequence` on, newest first, as many together as one
    statement may read.
    """
    rows = await conn.fetch(QUERIES.load_days_of_logs, list(merchants), after_sequence)
    days = [row["day"] for row in rows]
    return [days[first : first + DAYS_A_READ] for first in range(0, len(days), DAYS_A_READ)]


@asynccontextmanager
async def glance(conn: Connection) -> AsyncIterator[None]:
    """Read inside it: the locks on what was read end with it, also where the caller's transaction goes on.

    Without it, whoever walks over the days of a log in one transaction ends with a lock on each of them. Nothing can be
    written inside: it is rolled back.
    """
    reading = conn.transaction()
    await reading.start()
    try:
        yield
    finally:
        await reading.rollback()


def encode_notice(sequences: Mapping[UUID, int]) -> str:
    """A notice of merchants and the heads of their logs, or of nobody where that would be too long."""
    notice = ",".join(f"{merchant_id.hex}:{sequence}" for merchant_id, sequence in sequences.items())
    return notice if len(notice) <= NOTICE_BYTES_MAX else ""


def decode_notice(notice: str) -> dict[UUID, int]:
    """Merchant → head sequence of what `encode_notice` wrote, or the database on CHANNEL; empty: any log may have grown."""
    told = (one.split(":", 2) for one in notice.split(",") if one)
    return {UUID(hex=merchant): int(sequence) for merchant, sequence, *_ in told}


def decode_proofs(notice: str) -> list[tuple[UUID, int, str]]:
    """Merchant, head sequence, and how the head's hash begins (in hex), of those heads whose hash the notice names."""
    told = (one.split(":", 2) for one in notice.split(",") if one)
    return [(UUID(hex=one[0]), int(one[1]), one[2]) for one in told if len(one) == 3]


async def load_events_after(
    conn: Connection, merchant_id: UUID, *, after_sequence: int, types: Collection[str] | None, limit: int
) -> list[StoredEvent]:
    """Up to `limit` events behind `after_sequence`, ascending; only of `types` unless that is None.

    Ask for the oldest sequence afterwards, not before: a day may be dropped between two questions.
    """
    wanted = None if types is None else list(types)
    head = (await load_head(conn, merchant_id)).sequence
    found: list[StoredEvent] = []
    while after_sequence < head and len(found) < limit:
        lacking = limit - len(found)
        last = await load_stretch_end(
            conn, merchant_id, after_sequence, lacking if wanted is None else STRETCH_EVENTS
        )
        rows = await conn.fetch(QUERIES.load_events_after, merchant_id, after_sequence, last, wanted, lacking)
        found += [StoredEvent(row["sequence"], row["event_id"], row["type"], row["body"]) for row in rows]
        after_sequence = last
    return found


async def load_stretch_end(conn: Connection, merchant_id: UUID, after_sequence: int, events_max: int) -> int:
    """The last sequence one statement should read behind `after_sequence`, for its events and its days."""
    last: int = await conn.fetchval(
        QUERIES.load_stretch_end, merchant_id, after_sequence, events_max, DAYS_A_READ
    )
    return last


async def load_event(conn: Connection, merchant_id: UUID, event_id: UUID) -> StoredEvent | None:
    """One event of this merchant, or None."""
    for days in await load_days(conn, [merchant_id]):
        row = await conn.fetchrow(QUERIES.load_event, event_id, merchant_id, days)
        if row is not None:
            return StoredEvent(row["sequence"], row["event_id"], row["type"], row["body"])
    return None


async def load_events_of_object(
    conn: Connection, merchant_id: UUID, object_id: str, *, after_sequence: int, limit: int
) -> list[StoredEvent]:
    """Up to `limit` events about one object behind `after_sequence`, ascending, as far as they are kept."""
    found: list[StoredEvent] = []
    for days in reversed(await load_days(conn, [merchant_id], after_sequence=after_sequence)):
        lacking = limit - len(found)
        rows = await conn.fetch(
            QUERIES.load_events_of_object, merchant_id, object_id, after_sequence, days[::-1], lacking
        )
        found += [StoredEvent(row["sequence"], row["event_id"], row["type"], row["body"]) for row in rows]
        if len(found) == limit:
            break
    return found


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


async def hold_oldest_sequence(conn: Connection, merchant_id: UUID) -> int:
    """As `load_oldest_sequence`, and nothing of any log is dropped until the caller's transaction ends.

    For whoever makes a cursor, a replay or a row that needs what is kept now.
    """
    await conn.execute(QUERIES.hold_retention)
    return await load_oldest_sequence(conn, merchant_id)


async def raise_epochs(conn: Connection) -> None:
    """Start a new epoch of every log, also of those still empty: what is told from now on has new ids, sequences count on.

    After a restore. Restoring the same backup again starts another one.
    """
    await conn.execute(QUERIES.lock_all_logs)
    await conn.execute(QUERIES.raise_log_epochs)


async def make_partitions(conn: Connection, *, now: datetime) -> int:
    """Make the partitions of today and the next days, and of any day whose events came before its partition.

    Those are what followers told while no relay ran. Returns how many were made; one that somebody's transaction is in
    the way of is left for the next time. Safe to repeat.
    """
    wanted = {day_of(now) + timedelta(days=ahead) for ahead in range(DAYS_AHEAD + 1)}
    wanted.update(row["day"] for row in await conn.fetch(QUERIES.load_days_without_partition))
    return await make_partitions_of(conn, wanted)


async def make_partitions_of(conn: Connection, days: Collection[date]) -> int:
    """Make the partitions of these days, as far as they are missing and nobody is in the way; returns how many."""
    made = 0
    for day in sorted(days):
        made += await conn.fetchval(QUERIES.make_events_partition, day) == "made"
    return made


async def make_partitions_named(conn: Connection, tables: Sequence[str]) -> None:
    """Make the partitions among these tables, so that a restore fills days and not the default partition."""
    days = set()
    for found in filter(None, map(_PARTITION_NAME.fullmatch, tables[:TABLES_MAX])):
        with suppress(ValueError):  # no day of any year: nothing that we made
            days.add(date(*map(int, found.groups())))
    await make_partitions_of(conn, days)

"""Is a merchant's log what it claims to be? Gaps, the hash chain, ids and bytes, across partitions; and what was signed.

Lives here: `verify_log`, which reads a log from its oldest kept event to its head, in batches, and names every fault;
`verify_tree`, which grows its tree anew from the first leaf and holds stored nodes and checkpoints against it. Does not
live here: repairing (nothing rewrites a log), appending (`eventlog`), what PostgreSQL checks by itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import msgspec

from migrations.handles import Connection
from migrations.ids import encode_id
from migrations.queries import load_queries
from relay.errors import LogBroken
from relay.log.bodies import NO_HASH, LogHead, Published, compute_event_id
from relay.log.eventlog import DAYS_A_READ, load_head, load_oldest_sequence, load_stretch_end
from relay.proof import tree
from relay.proof.merkle import Peaks, Subtree

QUERIES = load_queries("relay", "log.sql")
CHECKPOINTS = load_queries("relay", "checkpoints.sql")

BATCH_EVENTS = 500
FAULTS_MAX = 100
SIZE_MAX = 2**63 - 1
NO_MERCHANT = UUID(int=0)

OnRead = Callable[[int], None]
"""Told how many more events were read, for whoever shows progress."""


@dataclass(frozen=True, slots=True)
class LogFault:
    """One thing wrong with a log, at or just before `sequence`."""

    merchant_id: UUID
    sequence: int
    fault: str


@dataclass(frozen=True, slots=True)
class AuditedLog:
    """What reading one whole log showed. `events`: how many it had; `faults` is empty when all is well."""

    merchant_id: UUID
    events: int
    faults: tuple[LogFault, ...]


@dataclass(slots=True)
class Walk:
    """A log being read in order. Pure: `take` events, then `arrive` at the head."""

    merchant_id: UUID
    next_sequence: int = 1
    last_hash: bytes | None = NO_HASH
    log_epoch: int = 1
    faults: list[LogFault] = field(default_factory=list)

    def take(self, event: Published) -> None:
        """Hold one event against everything before it."""
        if event.sequence != self.next_sequence:
            kind = "stands there twice" if event.sequence < self.next_sequence else "comes after a gap"
            self.note(event.sequence, f"sequence {event.sequence} {kind}")
        elif self.last_hash is not None and event.prev_hash != self.last_hash:
            self.note(event.sequence, "does not continue the hash chain")
        if event.log_epoch < self.log_epoch:
            self.note(event.sequence, "is of an older epoch than the event before it")
        for what in self._contradictions(event):
            self.note(event.sequence, what)
        self.next_sequence = event.sequence + 1
        self.last_hash = hashlib.sha256(event.body).digest()
        self.log_epoch = event.log_epoch

    def arrive(self, head: LogHead) -> None:
        """Hold the end of the log against its head row."""
        if head.sequence != self.next_sequence - 1:
            self.note(
                head.sequence, f"the head says {head.sequence}, the log ends at {self.next_sequence - 1}"
            )
        elif self.last_hash is not None and head.head_hash != self.last_hash:
            self.note(head.sequence, "the head has another hash than the last body")

    def _contradictions(self, event: Published) -> list[str]:
        event_id = compute_event_id(
            self.merchant_id, event.log_epoch, event.object_id, event.version, event.type
        )
        found = [] if event_id == event.event_id else ["has an id that its content does not give"]
        try:
            body = msgspec.json.decode(event.body, type=dict[str, object])
        except (msgspec.DecodeError, msgspec.ValidationError):
            return [*found, "has a body that is not a JSON object"]
        expected: Mapping[str, object] = {
            "id": encode_id("evt", event.event_id),
            "type": event.type,
            "sequence": event.sequence,
            "prev_hash": event.prev_hash.hex(),
            "log_epoch": event.log_epoch,
            "merchant_id": encode_id("mer", self.merchant_id),
        }
        found += [
            f"has another {name} in its body" for name, value in expected.items() if body.get(name) != value
        ]
        return found

    def note(self, sequence: int, fault: str) -> None:
        """One fault, unless there are too many already."""
        if len(self.faults) < FAULTS_MAX:
            self.faults.append(LogFault(self.merchant_id, sequence, fault))


def tell_nobody(_events: int) -> None:
    """For audits that nobody watches."""


async def verify_log(conn: Connection, merchant_id: UUID, *, on_read: OnRead = tell_nobody) -> list[LogFault]:
    """Every fault of this merchant's log, the first FAULTS_MAX of them; empty is what it should be.

    Reads in batches without holding a snapshot over all of it; run it in a transaction of its own to also hold the
    head still.
    """
    head = await load_head(conn, merchant_id)
    walk = await _begin(conn, merchant_id)
    after = walk.next_sequence - 1
    while after < head.sequence:
        last = min(head.sequence, await load_stretch_end(conn, merchant_id, after, BATCH_EVENTS))
        for event in await _load_batch(conn, merchant_id, after, last):
            walk.take(event)
        on_read(last - after)
        after = last
    walk.arrive(head)
    for sequence in await _load_strays(conn, merchant_id):
        walk.note(sequence, f"sequence {sequence} stands on a day that is not its own")
    return walk.faults


async def verify_tree(conn: Connection, merchant_id: UUID) -> list[LogFault]:
    """Every stored node and every signed root that the log's leaves do not give, the first FAULTS_MAX of them.

    Nodes that are not stored yet are none: trees grow behind their logs.
    """
    head = await load_head(conn, merchant_id)
    faults = [
        LogFault(merchant_id, row["size"], f"{row['size']} events were signed, the head says {head.sequence}")
        for row in await conn.fetch(CHECKPOINTS.load_signed_roots, merchant_id, head.sequence, SIZE_MAX)
    ]
    peaks = Peaks()
    while peaks.count < head.sequence and len(faults) < FAULTS_MAX:
        start, end = peaks.count, min(peaks.count + BATCH_EVENTS, head.sequence)
        try:
            leaves = await tree.load_leaves(conn, merchant_id, (start, end))
        except LogBroken as error:
            return [*faults, LogFault(merchant_id, start + 1, str(error))]
        signed: dict[int, set[bytes]] = {}
        for row in await conn.fetch(CHECKPOINTS.load_signed_roots, merchant_id, start, end):
            signed.setdefault(row["size"], set()).add(row["root_hash"])
        made: dict[Subtree, bytes] = {}
        for leaf in leaves:
            made.update(peaks.append(leaf))
            if peaks.count in signed and signed[peaks.count] != {peaks.root}:
                faults.append(LogFault(merchant_id, peaks.count, "another root was signed"))
        for subtree, root in (await tree.load_nodes(conn, merchant_id, list(made))).items():
            if made[subtree] != root:
                fault = f"the node at level {subtree.level}, position {subtree.position} is another"
                faults.append(LogFault(merchant_id, end, fault))
    return faults[:FAULTS_MAX]


async def _load_strays(conn: Connection, merchant_id: UUID) -> list[int]:
    """Events that no reader finds, because their day says nothing of them."""
    rows = await conn.fetch(QUERIES.load_partition_days)
    rows += await conn.fetch(QUERIES.load_days_without_partition)
    days = [row["day"] for row in rows]
    strays: list[int] = []
    for first in range(0, len(days), DAYS_A_READ):
        found = await conn.fetch(QUERIES.load_stray_events, merchant_id, days[first : first + DAYS_A_READ])
        strays += [row["sequence"] for row in found]
    return strays


async def _begin(conn: Connection, merchant_id: UUID) -> Walk:
    """A walk behind what retention dropped, of which every leaf must be there."""
    oldest = await load_oldest_sequence(conn, merchant_id)
    if oldest == 1:
        return Walk(merchant_id)
    last_hash: bytes | None = await conn.fetchval(QUERIES.load_leaf, merchant_id, oldest - 1)
    walk = Walk(merchant_id, oldest, last_hash)
    leaves: int = await conn.fetchval(QUERIES.count_leaves_before, merchant_id, oldest)
    if leaves != oldest - 1:
        walk.note(oldest, f"{oldest - 1 - leaves} of the events before it left no leaf")
    return walk


async def audit_log(conn: Connection, merchant_id: UUID, *, on_read: OnRead = tell_nobody) -> AuditedLog:
    """One log with its tree. Relays may go on beside it: when retention takes a day out meanwhile, it begins again."""
    while True:
        oldest = await load_oldest_sequence(conn, merchant_id)
        head = await load_head(conn, merchant_id)
        faults = [
            *await verify_log(conn, merchant_id, on_read=on_read),
            *await verify_tree(conn, merchant_id),
        ]
        if not faults or await load_oldest_sequence(conn, merchant_id) == oldest:
            return AuditedLog(merchant_id, head.sequence, tuple(faults))


async def audit_logs(conn: Connection, *, on_read: OnRead = tell_nobody) -> AsyncIterator[AuditedLog]:
    """Every log that has an event, one after the other."""
    last = NO_MERCHANT
    while rows := await conn.fetch(QUERIES.load_logged_merchants, last, BATCH_EVENTS):
        for row in rows:
            last = row["merchant_id"]
            yield await audit_log(conn, last, on_read=on_read)


async def count_logged_events(conn: Connection) -> int:
    """How many events all logs have together, dropped ones included."""
    counted: int = await conn.fetchval(QUERIES.count_logged_events)
    return counted


async def verify_logs(conn: Connection) -> list[LogFault]:
    """The faults of all logs and of their trees."""
    return [fault async for audited in audit_logs(conn) for fault in audited.faults]


async def _load_batch(conn: Connection, merchant_id: UUID, after: int, last: int) -> Sequence[Published]:
    # Two for each sequence: one that stands there twice must be seen, too.
    rows = await conn.fetch(QUERIES.load_events_to_audit, merchant_id, after, last, 2 * BATCH_EVENTS)
    return [Published(merchant_id, **row) for row in rows]

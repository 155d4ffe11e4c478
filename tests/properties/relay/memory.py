"""A `RelayStore` in memory whose coroutines never wait, with faults before and after every call.

Lives here: the same questions and the same settle as `relay.workers.store`, told in Python; the conformance suite in
tests/database/relay holds both to one behaviour. Every change checks the constraints the tables have. Does not live
here: time and chance (the test brings them), endpoints' API (tests set what they need by `add_endpoint` and friends).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from relay.lanes.condition import RECOVERED
from relay.log.bodies import LogHead, Published, RelayFact, compute_events, endpoint_fact
from relay.model import (
    AttemptRow,
    Blocked,
    Drain,
    DueRow,
    EndpointState,
    ExceptionRow,
    LanePosition,
    LogEvent,
    RowState,
    Settlement,
    shard_of,
)
from relay.workers.storage import (
    DueRows,
    EndpointRecord,
    ReadBehind,
    SealedSecret,
    SettleResult,
    ShardCensus,
    ShardLease,
)
from tests.properties.relay.constraints import HEADS, check_constraints, check_heads
from tests.properties.relay.covering import OVER, begin_terms, cover_rows, find_covering, find_covers

T = TypeVar("T")


def drive(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        value: T = done.value
        return value
    raise AssertionError("a coroutine waited for something that is not the store")


@dataclass
class StoredReplay:
    sequence: int
    sequence_last: int
    matched: int


@dataclass
class StoredEndpoint:
    record: EndpointRecord
    event_types: frozenset[str] | None
    cursor: int
    matched: int = 0
    wakes: int = 0
    version: int = 0
    rows: dict[int, ExceptionRow] = field(default_factory=dict)
    attempts: dict[tuple[int, int], AttemptRow] = field(default_factory=dict)
    replays: list[StoredReplay] = field(default_factory=list)
    filters: list[tuple[int, frozenset[str] | None]] = field(default_factory=list)
    drain: Drain = Drain.ALL
    drain_sequence: int = 0

    def wanted(self, event: Published) -> bool:
        """The filter that held at this event's place matched it."""
        held = [types for after_sequence, types in self.filters if after_sequence < event.sequence]
        return bool(held) and (held[-1] is None or event.type in held[-1])


@dataclass
class StoredShard:
    owner: UUID | None = None
    epoch: int = 0
    leased_until_s: float = 0.0


class MemoryStore:
    """All tables of the relay. `fault` is called before ("name", False) and after ("name", True) each method."""

    def __init__(self) -> None:
        self.events: dict[UUID, list[Published]] = {}
        self.heads: dict[UUID, LogHead] = {}
        self.endpoints: dict[UUID, StoredEndpoint] = {}
        self.disabled: set[UUID] = set()
        self.shards = {shard: StoredShard() for shard in range(64)}
        self.workers: dict[UUID, float] = {}
        self.now_s = 0.0
        self.fault: Callable[[str, bool], None] = lambda _name, _after: None

    # --- what tests do ---------------------------------------------------------------------------------------------

    def publish(self, facts: Sequence[RelayFact], now: datetime) -> list[Published]:
        for fact in facts:
            self.heads.setdefault(fact.merchant_id, LogHead())
        events, self.heads = compute_events(facts, self.heads, reversible={}, now=now)
        for event in events:
            self.events.setdefault(event.merchant_id, []).append(event)
        return events

    def add_endpoint(
        self,
        endpoint_id: UUID,
        merchant_id: UUID,
        *,
        event_types: frozenset[str] | None = None,
        sealed: SealedSecret,
        signing_key_sealed: bytes,
        max_in_flight: int = 32,
        drain: Drain = Drain.ALL,
    ) -> None:
        start = self.heads.get(merchant_id, LogHead()).sequence
        record = EndpointRecord(
            endpoint_id=endpoint_id,
            merchant_id=merchant_id,
            shard=shard_of(endpoint_id),
            url=f"https://receiver.test/{endpoint_id}",
            headers_sealed=None,
            max_in_flight=max_in_flight,
            rate_per_s=None,
            secrets=(sealed,),
            signing_keys=(SealedSecret(signing_key_sealed, None),),
            state=EndpointState.ACTIVE,
            enabled=True,
            revision=1,
            filter_revision=1,
            wakes=0,
            replaying=False,
            event_types=event_types,
        )
        self.endpoints[endpoint_id] = StoredEndpoint(
            record, event_types, start, filters=[(start, event_types)], drain=drain
        )

    def change(self, endpoint_id: UUID, **changes: Any) -> None:
        """Set fields of the record, as a merchant's command would, and raise its revision."""
        stored = self.endpoints[endpoint_id]
        stored.record = replace(stored.record, revision=stored.record.revision + 1, **changes)

    def resume(self, endpoint_id: UUID, now: datetime) -> None:
        """As a merchant's command would: what waits gets a try, and an outage is over."""
        stored = self.endpoints[endpoint_id]
        if stored.record.state is not EndpointState.ACTIVE:
            self.change(endpoint_id, state=EndpointState.ACTIVE, wakes=stored.record.wakes + 1)
            self.begin_short_drain(stored, now)

    def begin_short_drain(self, stored: StoredEndpoint, now: datetime) -> bool:
        merchant_id = stored.record.merchant_id
        if stored.drain is Drain.ALL or merchant_id not in self.heads:
            return False
        stored.drain_sequence = self.heads[merchant_id].sequence
        stored.record = replace(stored.record, filter_revision=stored.record.filter_revision + 1)
        log, told_by = self.events.get(merchant_id, []), stored.drain_sequence
        freed = cover_rows(stored.rows, log, stored.event_types, cursor=stored.cursor, told_by=told_by)
        for object_id in freed:
            promote(stored, object_id, now, replay_=False)
        check_constraints(stored.rows.values(), cursor=stored.cursor, matched=stored.matched)
        return True

    def set_filter(self, endpoint_id: UUID, event_types: frozenset[str] | None, now: datetime) -> None:
        stored = self.endpoints[endpoint_id]
        stored.event_types = event_types
        stored.filters = [one for one in stored.filters if one[0] != stored.cursor] + [
            (stored.cursor, event_types)
        ]
        self._read_again(stored, now)

    def set_drain(self, endpoint_id: UUID, drain: Drain, now: datetime) -> None:
        stored = self.endpoints[endpoint_id]
        before, stored.drain = stored.drain, drain
        if drain is Drain.ALL and before is not Drain.ALL:
            self._read_again(stored, now)
        else:
            self.change(endpoint_id)

    def _read_again(self, stored: StoredEndpoint, now: datetime) -> None:
        for object_id in begin_terms(stored.rows, cursor=stored.cursor):
            promote(stored, object_id, now, replay_=False)
        self.change(stored.record.endpoint_id, filter_revision=stored.record.filter_revision + 1)

    def event_at(self, merchant_id: UUID, sequence: int) -> Published:
        return self.events[merchant_id][sequence - 1]

    def matches(self, stored: StoredEndpoint, event: Published) -> bool:
        return stored.event_types is None or event.type in stored.event_types

    # --- shards ----------------------------------------------------------------------------------------------------

    async def renew_leases(self, worker_id: UUID, lease_s: float) -> ShardCensus:
        self.fault("renew_leases", False)
        self.workers[worker_id] = self.now_s
        for shard in self.shards.values():
            if shard.owner == worker_id:
                shard.leased_until_s = self.now_s + lease_s
        census = ShardCensus(
            held=tuple(ShardLease(n, one.epoch) for n, one in self.shards.items() if one.owner == worker_id),
            free=tuple(n for n, one in self.shards.items() if self._is_free(one)),
            workers=sum(seen_s > self.now_s - lease_s for seen_s in self.workers.values()),
        )
        self.fault("renew_leases", True)
        return census

    async def claim_shards(self, worker_id: UUID, shards: Sequence[int], lease_s: float) -> list[ShardLease]:
        self.fault("claim_shards", False)
        claimed = []
        for number in shards:
            shard = self.shards[number]
            if self._is_free(shard):
                shard.owner, shard.epoch, shard.leased_until_s = (
                    worker_id,
                    shard.epoch + 1,
                    self.now_s + lease_s,
                )
                claimed.append(ShardLease(number, shard.epoch))
        self.fault("claim_shards", True)
        return claimed

    async def release_shards(self, worker_id: UUID, shards: Sequence[int]) -> None:
        self.fault("release_shards", False)
        for number in shards:
            if self.shards[number].owner == worker_id:
                self.shards[number].owner = None
        self.fault("release_shards", True)

    def _is_free(self, shard: StoredShard) -> bool:
        return shard.owner is None or shard.leased_until_s < self.now_s

    # --- reading ---------------------------------------------------------------------------------------------------

    async def load_endpoints(
        self, *, shards: Collection[int] = (), endpoints: Collection[UUID] = ()
    ) -> list[EndpointRecord]:
        self.fault("load_endpoints", False)
        found = [
            replace(
                one.record,
                enabled=one.record.merchant_id not in self.disabled,
                replaying=bool(one.replays),
                event_types=one.event_types,
            )
            for endpoint_id, one in self.endpoints.items()
            if one.record.shard in shards or endpoint_id in endpoints
        ]
        self.fault("load_endpoints", True)
        return found

    async def load_revisions(self, shards: Collection[int]) -> dict[UUID, int]:
        self.fault("load_revisions", False)
        return {
            endpoint_id: one.record.revision
            for endpoint_id, one in self.endpoints.items()
            if one.record.shard in shards
        }

    async def load_positions(
        self, endpoints: Collection[UUID], *, reversal_type: str
    ) -> dict[UUID, LanePosition]:
        self.fault("load_positions", False)
        found = {}
        for endpoint_id in endpoints:
            if (stored := self.endpoints.get(endpoint_id)) is None:
                continue
            blocked: dict[str, Blocked] = {}
            for row in stored.rows.values():
                if row.replay or row.state in OVER:
                    continue
                one = blocked.setdefault(row.object_id, Blocked(0, first_sequence=row.sequence))
                one.first_sequence = min(one.first_sequence, row.sequence)
                one.rows += 1
                one.failed = one.failed or (row.state is RowState.RETRYING and row.attempts > 0)
                if row.state is RowState.WAITING and row.type == reversal_type:
                    one.reversal_sequence = max(one.reversal_sequence, row.sequence)
            due = [row.retry_at for row in stored.rows.values() if row.retry_at is not None]
            found[endpoint_id] = LanePosition(
                cursor=stored.cursor,
                matched=stored.matched,
                filter_revision=stored.record.filter_revision,
                wakes=stored.wakes,
                blocked=blocked,
                next_retry_at=min(due, default=None),
                rowed=frozenset(sequence for sequence in stored.rows if sequence > stored.cursor),
                drain_sequence=stored.drain_sequence,
            )
        self.fault("load_positions", True)
        return found

    async def load_heads(self, merchants: Collection[UUID]) -> dict[UUID, int]:
        self.fault("load_heads", False)
        return {one: self.heads[one].sequence for one in merchants if one in self.heads}

    async def load_events(self, reads: Sequence[ReadBehind]) -> dict[UUID, list[LogEvent]]:
        self.fault("load_events", False)
        found = {}
        for read in reads:
            stored = self.endpoints.get(read.endpoint_id)
            events = self.events.get(read.merchant_id, [])[read.after_sequence :][: read.limit]
            if stored is None or not events:
                continue
            found[read.endpoint_id] = [self._read(stored, one) for one in events]
        self.fault("load_events", True)
        return found

    def _read(self, stored: StoredEndpoint, one: Published) -> LogEvent:
        matches, told_by = self.matches(stored, one), stored.drain_sequence
        newest = covers = None
        if one.sequence <= told_by:
            covers = find_covers(stored.rows.values(), one.sequence)
            if matches and stored.drain is Drain.LATEST_ONLY:
                newest = find_covering(one, self.events[one.merchant_id], stored.event_types, told_by)
        return LogEvent(
            one.event_id, one.sequence, one.object_id, one.version, one.type, one.created_at,
            one.body if matches and newest is None else None,
            None if newest is None else newest.sequence, covers,
        )  # fmt: skip

    async def load_due_rows(self, endpoint_id: UUID, now: datetime, limit: int) -> DueRows:
        self.fault("load_due_rows", False)
        heads = sorted(
            (
                (row.retry_at, row.sequence, row)
                for row in self._rows(endpoint_id)
                if row.retry_at is not None
            ),
            key=lambda one: one[:2],
        )
        due = [row for retry_at, _, row in heads if retry_at <= now][:limit]
        later = [retry_at for retry_at, _, _ in heads if retry_at > now]
        self.fault("load_due_rows", True)
        next_retry_at = now if len(due) == limit else min(later, default=None)
        return DueRows(tuple(self._due(endpoint_id, row) for row in due), next_retry_at)

    async def load_oldest_row(self, endpoint_id: UUID) -> DueRow | None:
        self.fault("load_oldest_row", False)
        heads = [row for row in self._rows(endpoint_id) if row.state in HEADS and not row.replay]
        oldest = min(heads, key=lambda row: row.sequence, default=None)
        self.fault("load_oldest_row", True)
        return None if oldest is None else self._due(endpoint_id, oldest)

    def _rows(self, endpoint_id: UUID) -> list[ExceptionRow]:
        stored = self.endpoints.get(endpoint_id)
        return [] if stored is None else list(stored.rows.values())

    def _due(self, endpoint_id: UUID, row: ExceptionRow) -> DueRow:
        merchant_id = self.endpoints[endpoint_id].record.merchant_id
        covers = find_covers(self._rows(endpoint_id), row.sequence)
        return DueRow(row, self.event_at(merchant_id, row.sequence).body, covers)

    # --- writing ---------------------------------------------------------------------------------------------------

    async def advance_replay(self, endpoint_id: UUID, *, now: datetime, limit: int, rows_max: int) -> bool:
        self.fault("advance_replay", False)
        stored = self.endpoints.get(endpoint_id)
        if stored is None or not stored.replays:
            return False
        unfinished = sum(row.replay and row.state is not RowState.EXHAUSTED for row in stored.rows.values())
        if unfinished >= rows_max:
            return True
        replay = stored.replays[0]
        last = min(replay.sequence + limit, replay.sequence_last)
        for event in self.events[stored.record.merchant_id][replay.sequence : last]:
            if self.matches(stored, event):
                self.put_beside(stored, event, replay.matched, now)
                replay.matched = event.sequence
        replay.sequence = last
        if last == replay.sequence_last:
            stored.replays.pop(0)
        check_constraints(stored.rows.values(), cursor=stored.cursor, matched=stored.matched)
        self.fault("advance_replay", True)
        return bool(stored.replays)

    def put_beside(self, stored: StoredEndpoint, event: Published, prev_sequence: int, now: datetime) -> None:
        """What a replay or a retry by hand makes of one event that was settled."""
        row = stored.rows.get(event.sequence)
        if row is not None and row.state is RowState.RETRYING:
            assert row.retry_at is not None
            stored.rows[event.sequence] = replace(row, retry_at=min(row.retry_at, now))
        if row is not None and row.state not in OVER:
            return
        attempts = max(
            (number for sequence, number in stored.attempts if sequence == event.sequence), default=0
        )
        stored.rows[event.sequence] = ExceptionRow(
            event.sequence, event.event_id, event.object_id, event.version, event.type, event.created_at,
            prev_sequence, RowState.WAITING, 0, attempts, None, False, True, now,
        )  # fmt: skip
        promote(stored, event.object_id, now, replay_=True)

    async def settle(self, batch: Sequence[Settlement], *, now: datetime) -> SettleResult:
        self.fault("settle", False)
        saved = copy.deepcopy((self.endpoints, self.events, self.heads))
        fenced, stale, draining = set(), set(), set()
        try:
            facts: list[RelayFact] = []
            for one in batch:
                if self.shards[one.shard].epoch != one.epoch:
                    fenced.add(one.shard)
                    continue
                stored = self.endpoints.get(one.endpoint_id)
                told = [] if stored is None else move_state(stored, one, now)
                facts += told
                moved = stored is not None and stored.cursor < one.cursor_before
                if stored is None or stored.record.filter_revision != one.filter_revision or moved:
                    stale.add(one.endpoint_id)
                else:
                    write_rows(stored, one, now)
                    check_constraints(stored.rows.values(), cursor=stored.cursor, matched=stored.matched)
                recovered = any(fact.type == RECOVERED for fact in told)
                if stored is not None and recovered and self.begin_short_drain(stored, now):
                    draining.add(one.endpoint_id)
            self.publish(facts, now)
        except AssertionError:
            self.endpoints, self.events, self.heads = saved
            raise
        self.fault("settle", True)
        return SettleResult(frozenset(fenced), frozenset(stale), frozenset(draining))


def move_state(stored: StoredEndpoint, one: Settlement, now: datetime) -> list[RelayFact]:
    transition = one.transition
    if transition is None or stored.record.state not in transition.sources:
        return []
    if one.wakes_seen != stored.record.wakes:
        return []
    stored.version += 1
    stored.record = replace(stored.record, state=transition.target, revision=stored.record.revision + 1)
    return [
        endpoint_fact(
            one.merchant_id,
            one.endpoint_id,
            version=stored.version,
            event_type=transition.event_type,
            state=transition.target,
            reason=transition.reason,
            at=now,
        )
    ]


def write_rows(stored: StoredEndpoint, one: Settlement, now: datetime) -> None:
    stored.cursor = max(stored.cursor, one.cursor)
    stored.matched = max(stored.matched, one.matched)
    stored.wakes = stored.wakes if one.wakes is None else one.wakes
    for sequence in one.closed:
        stored.rows.pop(sequence, None)
    for row in sorted(one.rows, key=lambda row: (row.state is not RowState.EXHAUSTED, row.sequence)):
        stored.rows[row.sequence] = row
        check_heads(stored.rows.values())
    for freed in one.freed:
        promote(stored, freed.object_id, now, replay_=freed.replay)
    for hurry in one.hurries:
        for sequence, row in stored.rows.items():
            if (
                row.object_id == hurry.object_id
                and sequence < hurry.before_sequence
                and row.state is RowState.RETRYING
                and not row.replay
            ):
                assert row.retry_at is not None
                stored.rows[sequence] = replace(row, retry_at=min(row.retry_at, hurry.retry_at))
    if one.free_all:
        for sequence, row in stored.rows.items():
            if row.state is RowState.RETRYING:
                stored.rows[sequence] = replace(row, retry_at=now, free=True)
    for attempt in one.attempts:
        stored.attempts.setdefault((attempt.sequence, attempt.number), attempt)


def promote(stored: StoredEndpoint, object_id: str, now: datetime, *, replay_: bool) -> None:
    mine = [row for row in stored.rows.values() if row.object_id == object_id and row.replay == replay_]
    waiting = [row for row in mine if row.state is RowState.WAITING]
    if waiting and not any(row.state in HEADS for row in mine):
        first = min(waiting, key=lambda row: row.sequence)
        stored.rows[first.sequence] = replace(first, state=RowState.RETRYING, retry_at=now)


__all__ = ["MemoryStore", "drive"]

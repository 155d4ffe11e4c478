"""The values this room passes around: events as they are read, rows of trouble, outcomes, and what one settle writes.

Lives here, pure: frozen values and their names. Does not live here: deciding (`schedule`, `lane`), the bytes of an
event (`bodies`), the tables (`migrations/sql/0002_relay.sql`). Times are aware datetimes in UTC; a sequence counts per merchant.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID

SHARDS = 64
"""Shares of the work; an endpoint stays in the one its id names."""


def shard_of(endpoint_id: UUID) -> int:
    """The shard of an endpoint: the last six bits of its id, which are random."""
    return endpoint_id.int & (SHARDS - 1)


def delivery_id_of(endpoint_id: UUID, event_id: UUID) -> UUID:
    """One event to one endpoint: both ids, bit by bit exclusive-or.

    Every attempt and replay of it has the same id without any row, and whoever knows the merchant's endpoints finds
    the event back. Event ids are taken from SHA-256, so two deliveries do not meet.
    """
    return UUID(int=endpoint_id.int ^ event_id.int)


class Drain(StrEnum):
    """What an endpoint is given of what was told during an outage: all of it, or of each object the latest only."""

    ALL = "all"
    LATEST_ONLY = "latest_only"


@dataclass(frozen=True, slots=True)
class Covers:
    """The first and the last sequence of the events of its object that one event stands for."""

    first_sequence: int
    last_sequence: int

    def with_(self, other: Covers | None) -> Covers:
        """Both as one."""
        if other is None:
            return self
        first = min(self.first_sequence, other.first_sequence)
        return Covers(first, max(self.last_sequence, other.last_sequence))


@dataclass(frozen=True, slots=True)
class LogEvent:
    """One event behind a cursor. `body` is None where it is not to be sent: the endpoint's filter does not match it, or
    the event `covered_by` stands for it. `covers` is what is written of those that it stands for itself.
    """

    event_id: UUID
    sequence: int
    object_id: str
    version: int
    type: str
    created_at: datetime
    body: bytes | None
    covered_by: int | None = None
    covers: Covers | None = None


class RowState(StrEnum):
    """Why a delivery has a row."""

    SENDING = "sending"  # in flight for longer than a moment; due again at retry_at if its sender vanished
    RETRYING = "retrying"  # due at retry_at
    WAITING = "waiting"  # behind an earlier version of the same object
    EXHAUSTED = "exhausted"  # the last retry failed
    COVERED = "covered"  # left out after an outage: a newer event of its object stands for it


@dataclass(frozen=True, slots=True)
class ExceptionRow:
    """One delivery in trouble. `failures` counts what costs, `attempts` every try; `free` makes the next one cost nothing.

    A `replay` stands beside the stream: it neither waits for it nor holds it up. `covered_by` is the sequence of what
    stands for a covered one.
    """

    sequence: int
    event_id: UUID
    object_id: str
    version: int
    type: str
    event_at: datetime
    prev_sequence: int
    state: RowState
    failures: int
    attempts: int
    retry_at: datetime | None
    free: bool
    replay: bool
    created_at: datetime
    covered_by: int | None = None


@dataclass(frozen=True, slots=True)
class DueRow:
    """A row whose time has come, with the bytes to send and what it stands for."""

    row: ExceptionRow
    body: bytes
    covers: Covers | None = None


class OutcomeKind(StrEnum):
    """What became of one attempt. These words are what a merchant sees; nothing internal is added to them."""

    DELIVERED = "delivered"
    REFUSED = "refused"  # an answer that is not 2xx
    THROTTLED = "throttled"  # 429, or 503 with Retry-After
    BROKEN = "server_error"  # 5xx
    GONE = "gone"  # 410
    REDIRECTED = "redirected"  # 3xx, not followed
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"  # no connection: refused, reset, no route, no such name
    TLS_FAILED = "tls_failed"
    FORBIDDEN = "address_forbidden"  # the name leads to an address we do not call
    GARBLED = "invalid_response"  # not HTTP
    UNSENT = "not_sent"  # our own way out failed; says nothing about the endpoint, costs nothing
    INTERRUPTED = "interrupted"  # we stopped; the same


SAYS_NOTHING = frozenset({OutcomeKind.UNSENT, OutcomeKind.INTERRUPTED})
"""What became of us, not of the endpoint: no attempt is used up, and nothing is held against it."""
CONGESTED = frozenset(
    {
        OutcomeKind.TIMEOUT,
        OutcomeKind.BROKEN,
        OutcomeKind.UNREACHABLE,
        OutcomeKind.TLS_FAILED,
        OutcomeKind.GARBLED,
    }
)
"""What an endpoint that gets too much may come to: less is in flight for a while."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One attempt as it ended. `excerpt` is the first bytes of the answer, `retry_after_s` what it asked for.

    `detail` is a sentence for the merchant, `alert` a name for the operator: of what failed on our side.
    """

    kind: OutcomeKind
    duration_ms: int
    status_code: int | None = None
    retry_after_s: int | None = None
    excerpt: bytes = b""
    detail: str = ""
    alert: str = ""

    def lasting(self, duration_ms: int) -> Outcome:
        """The same, with how long it took."""
        return replace(self, duration_ms=duration_ms)


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """One attempt as it is kept."""

    sequence: int
    number: int
    started_at: datetime
    duration_ms: int
    outcome: OutcomeKind
    status_code: int | None
    excerpt: bytes
    detail: str = ""


class EndpointState(StrEnum):
    """active: sent to · failing: probed only · paused: left alone until resumed."""

    ACTIVE = "active"
    FAILING = "failing"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True)
class Transition:
    """A change of an endpoint's state that a lane decided; it happens only if the state is still one of `sources`."""

    sources: tuple[EndpointState, ...]
    target: EndpointState
    event_type: str  # endpoint.failing | endpoint.recovered | endpoint.paused
    reason: str


@dataclass(frozen=True, slots=True)
class Freed:
    """An object whose head row goes away: the next waiting row of it, if any, becomes due."""

    object_id: str
    replay: bool


@dataclass(frozen=True, slots=True)
class Hurry:
    """A waiting reversal: earlier rows of its object are due at `retry_at` at the latest."""

    object_id: str
    before_sequence: int
    retry_at: datetime


@dataclass(frozen=True, slots=True)
class LastContact:
    """The newest success and failure since the last settle."""

    success_at: datetime | None = None
    failure_at: datetime | None = None
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class Settlement:
    """Everything one settle writes for one endpoint; all of it or nothing.

    Applied in this order: `closed` rows are deleted, `rows` inserted or replaced, objects `freed`, `hurries` applied,
    the cursor set. `wakes` not None gives every retrying row a free try at once and remembers that number. `transition`
    was decided when the endpoint had been woken `wakes_seen` times, and counts only while that is so. The cursor was at
    `cursor_before` when it was written or read last; since then it may have moved on, never back.
    """

    endpoint_id: UUID
    merchant_id: UUID
    shard: int
    epoch: int
    filter_revision: int
    wakes_seen: int
    cursor: int
    matched: int
    closed: tuple[int, ...] = ()
    rows: tuple[ExceptionRow, ...] = ()
    freed: tuple[Freed, ...] = ()
    hurries: tuple[Hurry, ...] = ()
    attempts: tuple[AttemptRow, ...] = ()
    health: LastContact = LastContact()
    transition: Transition | None = None
    wakes: int | None = None
    free_all: bool = False
    cursor_before: int = 0


@dataclass(slots=True)
class Blocked:
    """One object whose events wait: how many rows it has, if its head failed, and the newest reversal among them.

    `first_sequence` is the lowest of its rows as they were read: what comes before that was settled already, since of one
    object only the oldest is tried.
    """

    rows: int
    failed: bool = False
    reversal_sequence: int = 0
    first_sequence: int = 0


@dataclass(frozen=True, slots=True)
class LaneConfig:
    """What a lane needs to know of its endpoint; the rest (URL, secrets) is for whoever sends."""

    endpoint_id: UUID
    merchant_id: UUID
    shard: int
    epoch: int
    state: EndpointState
    enabled: bool  # the merchant's deliveries are, and who answers at the URL proved to be willing
    max_in_flight: int
    rate_per_s: int | None
    wakes: int


@dataclass(frozen=True, slots=True)
class LanePosition:
    """Where a lane begins: the cursor row, and the objects that have rows.

    `rowed` are the sequences beyond the cursor that have a row already: a failure is written before the cursor gets by.
    `drain_sequence` is where the log ended when the last outage did, 0 where none was.
    """

    cursor: int
    matched: int
    filter_revision: int
    wakes: int
    blocked: Mapping[str, Blocked]
    next_retry_at: datetime | None
    rowed: frozenset[int] = frozenset()
    drain_sequence: int = 0

    @property
    def draining(self) -> bool:
        """An outage left a backlog whose end is not passed yet."""
        return 0 < self.drain_sequence >= self.cursor


@dataclass(frozen=True, slots=True)
class Send:
    """One attempt to make."""

    endpoint_id: UUID
    sequence: int
    event_id: UUID
    prev_sequence: int
    body: bytes
    started_at: datetime
    covers: Covers | None = None

"""From facts to events: ids, sequences, the hash chain, and the bytes that are written once and never rebuilt.

Lives here, pure: everything about an event's form (CONTRACT 2 and 6). Does not live here: locking a log and writing
(`eventlog`), checking what was written (`audit`), what the facts say (whoever publishes them).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Protocol
from uuid import UUID

import msgspec

from migrations.ids import encode_id
from relay.errors import LogBroken

API_VERSION = "2026-11-01"
BODY_BYTES_MAX = 262_144
NO_HASH = bytes(32)
SEQUENCE_MAX = 2**63 - 1
TIMES_KEPT = 256
"""Of times just spelled: the events of one move happened at one."""
CREDITED = "deposit.confirmed"
"""The event type that a reversal names."""


class Fact(Protocol):
    """What a room publishes: one thing to tell one merchant."""

    @property
    def merchant_id(self) -> UUID: ...
    @property
    def object_id(self) -> str: ...
    @property
    def version(self) -> int: ...
    @property
    def type(self) -> str: ...
    @property
    def data(self) -> dict[str, object]: ...
    @property
    def at(self) -> datetime: ...
    @property
    def reverses_version(self) -> int | None: ...


@dataclass(frozen=True, slots=True)
class RelayFact:
    """A fact of this room's own: endpoint.* events."""

    merchant_id: UUID
    object_id: str
    version: int
    type: str
    data: dict[str, object]
    at: datetime
    reverses_version: int | None = None


@dataclass(frozen=True, slots=True)
class LogHead:
    """Where one merchant's log stands; `head_hash` is the SHA-256 of its last body, zeros at first."""

    log_epoch: int = 1
    sequence: int = 0
    head_hash: bytes = NO_HASH
    head_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Published:
    """One event as it stands in the log."""

    merchant_id: UUID
    sequence: int
    log_epoch: int
    event_id: UUID
    object_id: str
    version: int
    type: str
    prev_hash: bytes
    body: bytes
    created_at: datetime


def endpoint_fact(
    merchant_id: UUID,
    endpoint_id: UUID,
    *,
    version: int,
    event_type: str,
    state: str,
    reason: str | None,
    at: datetime,
    more: Mapping[str, object] = MappingProxyType({}),
) -> RelayFact:
    """What an `endpoint.*` event says, and `more` beside it.

    The URL stays out of it: it may hold a key, and other endpoints read this.
    """
    endpoint = encode_id("end", endpoint_id)
    return RelayFact(
        merchant_id=merchant_id,
        object_id=endpoint,
        version=version,
        type=event_type,
        data={"endpoint": {"id": endpoint, "version": version, "state": state, "reason": reason}, **more},
        at=at,
    )


Reversible = tuple[UUID, str, int]
"""Merchant, object and version: names the event that a reversal takes back."""


def compute_event_id(
    merchant_id: UUID, log_epoch: int, object_id: str, version: int, event_type: str
) -> UUID:
    """The id of this fact in this epoch of the log: the same fact always has the same id."""
    lines = (
        "chainbell-event-1",
        encode_id("mer", merchant_id),
        str(log_epoch),
        object_id,
        str(version),
        event_type,
    )
    return UUID(bytes=hashlib.sha256("\n".join(lines).encode()).digest()[:16])


def compute_body(
    *,
    event_id: UUID,
    event_type: str,
    sequence: int | None,
    prev_hash: bytes | None,
    log_epoch: int,
    at: datetime,
    merchant_id: UUID,
    data: Mapping[str, object],
) -> bytes:
    """The bytes of one event: compact JSON in UTF-8. A test has neither sequence nor prev_hash."""
    before, after = _split_body(event_id, event_type, log_epoch, at, merchant_id, data)
    return _place_body(before, after, sequence, prev_hash)


def _split_body(
    event_id: UUID,
    event_type: str,
    log_epoch: int,
    at: datetime,
    merchant_id: UUID,
    data: Mapping[str, object],
) -> tuple[bytes, bytes]:
    """What comes before an event's place in its log, and what comes behind it."""
    before = {"id": encode_id("evt", event_id), "type": event_type}
    after = {
        "log_epoch": log_epoch,
        "timestamp": format_time(at),
        "api_version": API_VERSION,
        "merchant_id": encode_id("mer", merchant_id),
        "data": data,
    }
    return msgspec.json.encode(before)[:-1] + b',"sequence":', b"," + msgspec.json.encode(after)[1:]


def _place_body(before: bytes, after: bytes, sequence: int | None, prev_hash: bytes | None) -> bytes:
    """`append_events` in the database does the same."""
    place = b"null" if sequence is None else b"%d" % sequence
    chained = b"null" if prev_hash is None else b'"%b"' % prev_hash.hex().encode()
    return b'%b%b,"prev_hash":%b%b' % (before, place, chained, after)


@dataclass(frozen=True, slots=True)
class Draft:
    """An event whose place in its log is not known yet; its body is that between two parts."""

    fact: Fact
    log_epoch: int
    event_id: UUID
    before: bytes
    after: bytes


def compute_drafts(
    facts: Sequence[Fact], epochs: Mapping[UUID, int], *, reversible: Mapping[Reversible, UUID]
) -> list[Draft]:
    """The events of `facts`, in their order, in the epochs of their logs.

    `reversible` has the ids of the events that reversals take back, as far as they stand in the log already. LogBroken
    where a reversal takes back what was never told, or a body is too large to be sent.
    """
    known = dict(reversible)
    drafts: list[Draft] = []
    for fact in facts:
        epoch = epochs[fact.merchant_id]
        event_id = compute_event_id(fact.merchant_id, epoch, fact.object_id, fact.version, fact.type)
        data = fact.data
        if fact.reverses_version is not None:
            reversed_id = known.get((fact.merchant_id, fact.object_id, fact.reverses_version))
            if reversed_id is None:
                raise LogBroken(f"{fact.object_id} version {fact.version} takes back what was never told")
            data = {**data, "reverses": encode_id("evt", reversed_id)}
        if fact.type == CREDITED:
            known[fact.merchant_id, fact.object_id, fact.version] = event_id
        before, after = _split_body(event_id, fact.type, epoch, fact.at, fact.merchant_id, data)
        if len(_place_body(before, after, SEQUENCE_MAX, NO_HASH)) > BODY_BYTES_MAX:
            raise LogBroken(
                f"{fact.object_id} version {fact.version} has a body that is too large to be sent"
            )
        drafts.append(Draft(fact, epoch, event_id, before, after))
    return drafts


def place_drafts(
    drafts: Sequence[Draft], heads: Mapping[UUID, LogHead], *, now: datetime
) -> tuple[list[Published], dict[UUID, LogHead]]:
    """The events behind `heads`, and the heads after them."""
    after = dict(heads)
    events: list[Published] = []
    for draft in drafts:
        fact = draft.fact
        head = after[fact.merchant_id]
        sequence = head.sequence + 1
        body = _place_body(draft.before, draft.after, sequence, head.head_hash)
        created_at = now if head.head_at is None else max(now, head.head_at)
        events.append(
            Published(
                merchant_id=fact.merchant_id,
                sequence=sequence,
                log_epoch=draft.log_epoch,
                event_id=draft.event_id,
                object_id=fact.object_id,
                version=fact.version,
                type=fact.type,
                prev_hash=head.head_hash,
                body=body,
                created_at=created_at,
            )
        )
        after[fact.merchant_id] = LogHead(head.log_epoch, sequence, hashlib.sha256(body).digest(), created_at)
    return events, after


def compute_events(
    facts: Sequence[Fact],
    heads: Mapping[UUID, LogHead],
    *,
    reversible: Mapping[Reversible, UUID],
    now: datetime,
) -> tuple[list[Published], dict[UUID, LogHead]]:
    """Both in one, for whoever knows the heads already."""
    epochs = {merchant_id: head.log_epoch for merchant_id, head in heads.items()}
    return place_drafts(compute_drafts(facts, epochs, reversible=reversible), heads, now=now)


@lru_cache(maxsize=TIMES_KEPT)
def format_time(at: datetime) -> str:
    """RFC 3339 in UTC with `Z`; microseconds only where there are some."""
    return at.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"

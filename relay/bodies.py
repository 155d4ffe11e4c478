"""From facts to events: ids, sequences, the hash chain, and the bytes that are written once and never rebuilt.

Lives here, pure: everything about an event's form (CONTRACT 2 and 6). Does not live here: locking a log and writing
(`log`), checking what was written (`audit`), what the facts say (whoever publishes them).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Protocol
from uuid import UUID

import msgspec

from migrations.ids import encode_id
from relay.errors import LogBroken

API_VERSION = "2026-11-01"
BODY_BYTES_MAX = 262_144
NO_HASH = bytes(32)
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
    return msgspec.json.encode(
        {
            "id": encode_id("evt", event_id),
            "type": event_type,
            "sequence": sequence,
            "prev_hash": None if prev_hash is None else prev_hash.hex(),
            "log_epoch": log_epoch,
            "timestamp": format_time(at),
            "api_version": API_VERSION,
            "merchant_id": encode_id("mer", merchant_id),
            "data": data,
        }
    )


def compute_events(
    facts: Sequence[Fact],
    heads: Mapping[UUID, LogHead],
    *,
    reversible: Mapping[Reversible, UUID],
    now: datetime,
) -> tuple[list[Published], dict[UUID, LogHead]]:
    """The events of `facts`, in their order behind `heads`, and the heads after them.

    `reversible` has the ids of the events that reversals take back, as far as they stand in the log already.
    LogBroken where a reversal takes back what was never told, or a body is too large to be sent.
    """
    after = dict(heads)
    known = dict(reversible)
    events: list[Published] = []
    for fact in facts:
        head = after[fact.merchant_id]
        event_id = compute_event_id(fact.merchant_id, head.log_epoch, fact.object_id, fact.version, fact.type)
        data = fact.data
        if fact.reverses_version is not None:
            reversed_id = known.get((fact.merchant_id, fact.object_id, fact.reverses_version))
            if reversed_id is None:
                raise LogBroken(f"{fact.object_id} version {fact.version} takes back what was never told")
            data = {**data, "reverses": encode_id("evt", reversed_id)}
        sequence = head.sequence + 1
        body = compute_body(
            event_id=event_id,
            event_type=fact.type,
            sequence=sequence,
            prev_hash=head.head_hash,
            log_epoch=head.log_epoch,
            at=fact.at,
            merchant_id=fact.merchant_id,
            data=data,
        )
        if len(body) > BODY_BYTES_MAX:
            raise LogBroken(f"{fact.object_id} version {fact.version} has a body of {len(body)} bytes")
        created_at = now if head.head_at is None else max(now, head.head_at)
        if fact.type == CREDITED:
            known[fact.merchant_id, fact.object_id, fact.version] = event_id
        events.append(
            Published(
                merchant_id=fact.merchant_id,
                sequence=sequence,
                log_epoch=head.log_epoch,
                event_id=event_id,
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


def format_time(at: datetime) -> str:
    """RFC 3339 in UTC with `Z`; microseconds only where there are some."""
    return at.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"

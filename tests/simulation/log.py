"""The merchants' logs in memory, as CONTRACT 2 and 6 describe them: sequence, previous hash, ids, bytes written once.

Lives here: appending facts, and a verifier that trusts nothing but the bytes. The product's own log is `relay.log.eventlog`;
this one is written from the contract alone, so that the two can be compared.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import msgspec

from indexer.rules.events import Fact
from indexer.rules.identity import MerchantId
from migrations.ids import encode_id
from relay.log.bodies import RelayFact

LOG_EPOCH = 1
NOTHING_BEFORE = "0" * 64
API_VERSION = "2026-11-01"

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Event:
    """One event as the log holds it."""

    sequence: int
    id: str
    type: str
    object_id: str
    version: int
    body: bytes


@dataclass(slots=True)
class MerchantLog:
    """One merchant's events, oldest first; `head_hash` is of the last body."""

    merchant_text: str
    events: list[Event]
    ids: dict[tuple[str, int, str], str]
    head_hash: str = NOTHING_BEFORE


class MerchantLogs:
    """Every merchant's log."""

    def __init__(self) -> None:
        self.by_merchant: dict[MerchantId, MerchantLog] = {}

    def append(self, facts: Sequence[Fact | RelayFact]) -> None:
        """Give each fact its sequence, id and bytes."""
        for fact in facts:
            self._append(fact)

    def of(self, merchant_id: MerchantId) -> MerchantLog:
        """A merchant's log, begun when first asked for."""
        log = self.by_merchant.get(merchant_id)
        if log is None:
            log = self.by_merchant[merchant_id] = MerchantLog(encode_id("mer", merchant_id), [], {})
        return log

    def _append(self, fact: Fact | RelayFact) -> None:
        log = self.of(MerchantId(fact.merchant_id))
        event_id = compute_event_id(log.merchant_text, fact.object_id, fact.version, fact.type)
        data = fact.data
        if fact.reverses_version is not None:
            data = {
                **data,
                "reverses": log.ids[fact.object_id, fact.reverses_version, "deposit.confirmed"],
            }
        sequence = len(log.events) + 1
        body = _encode(
            {
                "id": event_id,
                "type": fact.type,
                "sequence": sequence,
                "prev_hash": log.head_hash,
                "log_epoch": LOG_EPOCH,
                "timestamp": _time_text(fact.at),
                "api_version": API_VERSION,
                "merchant_id": log.merchant_text,
                "data": data,
            }
        )
        log.head_hash = hashlib.sha256(body).hexdigest()
        log.ids[fact.object_id, fact.version, fact.type] = event_id
        log.events.append(Event(sequence, event_id, fact.type, fact.object_id, fact.version, body))


@functools.lru_cache(maxsize=1 << 14)
def compute_event_id(merchant_text: str, object_id: str, version: int, event_type: str) -> str:
    """CONTRACT 2: the same fact always has the same id."""
    lines = (
        "chainbell-event-1", merchant_text, str(LOG_EPOCH), object_id, str(version), event_type,
    )  # fmt: skip
    return encode_id("evt", UUID(bytes=hashlib.sha256("\n".join(lines).encode()).digest()[:16]))


def _time_text(at: datetime) -> str:
    return at.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"

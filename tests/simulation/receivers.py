"""Merchants' servers: well, failing, slow, silent, forgetful; and what each of them was told, in which order.

Lives here: what becomes of one attempt in each mood, and the reading of a receiver that does as CONTRACT 6 tells it:
drop repeats by event id, apply by object and version. Does not live here: when attempts are made (`delivery.py`).
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec

from relay.model import Outcome, OutcomeKind
from tests.simulation.setups import MERCHANTS
from tests.simulation.troubles import Tally, Trouble

ATTEMPT_TIMEOUT_S = 4

_decode = msgspec.json.Decoder().decode


class ReceiverMood(StrEnum):
    """How a receiver answers until it is told otherwise."""

    WELL = "well"
    FAILING = "failing"
    SLOW = "slow"
    BLACK_HOLE = "black hole"
    LOSING = "losing"
    THROTTLING = "throttling"
    GONE = "gone"


MOOD_TROUBLES = {
    ReceiverMood.FAILING: Trouble.RECEIVER_FAILS,
    ReceiverMood.SLOW: Trouble.RECEIVER_SLOW,
    ReceiverMood.BLACK_HOLE: Trouble.RECEIVER_BLACK_HOLE,
    ReceiverMood.LOSING: Trouble.RECEIVER_LOSES,
    ReceiverMood.THROTTLING: Trouble.RECEIVER_THROTTLES,
    ReceiverMood.GONE: Trouble.RECEIVER_GONE,
}
DELIVERED = Outcome(OutcomeKind.DELIVERED, 5, 200)


@dataclass(frozen=True, slots=True)
class Answer:
    """What becomes of an attempt: `after_s` seconds until we know, and whether the receiver has it whatever we know."""

    outcome: Outcome
    after_s: int
    arrives: bool


@dataclass(slots=True)
class Receiver:
    """One endpoint's server, which keeps every version it was told and what came last of each object."""

    endpoint_id: UUID
    merchant_id: UUID
    event_types: frozenset[str] | None
    mood: ReceiverMood = ReceiverMood.WELL
    bodies: dict[str, bytes] = field(default_factory=dict)
    sequences: set[int] = field(default_factory=set)
    versions: dict[str, int] = field(default_factory=dict)
    latest: dict[str, dict[str, Any]] = field(default_factory=dict)

    def wants(self, event_type: str) -> bool:
        """Whether this endpoint's filter matches."""
        return self.event_types is None or event_type in self.event_types

    def answer(self, rng: random.Random) -> Answer:
        """How this attempt ends."""
        match self.mood:
            case ReceiverMood.WELL:
                return Answer(DELIVERED, 0, arrives=True)
            case ReceiverMood.FAILING:
                return Answer(Outcome(OutcomeKind.BROKEN, 5, 500), 0, arrives=False)
            case ReceiverMood.SLOW:
                return Answer(DELIVERED, rng.randrange(1, ATTEMPT_TIMEOUT_S), arrives=True)
            case ReceiverMood.BLACK_HOLE:
                return Answer(Outcome(OutcomeKind.TIMEOUT, 4000), ATTEMPT_TIMEOUT_S, arrives=False)
            case ReceiverMood.LOSING:
                return Answer(Outcome(OutcomeKind.TIMEOUT, 4000), ATTEMPT_TIMEOUT_S, arrives=True)
            case ReceiverMood.THROTTLING:
                return Answer(Outcome(OutcomeKind.THROTTLED, 5, 429, retry_after_s=2), 0, arrives=False)
            case ReceiverMood.GONE:
                return Answer(Outcome(OutcomeKind.GONE, 5, 410), 0, arrives=False)

    def take(self, sequence: int, body: bytes, tally: Tally) -> None:
        """One attempt arrived, perhaps not for the first time."""
        event = _decode(body)
        known = self.bodies.get(event["id"])
        if known is not None:
            assert known == body, "one event id with two bodies"
            tally.count(Trouble.RECEIVED_TWICE)
            return
        assert event["sequence"] == sequence
        assert self.wants(event["type"]), "an event the endpoint did not ask for"
        self.bodies[event["id"]] = body
        self.sequences.add(sequence)
        if event["type"].startswith("deposit."):
            self._apply(event["data"]["deposit"])

    def _apply(self, deposit: dict[str, Any]) -> None:
        object_id, version = deposit["id"], deposit["version"]
        assert version > self.versions.get(object_id, 0), (
            "an older version arrived for the first time behind a newer"
        )
        self.versions[object_id] = version
        self.latest[object_id] = deposit


def make_receivers() -> list[Receiver]:
    """Two endpoints of the first merchant, one of them choosy, and one of the second."""
    choosy = frozenset({"deposit.confirmed", "deposit.final", "deposit.reversed"})
    return [
        Receiver(UUID(int=(3 << 70) + 1), MERCHANTS[0], None),
        Receiver(UUID(int=(4 << 70) + 1), MERCHANTS[0], choosy),
        Receiver(UUID(int=(5 << 70) + 2), MERCHANTS[1], None),
    ]

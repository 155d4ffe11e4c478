"""Lanes take turns: what one endpoint has to say never makes another wait, and none takes more than its share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from prometheus_client import CollectorRegistry

from relay.keys.secretbox import Column, Place, SecretBox
from relay.log.bodies import RelayFact
from relay.metrics import RelayMetrics
from relay.model import Outcome, OutcomeKind
from relay.settings import LaneSettings, RelaySettings
from relay.workers.dispatch import LANES_ASKED_MAX, QUANTUM, Dispatcher
from relay.workers.roster import Attempt, Roster
from relay.workers.shards import Shards
from relay.workers.storage import SealedSecret
from tests.properties.relay.memory import MemoryStore, drive

NOW = datetime(2026, 11, 20, tzinfo=UTC)
BOX = SecretBox([bytes(32)])
BUSY, OTHERS = UUID(int=(3 << 70) + 1), [UUID(int=(n << 70) + n) for n in range(4, 8)]
SETTINGS = RelaySettings(
    lane=LaneSettings(in_flight_start=100, read_ahead_min=64), in_flight_max=40, endpoint_share=0.5
)


class Desk:
    """One worker; `BUSY` has more to send than fits, the others three events each. Each has a merchant of its own."""

    def __init__(self, others: Sequence[UUID] = OTHERS) -> None:
        self.store = MemoryStore()
        for endpoint_id in (BUSY, *others):
            self.store.add_endpoint(
                endpoint_id,
                endpoint_id,
                sealed=SealedSecret(BOX.seal(b"s" * 32, Place(Column.ENDPOINT_SECRET, endpoint_id)), None),
                signing_key_sealed=BOX.seal(bytes(32), Place(Column.ENDPOINT_SEED, endpoint_id)),
                max_in_flight=100,
            )
            count = 60 if endpoint_id == BUSY else 3
            facts = [RelayFact(endpoint_id, f"dep_{n}", 1, "deposit.included", {}, NOW) for n in range(count)]
            self.store.publish(facts, NOW)
        roster = Roster(self.store, Shards(self.store, UUID(int=1), 10.0), BOX, SETTINGS, on_alert=_ignore)
        self.dispatcher = Dispatcher(
            self.store,
            roster,
            SETTINGS,
            chance=lambda: 0.5,
            metrics=RelayMetrics(CollectorRegistry()),
            on_alert=_ignore,
        )
        drive(roster.step_leases(NOW))
        drive(roster.step_load())
        self.dispatcher.touch_all()
        drive(self.dispatcher.step_feed(NOW))

    def start(self) -> list[Attempt]:
        return self.dispatcher.start(NOW)


def _ignore(_kind: str, _detail: Mapping[str, object]) -> None:
    """Nobody to tell."""


def endpoint_of(attempt: Attempt) -> UUID:
    return attempt.lane.config.endpoint_id


def test_an_endpoint_with_much_to_send_gets_its_turn_and_no_more_until_all_had_theirs() -> None:
    order = [endpoint_of(one) for one in Desk().start()]
    first_round = order[: QUANTUM + 3 * len(OTHERS)]
    assert Counter(first_round) == {BUSY: QUANTUM, **dict.fromkeys(OTHERS, 3)}
    assert set(order[len(first_round) :]) == {BUSY}


def test_no_endpoint_takes_more_than_its_share_of_what_may_be_in_flight() -> None:
    desk = Desk()
    started = desk.start()
    assert Counter(map(endpoint_of, started))[BUSY] == SETTINGS.in_flight_max * SETTINGS.endpoint_share
    assert desk.start() == []
    finished = next(one for one in started if endpoint_of(one) == BUSY)
    desk.dispatcher.finish(finished, Outcome(OutcomeKind.DELIVERED, 1, 200), NOW)
    drive(desk.dispatcher.step_feed(NOW))
    assert [endpoint_of(one) for one in desk.start()] == [BUSY]


def test_what_is_new_does_not_wait_for_all_that_is_tried_again() -> None:
    many = [UUID(int=(n << 70) + n) for n in range(4, 4 + 3 * LANES_ASKED_MAX)]
    desk = Desk(many)
    while started := desk.start():
        for attempt in started:
            kind = OutcomeKind.DELIVERED if endpoint_of(attempt) == BUSY else OutcomeKind.TIMEOUT
            desk.dispatcher.finish(attempt, Outcome(kind, 1), NOW)
        drive(desk.dispatcher.step_feed(NOW))
    drive(desk.dispatcher.step_settle(NOW))
    desk.store.publish([RelayFact(BUSY, "dep_new", 1, "deposit.included", {}, NOW)], NOW)
    asked: list[int] = []
    desk.store.fault = lambda name, after: (
        asked.append(0) if (name, after) == ("load_due_rows", True) else None
    )
    later = NOW + timedelta(seconds=6)
    desk.dispatcher.touch_all()
    drive(desk.dispatcher.step_feed(later))
    assert len(asked) == LANES_ASKED_MAX
    assert BUSY in map(endpoint_of, desk.dispatcher.start(later))
    drive(desk.dispatcher.step_feed(later))
    drive(desk.dispatcher.step_feed(later))
    assert len(asked) == len(many)

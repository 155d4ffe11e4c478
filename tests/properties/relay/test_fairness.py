"""Lanes take turns: what one endpoint has to say never makes another wait, and none takes more than its share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from prometheus_client import CollectorRegistry

from relay.keys.secretbox import Column, Place, SecretBox
from relay.lanes.turns import QUANTUM, SHARE_OF_OTHERS, WELL_FIRST
from relay.log.bodies import RelayFact
from relay.metrics import RelayMetrics
from relay.model import Outcome, OutcomeKind
from relay.settings import LaneSettings, RelaySettings
from relay.workers.dispatch import LANES_ASKED_MAX, Dispatcher
from relay.workers.roster import Attempt, Roster
from relay.workers.shards import Shards
from relay.workers.storage import SealedSecret
from tests.properties.relay.memory import MemoryStore, drive

NOW = datetime(2026, 11, 20, tzinfo=UTC)
BOX = SecretBox([bytes(32)])
BUSY, OTHERS = UUID(int=(3 << 70) + 1), [UUID(int=(n << 70) + n) for n in range(4, 8)]
SETTINGS = RelaySettings(
    lane=LaneSettings(in_flight_start=100, read_ahead_min=64), in_flight_max=60, endpoint_share=1 / 3
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


def drive_until_known(desk: Desk) -> None:
    """Everybody had something sent: `BUSY` took it, the others never answered."""
    desk.store.publish(
        [
            RelayFact(one, f"dep_more_{n}", 1, "deposit.included", {}, NOW)
            for one in OTHERS
            for n in range(60)
        ],
        NOW,
    )
    for attempt in desk.start():
        kind = OutcomeKind.DELIVERED if endpoint_of(attempt) == BUSY else OutcomeKind.REFUSED
        desk.dispatcher.finish(attempt, Outcome(kind, 1), NOW)
    desk.store.publish(
        [RelayFact(BUSY, f"dep_more_{n}", 1, "deposit.included", {}, NOW) for n in range(60)], NOW
    )
    desk.dispatcher.touch_all()
    drive(desk.dispatcher.step_feed(NOW))


def test_who_took_its_last_event_goes_before_all_who_did_not_and_those_keep_a_turn() -> None:
    desk = Desk()
    drive_until_known(desk)
    order = [endpoint_of(one) for one in desk.start()]
    assert set(order[:WELL_FIRST]) == {BUSY}
    assert BUSY not in order[WELL_FIRST : WELL_FIRST + QUANTUM]
    assert order[WELL_FIRST + QUANTUM] == BUSY


def test_endpoints_that_never_answer_leave_room_in_flight_however_many_they_are() -> None:
    many = [UUID(int=(n << 70) + n) for n in range(4, 104)]
    desk = Desk(many)
    started = desk.start()
    assert len(started) == int(SETTINGS.in_flight_max * SHARE_OF_OTHERS)
    assert not desk.dispatcher.cut_short, "who may not start is not asked again and again"
    answered = next(one for one in started if endpoint_of(one) == BUSY)
    desk.dispatcher.finish(answered, Outcome(OutcomeKind.DELIVERED, 1, 200), NOW)
    drive(desk.dispatcher.step_feed(NOW))
    order = [endpoint_of(one) for one in desk.start()]
    assert Counter(order)[BUSY] == SETTINGS.in_flight_max - len(started)

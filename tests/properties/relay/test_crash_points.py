"""One small story, with a fault before and after every call of the store in turn: the end is always the same."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from prometheus_client import CollectorRegistry

from migrations.errors import DatabaseAway
from relay.keys.secretbox import Column, Place, SecretBox
from relay.log.bodies import RelayFact
from relay.metrics import RelayMetrics
from relay.model import Outcome, OutcomeKind, RowState
from relay.settings import RelaySettings, RetrySettings
from relay.workers.dispatch import Dispatcher
from relay.workers.roster import Attempt, Roster
from relay.workers.shards import Shards
from relay.workers.storage import SealedSecret
from tests.properties.relay.memory import MemoryStore, StoredReplay, drive

START = datetime(2026, 11, 20, tzinfo=UTC)
MERCHANT, ENDPOINT = UUID(int=1 << 70), UUID(int=(2 << 70) + 1)
BOX = SecretBox([bytes(32)])
SETTINGS = RelaySettings(retry=RetrySettings(schedule_s=(5, 60), jitter=0, failing_objects_max=3))
OBJECTS = ("dep_a", "dep_b", "dep_a", "dep_c", "dep_d", "dep_b", "dep_a")


class Story:
    """Seven events to one endpoint: dep_b is refused twice, dep_d for good, the replay of the first three at the end."""

    def __init__(self, fault_at: int | None, *, after: bool, dies: bool) -> None:
        self.store = MemoryStore()
        self.store.fault = self._fault
        self._fault_at, self._fault_after, self._dies = fault_at, after, dies
        self.calls = 0
        self.armed = False
        self.now = START
        self.refusals = {2: 2, 5: 99}
        self.arrived: list[tuple[int, bytes, str]] = []
        self.workers = 0
        self.store.add_endpoint(
            ENDPOINT,
            MERCHANT,
            sealed=SealedSecret(BOX.seal(b"s" * 32, Place(Column.ENDPOINT_SECRET, ENDPOINT)), None),
            signing_key_sealed=BOX.seal(bytes(32), Place(Column.ENDPOINT_SEED, ENDPOINT)),
        )
        self._begin()

    def _begin(self) -> None:
        self.workers += 1
        shards = Shards(self.store, UUID(int=self.workers), 10.0)
        self.roster = Roster(self.store, shards, BOX, SETTINGS, on_alert=_ignore)
        self.dispatcher = Dispatcher(
            self.store,
            self.roster,
            SETTINGS,
            chance=lambda: 0.5,
            metrics=RelayMetrics(CollectorRegistry()),
            on_alert=_ignore,
        )

    def _fault(self, _name: str, after: bool) -> None:
        if not self.armed or after is not self._fault_after:
            return
        self.calls += 1
        if self.calls - 1 == self._fault_at:
            raise DatabaseAway("planted")

    def tell(self) -> None:
        counts: dict[str, int] = {}
        facts = []
        for object_id in OBJECTS:
            counts[object_id] = counts.get(object_id, 0) + 1
            facts.append(RelayFact(MERCHANT, object_id, counts[object_id], "deposit.included", {}, self.now))
        self.store.publish(facts, self.now)

    def _answer(self, attempt: Attempt) -> None:
        self.arrived.append((attempt.sequence, attempt.body, attempt.headers["webhook-id"]))
        left = self.refusals.get(attempt.sequence, 0)
        self.refusals[attempt.sequence] = left - 1
        kind = OutcomeKind.REFUSED if left > 0 else OutcomeKind.DELIVERED
        self.dispatcher.finish(attempt, Outcome(kind, 1, 400 if left > 0 else 200), self.now)

    def round(self) -> None:
        try:
            drive(self.roster.step_leases(self.now))
            drive(self.roster.step_revisions())
            drive(self.roster.step_load())
            self.dispatcher.touch_all()
            for attempt in drive(self.dispatcher.step_feed(self.now)) + self.dispatcher.start(self.now):
                self._answer(attempt)
            self.dispatcher.park(self.now)
            drive(self.dispatcher.step_settle(self.now))
        except DatabaseAway:
            if self._dies:
                self._begin()
        self.now += timedelta(seconds=3)
        self.store.now_s += 3.0

    def play(self) -> None:
        self.armed = True
        self.tell()
        for _ in range(60):
            self.round()
        stored = self.store.endpoints[ENDPOINT]
        stored.replays.append(StoredReplay(0, 3, 0))
        self.store.change(ENDPOINT)
        for _ in range(30):
            self.round()


def _ignore(_kind: str, _detail: Mapping[str, object]) -> None:
    """Nobody to tell."""


def calls_of_the_story(*, after: bool) -> int:
    story = Story(None, after=after, dies=False)
    story.play()
    return min(story.calls, 160)


@pytest.mark.parametrize("dies", [False, True], ids=["the worker lives", "the worker dies"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_fault_at_any_call_of_the_store_loses_nothing(after: bool, dies: bool) -> None:
    for fault_at in range(calls_of_the_story(after=after)):
        story = Story(fault_at, after=after, dies=dies)
        story.play()
        stored = story.store.endpoints[ENDPOINT]
        assert stored.cursor == len(OBJECTS), fault_at
        assert [(row.sequence, row.state) for row in stored.rows.values()] == [(5, RowState.EXHAUSTED)], (
            fault_at
        )
        first: dict[int, tuple[bytes, str]] = {}
        for sequence, body, webhook_id in story.arrived:
            assert first.setdefault(sequence, (body, webhook_id)) == (body, webhook_id)
        assert sorted(first) == list(range(1, len(OBJECTS) + 1)), fault_at
        arrived = [sequence for sequence, _, _ in story.arrived]
        assert arrived.index(1) < arrived.index(3) < arrived.index(7)
        refused_until = [position for position, sequence in enumerate(arrived) if sequence == 2][2]
        assert refused_until < arrived.index(6), "the second version waited for the first"
        repeated = len(arrived) - len(OBJECTS) - 2 - 2 - 3
        assert repeated <= 3, f"{fault_at}: {arrived}"

"""The relay's worker in a schedule: its real dispatcher, roster, shards and lanes, on a store and with receivers of ours.

Lives here: one round of a worker as `relay.workers.worker` makes it, attempts in flight over virtual seconds, the death of a
worker, and the laws of delivery. Does not live here: what the receivers do (`receivers.py`), the store in memory (which
the relay's own properties bring, with the joint log of this schedule behind it).
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from prometheus_client import CollectorRegistry

from relay.keys.secretbox import SecretBox
from relay.metrics import RelayMetrics
from relay.model import Covers
from relay.out.addresses import host_of
from relay.out.targets import Target
from relay.settings import LaneSettings, RelaySettings, RetrySettings
from relay.workers.dispatch import Dispatcher
from relay.workers.roster import Attempt, Roster
from relay.workers.shards import Shards
from relay.workers.storage import EndpointRecord, RelayStore
from tests.simulation.receivers import ATTEMPT_TIMEOUT_S, MOOD_TROUBLES, Answer, Receiver, ReceiverMood
from tests.simulation.troubles import Tally, Trouble

LEASE_S = 10.0
SETTINGS = RelaySettings(
    attempt_timeout_s=float(ATTEMPT_TIMEOUT_S),
    retry=RetrySettings(schedule_s=(1, 2, 3), failing_objects_max=2, hurry_s=3, probe_schedule_s=(2, 4)),
    lane=LaneSettings(window_events_max=20, read_ahead_min=8, in_flight_start=4, due_rows_max=6),
    in_flight_max=24,
    endpoint_share=0.5,
    lease_s=LEASE_S,
)
BOX = SecretBox([bytes(32)])
LONG_AGO = datetime.min.replace(tzinfo=UTC)
METRICS = RelayMetrics(CollectorRegistry())
"""Shared by all schedules of a process: nobody reads it."""


class UnsignedTarget:
    """A target whose headers are not signed: signatures have tests of their own, and cost more than all the rest."""

    def __init__(self, record: EndpointRecord) -> None:
        self.url = record.url
        self.host = host_of(record.url)

    def headers_for(
        self,
        event_id: UUID,
        body: bytes,
        *,
        prev_sequence: int | None,
        covers: Covers | None = None,
        now: datetime,
    ) -> dict[str, str]:
        """Only what an order could be checked by."""
        return {"chainbell-prev-sequence": str(prev_sequence)}


class UnsignedRoster(Roster):
    """The product's roster with unsigned targets."""

    def _open(self, record: EndpointRecord) -> Target | None:
        return UnsignedTarget(record)  # type: ignore[return-value]  # it has the three members that are used


@dataclass(slots=True)
class Flight:
    """One attempt under way; `answer` is how it will end, at `lands_at`."""

    attempt: Attempt
    answer: Answer
    lands_at: datetime


class Delivery:
    """One worker after another, sending to the receivers of a schedule."""

    def __init__(
        self,
        store: RelayStore,
        receivers: Sequence[Receiver],
        rng: random.Random,
        tally: Tally,
        *,
        first_worker: int = 1,
    ) -> None:
        self.receivers = {receiver.endpoint_id: receiver for receiver in receivers}
        self.flights: list[Flight] = []
        self.alerts: list[str] = []
        self._store = store
        self._rng = rng
        self._tally = tally
        self._workers_made = first_worker
        self.begin_worker()

    def begin_worker(self) -> None:
        """A new process; what the old one had in flight may still arrive, and nobody will hear of it."""
        self._workers_made += 1
        self.flights = []
        self._renew_at = LONG_AGO
        self.shards = Shards(self._store, UUID(int=self._workers_made), LEASE_S)
        self.roster = UnsignedRoster(self._store, self.shards, BOX, SETTINGS, on_alert=self._note_alert)
        self.dispatcher = Dispatcher(
            self._store,
            self.roster,
            SETTINGS,
            chance=self._rng.random,
            metrics=METRICS,
            on_alert=self._note_alert,
        )

    def change_mood(self) -> None:
        """One receiver behaves differently from now on."""
        receiver = self._rng.choice(list(self.receivers.values()))
        receiver.mood = ReceiverMood.WELL if self._rng.random() < 0.4 else self._rng.choice(_MOODS)
        if receiver.mood in MOOD_TROUBLES:
            self._tally.count(MOOD_TROUBLES[receiver.mood])

    async def round(self, now: datetime) -> None:
        """What `relay.workers.worker` does when everything is due at once; leases are renewed three times before they end."""
        if now >= self._renew_at:
            await self.roster.step_leases(now)
            self._renew_at = now + timedelta(seconds=LEASE_S / 3)
        await self.roster.step_revisions()
        await self.roster.step_load()
        self.dispatcher.touch_all()
        self.dispatcher.park(now)
        self._fly(await self.dispatcher.step_feed(now), now)
        self._fly(self.dispatcher.start(now), now)
        self._land(now)
        await self.dispatcher.step_settle(now)

    @property
    def is_idle(self) -> bool:
        """Nothing in flight and nothing unwritten."""
        return not self.flights and not self.dispatcher.dirty

    def _fly(self, attempts: Iterable[Attempt], now: datetime) -> None:
        for attempt in attempts:
            receiver = self.receivers[attempt.lane.config.endpoint_id]
            answer = receiver.answer(self._rng)
            if answer.arrives:
                receiver.take(attempt.sequence, attempt.body, self._tally)
            self.flights.append(Flight(attempt, answer, now + timedelta(seconds=answer.after_s)))

    def _land(self, now: datetime) -> None:
        landed = [flight for flight in self.flights if flight.lands_at <= now]
        self.flights = [flight for flight in self.flights if flight.lands_at > now]
        for flight in landed:
            self.dispatcher.finish(flight.attempt, flight.answer.outcome, now)

    def _note_alert(self, kind: str, _detail: Mapping[str, object]) -> None:
        self.alerts.append(kind)
        if kind == "delivery-exhausted":
            self._tally.count(Trouble.EXHAUSTED)


_MOODS = tuple(mood for mood in ReceiverMood if mood is not ReceiverMood.WELL)

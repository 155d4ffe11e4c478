"""The endpoints of one worker's shards: which lanes exist, and when one must begin again.

Lives here: `Roster`, which follows leases and changes of endpoints. A lane whose filter changed, or whose writing was
refused, is emptied first and then begun again from its cursor, so that no two lanes of one endpoint ever send at the
same time. Does not live here: feeding lanes (`dispatch`), leases themselves (`shards`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import structlog

from migrations.ids import encode_id
from relay.errors import SecretUnreadable
from relay.keys.secretbox import SecretBox
from relay.lanes.lane import Lane
from relay.lanes.schedule import REVERSAL
from relay.log.bodies import Published
from relay.model import LaneConfig, LogEvent, Send
from relay.out.targets import Target, open_target
from relay.settings import RelaySettings
from relay.workers.shards import Shards
from relay.workers.storage import EndpointRecord, RelayStore

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to make now; give it back with its outcome."""

    lane: Lane
    sequence: int
    url: str
    headers: Mapping[str, str]
    body: bytes
    host: str
    well: bool
    """The endpoint took what it was sent last."""


@dataclass(slots=True)
class Seat:
    """One endpoint at work."""

    endpoint_id: UUID
    merchant_id: UUID
    shard: int
    revision: int
    filter_revision: int
    replaying: bool
    event_types: frozenset[str] | None
    lane: Lane
    target: Target

    @property
    def may_be_handed(self) -> bool:
        """The lane may take an event that was not read for it: it works by the filter that is known here."""
        return self.filter_revision == self.lane.filter_revision and not self.lane.needs_the_log

    def see(self, event: Published) -> LogEvent:
        """The event as a read would give it to the lane."""
        wanted = self.event_types is None or event.type in self.event_types
        return LogEvent(
            event.event_id, event.sequence, event.object_id, event.version, event.type, event.created_at,
            event.body if wanted else None,
        )  # fmt: skip

    def attempt(self, send: Send, now: datetime) -> Attempt:
        """What to send, signed."""
        headers = self.target.headers_for(
            send.event_id, send.body, prev_sequence=send.prev_sequence, covers=send.covers, now=now
        )
        target, lane = self.target, self.lane
        return Attempt(lane, send.sequence, target.url, headers, send.body, target.host, lane.well)


class Roster:
    """Every endpoint this worker sends for. Steps wait only for the store."""

    def __init__(
        self,
        store: RelayStore,
        shards: Shards,
        box: SecretBox,
        settings: RelaySettings,
        *,
        on_alert: Callable[[str, Mapping[str, object]], None],
    ) -> None:
        self._store = store
        self._shards = shards
        self._box = box
        self._settings = settings
        self._on_alert = on_alert
        self.seats: dict[UUID, Seat] = {}
        self.merchants: dict[UUID, set[UUID]] = {}
        self._draining: dict[UUID, Lane] = {}
        self._asked: set[UUID] = set()
        self._asked_shards: set[int] = set()
        self._fresh: list[Seat] = []
        self._unreadable: dict[UUID, int] = {}
        self._closed = False

    def may_send(self, now: datetime) -> bool:
        """Our leases hold for certain."""
        return self._shards.valid(now)

    def is_current(self, lane: Lane) -> bool:
        """This lane is the one at work for its endpoint."""
        seat = self.seats.get(lane.config.endpoint_id)
        return seat is not None and seat.lane is lane

    def take_fresh(self) -> list[Seat]:
        """The seats that are new or changed since the last call."""
        fresh, self._fresh = self._fresh, []
        return [seat for seat in fresh if self.seats.get(seat.endpoint_id) is seat]

    # --- leases ----------------------------------------------------------------------------------------------------

    async def step_leases(self, now: datetime) -> None:
        """Keep our share of the shards; lanes of lost ones go, lanes of those we should leave are emptied first."""
        change = await self._shards.step_leases(now)
        self.lose_shards(change.lost)
        self._asked_shards.update(change.gained)
        leaving = set(change.leaving)
        for seat in self.seats.values():
            seat.lane.closing = self._closed or seat.shard in leaving
        await self.step_release()

    @property
    def leaving(self) -> bool:
        """Somebody else should have some of our shards."""
        return bool(self._shards.leaving)

    async def step_release(self) -> None:
        """Give back the shards we should leave whose lanes are empty by now: until then their endpoints wait."""
        busy = {seat.shard for seat in self.seats.values() if seat.lane.in_flight or seat.lane.dirty}
        busy.update(lane.config.shard for lane in self._draining.values())
        await self.release(self._shards.leaving - busy)

    async def release(self, shards: Collection[int]) -> None:
        """Give back these shards, whose lanes must be empty."""
        for seat in [seat for seat in self.seats.values() if seat.shard in shards]:
            self._remove(seat)
        await self._shards.release(shards)

    async def release_all(self) -> None:
        """Give back everything; the lanes must be empty."""
        await self.release(set(self._shards.epochs))

    def lose_shards(self, lost: Mapping[int, int]) -> None:
        """Somebody else sends for these (shard → our epoch of it): forget their lanes with all they had not written."""
        self._shards.forget(lost)
        for seat in [seat for seat in self.seats.values() if lost.get(seat.shard) == seat.lane.config.epoch]:
            self.restart(seat.endpoint_id)

    def close_all(self) -> None:
        """Start nothing new."""
        self._closed = True
        for seat in self.seats.values():
            seat.lane.closing = True

    # --- endpoints -------------------------------------------------------------------------------------------------

    def ask(self, endpoint_id: UUID, shard: int) -> bool:
        """Something about this endpoint changed; True if it is ours."""
        if shard in self._shards.epochs:
            self._asked.add(endpoint_id)
            return True
        return False

    @property
    def asked(self) -> bool:
        """There are changes to load."""
        return bool(self._asked or self._asked_shards)

    async def step_revisions(self) -> None:
        """Compare every endpoint's revision with what we have: the poll behind all notices."""
        revisions = await self._store.load_revisions(self._shards.epochs)
        for endpoint_id, revision in revisions.items():
            seat = self.seats.get(endpoint_id)
            known = self._unreadable.get(endpoint_id) if seat is None else seat.revision
            if known != revision and endpoint_id not in self._draining:
                self._asked.add(endpoint_id)
        for endpoint_id in self.seats.keys() - revisions.keys():
            self._remove(self.seats[endpoint_id])

    async def step_load(self) -> int:
        """Load the endpoints that were asked for; returns how many lanes began or changed."""
        if not self.asked:
            return 0
        asked, self._asked = self._asked, set()
        shards, self._asked_shards = self._asked_shards, set()
        try:
            records = await self._store.load_endpoints(shards=shards, endpoints=asked)
            records = [record for record in records if record.shard in self._shards.epochs]
            positions = await self._store.load_positions(
                [record.endpoint_id for record in records if self._must_begin(record)], reversal_type=REVERSAL
            )
        except BaseException:
            self._asked |= asked
            self._asked_shards |= shards
            raise
        for endpoint_id in asked - {record.endpoint_id for record in records}:
            if endpoint_id in self.seats:
                self._remove(self.seats[endpoint_id])
        for record in records:
            if (target := self._open(record)) is None:
                continue
            seat = self.seats.get(record.endpoint_id)
            if seat is not None and seat.filter_revision == record.filter_revision:
                self._change(seat, record, target)
            elif seat is not None:
                self.restart(record.endpoint_id)
            elif record.endpoint_id in positions and record.endpoint_id not in self._draining:
                lane = Lane(self._config(record), positions[record.endpoint_id], self._settings)
                self._sit(record, lane, target)
        return len(records)

    def restart(self, endpoint_id: UUID) -> None:
        """Empty this lane, then begin again from what is written."""
        seat = self.seats.get(endpoint_id)
        if seat is None:
            return
        self._remove(seat)
        seat.lane.closing = True
        self._draining[endpoint_id] = seat.lane
        self.note_drained(seat.lane)

    def note_drained(self, lane: Lane) -> None:
        """An attempt of a lane that is not at work any more ended; if it was the last, the endpoint begins again."""
        endpoint_id = lane.config.endpoint_id
        if lane.in_flight == 0 and self._draining.get(endpoint_id) is lane:
            del self._draining[endpoint_id]
            self.ask(endpoint_id, lane.config.shard)

    def _must_begin(self, record: EndpointRecord) -> bool:
        return record.endpoint_id not in self.seats and record.endpoint_id not in self._draining

    def _config(self, record: EndpointRecord) -> LaneConfig:
        return LaneConfig(
            endpoint_id=record.endpoint_id,
            merchant_id=record.merchant_id,
            shard=record.shard,
            epoch=self._shards.epochs[record.shard],
            state=record.state,
            enabled=record.enabled and (record.verified or not self._settings.asks_for_proof),
            max_in_flight=record.max_in_flight,
            rate_per_s=record.rate_per_s,
            wakes=record.wakes,
        )

    def _open(self, record: EndpointRecord) -> Target | None:
        try:
            target = open_target(record, self._box)
        except SecretUnreadable as error:
            endpoint = encode_id("end", record.endpoint_id)
            if self._unreadable.get(record.endpoint_id) != record.revision:
                _log.error("secret-unreadable", endpoint=endpoint, error=str(error))
                self._on_alert("secret-unreadable", {"endpoint_id": endpoint, "detail": str(error)})
            self._unreadable[record.endpoint_id] = record.revision
            if record.endpoint_id in self.seats:
                self.restart(record.endpoint_id)
            return None
        self._unreadable.pop(record.endpoint_id, None)
        return target

    def _sit(self, record: EndpointRecord, lane: Lane, target: Target) -> None:
        seat = Seat(
            record.endpoint_id,
            record.merchant_id,
            record.shard,
            record.revision,
            record.filter_revision,
            record.replaying,
            record.event_types,
            lane,
            target,
        )
        self.seats[seat.endpoint_id] = seat
        self.merchants.setdefault(seat.merchant_id, set()).add(seat.endpoint_id)
        self._fresh.append(seat)

    def _change(self, seat: Seat, record: EndpointRecord, target: Target) -> None:
        seat.lane.reconfigure(self._config(record))
        seat.revision = record.revision
        seat.replaying = record.replaying
        seat.target = target
        seat.lane.troubles.look_again()
        self._fresh.append(seat)

    def _remove(self, seat: Seat) -> None:
        del self.seats[seat.endpoint_id]
        endpoints = self.merchants[seat.merchant_id]
        endpoints.discard(seat.endpoint_id)
        if not endpoints:
            del self.merchants[seat.merchant_id]

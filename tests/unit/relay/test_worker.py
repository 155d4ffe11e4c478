"""The loop of a worker, with doubles for its steps: what is due happens, however much there is to send."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

from relay.settings import RelaySettings
from relay.worker import Worker


class BusyDispatcher:
    """Every round is cut short: there is always more to send than may start."""

    cut_short, dirty, has_work = True, True, True
    stopping, in_flight = False, 0

    def __init__(self) -> None:
        self.fed = self.started = self.settled = 0

    async def step_feed(self, _now: datetime) -> list[Any]:
        self.fed += 1
        return []

    def start(self, _now: datetime) -> list[Any]:
        self.started += 1
        return []

    async def step_settle(self, _now: datetime) -> int:
        self.settled += 1
        self.stopping = self.fed > 2 and self.settled > 2
        self.dirty = not self.stopping
        return 1

    def touch_all(self) -> None:
        return

    def park(self, _now: datetime) -> None:
        return

    def measure(self) -> None:
        return

    def next_moment(self) -> datetime | None:
        return None


class IdleRoster:
    """No shards change hands."""

    asked = leaving = False

    async def step_leases(self, _now: datetime) -> None:
        return

    async def step_revisions(self) -> None:
        return


async def test_a_worker_with_more_to_send_than_it_can_still_reads_for_others_and_writes() -> None:
    dispatcher: Any = BusyDispatcher()
    roster: Any = IdleRoster()
    worker = Worker(
        roster,
        dispatcher,
        RelaySettings(settle_delay_s=0.001),
        clock=lambda: datetime.now(UTC),
        launch=lambda _: None,
    )
    async with asyncio.timeout(10):
        await worker.run()
    assert dispatcher.started > dispatcher.fed, "not read for at every turn: that is what the rounds are for"

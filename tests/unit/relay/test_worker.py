"""The loop of a worker, with doubles for its steps: what is due happens, however much there is to send."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

from relay.settings import RelaySettings
from relay.workers.worker import Worker


class BusyDispatcher:
    """Every round is cut short: there is always more to send than may start."""

    cut_short, dirty, urgent, has_work = True, True, True, True
    stopping, wants_reading, in_flight, reads_made = False, False, 0, 0

    def __init__(self) -> None:
        self.fed = self.started = self.settled = 0
        self.asked: list[bool] = []

    async def step_feed(self, _now: datetime, *, reads: bool) -> list[Any]:
        assert reads, "nothing was read before"
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

    def touch_all(self, *, asks: bool) -> None:
        self.asked.append(asks)

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


LOOP_TICK_S = 0.001
"""uvloop counts milliseconds."""


class PatientDispatcher(BusyDispatcher):
    """Something is to be written and something to be read; when that happened, by the loop's clock."""

    cut_short, urgent, has_work, wants_reading = False, False, False, True

    def __init__(self) -> None:
        super().__init__()
        self.began_s = asyncio.get_running_loop().time()
        self.read_at_s: list[float] = []
        self.settled_at_s = 0.0

    async def step_feed(self, _now: datetime, *, reads: bool) -> list[Any]:
        if reads:
            self.read_at_s.append(asyncio.get_running_loop().time())
            self.reads_made += 1
        return []

    async def step_settle(self, _now: datetime) -> int:
        self.settled_at_s = asyncio.get_running_loop().time()
        self.stopping, self.dirty = True, False
        return 1


async def work_patiently(dispatcher: Any) -> None:
    roster: Any = IdleRoster()
    settings = RelaySettings(settle_delay_s=0.001, cursor_delay_s=0.1, read_interval_s=0.03)
    worker = Worker(roster, dispatcher, settings, clock=lambda: datetime.now(UTC), launch=lambda _: None)

    def wake() -> None:
        worker.wake()
        asyncio.get_running_loop().call_later(0.005, wake)

    wake()
    async with asyncio.timeout(10):
        await worker.run()


async def test_a_cursor_that_nobody_waits_for_is_written_after_its_delay() -> None:
    dispatcher = PatientDispatcher()
    await work_patiently(dispatcher)
    assert dispatcher.settled_at_s - dispatcher.began_s >= 0.1 - LOOP_TICK_S


async def test_what_somebody_waits_for_is_written_at_once_whatever_waits_already() -> None:
    dispatcher = PatientDispatcher()
    asyncio.get_running_loop().call_later(0.02, lambda: setattr(dispatcher, "urgent", True))
    await work_patiently(dispatcher)
    assert dispatcher.settled_at_s - dispatcher.began_s < 0.1


async def test_logs_are_read_at_once_and_then_not_sooner_than_the_interval() -> None:
    dispatcher = PatientDispatcher()
    await work_patiently(dispatcher)
    first, *others = dispatcher.read_at_s
    assert first - dispatcher.began_s < 0.03
    assert others
    for before, after in zip(dispatcher.read_at_s, others, strict=False):
        assert after - before >= 0.03 - LOOP_TICK_S


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


class StillDispatcher(BusyDispatcher):
    """Nothing to do at all; it stops when the lanes have been looked at so many times."""

    cut_short, dirty, urgent, has_work = False, False, False, False

    async def step_feed(self, _now: datetime, *, reads: bool) -> list[Any]:
        del reads
        self.stopping = len(self.asked) >= 4
        return []


class CountingRoster(IdleRoster):
    """How often endpoints were compared with the database's."""

    def __init__(self) -> None:
        self.compared = 0

    async def step_revisions(self) -> None:
        self.compared += 1


async def test_a_worker_that_hears_notices_asks_the_database_once_and_one_that_is_deaf_at_every_look() -> (
    None
):
    for hears in (True, False):
        dispatcher: Any = StillDispatcher()
        roster: Any = CountingRoster()
        settings = RelaySettings(poll_interval_s=0.01, refresh_interval_s=0.01, quiet_interval_s=60)
        worker = Worker(roster, dispatcher, settings, clock=lambda: datetime.now(UTC), launch=lambda _: None)
        worker.hears = hears
        async with asyncio.timeout(10):
            await worker.run()
        assert dispatcher.asked[:4] == ([True, False, False, False] if hears else [True] * 4)
        assert (roster.compared == 1) is hears


async def test_a_worker_that_becomes_deaf_asks_again() -> None:
    dispatcher: Any = StillDispatcher()
    roster: Any = CountingRoster()
    settings = RelaySettings(poll_interval_s=0.01, refresh_interval_s=0.01, quiet_interval_s=60)
    worker = Worker(roster, dispatcher, settings, clock=lambda: datetime.now(UTC), launch=lambda _: None)
    worker.hears = True
    asyncio.get_running_loop().call_later(0.015, lambda: setattr(worker, "hears", False))
    async with asyncio.timeout(10):
        await worker.run()
    assert dispatcher.asked[-1]

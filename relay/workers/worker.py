"""The loop of one worker: leases, changed endpoints, feeding, starting, settling, one after another.

One loop, because what is read and what is written must not overtake each other; sending runs beside it. Lives here:
when which step is due, and the orderly end. Does not live here: the steps (`roster`, `dispatch`), tasks and the clock
(`service`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime

import structlog

from migrations.errors import DatabaseAway
from relay.settings import RelaySettings
from relay.workers.dispatch import Dispatcher
from relay.workers.roster import Attempt, Roster

RENEWALS_PER_LEASE = 3
BACKOFF_S = 0.5
COMPLAIN_EVERY_S = 60.0
FEED_INTERVAL_S = 0.02
"""While there is more to send than a round may start, no more is read than this often: reads of many lanes cost little."""
LOADED_PATIENCE = 3
"""While that is so, outcomes are gathered so many times as long: statements are for more of them, and nobody waits for one."""
SET_BACK_S = 2.0
"""A clock that falls so far behind the time that passed was set; what drifts is slewed by less."""

_log = structlog.get_logger()


class Worker:
    """Runs one worker's steps when they are due. `launch` makes attempts and calls `Dispatcher.finish` for each."""

    def __init__(
        self,
        roster: Roster,
        dispatcher: Dispatcher,
        settings: RelaySettings,
        *,
        clock: Callable[[], datetime],
        launch: Callable[[Iterable[Attempt]], None],
    ) -> None:
        self._roster = roster
        self._dispatcher = dispatcher
        self._settings = settings
        self._clock = clock
        self._launch = launch
        self._news = asyncio.Event()
        self._lease_due = self._refresh_due = self._poll_due = self._ask_due = self._complain_due = 0.0
        self._feed_due = self._read_due = 0.0
        self._dirty_since: float | None = None
        self._settle_due: float | None = None
        self._ahead_s: float | None = None
        self._hears = False

    @property
    def hears(self) -> bool:
        """The database's notices are heard, so that nothing changes unnoticed."""
        return self._hears

    @hears.setter
    def hears(self, hears: bool) -> None:
        self._hears = hears
        self.look_around()

    def wake(self) -> None:
        """There is something to do."""
        self._news.set()

    def look_around(self) -> None:
        """Notices may have been missed: look at everything."""
        self._refresh_due = self._poll_due = self._ask_due = 0.0
        self._news.set()

    def look_at_shards(self) -> None:
        """Some are free, or another worker came or went."""
        self._lease_due = 0.0
        self._news.set()

    async def run(self) -> None:
        """Work until the dispatcher is stopping and everything under way has ended and is written."""
        while not self._finished():
            self._news.clear()
            try:
                await self._step()
            except DatabaseAway as error:
                self._complain(error)
                await asyncio.sleep(BACKOFF_S)
            else:
                await self._rest()

    async def _step(self) -> None:
        loop_s = asyncio.get_running_loop().time()
        self._watch_clock(loop_s)
        stopping = self._dispatcher.stopping
        if loop_s >= self._lease_due and not stopping:
            self._lease_due = loop_s + self._settings.lease_s / RENEWALS_PER_LEASE
            with self._again_if_it_fails():
                await self._roster.step_leases(self._clock())
        if loop_s >= self._refresh_due and not stopping:
            self._refresh_due = loop_s + self._interval_s(self._settings.refresh_interval_s)
            with self._again_if_it_fails():
                await self._roster.step_revisions()
        if self._roster.asked and not stopping:
            await self._roster.step_load()
        if loop_s >= self._poll_due:
            asks = loop_s >= self._ask_due
            if asks:
                self._ask_due = loop_s + self._interval_s(self._settings.poll_interval_s)
            self._dispatcher.touch_all(asks=asks)
            self._dispatcher.park(self._clock())
            self._dispatcher.measure()
            self._poll_due = loop_s + self._poll_interval_s()
        if not stopping:
            if loop_s >= self._feed_due or not self._dispatcher.cut_short:
                made = self._dispatcher.reads_made
                reads = loop_s >= self._read_due
                self._launch(await self._dispatcher.step_feed(self._clock(), reads=reads))
                self._feed_due = loop_s + FEED_INTERVAL_S
                if self._dispatcher.reads_made != made:
                    self._read_due = loop_s + self._settings.read_interval_s
            self._launch(self._dispatcher.start(self._clock()))
        await self._settle(loop_s)
        if self._roster.leaving and not stopping:
            await self._roster.step_release()

    def _poll_interval_s(self) -> float:
        """Between two looks at all lanes: attempts that take long are what cannot wait for a moment of its own."""
        is_idle = self._hears and not self._dispatcher.in_flight
        return self._settings.refresh_interval_s if is_idle else self._settings.poll_interval_s

    def _interval_s(self, deaf_s: float) -> float:
        return max(deaf_s, self._settings.quiet_interval_s) if self._hears else deaf_s

    @contextmanager
    def _again_if_it_fails(self) -> Iterator[None]:
        """What was due is due again. The next time is set before, so that a notice on the way makes it earlier."""
        try:
            yield
        except BaseException:
            self._lease_due = self._refresh_due = 0.0
            raise

    def _watch_clock(self, loop_s: float) -> None:
        """Notice that the clock was set back. Set forward, waits are over early, which harms nobody."""
        ahead_s = self._clock().timestamp() - loop_s
        if self._ahead_s is not None and ahead_s < self._ahead_s - SET_BACK_S:
            _log.warning("clock-set-back", by_s=round(self._ahead_s - ahead_s, 1))
            self._dispatcher.forget_times()
            self._lease_due = 0.0
        self._ahead_s = ahead_s

    async def _settle(self, loop_s: float) -> None:
        dispatcher = self._dispatcher
        if not dispatcher.dirty:
            self._dirty_since = self._settle_due = None
            return
        if self._dirty_since is None:
            self._dirty_since = loop_s
        delay_s = self._settings.cursor_delay_s
        if dispatcher.urgent or self._roster.leaving:
            delay_s = self._settings.settle_delay_s * (LOADED_PATIENCE if dispatcher.cut_short else 1)
        self._settle_due = self._dirty_since + delay_s
        if dispatcher.stopping or loop_s >= self._settle_due:
            self._dirty_since = self._settle_due = None
            await dispatcher.step_settle(self._clock())

    async def _rest(self) -> None:
        if self._dispatcher.has_work and not self._dispatcher.stopping:
            await asyncio.sleep(0)
            return
        loop_s = asyncio.get_running_loop().time()
        due = min(self._poll_due, self._refresh_due, self._lease_due)
        if self._settle_due is not None:
            due = min(due, self._settle_due)
        if self._dispatcher.wants_reading:
            due = min(due, self._read_due)
        moment = self._dispatcher.next_moment()
        if moment is not None:
            due = min(due, loop_s + (moment - self._clock()).total_seconds())
        if due <= loop_s:
            await asyncio.sleep(0)
            return
        try:
            async with asyncio.timeout_at(due):
                await self._news.wait()
        except TimeoutError:
            return

    def _finished(self) -> bool:
        return self._dispatcher.stopping and not self._dispatcher.in_flight and not self._dispatcher.dirty

    def _complain(self, error: DatabaseAway) -> None:
        loop_s = asyncio.get_running_loop().time()
        if loop_s >= self._complain_due:
            self._complain_due = loop_s + COMPLAIN_EVERY_S
            _log.warning("relay-database-unavailable", error=str(error))

"""Appends of writers who have no transaction of their own, committed together.

A commit waits for the disk, and whoever appends to a log holds its lock meanwhile: alone, each waits for all before it. Here
what came in while one group was written is the next group, whoever's logs it is for. Each call is told what became of its
own facts; what the database refuses of one hurts no other. Lives here: `Publisher`. Does not live here: events that must
commit with something else (`eventlog.append`, in the transaction of that), waking whoever sends.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from migrations.handles import Pool
from migrations.weather import PASSING
from relay.log import eventlog as log
from relay.log.bodies import Fact, Published

GROUP_FACTS_MAX = 500
"""Of one statement: the logs are locked for the time of it."""


@dataclass(frozen=True, slots=True)
class _Call:
    facts: Sequence[Fact]
    outcome: asyncio.Future[list[Published]]


class Publisher:
    """`run` writes, in a task of the owner's; `publish` waits for it."""

    def __init__(self, pool: Pool, *, clock: Callable[[], datetime]) -> None:
        self._pool = pool
        self._clock = clock
        self._waiting: deque[_Call] = deque()
        self._news = asyncio.Event()

    async def publish(self, facts: Sequence[Fact]) -> list[Published]:
        """As `eventlog.append`, and committed, all of these facts or none. What it raises says that they are not; but after
        weather (`migrations.weather.PASSING`), or when cancelled, they may be.
        """
        if not facts:
            return []
        call = _Call(facts, asyncio.get_running_loop().create_future())
        self._waiting.append(call)
        self._news.set()
        return await call.outcome

    async def run(self) -> None:
        """Write until cancelled; who waits then is cancelled too."""
        group: list[_Call] = []
        try:
            while True:
                await self._news.wait()
                if group := self._take_group():
                    await self._write(group)
                else:
                    self._news.clear()
        finally:
            for call in (*group, *self._waiting):
                call.outcome.cancel()

    def _take_group(self) -> list[_Call]:
        group: list[_Call] = []
        room = GROUP_FACTS_MAX
        while self._waiting and (not group or len(self._waiting[0].facts) <= room):
            call = self._waiting.popleft()
            if not call.outcome.done():  # whoever gave up is not told anything
                group.append(call)
                room -= len(call.facts)
        return group

    async def _write(self, group: Sequence[_Call]) -> None:
        facts = [fact for call in group for fact in call.facts]
        try:
            async with self._pool.acquire() as conn:
                events = iter(await log.append(conn, facts, now=self._clock()))
        except PASSING as error:
            _tell(group, error)
        except Exception as error:  # noqa: BLE001  # a fact told before, say: whose it is, is found out one by one
            if len(group) == 1:
                _tell(group, error)
            else:
                for call in group:
                    await self._write([call])
        else:
            for call in group:
                told = [next(events) for _ in call.facts]
                if not call.outcome.done():
                    call.outcome.set_result(told)


def _tell(group: Sequence[_Call], error: Exception) -> None:
    for call in group:
        if not call.outcome.done():
            call.outcome.set_exception(error)

"""Waking whoever waits for a merchant's next event: long polls and streams.

Lives here: one listener a process on the log's channel, and the waiting. Does not live here: reading events (relay.log.eventlog).
A notice that is lost costs a second: waiting always ends by itself, and who waited looks again.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from uuid import UUID

import structlog

from gateway.store import listen
from migrations.errors import DatabaseProblem
from migrations.handles import Pool
from relay.log.eventlog import CHANNEL, decode_notice
from relay.workers.storage import HeadSequences

LISTEN_AGAIN_S = 1.0
LOOK_AGAIN_S = 1.0

_log = structlog.get_logger()


@dataclass(slots=True)
class LiveLog:
    """Who waits for which merchant's log."""

    _waiting: dict[UUID, set[asyncio.Event]] = field(default_factory=dict)

    async def wait(
        self, merchant_id: UUID, timeout_s: float, *, gone: asyncio.Future[None] | None = None
    ) -> None:
        """Return when the log may have grown, when whoever waits has `gone`, and after LOOK_AGAIN_S at the latest."""
        news = asyncio.Event()

        def wake(_gone: object) -> None:
            news.set()

        if gone is not None:
            gone.add_done_callback(wake)
        self._waiting.setdefault(merchant_id, set()).add(news)
        try:
            async with asyncio.timeout(min(timeout_s, LOOK_AGAIN_S)):
                await news.wait()
        except TimeoutError:
            return
        finally:
            if gone is not None:
                gone.remove_done_callback(wake)
            waiting = self._waiting[merchant_id]
            waiting.discard(news)
            if not waiting:
                del self._waiting[merchant_id]

    def take_heads(self, heads: HeadSequences) -> None:
        """The same from another process, by way of Redis."""
        for merchant_id in heads or list(self._waiting):
            for news in self._waiting.get(merchant_id, ()):
                news.set()

    def take_notice(self, payload: str) -> None:
        """A notice of the log's channel; one that names nobody wakes everybody."""
        try:
            self.take_heads(decode_notice(payload))
        except ValueError:
            self.take_heads({})

    def wake_all(self) -> None:
        """For the moments in which notices may have been missed, and for the end."""
        self.take_notice("")

    async def run(self, pool: Pool) -> None:
        """Listen for ever; a lost connection is made again."""
        while True:
            try:
                await listen(pool, CHANNEL, self.take_notice, ready=self.wake_all)
            except DatabaseProblem as error:
                _log.warning("live-listener-lost", error=str(error))
            await asyncio.sleep(LISTEN_AGAIN_S)

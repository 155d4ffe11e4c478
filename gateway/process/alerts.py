"""The operator's bell: halts, disputes, exhausted deliveries, a full disk; to a webhook, a command, or both.

Lives here: a bounded queue that nobody waits for, and its delivery with a few tries. Does not live here: deciding what is
worth an alert (each room), webhooks of merchants (relay). Where neither is configured the log line is the alert.
"""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

import aiohttp
import msgspec
import structlog

from gateway.config.settings import AlertSettings
from indexer.rules.events import format_time

QUEUE_MAX = 256
TRIES_WAIT_S = (0.0, 2.0, 15.0)
WEBHOOK_TIMEOUT_S = 10.0
COMMAND_TIMEOUT_S = 30.0
SAME_AGAIN_AFTER_S = 60.0
REMEMBERED_MAX = 1_000

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Alert:
    """One thing the operator should know."""

    kind: str
    detail: Mapping[str, object]
    at: datetime

    def encode(self) -> bytes:
        """The JSON that a webhook gets and a command reads."""
        return msgspec.json.encode(
            {"kind": self.kind, "at": format_time(self.at), "detail": self.detail}, enc_hook=str
        )


class Bell:
    """`ring` never waits; `run` delivers until it is cancelled."""

    def __init__(self, settings: AlertSettings, *, clock: Callable[[], datetime]) -> None:
        self._settings = settings
        self._clock = clock
        self._queue: asyncio.Queue[Alert] = asyncio.Queue(QUEUE_MAX)
        self._rung: dict[bytes, datetime] = {}

    def ring(self, kind: str, detail: Mapping[str, object]) -> None:
        """Tell the operator; the same thing at most once a minute. What does not fit the queue is logged only."""
        now = self._clock()
        same = msgspec.json.encode((kind, detail), enc_hook=str)
        last = self._rung.get(same)
        if last is not None and (now - last).total_seconds() < SAME_AGAIN_AFTER_S:
            return
        if len(self._rung) >= REMEMBERED_MAX:
            self._rung.clear()
        self._rung[same] = now
        _log.warning("alert", kind=kind, **{f"detail_{name}": value for name, value in detail.items()})
        if not (self._settings.webhook_url or self._settings.command):
            return
        try:
            self._queue.put_nowait(Alert(kind, detail, now))
        except asyncio.QueueFull:
            _log.error("alert-not-sent", kind=kind, reason="too many alerts wait")

    async def run(self) -> None:
        """Deliver one alert after the other, for ever."""
        timeout = aiohttp.ClientTimeout(total=WEBHOOK_TIMEOUT_S)
        # The operator's own name: looked up as the system does it.
        connector = aiohttp.TCPConnector(resolver=aiohttp.ThreadedResolver())
        async with aiohttp.ClientSession(
            connector=connector, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()
        ) as session:
            while True:
                alert = await self._queue.get()
                if self._settings.webhook_url:
                    await self._try(alert, "webhook", lambda alert: self._post(session, alert))
                if self._settings.command:
                    await self._try(alert, "command", self._run_command)
                self._queue.task_done()

    async def drain(self, timeout_s: float) -> None:
        """Wait until what was rung is delivered, for so long at most; `run` must be running."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._queue.join()

    async def _try(self, alert: Alert, way: str, deliver: Callable[[Alert], object]) -> None:
        reason = ""
        for wait_s in TRIES_WAIT_S:
            await asyncio.sleep(wait_s)
            try:
                await deliver(alert)  # type: ignore[misc]  # both ways are coroutines
            except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
                reason = type(error).__name__
            else:
                return
        _log.error("alert-not-sent", kind=alert.kind, way=way, reason=reason)

    async def _post(self, session: aiohttp.ClientSession, alert: Alert) -> None:
        headers = {"Content-Type": "application/json"}
        url = self._settings.webhook_url.reveal()
        async with session.post(url, data=alert.encode(), headers=headers, allow_redirects=False) as response:
            if not 200 <= response.status < 300:
                raise ValueError("not accepted")

    async def _run_command(self, alert: Alert) -> None:
        process = await asyncio.create_subprocess_exec(
            *shlex.split(self._settings.command),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            async with asyncio.timeout(COMMAND_TIMEOUT_S):
                await process.communicate(alert.encode())
        except BaseException:
            with suppress(ProcessLookupError):
                process.kill()
            raise
        if process.returncode != 0:
            raise ValueError("the command failed")

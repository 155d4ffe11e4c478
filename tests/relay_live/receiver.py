"""A stranger's server: a real aiohttp server on loopback that answers as a test tells it to, and verifies what it gets.

Lives here: `Receiver`. Does not live here: raw sockets that misbehave below HTTP (`hostile.py`).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web

from relay import verify

Answer = Callable[["Received"], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it came."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    at_s: float

    @property
    def event(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found

    @property
    def object_id(self) -> str:
        return str(self.event["data"]["deposit"]["id"])


async def accept(_received: Received) -> web.StreamResponse:
    return web.Response(status=204)


def refuse(status: int = 500, **headers: str) -> Answer:
    """Answer everything with this status; `retry_after="5"` is the header Retry-After."""

    async def answer(_received: Received) -> web.StreamResponse:
        return web.Response(
            status=status,
            headers={name.replace("_", "-"): value for name, value in headers.items()},
            text="no",
        )

    return answer


@dataclass
class Receiver:
    """Collects requests in `received`; `answer` decides what they get. Unverifiable requests are in `forged`."""

    answer: Answer = accept
    secrets: list[str] = field(default_factory=list)
    public_keys: list[str] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)
    forged: list[str] = field(default_factory=list)
    port: int = 0
    _runner: web.AppRunner | None = None
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._take)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_exc: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    async def _take(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        received = Received(request.path, dict(request.headers), body, asyncio.get_running_loop().time())
        if self.secrets or self.public_keys:
            try:
                verify.verify(body, request.headers, secrets=self.secrets)
                verify.verify(body, request.headers, public_keys=self.public_keys)
            except verify.WebhookInvalid as error:
                self.forged.append(str(error))
        self.received.append(received)
        self._changed.set()
        return await self.answer(received)

    @property
    def sequences(self) -> list[int]:
        return [one.event["sequence"] for one in self.received]

    async def until(self, holds: Callable[[], bool], timeout_s: float = 15.0) -> None:
        """Wait for requests until `holds()`; TimeoutError with what came."""
        try:
            async with asyncio.timeout(timeout_s):
                while not holds():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise TimeoutError(f"received {self.sequences}") from None

    async def until_received(self, count: int, timeout_s: float = 15.0) -> None:
        """Wait until `count` requests came."""
        await self.until(lambda: len(self.received) >= count, timeout_s)

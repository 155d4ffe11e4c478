"""Merchants' receivers of every temper: reliable, moody, and gone for a while.

Each keeps the exact bytes of every request, so that a test can say that one
event id never had two bodies.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import msgspec
from aiohttp import web
from standardwebhooks import Webhook


@dataclass(slots=True)
class Receiver:
    """One endpoint; `failure_share` of its answers are failures of all kinds."""

    rng: random.Random
    failure_share: float = 0.0
    secret: str = ""
    url: str = ""
    down: bool = False
    bodies: dict[str, bytes] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)
    requests_count: int = 0
    failures_count: int = 0
    repeats_count: int = 0
    contradictions: list[str] = field(default_factory=list)

    async def receive(self, request: web.Request) -> web.StreamResponse:
        """Verify, keep, and answer by temper."""
        self.requests_count += 1
        if self.down or self.rng.random() < self.failure_share:
            self.failures_count += 1
            return await self._fail(request)
        body = await request.read()
        Webhook(self.secret).verify(body, dict(request.headers))
        event_id = request.headers["webhook-id"]
        known = self.bodies.get(event_id)
        if known is not None:
            self.repeats_count += 1
            if known != body:
                self.contradictions.append(event_id)
        self.bodies[event_id] = body
        self.order.append(event_id)
        return web.Response(status=204)

    async def _fail(self, request: web.Request) -> web.StreamResponse:
        kind = self.rng.choice(("500", "429", "redirect", "reset", "slow"))
        if kind == "reset" and request.transport is not None:
            request.transport.close()
        if kind == "slow":
            await asyncio.sleep(2.5)
        if kind == "redirect":
            return web.Response(status=302, headers={"location": self.url})
        if kind == "429":
            return web.Response(status=429, headers={"retry-after": "1"})
        return web.Response(status=500)

    def events(self) -> list[dict[str, object]]:
        """Every accepted event once, in order of first arrival."""
        seen: dict[str, dict[str, object]] = {}
        for event_id in self.order:
            seen.setdefault(event_id, msgspec.json.decode(self.bodies[event_id]))
        return list(seen.values())


@asynccontextmanager
async def open_receiver(rng: random.Random, *, failure_share: float = 0.0) -> AsyncIterator[Receiver]:
    """A receiver listening on loopback."""
    receiver = Receiver(rng, failure_share)
    application = web.Application()
    application.router.add_post("/", receiver.receive)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
        yield receiver
    finally:
        await runner.cleanup()

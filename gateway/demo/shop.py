"""The demo's shop: a merchant's webhook receiver, written as a merchant should write one.

It verifies every request with the independent `standardwebhooks` package,
drops repeats by event id, applies deposits by (id, version) and keeps its
books by the one rule of CONTRACT 5: set the credit of a deposit to what its
newest version says.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError

Tell = Callable[[dict[str, Any]], None]


@dataclass(slots=True)
class Shop:
    """What the shop has received and believes; `secret` is set once the endpoint exists."""

    tell: Tell
    secret: str = ""
    url: str = ""
    events: list[dict[str, Any]] = field(default_factory=list)
    refused_count: int = 0
    repeated_count: int = 0
    newest: dict[str, dict[str, Any]] = field(default_factory=dict)
    _seen_ids: set[str] = field(default_factory=set)
    _arrived: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def receive(self, request: web.Request) -> web.Response:
        """One webhook: verified, or refused with 400."""
        body = await request.read()
        try:
            event = Webhook(self.secret).verify(body, dict(request.headers))
        except (WebhookVerificationError, ValueError):
            self.refused_count += 1
            return web.Response(status=400, text="signature does not verify")
        if event["id"] in self._seen_ids:
            self.repeated_count += 1
            return web.Response(status=204)
        self._seen_ids.add(event["id"])
        async with self._arrived:
            self._apply(event)
            self._arrived.notify_all()
        self.tell(event)
        return web.Response(status=204)

    def _apply(self, event: dict[str, Any]) -> None:
        self.events.append(event)
        deposit = event["data"].get("deposit")
        if deposit is None:
            return
        known = self.newest.get(deposit["id"])
        if known is None or known["version"] < deposit["version"]:
            self.newest[deposit["id"]] = deposit

    def balance_base_units(self, symbol: str) -> int:
        """What the books say the shop owns of one asset."""
        return sum(int(d["credited_base_units"]) for d in self.newest.values() if d["symbol"] == symbol)

    async def wait_for(
        self, expected: Callable[[dict[str, Any]], bool], *, patience_s: float, nth: int = 1
    ) -> dict[str, Any]:
        """The first event, or `nth`, past or coming, that is expected; raises `TimeoutError`."""
        async with asyncio.timeout(patience_s), self._arrived:
            while len(found := [event for event in self.events if expected(event)]) < nth:
                await self._arrived.wait()
        return found[nth - 1]


@asynccontextmanager
async def open_shop(tell: Tell) -> AsyncIterator[Shop]:
    """A shop listening on loopback."""
    shop = Shop(tell)
    application = web.Application(client_max_size=1 << 20)
    application.router.add_post("/webhooks", shop.receive)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        shop.url = f"http://127.0.0.1:{port}/webhooks"
        yield shop
    finally:
        await runner.cleanup()

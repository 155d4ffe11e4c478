"""What a websocket can do wrong: fall silent, close, repeat, reorder, invent.

`pump` carries messages between the code under test and the node; `SocketTricks`
says what happens to them, and may be changed while connections are open.
HTTP is `proxy.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web

NOTIFICATION = "eth_subscription"


@dataclass(slots=True)
class SocketTricks:
    """Faults of every websocket through the proxy.

    `silent`: notifications are swallowed, pings still answered.  `refuses`:
    connections are closed at once.  `repeats`: each notification comes so many
    times.  `reorders`: notifications come in swapped pairs.  `drops_every`: of
    so many notifications one is lost.
    """

    silent: bool = False
    refuses: bool = False
    repeats: int = 1
    reorders: bool = False
    drops_every: int = 0
    connections: int = 0
    open: list[web.WebSocketResponse] = field(default_factory=list)
    _held: list[str] = field(default_factory=list)
    _notifications: int = 0

    def heal(self) -> None:
        """Carry messages as they are."""
        self.silent = self.refuses = self.reorders = False
        self.repeats, self.drops_every = 1, 0

    async def cut(self) -> None:
        """Close every open connection."""
        for socket in list(self.open):
            await socket.close()

    async def inject(self, result: dict[str, Any]) -> None:
        """Send a notification the node never sent (a removed log, a foreign head)."""
        message = {
            "jsonrpc": "2.0",
            "method": NOTIFICATION,
            "params": {"subscription": "0x1", "result": result},
        }
        for socket in list(self.open):
            await socket.send_str(json.dumps(message))

    def arrange(self, message: str) -> list[str]:
        """What becomes of one message from the node."""
        if NOTIFICATION not in message:
            return [message]
        self._notifications += 1
        if self.silent or (self.drops_every and self._notifications % self.drops_every == 0):
            return []
        if self.reorders:
            self._held.append(message)
            if len(self._held) < 2:
                return []
            held, self._held = self._held[::-1], []
            return held * self.repeats
        return [message] * self.repeats


async def pump(
    session: aiohttp.ClientSession, upstream: str, request: web.Request, tricks: SocketTricks
) -> web.WebSocketResponse:
    """Carry one websocket until either side closes."""
    tricks.connections += 1
    near = web.WebSocketResponse()
    await near.prepare(request)
    if tricks.refuses:
        await near.close()
        return near
    tricks.open.append(near)
    try:
        async with session.ws_connect(upstream) as far, asyncio.TaskGroup() as group:
            listening = group.create_task(_listen(far, near, tricks))
            async for message in near:
                if message.type is aiohttp.WSMsgType.TEXT:
                    await far.send_str(message.data)
            listening.cancel()
    finally:
        tricks.open.remove(near)
    return near


async def _listen(
    far: aiohttp.ClientWebSocketResponse, near: web.WebSocketResponse, tricks: SocketTricks
) -> None:
    with contextlib.suppress(ConnectionError):
        async for message in far:
            if message.type is aiohttp.WSMsgType.TEXT:
                for arranged in tricks.arrange(message.data):
                    await near.send_str(arranged)
    await near.close()

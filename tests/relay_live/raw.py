"""A receiver below HTTP: it keeps the bytes it is sent, and what it says and when is up to the test.

Lives here: `raw_server` and reading one request. Does not live here: receivers that speak HTTP (`receiver.py`), and the usual
misbehaviours (`hostile.py`).
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class Talk:
    """One connection. `number` counts connections from 1."""

    number: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def read_request(self) -> bytes:
        """The bytes of one whole request."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        length = next(int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length"))
        return head + await self.reader.readexactly(length)

    async def say(self, data: bytes) -> None:
        """Say it now."""
        self.writer.write(data)
        await self.writer.drain()


@dataclass
class Raw:
    """What was seen: how many connections, and every request."""

    port: int = 0
    connections: int = 0
    requests: list[bytes] = field(default_factory=list)
    secure: bool = False

    @property
    def url(self) -> str:
        return f"{'https' if self.secure else 'http'}://localhost:{self.port}/"


@asynccontextmanager
async def raw_server(
    behave: Callable[[Talk, Raw], Awaitable[None]],
    *,
    context: ssl.SSLContext | None = None,
    place: str = "127.0.0.1",
) -> AsyncIterator[Raw]:
    """Serve `behave` for each connection until the block ends."""
    raw = Raw(secure=context is not None)
    tasks: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())
        raw.connections += 1
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
                await behave(Talk(raw.connections, reader, writer), raw)
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(serve, place, 0, ssl=context)
    raw.port = server.sockets[0].getsockname()[1]
    try:
        yield raw
    finally:
        server.close()
        for task in tasks:
            assert task is not None
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

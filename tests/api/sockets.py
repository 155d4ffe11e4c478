"""Clients below HTTP: bytes as no library would send them, and hanging up at any moment.

Lives here: `Client`. Does not live here: what such clients must get (`test_edge.py`, `test_shares.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

PATIENCE_S = 20.0


@dataclass(frozen=True, slots=True)
class Client:
    """One connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.writer.write(data)
        await self.writer.drain()

    async def head(self) -> bytes:
        """The next answer's head; empty where the connection was closed."""
        async with asyncio.timeout(PATIENCE_S):
            try:
                return await self.reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, ConnectionError):
                return b""

    async def status(self) -> int:
        """The next answer's status; 0 where the connection was closed."""
        head = await self.head()
        return int(head.split(b" ", 2)[1]) if head else 0

    async def closed(self) -> bool:
        """Wait until the other side closes."""
        async with asyncio.timeout(PATIENCE_S):
            try:
                return await self.reader.read() == b""
            except ConnectionError:
                return True

    def hang_up(self) -> None:
        """Close at once."""
        self.writer.transport.abort()


def request(method: str, path: str, key: str | None = None, **headers: str) -> bytes:
    """The head of a request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: x"]
    lines += [] if key is None else [f"Authorization: Bearer {key}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


@asynccontextmanager
async def connected(base_url: str, count: int = 1) -> AsyncIterator[list[Client]]:
    """So many connections."""
    at = urlsplit(base_url)
    clients: list[Client] = []
    try:
        for _ in range(count):
            reader, writer = await asyncio.open_connection(at.hostname, at.port)
            clients.append(Client(reader, writer))
        yield clients
    finally:
        for client in clients:
            client.hang_up()


async def until(holds: Callable[[], bool]) -> None:
    """Wait for what no event tells of: a count of the server's own."""
    async with asyncio.timeout(PATIENCE_S):
        while not holds():  # noqa: ASYNC110  (a count sends no event)
            await asyncio.sleep(0.01)

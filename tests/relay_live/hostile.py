"""Servers that misbehave below HTTP: raw sockets on loopback that drip, flood, hang, lie or hang up.

Lives here: `hostile`, a context manager that serves one behaviour, and the behaviours. Does not live here: servers that
speak HTTP properly (`receiver.py`).
"""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter, "Hostile"], Awaitable[None]]


@dataclass
class Hostile:
    """What was seen of the client: requests begun, bytes we managed to send it."""

    port: int = 0
    requests: int = 0
    sent_bytes: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    async def send(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        if writer.is_closing():  # uvloop takes a write to a closed transport for a mistake
            raise ConnectionResetError
        writer.write(data)
        await writer.drain()
        self.sent_bytes += len(data)


@asynccontextmanager
async def hostile(behaviour: Behaviour) -> AsyncIterator[Hostile]:
    """A server with this behaviour for every request it is sent."""
    seen = Hostile()

    serving: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.current_task())
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while True:
                await _read_request(reader)
                seen.requests += 1
                await behaviour(reader, writer, seen)
        writer.transport.abort()
        with suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    seen.port = server.sockets[0].getsockname()[1]
    yield seen
    server.close()
    for task in serving:
        assert task is not None
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _read_request(reader: asyncio.StreamReader) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    await reader.readexactly(
        next(int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length"))
    )


async def drip_headers(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: Hostile) -> None:
    await seen.send(writer, b"HTTP/1.1 200 OK\r\n")
    for number in range(1000):
        await seen.send(writer, b"x-%d: y\r\n" % number)
        await asyncio.sleep(0.05)


async def drip_body(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: Hostile) -> None:
    await seen.send(writer, b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
    for _ in range(1000):
        await seen.send(writer, b"z")
        await asyncio.sleep(0.05)


async def flood(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: Hostile) -> None:
    await seen.send(writer, b"HTTP/1.1 500 No\r\ncontent-length: 999999999\r\n\r\n")
    for _ in range(2000):
        await seen.send(writer, b"f" * 65536)


async def gzip_bomb(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: Hostile) -> None:
    bomb = gzip.compress(bytes(3_000_000))
    head = b"HTTP/1.1 400 Bad\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(bomb)
    await seen.send(writer, head + bomb)


async def deflate_bomb(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: Hostile) -> None:
    bomb = zlib.compress(bytes(3_000_000))
    head = b"HTTP/1.1 400 Bad\r\ncontent-encoding: deflate\r\ncontent-length: %d\r\n\r\n" % len(bomb)
    await seen.send(writer, head + bomb)


async def endless_chunks(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: Hostile) -> None:
    await seen.send(writer, b"HTTP/1.1 500 No\r\ntransfer-encoding: chunked\r\n\r\n")
    for _ in range(2000):
        await seen.send(writer, b"10000\r\n" + b"c" * 65536 + b"\r\n")


async def drip_chunk_size(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: Hostile) -> None:
    await seen.send(writer, b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    for _ in range(1000):
        await seen.send(writer, b"0")
        await asyncio.sleep(0.05)


async def drip_status(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: Hostile) -> None:
    for byte in b"HTTP/1.1 200 " + b"O" * 1000:
        await seen.send(writer, bytes([byte]))
        await asyncio.sleep(0.05)


async def drip_hints(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: Hostile) -> None:
    """Interim answers without end: each is complete, none is the answer."""
    for _ in range(1000):
        await seen.send(writer, b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n")
        await asyncio.sleep(0.01)


async def hang(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter, _seen: Hostile) -> None:
    await asyncio.sleep(3600)


async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _seen: Hostile) -> None:
    writer.transport.abort()


async def talk_nonsense(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: Hostile) -> None:
    await seen.send(writer, b"SSH-2.0-OpenSSH_9.9\r\n\r\n")
    writer.close()


async def flood_headers(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: Hostile) -> None:
    await seen.send(writer, b"HTTP/1.1 200 OK\r\nx: " + b"a" * 1_000_000 + b"\r\n\r\n")


async def many_headers(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: Hostile) -> None:
    await seen.send(writer, b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 200_000 + b"\r\n")


async def close_when_idle(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: Hostile) -> None:
    """Answers the first request of a connection, and hangs up on the second: a keep-alive that ended meanwhile."""
    if getattr(writer, "answered", False):
        writer.transport.abort()
        return
    writer.answered = True  # type: ignore[attr-defined]  # a mark on this connection
    await seen.send(writer, b"HTTP/1.1 204 No Content\r\n\r\n")

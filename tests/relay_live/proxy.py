"""An HTTP CONNECT proxy on loopback that works, or fails in one of its own ways.

Lives here: `serve_proxy` and its `Proxy`. Does not live here: the servers behind it (`receiver.py`, `hostile.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

WELL = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n"


@dataclass(slots=True)
class Proxy:
    """`answer` is what CONNECT gets instead of a tunnel, `itself` what any other request gets; None: silence for ever."""

    port: int = 0
    answer: bytes | None = b""
    itself: bytes | None = WELL
    heads: list[str] = field(default_factory=list)
    server: asyncio.Server | None = None
    open: set[asyncio.StreamWriter] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://user:pass%20word@127.0.0.1:{self.port}"

    @property
    def asked(self) -> list[str]:
        """The first lines of all tunnels asked for."""
        return [line for head in self.heads if (line := head.partition("\r\n")[0]).startswith("CONNECT")]

    def die(self) -> None:
        """As kill -9: nobody listens, every connection is gone."""
        assert self.server is not None
        self.server.close()
        for writer in self.open:
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open.add(writer)
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.heads.append(head)
            reply = self.answer if head.startswith("CONNECT") else self.itself
            if reply is None:
                await asyncio.sleep(3600)
            elif reply or not head.startswith("CONNECT"):
                writer.write(reply or b"")
                await writer.drain()
            else:
                await self._tunnel(head.split(" ")[1], reader, writer)
        self.open.discard(writer)
        writer.close()

    async def _tunnel(self, place: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, _, port = place.rpartition(":")
        try:
            there, back = await asyncio.open_connection(host.strip("[]"), int(port))
        except OSError:
            writer.write(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")
            return
        self.open.add(back)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        async with asyncio.TaskGroup() as group:
            group.create_task(_copy(reader, back))
            group.create_task(_copy(there, writer))


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    try:
        with suppress(ConnectionError):
            while data := await source.read(65_536):
                sink.write(data)
                await sink.drain()
    finally:
        sink.close()


@asynccontextmanager
async def serve_proxy(port: int = 0, **failing: bytes | None) -> AsyncIterator[Proxy]:
    """A proxy until the block ends."""
    proxy = Proxy(**failing)  # type: ignore[arg-type]  # its two answers
    tasks: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())
        await proxy.serve(reader, writer)

    proxy.server = await asyncio.start_server(serve, "127.0.0.1", port)
    proxy.port = proxy.server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        proxy.server.close()
        for task in tasks:
            assert task is not None
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

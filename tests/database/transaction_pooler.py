"""A connection pooler in transaction mode, as small as one can be: what a healthy server never shows to a test.

Each client is introduced to PostgreSQL by a connection of its own, whose session then goes to the back of a stack; every
transaction takes the session on top. The process id that a client is told is an invented one, as poolers do it. Not here:
what the program makes of it (`test_pooler.py`).
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote, urlsplit

SSL_REQUEST = 80877103
INVENTED_PID = 4_000_000
REFUSAL = b"SFATAL\0C08P01\0Munsupported startup parameter: jit\0\0"

ANSWER_ENDS = {b"Q": {b"Z"}, b"S": {b"Z"}, b"H": {b"T", b"n", b"E"}}
"""Which messages of a client are answered (a query, a sync, a flush), and what the last message of the answer is."""

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def frame(kind: bytes, body: bytes) -> bytes:
    """One message of the protocol."""
    return kind + struct.pack("!i", len(body) + 4) + body


async def read_message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Its kind and its body."""
    kind = await reader.readexactly(1)
    (size,) = struct.unpack("!i", await reader.readexactly(4))
    return kind, await reader.readexactly(size - 4)


@dataclass(slots=True)
class Pooler:
    """Serves clients; `sticky` makes it one in session mode, `refuses` one that knows few startup parameters."""

    socket_path: str
    sticky: bool = False
    refuses: bool = False
    idle: list[Streams] = field(default_factory=list)
    opened: list[asyncio.StreamWriter] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client, until it leaves."""
        self.opened.append(writer)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            session = await self._introduce(reader, writer)
            if session is not None and not self.sticky:
                self.idle.insert(0, session)
            while session is not None:
                first = await read_message(reader)
                if first[0] == b"X":
                    break
                taken = session if self.sticky else self.idle.pop()
                await self._transact(reader, writer, taken, first)
                if not self.sticky:
                    self.idle.append(taken)
        writer.close()

    async def _introduce(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Streams | None:
        """The handshake with a session of the server's, passed through but for the process id."""
        start = await self._read_start(reader, writer)
        if self.refuses:
            writer.write(frame(b"E", REFUSAL))
            return None
        server, to_server = await asyncio.open_unix_connection(self.socket_path)
        self.opened.append(to_server)
        to_server.write(start)
        while True:
            kind, body = await read_message(server)
            writer.write(frame(kind, struct.pack("!i", INVENTED_PID) + body[4:] if kind == b"K" else body))
            if kind == b"Z":
                return server, to_server
            if kind == b"R" and struct.unpack("!i", body[:4])[0] in (10, 11):  # SASL wants an answer
                to_server.write(frame(*await read_message(reader)))

    async def _read_start(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        while True:
            size, code = struct.unpack("!ii", await reader.readexactly(8))
            if code != SSL_REQUEST:
                return struct.pack("!ii", size, code) + await reader.readexactly(size - 8)
            writer.write(b"N")

    async def _transact(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        session: Streams,
        first: tuple[bytes, bytes],
    ) -> None:
        """One transaction: until the server says that it is idle again."""
        server, to_server = session
        kind, body = first
        while True:
            to_server.write(frame(kind, body))
            if (ends := ANSWER_ENDS.get(kind)) is not None:
                said, status = await read_message(server)
                writer.write(frame(said, status))
                while said not in ends:
                    said, status = await read_message(server)
                    writer.write(frame(said, status))
                if (said, status) == (b"Z", b"I"):
                    return
            kind, body = await read_message(reader)


@asynccontextmanager
async def pooled(dsn: str, *, sticky: bool = False, refuses: bool = False) -> AsyncIterator[str]:
    """The DSN of the same database by way of a pooler."""
    split = urlsplit(dsn)
    where = parse_qs(split.query)
    pooler = Pooler(f"{where['host'][0]}/.s.PGSQL.{where['port'][0]}", sticky, refuses)
    listening = await asyncio.start_server(pooler.serve, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    try:
        user, password = unquote(split.username or ""), split.password
        yield f"postgresql://{user}:{password}@127.0.0.1:{port}{split.path}"
    finally:
        listening.close()
        for writer in pooler.opened:
            writer.close()

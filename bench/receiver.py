"""A merchant's server for benches: as little HTTP as an honest answer needs, and an account of what came.

Lives here: keeping connections open, reading a POST to its end, answering by its path (`/hook` 204, `/broken` 500, `/hole`
never), counting deliveries, and their age where a body tells when it was published. Does not live here: what is sent to it,
and by whom (`deliver_events`, `deliver_in_trouble`). `python -m bench.receiver` prints its port and ends with its standard input.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from dataclasses import dataclass, field

import uvloop

ACCEPTED = b"HTTP/1.1 204 No Content\r\n\r\n"
BROKEN = b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n"
PUBLISHED = b'"published_s":'
"""In a body: seconds of the machine's monotonic clock."""
QUANTILES = {"p50": 0.5, "p99": 0.99, "max": 1.0}
HEAD_END = b"\r\n\r\n"


@dataclass(slots=True)
class Account:
    """What was received since it was last asked for."""

    received: int = 0
    first_s: float = 0.0
    last_s: float = 0.0
    ids: set[bytes] = field(default_factory=set)
    moments: list[tuple[float, float]] = field(default_factory=list)
    """When a body says it was published, and when it came."""

    def note(self, head: bytes, body: bytes) -> None:
        """One request, whole."""
        self.last_s = time.monotonic()
        self.first_s = self.first_s or self.last_s
        self.received += 1
        start = head.index(b"chainbell-delivery: ") + 20
        self.ids.add(head[start : head.index(b"\r", start)])
        if (at := body.find(PUBLISHED)) >= 0:
            end = min(place for mark in b",}" if (place := body.find(mark, at)) >= 0)
            self.moments.append((float(body[at + len(PUBLISHED) : end]), self.last_s))

    def told(self) -> bytes:
        """As JSON."""
        return json.dumps(
            {
                "received": self.received,
                "distinct": len(self.ids),
                "first_s": self.first_s,
                "last_s": self.last_s,
                "aged": len(self.moments),
                "age_ms": summarise_ms([came_s - told_s for told_s, came_s in self.moments]),
            }
        ).encode()


def summarise_ms(ages_s: list[float]) -> dict[str, float]:
    """Quantiles of ages, in milliseconds."""
    ages_ms = sorted(1000 * age_s for age_s in ages_s)
    if not ages_ms:
        return {}
    last = len(ages_ms) - 1
    return {name: round(ages_ms[int(share * last)], 2) for name, share in QUANTILES.items()}


class Connection(asyncio.Protocol):
    """One connection kept alive; requests of one after another."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is open."""
        self._transport = transport  # type: ignore[assignment]  # a TCP connection's is a Transport

    def data_received(self, data: bytes) -> None:
        """Answer every request that is complete."""
        assert self._transport is not None
        buffer = self._buffer
        buffer += data
        while (end := buffer.find(HEAD_END)) >= 0:
            head = bytes(buffer[:end]).lower() + b"\r\n"
            body_bytes = _length_of(head)
            if len(buffer) < end + 4 + body_bytes:
                return
            body = bytes(buffer[end + 4 : end + 4 + body_bytes])
            del buffer[: end + 4 + body_bytes]
            if head.startswith(b"get /moments"):
                self._transport.write(_answer(json.dumps(self._account.moments).encode()))
            elif head.startswith(b"get /account"):
                self._transport.write(_answer(self._account.told()))
                self._account.__init__()  # type: ignore[misc]  # the next one begins empty
            elif head.startswith(b"post /broken"):
                self._transport.write(BROKEN)
            elif not head.startswith(b"post /hole"):
                self._account.note(head, body)
                self._transport.write(ACCEPTED)


def _answer(told: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(told), told)


def _length_of(head: bytes) -> int:
    at = head.find(b"content-length:")
    return int(head[at + 15 : head.index(b"\r", at)]) if at >= 0 else 0


async def serve() -> None:
    """Until standard input ends."""
    account, over = Account(), asyncio.Event()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(account), "127.0.0.1", 0, backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)

    def wait_for_end() -> None:
        sys.stdin.read()
        loop.call_soon_threadsafe(over.set)

    threading.Thread(target=wait_for_end, daemon=True).start()
    await over.wait()
    server.close()


if __name__ == "__main__":
    uvloop.run(serve())

"""A name server on loopback that answers from a table, and keeps silent about every other name.

Lives here: as much of RFC 1035 as one question and its answer need. Does not live here: what is asked of it.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

A, AAAA = 1, 28
ANSWER_FLAGS = b"\x81\x80"
NAME_OF_THE_QUESTION = b"\xc0\x0c"


@dataclass(slots=True)
class NameServer(asyncio.DatagramProtocol):
    """`addresses` by name; `asked` are the names of all questions, also of those that got no answer."""

    addresses: Mapping[str, Sequence[str]]
    asked: list[str] = field(default_factory=list)
    transport: asyncio.DatagramTransport | None = None

    @property
    def place(self) -> str:
        """Address and port, as resolvers take them."""
        assert self.transport is not None
        host, port = self.transport.get_extra_info("sockname")
        return f"{host}:{port}"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is open."""
        self.transport = cast("asyncio.DatagramTransport", transport)  # uvloop's is none by inheritance

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer a question about a name of the table."""
        name, kind, question = _read_question(data)
        self.asked.append(name)
        if name not in self.addresses:
            return
        known = [ipaddress.ip_address(one) for one in self.addresses[name]]
        found = [one.packed for one in known if one.version == {A: 4, AAAA: 6}.get(kind)]
        header = data[:2] + ANSWER_FLAGS + b"\x00\x01" + len(found).to_bytes(2, "big") + bytes(4)
        records = [
            NAME_OF_THE_QUESTION
            + kind.to_bytes(2, "big")
            + b"\x00\x01"
            + bytes(4)
            + len(one).to_bytes(2, "big")
            + one
            for one in found
        ]
        assert self.transport is not None
        self.transport.sendto(header + question + b"".join(records), addr)


def _read_question(data: bytes) -> tuple[str, int, bytes]:
    labels, at = [], 12
    while length := data[at]:
        labels.append(data[at + 1 : at + 1 + length].decode())
        at += 1 + length
    return ".".join(labels).lower(), int.from_bytes(data[at + 1 : at + 3], "big"), data[12 : at + 5]


@asynccontextmanager
async def serve_names(addresses: Mapping[str, Sequence[str]]) -> AsyncIterator[NameServer]:
    """A name server until the block ends."""
    server = NameServer(addresses)
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: server, local_addr=("127.0.0.1", 0)
    )
    try:
        yield server
    finally:
        transport.close()

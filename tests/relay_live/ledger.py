"""A merchant's server that keeps a ledger: who sent which event when, what was answered, what should not have come.

Lives here: as much HTTP as an honest answer needs, late by a few seeded milliseconds, so that something is always on the wire;
the laws that can be checked at each receipt. Does not live here: killing senders and what the database knows
(`test_killed_at_full_load.py`), receivers with tempers (`receiver.py`).
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import msgspec

ACCEPTED = b"HTTP/1.1 204 No Content\r\n\r\n"
SENDER = b"x-sender: "
ANSWER_AFTER_MAX_S = 0.15
"""Half of the answers come within a sixteenth of it; the others are on the wire while much is settled."""


class Deposit(msgspec.Struct):
    """Of which one event tells; its versions count from 1."""

    id: str
    version: int


class Data(msgspec.Struct):
    """What an event says."""

    deposit: Deposit


class Event(msgspec.Struct):
    """As much of a body as matters here."""

    sequence: int
    data: Data


@dataclass(frozen=True, slots=True)
class Receipt:
    """One event that came once more, or for the first time; `at_s` by the loop's clock."""

    sender: int
    path: str
    sequence: int
    at_s: float


@dataclass(slots=True)
class Ledger:
    """What came and what was taken, by endpoint (a path) and sequence.

    `overtaken` is what broke the order, `needless` what came though the database says that it had been delivered.
    """

    rng: random.Random
    receipts: list[Receipt] = field(default_factory=list)
    came: dict[tuple[str, int], int] = field(default_factory=dict)  # where in `receipts` it last came
    repeats: list[tuple[Receipt, Receipt]] = field(default_factory=list)  # the one before, the one more
    highest: Counter[str] = field(default_factory=Counter)
    by_sender: Counter[int] = field(default_factory=Counter)
    overtaken: list[str] = field(default_factory=list)
    needless: list[str] = field(default_factory=list)
    settled: dict[str, int] = field(default_factory=dict)  # cursors, as somebody read them in the database
    rowed: set[tuple[str, int]] = field(default_factory=set)  # what has, or had, a row there
    port: int = 0
    taken: set[tuple[str, int]] = field(default_factory=set)  # what was answered
    _newest: dict[tuple[str, str], int] = field(
        default_factory=dict
    )  # the newest version of a deposit that was
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def note(self, sender: int, path: str, event: Event, at_s: float) -> None:
        """One request, whole."""
        receipt = Receipt(sender, path, event.sequence, at_s)
        deposit, key = event.data.deposit, (path, event.sequence)
        if (before := self.came.get(key)) is not None:
            self.repeats.append((self.receipts[before], receipt))
        elif deposit.version != self._newest.get((path, deposit.id), 0) + 1:
            self.overtaken.append(f"{path}: {deposit.id} version {deposit.version} from {sender}")
        if event.sequence <= self.settled.get(path, 0) and key not in self.rowed:
            self.needless.append(f"{path}: {event.sequence} from {sender}")
        self.came[key] = len(self.receipts)
        self.receipts.append(receipt)
        self.highest[path] = max(self.highest[path], event.sequence)
        self.by_sender[sender] += 1
        self._changed.set()

    def note_answer(self, path: str, event: Event) -> None:
        """It was told 204: the next version may come."""
        self.taken.add((path, event.sequence))
        key = (path, event.data.deposit.id)
        self._newest[key] = max(self._newest.get(key, 0), event.data.deposit.version)

    async def until_sent(self, sender: int, count: int) -> None:
        """Wait until so much came from this sender."""
        while self.by_sender[sender] < count:
            self._changed.clear()
            await self._changed.wait()


class _Connection(asyncio.Protocol):
    """One connection kept alive; requests of one after another."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._buffer = bytearray()
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # a TCP connection's is a Transport

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer
        buffer += data
        while (end := buffer.find(b"\r\n\r\n")) >= 0:
            head = bytes(buffer[: end + 2]).lower()
            last = end + 4 + int(_value_of(head, b"content-length: "))
            if len(buffer) < last:
                return
            event = msgspec.json.decode(buffer[end + 4 : last], type=Event)
            del buffer[:last]
            path = head[head.index(b"/") : head.index(b" http/")].decode()
            self._ledger.note(int(_value_of(head, SENDER)), path, event, self._loop.time())
            after_s = ANSWER_AFTER_MAX_S * self._ledger.rng.random() ** 4
            self._loop.call_later(after_s, self._answer, path, event)

    def _answer(self, path: str, event: Event) -> None:
        assert self._transport is not None
        if not self._transport.is_closing():
            self._transport.write(ACCEPTED)
            self._ledger.note_answer(path, event)


def _value_of(head: bytes, name: bytes) -> bytes:
    at = head.index(name) + len(name)
    return head[at : head.index(b"\r", at)]


@asynccontextmanager
async def open_ledger(rng: random.Random) -> AsyncIterator[Ledger]:
    """Listening on loopback."""
    ledger = Ledger(rng)
    server = await asyncio.get_running_loop().create_server(
        lambda: _Connection(ledger), "127.0.0.1", 0, backlog=1024
    )
    ledger.port = server.sockets[0].getsockname()[1]
    try:
        yield ledger
    finally:
        server.close()

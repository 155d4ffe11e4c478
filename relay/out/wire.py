"""One connection to one receiver, and whose words the bytes on it are.

HTTP/1.1 names no request in its answers: what comes next is taken for the answer to what was sent last. So a connection on
which anything stirs while nothing is asked is closed and never asked again, it is looked at once more right before each request,
and an answer that began when its receiver had none of the request is no answer. Lives here: `Wire`. Does not live here:
reading an answer (`answer`), opening (`dial`), keeping connections between requests (`kept`), deadlines (`egress`).
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import socket
import struct
import termios
from collections.abc import Callable
from typing import cast

from relay.out.answer import AnswerReader
from relay.out.tls import CertificateWanted, has_asked_for_ours

ANSWER_GRACE_S = 2.0
"""The status decides; this long at most we wait for what follows it, within the deadline."""
TAKEN_AGAIN_S = 0.02
_INT = struct.Struct("i")


class WentStale(ConnectionError):
    """A kept connection that cannot be asked any more; that says nothing about its receiver."""


class SpokeUnasked(ConnectionError):
    """What came began before the request had arrived, so it is not its answer."""


class Wire(asyncio.Protocol):
    """A connected socket, plain or with TLS. `ask` one request at a time."""

    def __init__(self, sock: socket.socket, *, secure: bool) -> None:
        self.used = False
        self.spoke_unasked = False
        self.on_stir: Callable[[Wire], None] | None = None  # while it is kept
        self._sock = sock
        self._secure = secure
        self._transport: asyncio.Transport | None = None
        self._reader: AnswerReader | None = None
        self._request_bytes = 0
        self._taken = False  # the receiver has the whole request
        self._lost = False
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None

    @property
    def may_be_kept(self) -> bool:
        """Its last answer is a success that is complete, and nothing came behind it.

        After a failure it is not: a receiver that says "no" and then says something else would be heard in the next one.
        """
        reader = self._reader
        return (
            not (self._lost or self.spoke_unasked)
            and reader is not None
            and reader.reusable
            and reader.status is not None
            and reader.status < 300
        )

    @property
    def standing(self) -> AnswerReader | None:
        """The answer, as soon as it stands whatever else comes: a success once the request was taken, else with its status."""
        reader = self._reader
        if reader is None or reader.status is None or (reader.status < 300 and not self._taken):
            return None
        return reader

    def rest(self) -> None:
        """Nothing is asked from here on."""
        self._reader = None

    def abort(self) -> None:
        """Close it now."""
        self._lost = True
        if self._transport is not None:
            self._transport.abort()

    async def ask(self, request: bytes, *, due_s: float) -> AnswerReader:
        """Send one request, and read its answer as far as it is of interest, by `due_s` of the loop's clock.

        Raises WentStale, SpokeUnasked, and OSError if the connection ended without a byte.
        """
        transport = self._transport
        assert transport is not None
        was_used, self.used = self.used, True
        self._look(was_used=was_used)
        self._reader = reader = AnswerReader()
        self._request_bytes, self._taken = len(request), False
        transport.write(request)
        while not (reader.finished or reader.status is not None):
            await self._stir()
        if not reader.finished:
            clock = asyncio.get_running_loop().time
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(min(clock() + ANSWER_GRACE_S, due_s - 0.01)):
                    while not reader.finished:
                        await self._stir()
        self.spoke_unasked = self.spoke_unasked or reader.overlong
        if not reader.begun:
            raise WentStale() if was_used else self._why_lost()
        if reader.status is not None and reader.status < 300:
            await self._see_it_taken()
        return reader

    def _look(self, *, was_used: bool) -> None:
        """Nothing may have come since the last answer. Behind TLS, right after its handshake, there may be session tickets."""
        if self._lost:
            if was_used:
                raise WentStale
            raise self._why_lost()
        if self._secure and not was_used:
            return
        try:
            waiting = self._sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        self.spoke_unasked = bool(waiting) and not self._secure
        self.abort()
        if was_used:
            raise WentStale
        raise SpokeUnasked if waiting else ConnectionResetError

    def _why_lost(self) -> Exception:
        assert self._transport is not None
        if self.spoke_unasked:
            return SpokeUnasked()
        if has_asked_for_ours(self._transport.get_extra_info("ssl_object")):
            return CertificateWanted()
        return self._error or ConnectionResetError()

    async def _see_it_taken(self) -> None:
        """A success counts once the receiver has all of what it says it took."""
        while not self._taken:
            if self._lost:
                raise SpokeUnasked
            await asyncio.sleep(TAKEN_AGAIN_S)
            self._note_taken()

    def _note_taken(self) -> int:
        """Bytes of the request that the other end has not confirmed. Each packet confirms what came before it was sent."""
        assert self._transport is not None
        if self._lost or self._taken:
            return 0
        answer = bytes(_INT.size)
        with contextlib.suppress(OSError):  # not known everywhere
            answer = fcntl.ioctl(self._sock.fileno(), termios.TIOCOUTQ, answer)
        left = self._transport.get_write_buffer_size() + int(_INT.unpack(answer)[0])
        self._taken = left == 0
        return left

    async def _stir(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        await self._waiter

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # --- what the loop calls ---------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance

    def data_received(self, data: bytes) -> None:
        """Something came: the answer, or what nobody asked for."""
        reader = self._reader
        if reader is None or reader.finished:
            self.spoke_unasked = True
            self._stop_listening()
            return
        if not self._taken and self._note_taken() >= self._request_bytes and not reader.begun:
            self.spoke_unasked = True
            reader.end()
            self._stop_listening()
            return
        reader.feed(data)
        self._wake()

    def eof_received(self) -> None:
        """The other end says no more."""
        if self._reader is not None:
            self._note_taken()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is closed."""
        self._error = self._error or exc
        self._lost = True
        if self._reader is not None:
            self._reader.end()
        self._stop_listening()

    def _stop_listening(self) -> None:
        self.abort()
        self._wake()
        if self.on_stir is not None:
            self.on_stir(self)

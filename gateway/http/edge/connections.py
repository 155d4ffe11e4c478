"""Connections of clients: how many there may be, which one is closed for a new one, and noticing that one has gone.

Lives here: `Connections`, which counts them in all and for each address, and `ClientConnection`, aiohttp's handler with a
deadline for each request's header. Does not live here: the listening socket (`server`), how many files the process may
open (`gateway.process.files`), how many calls run at once (`limits`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import msgspec
from aiohttp import web
from aiohttp.http_parser import RawRequestMessage
from aiohttp.web_protocol import RequestPayloadError
from aiohttp.web_request import BaseRequest

from gateway.config.settings import Network
from gateway.http.edge.clients import is_trusted, parse_hop, share_of
from gateway.http.edge.problem import CONTENT_TYPE, Problem, problem_response, title_of

HEADER_TIMEOUT_S = 10.0
"""From a connection's beginning, and from the first byte of a later request, to the end of the request's header."""
KEEPALIVE_S = 75.0
LINGERING_S = 2.0
"""How long what is left of a refused body is read, so that the client sees the refusal and not a broken connection."""
HEADER_BYTES_MAX = 16_384


@dataclass(slots=True)
class Connections:
    """Those that are open. Whoever is waited for may be closed for a new one, the longest waiting first."""

    most: int
    trusted: Sequence[Network] = ()
    _count: int = 0
    _of_share: dict[str, int] = field(default_factory=dict)
    _waiting: dict[str, dict[ClientConnection, None]] = field(default_factory=dict)

    @property
    def each_max(self) -> int:
        """How many one address may hold; a trusted proxy holds everybody's."""
        return max(1, self.most // 2)

    def admit(self, connection: ClientConnection) -> bool:
        """Count a connection, after closing another one if it must be; False where all are at work."""
        share = connection.share
        if share and self._of_share.get(share, 0) >= self.each_max and not self._close_oldest(share):
            return False
        if self._count >= self.most and not self._close_oldest(self._fullest()):
            return False
        self._count += 1
        self._of_share[share] = self._of_share.get(share, 0) + 1
        self.note_waiting(connection)
        return True

    def note_waiting(self, connection: ClientConnection) -> None:
        """The client is to send something: it is the last one to be closed for another."""
        self._waiting.setdefault(connection.share, {})[connection] = None

    def note_busy(self, connection: ClientConnection) -> None:
        """The client waits for us."""
        of_share = self._waiting.get(connection.share, {})
        of_share.pop(connection, None)
        if not of_share:
            self._waiting.pop(connection.share, None)

    def forget(self, connection: ClientConnection) -> None:
        """It is closed."""
        self.note_busy(connection)
        self._count -= 1
        left = self._of_share.pop(connection.share) - 1
        if left:
            self._of_share[connection.share] = left

    def _fullest(self) -> str | None:
        """The address with the most connections, of those with one to close."""
        return max(self._waiting, key=lambda share: self._of_share[share], default=None)

    def _close_oldest(self, share: str | None) -> bool:
        if share is None or share not in self._waiting:
            return False
        next(iter(self._waiting[share])).cut()
        return True


class ClientConnection(web.RequestHandler):
    """aiohttp's handler of one connection. Its own refusals are problems too: never HTML, never a stack trace."""

    def __init__(
        self, manager: web.Server, connections: Connections, loop: asyncio.AbstractEventLoop
    ) -> None:
        super().__init__(
            manager,
            loop=loop,
            keepalive_timeout=KEEPALIVE_S,
            lingering_time=LINGERING_S,
            max_line_size=HEADER_BYTES_MAX,
            max_field_size=HEADER_BYTES_MAX,
            auto_decompress=False,  # a body is read as it was sent, or not at all
        )
        self._make_request, self._request_factory = self._request_factory, self._make_without_host
        self._connections = connections
        self._admitted = False
        self._serving = False
        self._header_deadline: asyncio.TimerHandle | None = None
        self.share = ""
        self.gone: asyncio.Future[None] = loop.create_future()
        """Done when the client has hung up."""

    def _make_without_host(self, message: RawRequestMessage, *arguments: Any) -> BaseRequest:
        """The host of an absolute target is nobody's business here, and may be none that can be read."""
        if message.url.absolute:
            message = message._replace(url=message.url.relative())
        assert self._make_request is not None, "the connection is open"
        return self._make_request(message, *arguments)

    async def start(self) -> None:
        """Serve one request after the other; whatever ends that, nobody stays connected to nothing."""
        try:
            await super().start()
        finally:
            if self.transport is not None:
                self.transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count it, or close it at once."""
        peer = transport.get_extra_info("peername") or ("",)
        address = parse_hop(str(peer[0]))
        if address is None or not is_trusted(address, self._connections.trusted):
            self.share = share_of(str(peer[0]))
        super().connection_made(transport)
        self._admitted = self._connections.admit(self)
        if not self._admitted:
            self.cut()
            return
        self._await_header()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Tell whoever waits on the client's behalf."""
        self._forget()
        self._stop_waiting_for_header()
        if not self.gone.done():
            self.gone.set_result(None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Give a header that has begun its deadline."""
        known = self._request_count
        super().data_received(data)
        if self._request_count != known:
            self._stop_waiting_for_header()
        elif not self._serving and self._header_deadline is None:
            self._await_header()

    @contextmanager
    def serving(self) -> Iterator[None]:
        """One request is at work."""
        self._serving = True
        self._stop_waiting_for_header()
        self._connections.note_busy(self)
        try:
            yield
        finally:
            self._serving = False
            self._stop_waiting_for_header()
            self._wait_again()

    @contextmanager
    def awaiting_client(self) -> Iterator[None]:
        """The client is to send its body."""
        self._wait_again()
        try:
            yield
        finally:
            self._connections.note_busy(self)

    def cut(self) -> None:
        """Close now: nobody is answered."""
        self._forget()
        if self.transport is not None:
            self.transport.abort()

    def _wait_again(self) -> None:
        if self._admitted:
            self._connections.note_waiting(self)

    def _forget(self) -> None:
        if self._admitted:
            self._admitted = False
            self._connections.forget(self)

    def _await_header(self) -> None:
        self._header_deadline = self._loop.call_later(HEADER_TIMEOUT_S, self._header_is_late)

    def _stop_waiting_for_header(self) -> None:
        if self._header_deadline is not None:
            self._header_deadline.cancel()
            self._header_deadline = None

    def _header_is_late(self) -> None:
        self._header_deadline = None
        if not self._serving:
            self.cut()

    def handle_error(
        self,
        request: BaseRequest,
        status: int = HTTPStatus.INTERNAL_SERVER_ERROR,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What aiohttp itself refuses."""
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            super().handle_error(request, status, exc, message)
        elif request.writer.output_size > 0:
            raise ConnectionError("an answer has begun")
        body: dict[str, Any] = {
            "type": "about:blank",
            "title": title_of(status),
            "status": int(status),
            "detail": "the request is not HTTP that this server reads" if status < 500 else title_of(status),
            "errors": [],
            "request_id": "",
        }
        response = web.Response(
            status=status,
            body=msgspec.json.encode(body),
            content_type=CONTENT_TYPE,
            headers={"Cache-Control": "no-store", "Server": "chainbell"},
        )
        response.force_close()
        return response

    async def finish_response(
        self, request: BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send what was answered; aiohttp's own refusal of an `Expect` at an unknown path as a problem, too."""
        if isinstance(resp, web.HTTPException):
            resp = problem_response(Problem(resp.status, title_of(resp.status)), "")
        return await super().finish_response(request, resp, start_time)

    def log_exception(self, *arguments: Any, **options: Any) -> None:
        """What a client does to its own connection is no mistake of ours."""
        if not isinstance(options.get("exc_info"), ConnectionError | RequestPayloadError):
            super().log_exception(*arguments, **options)


def connection_of(request: web.Request) -> ClientConnection:
    """The connection a request came by."""
    connection = request.protocol
    assert isinstance(connection, ClientConnection), "`server` makes no other"
    return connection

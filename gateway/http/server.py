"""The socket: an application behind a listening address, where even a request that is not HTTP gets a problem back.

Lives here: how aiohttp's server is set up, and its own refusals as JSON. Does not live here: what is served (`app`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import cast

import msgspec
from aiohttp import web
from aiohttp.web_request import BaseRequest

from gateway.http.problem import CONTENT_TYPE, title_of
from gateway.settings import Bind

SHUTDOWN_TIMEOUT_S = 4.0
KEEPALIVE_S = 75.0
HEADER_BYTES_MAX = 16_384
BACKLOG = 512


class BindFailed(Exception):
    """The address can not be listened on; the message says which and why."""


class _Protocol(web.RequestHandler):
    """aiohttp's connection handler, whose own refusals are problems too: never HTML, never a stack trace."""

    def handle_error(
        self,
        request: BaseRequest,
        status: int = HTTPStatus.INTERNAL_SERVER_ERROR,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        super().handle_error(request, status, exc, message)
        body = {
            "type": "about:blank",
            "title": title_of(status),
            "status": int(status),
            "detail": "the request is not HTTP that this server reads" if status < 500 else title_of(status),
            "errors": [],
            "request_id": "",
        }
        response = web.Response(status=status, body=msgspec.json.encode(body), content_type=CONTENT_TYPE)
        response.force_close()
        return response


class _Site(web.BaseSite):
    """A listening address served by `_Protocol`."""

    def __init__(self, runner: web.AppRunner, bind: Bind) -> None:
        super().__init__(runner)
        self._bind = bind

    @property
    def name(self) -> str:
        return f"http://{self._bind}"

    @property
    def port(self) -> int:
        """The port in fact: the system's choice where 0 was asked for."""
        assert self._server is not None, "started"
        return int(cast("asyncio.Server", self._server).sockets[0].getsockname()[1])

    async def start(self) -> None:
        await super().start()
        server = self._runner.server
        assert server is not None, "the runner is set up"
        loop = asyncio.get_running_loop()

        def make_protocol() -> _Protocol:
            return _Protocol(
                server,
                loop=loop,
                keepalive_timeout=KEEPALIVE_S,
                max_line_size=HEADER_BYTES_MAX,
                max_field_size=HEADER_BYTES_MAX,
            )

        self._server = await loop.create_server(
            make_protocol, self._bind.host, self._bind.port, backlog=BACKLOG, reuse_address=True
        )


@asynccontextmanager
async def serve(app: web.Application, bind: Bind) -> AsyncIterator[Bind]:
    """Listen for as long as this is open; gives the address in fact. Raises BindFailed."""
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=SHUTDOWN_TIMEOUT_S)
    await runner.setup()
    try:
        site = _Site(runner, bind)
        try:
            await site.start()
        except OSError as error:
            raise BindFailed(f"can not listen on {bind}: {error.strerror or error}") from error
        yield Bind(bind.host, site.port)
    finally:
        await runner.cleanup()

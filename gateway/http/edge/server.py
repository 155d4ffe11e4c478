"""The socket: an application behind a listening address.

Lives here: how aiohttp's server is set up and taken down. Does not live here: what is served (`app`), its connections and
their bounds (`connections`).
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import cast

from aiohttp import web

from gateway.config.settings import Bind, Network
from gateway.http.edge.connections import ClientConnection, Connections
from gateway.process.files import FileShares

SHUTDOWN_TIMEOUT_S = 4.0
QUEUE_MAX = 1_024
"""Connections the system keeps for us until we accept them; they take no file of ours."""
PLENTY_OF_FILES = FileShares()


class BindFailed(Exception):
    """The address can not be listened on; the message says which and why."""


class _Site(web.BaseSite):
    """A listening address whose connections are `ClientConnection`s."""

    def __init__(self, runner: web.AppRunner, bind: Bind, connections: Connections, backlog: int) -> None:
        super().__init__(runner)
        self._bind = bind
        self._connections = connections
        self._accepted_at_once = backlog

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

        def make_protocol() -> ClientConnection:
            return ClientConnection(server, self._connections, loop)

        self._server = await loop.create_server(
            make_protocol,
            self._bind.host,
            self._bind.port,
            backlog=self._accepted_at_once,
            reuse_address=True,
        )
        for listening in self._server.sockets:
            with socket.fromfd(listening.fileno(), listening.family, listening.type) as same:
                same.listen(QUEUE_MAX)


@asynccontextmanager
async def serve(
    app: web.Application, bind: Bind, *, files: FileShares = PLENTY_OF_FILES, trusted: Sequence[Network] = ()
) -> AsyncIterator[Bind]:
    """Listen for as long as this is open; gives the address in fact. Raises BindFailed."""
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=SHUTDOWN_TIMEOUT_S)
    await runner.setup()
    try:
        site = _Site(runner, bind, Connections(files.connections, trusted), files.backlog)
        try:
            await site.start()
        except OSError as error:
            raise BindFailed(f"can not listen on {bind}: {error.strerror or error}") from error
        yield Bind(bind.host, site.port)
    finally:
        await runner.cleanup()

"""Hearing what other sessions tell by NOTIFY: one borrowed connection for as long as it lasts.

Lives here: listening on some channels until the connection is lost. Does not live here: doing so again, and looking at
everything because notices may have been missed meanwhile (whoever listens), nor what a notice says.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import NoReturn

import asyncpg

from migrations.errors import DatabaseAway
from migrations.handles import Connection


async def listen(
    conn: Connection,
    channels: Sequence[str],
    take: Callable[[str, str], None],
    *,
    ready: Callable[[], None],
    check: Callable[[], Awaitable[object]] | None = None,
    check_every_s: float | None = None,
) -> NoReturn:
    """Call `take(channel, payload)` for every notice from now on, `ready` once it is so; ends by DatabaseAway.

    With `check` it is asked every `check_every_s` whether the connection still is one; what that raises is raised.
    """
    lost = asyncio.Event()

    def pass_on(_conn: object, _pid: int, channel: str, payload: object) -> None:
        take(channel, str(payload))

    def end(_conn: object) -> None:
        lost.set()

    conn.add_termination_listener(end)
    try:
        for channel in channels:
            await conn.add_listener(channel, pass_on)
        ready()
        while not lost.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(lost.wait(), check_every_s)
            if check is not None:
                await check()
    finally:
        with suppress(asyncpg.InterfaceError):  # lost, and the pool has taken it back already
            conn.remove_termination_listener(end)
            for channel in channels:
                await conn.remove_listener(channel, pass_on)
    raise DatabaseAway("the listening connection was lost")

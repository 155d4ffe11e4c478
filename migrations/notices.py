"""Hearing what other sessions tell by NOTIFY: one borrowed connection of a pool, for all who listen in this process.

Whoever listens first borrows it and asks now and then whether it still is one; who comes later hears on the same. When it
is lost, or the first leaves, all are sent away and listen again. Lives here: the connection, and who hears what on it. Does
not live here: listening again, and looking at everything because notices may have been missed meanwhile (whoever listens),
nor what a notice says.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from typing import NoReturn
from weakref import WeakKeyDictionary

import asyncpg

from migrations.errors import DatabaseAway
from migrations.handles import Connection, Pool
from migrations.queries import load_queries
from migrations.weather import database_weather

CHECK_EVERY_S = 20.0

QUERIES = load_queries("migrations", "notices.sql")

Take = Callable[[str, str], None]
"""Is called with the channel and the payload of a notice, between two steps of the loop."""


@dataclass(eq=False, slots=True)
class _Listener:
    channels: frozenset[str]
    take: Take


@dataclass(eq=False, slots=True)
class _Ear:
    """The connection of one pool; `line` is held by whoever speaks on it, `ended` set when nothing is heard any more."""

    conn: Connection | None = None
    channels: set[str] = field(default_factory=set)
    listeners: list[_Listener] = field(default_factory=list)
    line: asyncio.Lock = field(default_factory=asyncio.Lock)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def pass_on(self, _conn: object, _pid: int, channel: str, payload: object) -> None:
        loop = asyncio.get_running_loop()
        for one in self.listeners:
            if channel in one.channels:
                loop.call_soon(one.take, channel, str(payload))  # what one raises is not the others'

    def end(self, _conn: object) -> None:
        self.ended.set()

    async def hear(self, channels: Collection[str]) -> None:
        assert self.conn is not None, "the line is held until there is a connection"
        for channel in channels:
            if channel not in self.channels:
                await self.conn.add_listener(channel, self.pass_on)
                self.channels.add(channel)


_ears: WeakKeyDictionary[Pool, _Ear] = WeakKeyDictionary()


async def listen(pool: Pool, channels: Collection[str], take: Take, *, ready: Callable[[], None]) -> NoReturn:
    """Call `take` for every notice on these channels from now on, `ready` once it is so; ends by DatabaseAway."""
    await _listen(pool, channels, take, ready)
    raise DatabaseAway("the listening connection was lost")


async def _listen(pool: Pool, channels: Collection[str], take: Take, ready: Callable[[], None]) -> None:
    listener = _Listener(frozenset(channels), take)
    ear = _ears.get(pool)
    if ear is None:
        ear = _ears[pool] = _Ear()
        ear.listeners.append(listener)
        try:
            await _hold(pool, ear, channels, ready)
        finally:
            del _ears[pool]
            ear.ended.set()
        return
    ear.listeners.append(listener)
    try:
        with database_weather():
            async with ear.line:
                if ear.ended.is_set():
                    return
                await ear.hear(channels)
        ready()
        await ear.ended.wait()
    finally:
        ear.listeners.remove(listener)


async def _hold(pool: Pool, ear: _Ear, channels: Collection[str], ready: Callable[[], None]) -> None:
    """Borrow the connection, and look after it until it is lost."""
    async with AsyncExitStack() as stack:
        async with ear.line:
            conn = ear.conn = await stack.enter_async_context(pool.acquire())
            stack.push_async_callback(_leave, ear, conn)
            conn.add_termination_listener(ear.end)
            await ear.hear(channels)
        ready()
        while not ear.ended.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(ear.ended.wait(), CHECK_EVERY_S)
                return
            async with ear.line:
                await conn.execute(QUERIES["check_connection"])


async def _leave(ear: _Ear, conn: Connection) -> None:
    """Give the connection back as it was borrowed, once nobody speaks on it."""
    ear.ended.set()
    async with ear.line:
        with suppress(asyncpg.InterfaceError):  # lost, and the pool has taken it back already
            conn.remove_termination_listener(ear.end)
            for channel in ear.channels:
                await conn.remove_listener(channel, ear.pass_on)

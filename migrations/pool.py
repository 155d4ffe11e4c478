"""The pool of connections: whoever waits for one waits for a bounded time, and never while holding another.

Lives here: the deadline of every `acquire`, and of every query asked of the pool itself, in all rooms. Two calls that each
hold a connection and wait for a second one stop each other for ever; so a task that asks for one more is a mistake that is
named at once, long before two of them meet. And of those who borrow under a name (`borrowing_for`) none has more than its
share at once, so that a stranger's hundred calls stand in a line of their own. Does not live here: how connections are
opened (`connect`), which errors are weather (`weather`); whatever passes through a borrowed connection is mapped here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Hashable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from migrations.errors import DatabaseAway
from migrations.weather import database_weather

MAX_QUERIES_PER_CONNECTION = 50_000
IDLE_CONNECTION_KEPT_S = 30.0
"""The one used last is lent first; what nobody needed for so long is a session of the server's for nothing."""

if TYPE_CHECKING:  # asyncpg's classes are generic for type checkers only
    _RecordPool = asyncpg.Pool[asyncpg.Record]
    _Borrowed = PoolConnectionProxy[asyncpg.Record]
else:
    _RecordPool, _Borrowed = asyncpg.Pool, PoolConnectionProxy


SHARES = 3
"""Of a pool's connections, one in so many is for any one of those who borrow under a name; at least one is."""

_borrower: ContextVar[Hashable | None] = ContextVar("borrower", default=None)


@contextmanager
def borrowing_for(whom: Hashable) -> Iterator[None]:
    """Whatever this task borrows in the block counts as `whom`'s; None is nobody, and has no share."""
    token = _borrower.set(whom)
    try:
        yield
    finally:
        _borrower.reset(token)


class ConnectionsBusy(DatabaseAway):
    """No connection came free within the pool's deadline."""


class BoundedPool(_RecordPool):
    """asyncpg's pool with a deadline for everybody who waits."""

    def __init__(self, dsn: str, *, acquire_timeout_s: float, **options: Any) -> None:
        super().__init__(
            dsn,
            max_queries=MAX_QUERIES_PER_CONNECTION,
            max_inactive_connection_lifetime=IDLE_CONNECTION_KEPT_S,
            connection_class=asyncpg.Connection,
            record_class=asyncpg.Record,
            setup=None,
            loop=None,
            **options,
        )
        self._acquire_timeout_s = acquire_timeout_s
        self.holders: set[asyncio.Task[Any]] = set()
        """The tasks that hold a connection now."""
        self.lines: dict[Hashable, _Line] = {}
        """Of each who borrows, or waits to, under a name."""

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[_Borrowed]:  # type: ignore[override]  # ours is a block, and no awaitable
        """A connection for a block. Raises ConnectionsBusy, and DatabaseAway and its like for what happens in the block."""
        task, whom = asyncio.current_task(), _borrower.get()
        assert task is not None, "a connection is used by a task"
        assert task not in self.holders, "a task holds one connection of a pool, and waits for no second"
        timeout_s = self._acquire_timeout_s
        with database_weather():
            async with AsyncExitStack() as line:
                try:
                    if whom is None:
                        conn = await super().acquire(timeout=timeout_s)
                    else:
                        async with asyncio.timeout(timeout_s):
                            await line.enter_async_context(self.standing_in_line(whom))
                            conn = await super().acquire(timeout=timeout_s)
                except TimeoutError:
                    raise ConnectionsBusy("no connection of the pool came free in time") from None
                self.holders.add(task)
                try:
                    yield conn
                finally:
                    self.holders.discard(task)
                    await self.release(conn)

    @asynccontextmanager
    async def standing_in_line(self, whom: Hashable) -> AsyncIterator[None]:
        """Wait until fewer than its share are `whom`'s, and count one more while the block is open."""
        line = self.lines.setdefault(whom, _Line(max(1, self.get_max_size() // SHARES)))
        line.members += 1
        try:
            async with line:
                yield
        finally:
            line.members -= 1
            if not line.members:
                del self.lines[whom]


class _Line(asyncio.Semaphore):
    """One borrower's share, and those who wait for it; it is forgotten with the last of them."""

    members = 0

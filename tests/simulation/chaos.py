"""What goes wrong between two statements on a real database: a process dies, a connection dies, the database says again.

Lives here: the product's stores with a point of chance before every statement and around every commit. Does not live
here: who is at work (`postgres.py`), and what must hold (`postgres_laws.py`).
"""

from __future__ import annotations

import asyncio
import inspect
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from chains.model import ChainId
from indexer.rows.store import PostgresFollowStore, PostgresMove, Publish
from migrations.errors import DatabaseAway
from migrations.handles import Connection, Pool
from relay.workers.store import PostgresRelayStore
from tests.simulation.troubles import Tally, Trouble


class Crash(BaseException):
    """The process is gone; nothing of the product catches this."""


class Chaos:
    """Chance at every point; `intensity` is the probability that something happens there."""

    def __init__(self, rng: random.Random, tally: Tally) -> None:
        self.rng = rng
        self.tally = tally
        self.intensity = 0.0

    async def point(self, where: Trouble, conn: Connection | None = None) -> None:
        """Here a process may die; inside a transaction its connection may, or the database may ask for it again."""
        if self.rng.random() < 0.1:
            await asyncio.sleep(0)
        if self.rng.random() >= self.intensity:
            return
        chance = self.rng.random()
        if conn is not None and chance < 0.25:
            self.tally.count(Trouble.RETRYABLE)
            raise asyncpg.SerializationError("planted")
        if conn is not None and chance < 0.5:
            self.tally.count(Trouble.CONNECTION_LOST)
            await conn.execute("select pg_terminate_backend(pg_backend_pid())")
            return
        if where is Trouble.CRASH_DELIVERING and chance < 0.5:
            self.tally.count(Trouble.RELAY_UNAVAILABLE)
            raise DatabaseAway("planted")
        self.tally.count(where)
        raise Crash


def refuse_deadlock(error: Exception) -> None:
    """One order of locks everywhere: the database never has to choose a victim."""
    if "Deadlock" in str(error):
        raise AssertionError(f"a deadlock: {error}")


class ChaoticMove(PostgresMove):
    """A move whose every statement is preceded by a point of chance."""

    def __init__(self, move: PostgresMove, chaos: Chaos) -> None:
        super().__init__(move.connection, move.row, move.publisher)
        self.chaos = chaos


class ChaoticStore(PostgresFollowStore):
    """The indexer's store with points of chance before, inside and after its transactions."""

    def __init__(self, pool: Pool, publish: Publish, chaos: Chaos) -> None:
        super().__init__(pool, publish)
        self._chaos = chaos

    @asynccontextmanager
    async def open_move(self, chain: ChainId, *, lease_epoch: int) -> AsyncIterator[PostgresMove]:
        await self._chaos.point(Trouble.CRASH_READING)
        async with super().open_move(chain, lease_epoch=lease_epoch) as move:
            yield ChaoticMove(move, self._chaos)
            await self._chaos.point(Trouble.CRASH_WRITING, move.connection)
        await self._chaos.point(Trouble.CRASH_COMMITTED)


class ChaoticRelayStore(PostgresRelayStore):
    """The relay's store with a point of chance before and after each of its questions."""

    def __init__(self, pool: Pool, chaos: Chaos) -> None:
        super().__init__(pool)
        self.chaos = chaos


def _around_move(method: Callable[..., Any]) -> Callable[..., Any]:
    async def call(self: ChaoticMove, *arguments: object, **named: object) -> object:
        await self.chaos.point(Trouble.CRASH_WRITING, self.connection)
        result: object = await method(self, *arguments, **named)
        return result

    return call


def _around_question(method: Callable[..., Any]) -> Callable[..., Any]:
    async def call(self: ChaoticRelayStore, *arguments: object, **named: object) -> object:
        await self.chaos.point(Trouble.CRASH_DELIVERING)
        result: object = await method(self, *arguments, **named)
        await self.chaos.point(Trouble.CRASH_DELIVERING)
        return result

    return call


for _name, _method in vars(PostgresMove).items():
    if inspect.iscoroutinefunction(_method):
        setattr(ChaoticMove, _name, _around_move(_method))
for _name, _method in vars(PostgresRelayStore).items():
    if inspect.iscoroutinefunction(_method) and not _name.startswith("_"):
        setattr(ChaoticRelayStore, _name, _around_question(_method))

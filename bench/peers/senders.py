"""The peers' processes, started and ended: who fills a store with jobs, and who works them off.

Lives here: which program runs in which environment, and the jobs they are given, which are the relay's deliveries. Does not
live here: what the programs do (deliver_by_bullmq.mjs, `deliver_by_procrastinate`), the servers (`stores`).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import which

from bench.deliver_events import SCENES, fill, load_jobs, new_database
from bench.peers.assignment import Assignment
from migrations.connect import open_pool
from migrations.ids import encode_id
from relay.model import delivery_id_of

HERE = Path(__file__).parent
PYTHON = HERE / ".venv/bin/python"
PROGRAMS = {
    "bullmq": ("node", str(HERE / "deliver_by_bullmq.mjs")),
    "procrastinate": (str(PYTHON), "-c", "from bench.peers import deliver_by_procrastinate as it; it.main()"),
}
END_PATIENCE_S = 5.0


def explain_what_is_missing() -> str | None:
    """Why the peers cannot run here; None when they can."""
    if which("node") is None:
        return "there is no node on PATH"
    if not (HERE / "node_modules/.ready").exists() or not (HERE / ".venv/.ready").exists():
        return "the peers are not installed; `make peers` does it, into bench/peers only"
    return None


def describe_versions() -> dict[str, str]:
    """Of what is measured."""
    node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    packages = json.loads((HERE / "package.json").read_text())["dependencies"]
    pinned = (line.split() for line in (HERE / "requirements.lock").read_text().splitlines() if "==" in line)
    python = dict(line[0].split("==") for line in pinned)
    return {
        "node": node,
        **packages,
        **{name: python[name] for name in ("procrastinate", "psycopg", "aiohttp")},
    }


async def write_jobs(path: Path, scene: str, deliveries: int, port: int) -> None:
    """The deliveries of a freshly filled log as a file, a JSON document a line, endpoint by turns."""
    async with new_database() as (dsn, _):
        pool = await open_pool(dsn, size=4, application_name="bench")
        try:
            await fill(pool, SCENES[scene], deliveries, port)
            with path.open("w", encoding="utf-8") as lines:
                async with pool.acquire() as conn:
                    async for target, event_id, body in load_jobs(conn):
                        job = {
                            "url": target.url,
                            "webhook_id": encode_id("evt", event_id),
                            "delivery_id": encode_id("dlv", delivery_id_of(target.endpoint_id, event_id)),
                            "body": body.decode(),
                        }
                        lines.write(json.dumps(job) + "\n")
        finally:
            await pool.close()


async def enqueue(program: str, told: Assignment) -> int:
    """Fill the store; how many jobs were made."""
    async with _start(program, told) as process:
        assert process.stdout is not None
        return int(await process.stdout.readline())


@dataclass(frozen=True, slots=True)
class Senders:
    """The processes that work on one store."""

    processes: Sequence[asyncio.subprocess.Process]

    @property
    def pids(self) -> Sequence[int]:
        return [process.pid for process in self.processes]

    def assert_alive(self) -> None:
        """Without them nothing would ever be settled."""
        ended = [process.returncode for process in self.processes if process.returncode is not None]
        assert not ended, f"a sender ended by itself: {ended}"


@asynccontextmanager
async def work(program: str, told: Assignment) -> AsyncIterator[Senders]:
    """They work for as long as anybody is inside this."""
    async with AsyncExitStack() as stack:
        count = told.tuning.processes
        yield Senders([await stack.enter_async_context(_start(program, told)) for _ in range(count)])


@asynccontextmanager
async def _start(program: str, told: Assignment) -> AsyncIterator[asyncio.subprocess.Process]:
    """One process: ended by the end of its standard input, and killed where that does not help."""
    process = await asyncio.create_subprocess_exec(
        *PROGRAMS[program], stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, cwd=HERE.parents[1],
        env=os.environ | {"NODE_ENV": "production"},
    )  # fmt: skip
    assert process.stdin is not None
    try:
        process.stdin.write(told.encode())
        await process.stdin.drain()
        yield process
    finally:
        process.stdin.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), END_PATIENCE_S)
        if process.returncode is None:
            process.kill()
            await process.wait()

"""What healthy endpoints feel of sick ones, and of one that comes back to half a million events.

Events are published at a fixed rate, whatever becomes of them (an open loop); the age of a delivery is the time from
its publication to the receiver's socket. `mixed`: two hundred endpoints, first all healthy, then a tenth of them black
holes and a tenth answering 500. `outage`: twenty healthy endpoints, first alone, then beside one that was paused while its
log grew. Receiver, publisher, relay and PostgreSQL (fsync on) share the machine, each in a process of its own.

    .venv/bin/python -m bench.deliver_in_trouble [--rate 2000] [--seconds 30] [--waiting 500000]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import uvloop

from bench.deliver_events import KEY, RULES, TYPE, ask_receiver, new_database, start_receiver
from bench.report import print_table, write_result
from migrations.connect import open_pool
from migrations.handles import Pool
from relay.desk import endpoints
from relay.desk.terms import EndpointTerms
from relay.keys.secretbox import SecretBox
from relay.log import eventlog as log
from relay.log.bodies import RelayFact

TICK_S = 0.01
SETTLING_S = 3.0
PUBLISHED_AT_ONCE = 5_000
MIXED_ENDPOINTS = 200
OUTAGE_ENDPOINTS = 20
OUTAGE_RATE_PER_S = 200
DRAIN_PATIENCE_S = 900.0
BACK = UUID(int=0xBAC0)
"""The merchant whose endpoint was away."""


def merchant_of(number: int) -> UUID:
    """Merchants of the healthy and the sick, one endpoint each."""
    return UUID(int=0x3E11 + number)


def fact_now(merchant: UUID, object_id: str) -> RelayFact:
    """A fact that says when it was published."""
    data: dict[str, object] = {"published_s": round(time.monotonic(), 4), "deposit": {"id": object_id}}
    return RelayFact(merchant, object_id, 1, TYPE, data, datetime.now(UTC))


async def publish_steadily(dsn: str, count: int, rate_per_s: int, seconds: float, name: str) -> None:
    """One event after the other to `count` merchants by turns, in transactions of a tick each."""
    pool = await open_pool(dsn, size=2, application_name="bench-publisher")
    began_s, told = time.monotonic(), 0
    while (now_s := time.monotonic()) < began_s + seconds:
        due = int((now_s - began_s) * rate_per_s)
        if due > told:
            facts = [fact_now(merchant_of(one % count), f"{name}_{one}") for one in range(told, due)]
            async with pool.acquire() as conn, conn.transaction():
                await log.append(conn, facts, now=datetime.now(UTC))
            told = due
        await asyncio.sleep(TICK_S)
    await pool.close()
    print(json.dumps({"published": told}), flush=True)


async def make_endpoint(pool: Pool, merchant: UUID, url: str) -> UUID:
    """One endpoint that begins at the end of its log; its id."""
    async with pool.acquire() as conn, conn.transaction():
        made, _ = await endpoints.create_endpoint(
            conn,
            SecretBox([KEY]),
            merchant,
            EndpointTerms(url, max_in_flight=100),
            rules=RULES,
            now=datetime.now(UTC),
        )
    return made.endpoint_id


@asynccontextmanager
async def child(module: str, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process of ours, told to end by the end of its standard input."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    yield process
    process.stdin.close()
    await process.wait()


@dataclass(slots=True)
class Stage:
    """A database with a relay and a receiver at work on it."""

    dsn: str
    pool: Pool
    port: int
    relay_pid: int
    postmaster_pid: int

    def url(self, path: str, number: int) -> str:
        """Where the receiver behaves as `path` says."""
        return f"http://127.0.0.1:{self.port}/{path}/{number}"

    async def publish(self, count: int, rate_per_s: int, seconds: float, name: str) -> dict[str, Any]:
        """Publish for a while; how old deliveries to `/hook` were, and how many came."""
        await ask_receiver(self.port)
        options = (
            "--child",
            "publish",
            "--dsn",
            self.dsn,
            "--rate",
            str(rate_per_s),
            "--seconds",
            str(seconds),
        )
        async with child(
            "bench.deliver_in_trouble", *options, "--count", str(count), "--name", name
        ) as publisher:
            assert publisher.stdout is not None
            published = json.loads(await publisher.stdout.readline())["published"]
        await asyncio.sleep(SETTLING_S)
        told = await ask_receiver(self.port)
        return {"published": published, "delivered": told.aged, "age_ms": told.age_ms}


@asynccontextmanager
async def open_stage(prepare: Callable[[Pool, int], Awaitable[None]] | None = None) -> AsyncIterator[Stage]:
    """Empty, or with what `prepare` made of the database and the receiver's port before the relay begins."""
    async with start_receiver() as (port, _), new_database() as (dsn, postmaster):
        pool = await open_pool(dsn, size=4, application_name="bench")
        if prepare is not None:
            await prepare(pool, port)
        async with child("bench.deliver_events", "--child", "relay", "--dsn", dsn) as relay:
            yield Stage(dsn, pool, port, relay.pid, postmaster)
        await pool.close()


async def run_mixed(rate_per_s: int, seconds: float) -> dict[str, Any]:
    """The same load twice: with healthy receivers only, and with a fifth of them sick."""
    found = {}
    for name, path_of in (("all healthy", _healthy), ("a fifth sick", _fifth_sick)):
        async with open_stage() as stage:
            for number in range(MIXED_ENDPOINTS):
                await make_endpoint(stage.pool, merchant_of(number), stage.url(path_of(number), number))
            await stage.publish(MIXED_ENDPOINTS, rate_per_s, SETTLING_S, "warm")
            found[name] = await stage.publish(MIXED_ENDPOINTS, rate_per_s, seconds, "steady")
    return found


def _healthy(_number: int) -> str:
    return "hook"


def _fifth_sick(number: int) -> str:
    return {0: "hole", 1: "broken"}.get(number % 10, "hook")


async def run_outage(waiting: int, seconds: float) -> dict[str, Any]:
    """Twenty endpoints alone, then beside the one that comes back."""
    async with open_stage() as stage:
        for number in range(OUTAGE_ENDPOINTS):
            await make_endpoint(stage.pool, merchant_of(number), stage.url("hook", number))
        away = await make_endpoint(stage.pool, BACK, stage.url("back", 0))
        await _set_paused(stage.pool, away, paused=True)
        await _fill(stage.pool, waiting)
        await stage.pool.execute("vacuum analyze")
        before = await stage.publish(OUTAGE_ENDPOINTS, OUTAGE_RATE_PER_S, seconds, "alone")
        began_s = time.monotonic()
        await _set_paused(stage.pool, away, paused=False)
        watching = asyncio.create_task(_watch(stage, away, waiting))
        beside = await stage.publish(OUTAGE_ENDPOINTS, OUTAGE_RATE_PER_S, seconds, "beside")
        pss_mib = await watching
        return {
            "alone": before,
            "beside": beside,
            "waiting": waiting,
            "drained_s": round(time.monotonic() - began_s, 1),
            "pss_max_mib": round(max(pss_mib)),
        }


async def _set_paused(pool: Pool, endpoint_id: UUID, *, paused: bool) -> None:
    change: Callable[..., Any] = endpoints.pause_endpoint if paused else endpoints.resume_endpoint
    async with pool.acquire() as conn, conn.transaction():
        await change(conn, SecretBox([KEY]), BACK, endpoint_id, now=datetime.now(UTC))


async def _fill(pool: Pool, count: int) -> None:
    now = datetime.now(UTC)
    for first in range(0, count, PUBLISHED_AT_ONCE):
        facts = [
            RelayFact(BACK, f"dep_{one}", 1, TYPE, {"deposit": {"id": one}}, now)
            for one in range(first, min(first + PUBLISHED_AT_ONCE, count))
        ]
        async with pool.acquire() as conn, conn.transaction():
            await log.append(conn, facts, now=now)


async def _watch(stage: Stage, endpoint_id: UUID, last: int) -> Sequence[float]:
    """The relay's memory, sampled until the endpoint has everything."""
    samples = []
    async with asyncio.timeout(DRAIN_PATIENCE_S):
        while True:
            samples.append(read_pss_mib(stage.relay_pid))
            reached = await stage.pool.fetchval(
                "select sequence from endpoint_cursors where endpoint_id = $1", endpoint_id
            )
            if reached >= last:
                return samples
            await asyncio.sleep(0.2)


def read_pss_mib(pid: int) -> float:
    """Proportional set size of one process."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0


async def run_all(rate_per_s: int, seconds: float, waiting: int) -> None:
    """Both scenes."""
    mixed = await run_mixed(rate_per_s, seconds)
    outage = await run_outage(waiting, seconds)
    figures = {"rate_per_s": rate_per_s, "seconds": seconds, "mixed": mixed, "outage": outage}
    write_result("deliver_in_trouble", figures)
    shown = {**mixed, "alone": outage["alone"], "beside one that is back": outage["beside"]}
    print_table(
        ("endpoints", "delivered", "p50 ms", "p99 ms", "max ms"),
        [(name, one["delivered"], *one["age_ms"].values()) for name, one in shown.items()],
    )
    print(
        f"{waiting} waiting events drained in {outage['drained_s']} s, at most {outage['pss_max_mib']} MiB PSS"
    )


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rate", type=int, default=2_000, help="events a second of the mixed scene")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--waiting", type=int, default=500_000)
    for name in ("child", "dsn", "name"):
        parser.add_argument(f"--{name}", help=argparse.SUPPRESS)
    parser.add_argument("--count", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        uvloop.run(publish_steadily(asked.dsn, asked.count, asked.rate, asked.seconds, asked.name))
    else:
        uvloop.run(run_all(asked.rate, asked.seconds, asked.waiting))


if __name__ == "__main__":
    main()

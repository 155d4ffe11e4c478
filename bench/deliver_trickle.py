"""What one delivery costs where events trickle: one event a transaction, two hundred a second, to two hundred endpoints.

Of the relay, in a process of its own (`apart`) and in the publisher's (`together`), of a bare loop (it listens, reads one row
for each notice, signs and posts, and remembers nothing), and of the publishing alone: CPU of the process and of PostgreSQL
and statements for one delivery, and the time from the commit to the receiver's socket. What publishing costs alone is
taken off. Publisher, receiver, relay and PostgreSQL (fsync on) share the machine.

    .venv/bin/python -m bench.deliver_trickle [--seconds 20] [--rate 200] [--merchants 200] [--each 1]
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import aiohttp
import uvloop
from prometheus_client import CollectorRegistry

from bench.deliver_events import (
    KEY,
    SETTINGS,
    UNSETTLED,
    count_statements,
    cpu_s,
    new_database,
    start_receiver,
)
from bench.deliver_in_trouble import child, fact_now, make_endpoint, merchant_of
from bench.receiver import summarise_ms
from bench.report import print_table, write_result
from gateway.process.collector import collect_rarely
from migrations.connect import connect, open_pool
from migrations.handles import Connection, Pool
from relay.alerting import no_alert
from relay.keys import signing
from relay.keys.secretbox import SecretBox
from relay.log import eventlog as log
from relay.out.targets import Target
from relay.service import RelayService
from relay.workers.fresh import FreshEvents

SCENES = ("publishing", "bare", "apart", "together")
WARMING_S = 3.0
PATIENCE_S = 30.0
WRITERS_MAX = 8
ONE_EVENT = """
select event_id, body
from events
where merchant_id = $1 and sequence = $2 and created_at >= $3 and created_at < $3 + interval '1 day'
"""


@dataclass(frozen=True, slots=True)
class Run:
    """One scene. CPU seconds of the publishing process, of the sending one where it is another, and of PostgreSQL."""

    scene: str
    events: int
    deliveries: int
    publisher_cpu_s: float
    sender_cpu_s: float
    postgres_cpu_s: float
    statements: int
    commit_ms: dict[str, float]
    age_ms: dict[str, float]


# --- in the children -----------------------------------------------------------------------------------------------


async def work(dsn: str, roles: Sequence[str], rate_per_s: int, merchants: int) -> None:
    """Do as the lines of standard input say, `publish SECONDS NAME FILE` or `count`, until its end."""
    collect_rarely()
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        statements: list[int] = [0]
        fresh = FreshEvents()
        stops: list[Callable[[], None]] = []
        if "relay" in roles:
            stops.append(await start_relay(dsn, group, statements, fresh))
        if "bare" in roles:
            stops.append(await start_bare(dsn, group, statements))
        pool = await open_pool(dsn, size=WRITERS_MAX, application_name="bench-publisher", resets=False)
        stack.push_async_callback(pool.close)
        while line := (await reader.readline()).decode().split():
            match line:
                case ["publish", seconds, name, file]:
                    committed = await publish(pool, fresh, rate_per_s, merchants, float(seconds), name)
                    await asyncio.to_thread(Path(file).write_text, json.dumps(committed))
                    print("published", flush=True)
                case _:
                    print(statements[0], flush=True)
        for stop in stops:
            stop()


async def publish(
    pool: Pool, fresh: FreshEvents, rate_per_s: int, merchants: int, seconds: float, name: str
) -> list[tuple[float, float]]:
    """One event a transaction to one merchant after the other; when each was told, and when it was committed."""
    committed: list[tuple[float, float]] = []

    async def publish_one(number: int) -> None:
        fact = fact_now(merchant_of(number % merchants), f"{name}_{number}")
        async with pool.acquire() as conn, conn.transaction():
            fresh.note(await log.append(conn, [fact], now=datetime.now(UTC)))
        committed.append((float(str(fact.data["published_s"])), time.monotonic()))

    began_s = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for number in range(int(rate_per_s * seconds)):
            await asyncio.sleep(began_s + number / rate_per_s - time.monotonic())
            group.create_task(publish_one(number))
    return committed


async def start_relay(
    dsn: str, group: asyncio.TaskGroup, statements: list[int], fresh: FreshEvents
) -> Callable[[], None]:
    """A relay in this process; returns what ends it."""
    pool = await open_pool(dsn, size=10, application_name="bench-relay", resets=False)
    await count_statements(pool, statements)
    service = RelayService(
        pool, SecretBox([KEY]), SETTINGS, registry=CollectorRegistry(), on_alert=no_alert, fresh=fresh
    )

    async def run() -> None:
        await service.run()
        await pool.close()

    group.create_task(run())
    return service.stop


async def start_bare(dsn: str, group: asyncio.TaskGroup, statements: list[int]) -> Callable[[], None]:
    """The floor in this process: what hears, reads one row and posts, and forgets it."""
    pool = await open_pool(dsn, size=4, application_name="bench-bare", resets=False)
    await count_statements(pool, statements)
    key, secret = signing.signing_key_from_seed(os.urandom(32)), os.urandom(24)
    targets: dict[UUID, list[Target]] = {}
    for row in await pool.fetch("select endpoint_id, merchant_id, url from endpoints"):
        target = Target(row["endpoint_id"], row["url"], {}, ((secret, None),), ((key, None),))
        targets.setdefault(row["merchant_id"], []).append(target)
    listening = await connect(dsn, application_name="bench-bare")
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), auto_decompress=False)
    posts: set[asyncio.Task[None]] = set()
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)

    async def post(merchant_id: UUID, sequence: int) -> None:
        row = await pool.fetchrow(ONE_EVENT, merchant_id, sequence, today)
        assert row is not None
        for target in targets[merchant_id]:
            headers = target.headers_for(row["event_id"], row["body"], prev_sequence=0, now=datetime.now(UTC))
            async with session.post(target.url, data=row["body"], headers=headers) as response:
                await response.read()

    def hear(_conn: Connection, _pid: int, _channel: str, payload: object) -> None:
        for merchant_id, sequence in log.decode_notice(str(payload)).items():
            task = group.create_task(post(merchant_id, sequence))
            posts.add(task)
            task.add_done_callback(posts.discard)

    await listening.add_listener(log.CHANNEL, hear)

    async def close() -> None:
        await listening.close()
        await session.close()
        await pool.close()

    def end() -> None:
        group.create_task(close())

    return end


# --- measuring -----------------------------------------------------------------------------------------------------


class Hand:
    """One child, told what to do by lines."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.pid = process.pid
        self._process = process

    async def ask(self, *words: object) -> str:
        """Its answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(" ".join(map(str, words)).encode() + b"\n")
        return (await self._process.stdout.readline()).decode().strip()


async def measure(scene: str, asked: argparse.Namespace) -> Run:
    """One scene on a database and with a receiver of its own."""
    async with AsyncExitStack() as stack:
        port, _ = await stack.enter_async_context(start_receiver())
        dsn, postmaster = await stack.enter_async_context(new_database())
        pool = await open_pool(dsn, size=4, application_name="bench")
        stack.push_async_callback(pool.close)
        for number, one in itertools.product(range(asked.merchants), range(asked.each)):
            await make_endpoint(pool, merchant_of(number), f"http://127.0.0.1:{port}/hook/{number}/{one}")
        await pool.execute("vacuum analyze")

        async def start(*roles: str) -> Hand:
            options = ("--child", *roles, "--dsn", dsn)
            more = ("--rate", str(asked.rate), "--merchants", str(asked.merchants))
            return Hand(await stack.enter_async_context(child("bench.deliver_trickle", *options, *more)))

        publisher = await (start("publish", "relay") if scene == "together" else start("publish"))
        sender = publisher
        if scene in ("bare", "apart"):
            sender = await start("bare" if scene == "bare" else "relay")
        await publisher.ask("count")
        await sender.ask("count")
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="chainbell-bench-"))
        await publisher.ask("publish", WARMING_S, "warm", f"{folder}/warm")
        events = int(asked.rate * asked.seconds)
        delivered = events * asked.each if scene != "publishing" else 0
        await _until_received(pool, port, int(asked.rate * WARMING_S) * asked.each if delivered else 0, scene)
        pids = (publisher.pid, sender.pid, postmaster)
        statements, spent = int(await sender.ask("count")), [cpu_s([pid]) for pid in pids]
        await publisher.ask("publish", asked.seconds, "told", f"{folder}/told")
        arrived = await _until_received(pool, port, delivered, scene)
        spent = [cpu_s([pid]) - before for pid, before in zip(pids, spent, strict=True)]
        text = await asyncio.to_thread(Path(f"{folder}/told").read_text)
        committed: dict[float, float] = dict(json.loads(text))
        return Run(
            scene, events, delivered, spent[0], 0.0 if sender is publisher else spent[1], spent[2],
            int(await sender.ask("count")) - statements,
            summarise_ms([done_s - told_s for told_s, done_s in committed.items()]),
            summarise_ms([came_s - committed[told_s] for told_s, came_s in arrived]),
        )  # fmt: skip


async def _until_received(pool: Pool, port: int, count: int, scene: str) -> list[tuple[float, float]]:
    """When each delivery was told and when it came; the account begins anew. The relay's are settled, too."""
    async with asyncio.timeout(PATIENCE_S), aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:

        async def fetch(path: str) -> bytes:
            async with session.get(path) as answer:
                return await answer.read()

        arrived: list[tuple[float, float]] = json.loads(await fetch("/moments"))
        while len(arrived) < count or (scene in ("apart", "together") and await pool.fetchval(UNSETTLED)):
            await asyncio.sleep(0.25)
            arrived = json.loads(await fetch("/moments"))
        await fetch("/account")
        return arrived


async def run_all(asked: argparse.Namespace) -> None:
    """All scenes by turns."""
    found: list[Run] = []
    for _number, scene in itertools.product(range(asked.runs), asked.scenes):
        found.append(await measure(scene, asked))
        print(f"  {found[-1]}", flush=True)
    summary = {
        scene: _summarise([run for run in found if run.scene == scene], found) for scene in asked.scenes
    }
    shape = {name: getattr(asked, name) for name in ("seconds", "rate", "merchants", "each")}
    write_result("deliver_trickle", {**shape, "scenes": summary, "runs": [asdict(run) for run in found]})
    head = ("scene", "sender ms", "PostgreSQL ms", "statements", "p50 ms", "p99 ms", "commit p50 ms")
    print_table(head, [(scene, *one.values()) for scene, one in summary.items()])


def _summarise(runs: Sequence[Run], found: Sequence[Run]) -> dict[str, float]:
    """For one delivery (of the publishing alone: for one event), without what publishing costs alone."""
    alone = [run for run in found if run.scene == "publishing"]
    publisher_s = statistics.median(run.publisher_cpu_s for run in alone)
    postgres_s = statistics.median(run.postgres_cpu_s for run in alone)

    def each(value_of: Callable[[Run], float]) -> float:
        return statistics.median(value_of(run) / (run.deliveries or run.events) for run in runs)

    def sender_s(run: Run) -> float:
        return run.sender_cpu_s if run.scene != "together" else run.publisher_cpu_s - publisher_s

    is_alone = runs[0].scene == "publishing"
    return {
        "sender_ms": round(1000 * each(lambda run: run.publisher_cpu_s if is_alone else sender_s(run)), 3),
        "postgres_ms": round(1000 * each(lambda run: run.postgres_cpu_s - (not is_alone) * postgres_s), 3),
        "statements": round(each(lambda run: run.statements), 3),
        "p50_ms": statistics.median(run.age_ms.get("p50", 0.0) for run in runs),
        "p99_ms": statistics.median(run.age_ms.get("p99", 0.0) for run in runs),
        "commit_p50_ms": statistics.median(run.commit_ms["p50"] for run in runs),
    }


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rate", type=int, default=200, help="events a second, one a transaction")
    parser.add_argument("--merchants", type=int, default=200)
    parser.add_argument("--each", type=int, default=1, help="endpoints of each merchant")
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--scenes", nargs="+", choices=SCENES, default=SCENES)
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    parser.add_argument("--dsn", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    work_of: Awaitable[None] = (
        work(asked.dsn, asked.child, asked.rate, asked.merchants) if asked.child else run_all(asked)
    )
    uvloop.run(work_of)  # type: ignore[arg-type]  # both are coroutines


if __name__ == "__main__":
    main()

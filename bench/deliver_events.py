"""How many webhooks a second are delivered and settled on disk: the relay beside a bare loop, in one run.

A log holds the events already; receiver, PostgreSQL (fsync on) and sender share the machine. The bare loop signs the same
bodies with the same functions and posts them with aiohttp, and remembers nothing. The relay's time ends when the last
delivery is settled in the database. `one`: one endpoint takes all. `thousand`: a hundred merchants with ten endpoints each.

    .venv/bin/python -m bench.deliver_events [--events 40000] [--runs 5]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import aiohttp
import psutil
import uvloop
from prometheus_client import CollectorRegistry

from bench.report import print_table, write_result
from gateway.process.collector import collect_rarely
from migrations.connect import connect, open_pool
from migrations.embedded import embedded_database
from migrations.handles import Connection, Pool
from migrations.runner import migrate
from relay.alerting import no_alert
from relay.desk import endpoints
from relay.desk.terms import EndpointTerms, Rules
from relay.keys import signing
from relay.keys.secretbox import SecretBox
from relay.log import eventlog as log
from relay.log.bodies import RelayFact
from relay.out.targets import Target
from relay.service import RelayService
from relay.settings import RelaySettings

KEY = bytes(32)
TYPE = "deposit.confirmed"
RULES = Rules(event_types={TYPE}, allow_private_networks=True)
SETTINGS = RelaySettings(allow_private_networks=True)
PUBLISHED_AT_ONCE = 2_000
BARE_TASKS = 100
PATIENCE_S = 300.0
UNSETTLED = """
select exists (select from endpoint_cursors c join endpoints e using (endpoint_id)
  join merchant_logs l using (merchant_id) where c.sequence < l.sequence)
  or exists (select from delivery_exceptions)
"""
SCENES = {"one": (1, 1), "thousand": (100, 10)}
"""Merchants, and endpoints of each."""


@dataclass(frozen=True, slots=True)
class Run:
    """One measured sender. CPU seconds of the sender, of the receiver, and of PostgreSQL with all its processes."""

    scene: str
    name: str
    deliveries: int
    wall_s: float
    cpu_s: float
    receiver_cpu_s: float
    postgres_cpu_s: float
    repeats: int
    statements: int


async def fill(pool: Pool, shape: tuple[int, int], deliveries: int, port: int) -> None:
    """Logs with enough events for so many deliveries, and endpoints that begin at the first of them."""
    merchants, each = shape
    box, now = SecretBox([KEY]), datetime.now(UTC)
    per_merchant = deliveries // (merchants * each)
    for number in range(merchants):
        merchant = UUID(int=0xBE11 + number)
        for first in range(0, per_merchant, PUBLISHED_AT_ONCE):
            facts = [
                RelayFact(merchant, f"dep_{number}_{index}", 1, TYPE, {"deposit": _deposit(index)}, now)
                for index in range(first, min(first + PUBLISHED_AT_ONCE, per_merchant))
            ]
            async with pool.acquire() as conn, conn.transaction():
                await log.append(conn, facts, now=now)
        for index in range(each):
            terms = EndpointTerms(f"http://127.0.0.1:{port}/hook/{number}/{index}", max_in_flight=200)
            async with pool.acquire() as conn, conn.transaction():
                await endpoints.create_endpoint(
                    conn, box, merchant, terms, rules=RULES, from_sequence=1, now=now
                )


def _deposit(index: int) -> dict[str, object]:
    """As large as a real one."""
    return {
        "id": f"dep_{index:026d}",
        "chain": "eip155:1",
        "asset": "eip155:1/erc20:0xdac17f958d2ee523a2206206994597c13d831ec7",
        "address": "0x9858EfFD232B4033E47d90003D41EC34EcaEda94",
        "tx_hash": "0x" + f"{index:064x}",
        "amount": {"base_units": "25000000", "decimals": 6, "text": "25"},
        "state": "confirmed",
        "version": 1,
        "height": 20_000_000 + index,
        "block_hash": "0x" + "ab" * 32,
        "credited_base_units": "25000000",
        "reference": f"order-{index}",
    }


async def count_statements(pool: Pool, counted: list[int]) -> None:
    """Count what this pool's connections are asked from now on."""

    def count(_query: object) -> None:
        counted[0] += 1

    everybody = asyncio.Barrier(pool.get_max_size())

    async def listen() -> None:
        async with pool.acquire() as conn:
            conn.add_query_logger(count)
            await everybody.wait()  # so that each is borrowed once

    async with asyncio.TaskGroup() as group:
        for _ in range(everybody.parties):
            group.create_task(listen())


async def run_relay(dsn: str) -> None:
    """The relay in this process, until its standard input ends; prints how many statements it sent."""
    statements = [0]
    pool = await open_pool(dsn, size=10, application_name="bench-relay", resets=False)
    await count_statements(pool, statements)
    service = RelayService(pool, SecretBox([KEY]), SETTINGS, registry=CollectorRegistry(), on_alert=no_alert)
    collect_rarely()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), service.stop)
    await service.run()
    await pool.close()
    print(json.dumps({"statements": statements[0]}), flush=True)


async def run_bare(dsn: str) -> None:
    """Sign and post every body once to each of its endpoints, remembering nothing."""
    conn = await connect(dsn, application_name="bench-bare")
    jobs = [job async for job in load_jobs(conn)]
    await conn.close()
    collect_rarely()
    jobs_left = iter(jobs)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:

        async def post() -> None:
            for target, event_id, body in jobs_left:
                headers = target.headers_for(event_id, body, prev_sequence=0, now=datetime.now(UTC))
                async with session.post(target.url, data=body, headers=headers) as response:
                    await response.read()

        async with asyncio.TaskGroup() as group:
            for _ in range(BARE_TASKS):
                group.create_task(post())


async def load_jobs(conn: Connection) -> AsyncIterator[tuple[Target, UUID, bytes]]:
    """Endpoint by turns, as a loop over all of them would go."""
    rows = await conn.fetch("select endpoint_id, merchant_id, url from endpoints order by endpoint_id")
    key, secret = signing.signing_key_from_seed(os.urandom(32)), os.urandom(24)
    targets = [
        (row["merchant_id"], Target(row["endpoint_id"], row["url"], {}, ((secret, None),), ((key, None),)))
        for row in rows
    ]
    events: dict[UUID, list[tuple[UUID, bytes]]] = {}
    for row in await conn.fetch(
        "select merchant_id, event_id, body from events order by merchant_id, sequence"
    ):
        events.setdefault(row["merchant_id"], []).append((row["event_id"], row["body"]))
    longest = max(len(found) for found in events.values())
    for index, (merchant, target) in itertools.product(range(longest), targets):
        event_id, body = events[merchant][index]
        yield target, event_id, body


@dataclass(frozen=True, slots=True)
class Told:
    """What the receiver counted; times of the machine's monotonic clock."""

    received: int
    distinct: int
    first_s: float
    last_s: float
    aged: int
    age_ms: dict[str, float]


@asynccontextmanager
async def start_receiver() -> AsyncIterator[tuple[int, int]]:
    """Port and process id of a receiver in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.receiver",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        yield int(await process.stdout.readline()), process.pid
    finally:
        process.stdin.close()
        await process.wait()


async def ask_receiver(port: int) -> Told:
    """What it counted since it was asked last."""
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/account") as answer:
        return Told(**json.loads(await answer.read()))


def cpu_s(pids: Sequence[int]) -> float:
    """User and system seconds of these processes and of all that they started."""
    total = 0.0
    for pid in pids:
        for one in _family(pid):
            with contextlib.suppress(psutil.NoSuchProcess):
                times = one.cpu_times()
                total += times.user + times.system + times.children_user + times.children_system
    return total


def _family(pid: int) -> Iterator[psutil.Process]:
    parent = psutil.Process(pid)
    yield parent
    yield from parent.children(recursive=True)


async def measure(scene: str, name: str, deliveries: int, processes: int = 1) -> Run:
    """One sender in processes of its own, on a database of its own, with a receiver of its own."""
    async with start_receiver() as (port, receiver), new_database() as (own, postmaster):
        pool = await open_pool(own, size=4, application_name="bench")
        await fill(pool, SCENES[scene], deliveries, port)
        await pool.execute("vacuum analyze")
        postgres_before_s = cpu_s([postmaster])
        senders = [await _start_sender(name, own) for _ in range(processes)]
        if name == "relay":
            await _until_settled(pool)
            ended_s = time.monotonic()
            spent_s = cpu_s([sender.pid for sender in senders])
            statements = sum([await _stop_relay(sender) for sender in senders])
            told = await ask_receiver(port)
        else:
            statements = 0
            spent_s = await _await_bare(*senders)
            told = await ask_receiver(port)
            ended_s = told.last_s
        assert told.distinct == deliveries, told
        run = Run(
            scene, name, deliveries, ended_s - told.first_s, spent_s, cpu_s([receiver]),
            cpu_s([postmaster]) - postgres_before_s, told.received - told.distinct, statements,
        )  # fmt: skip
        await pool.close()
        return run


async def _start_sender(name: str, dsn: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.deliver_events", "--child", name, "--dsn", dsn,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def _stop_relay(process: asyncio.subprocess.Process) -> int:
    """How many statements it sent."""
    assert process.stdout is not None
    assert process.stdin is not None
    process.stdin.close()
    statements: int = json.loads(await process.stdout.readline())["statements"]
    await process.wait()
    return statements


async def _await_bare(process: asyncio.subprocess.Process) -> float:
    """The CPU seconds it took."""
    spent_s = 0.0
    while process.returncode is None:
        with contextlib.suppress(psutil.NoSuchProcess, TimeoutError):
            spent_s = max(spent_s, cpu_s([process.pid]))
            await asyncio.wait_for(process.wait(), 0.1)
    return spent_s


async def _until_settled(pool: Pool) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while await pool.fetchval(UNSETTLED):
            await asyncio.sleep(0.02)


@asynccontextmanager
async def new_database() -> AsyncIterator[tuple[str, int]]:
    """A server of its own with an empty, migrated database, and its process id."""
    with tempfile.TemporaryDirectory(prefix="chainbell-bench-") as folder:
        async with embedded_database(Path(folder)) as dsn:
            conn = await connect(dsn, application_name="bench")
            await migrate(conn)
            await log.make_partitions(conn, now=datetime.now(UTC))
            await conn.close()
            pid_file = Path(folder) / "postgres/cluster/postmaster.pid"
            yield dsn, int(pid_file.read_text().splitlines()[0])


async def run_all(deliveries: int, runs: int) -> None:
    """Bare loop and relay by turns, so that drift hits both alike."""
    found: list[Run] = []
    for number, scene, name in itertools.product(range(runs), SCENES, ("bare", "relay")):
        run = await measure(scene, name, deliveries)
        found.append(run)
        speed = f"{deliveries / run.wall_s:8.0f} deliveries/s"
        spent = f"cpu {run.cpu_s:.1f} + {run.receiver_cpu_s:.1f} + {run.postgres_cpu_s:.1f} s"
        print(f"  run {number + 1}: {scene:<9} {name:<6} {speed}, {spent}", flush=True)
    summary = {scene: _summarise(scene, found, deliveries) for scene in SCENES}
    write_result(
        "deliver_events",
        {"deliveries": deliveries, "scenes": summary, "runs": [asdict(run) for run in found]},
    )
    head = ("scene", "bare /s", "relay /s", "ratio", "statements each", "repeats")
    print_table(head, [(scene, *one.values()) for scene, one in summary.items()])


def _summarise(scene: str, runs: Sequence[Run], deliveries: int) -> dict[str, float]:
    walls = {
        name: statistics.median(run.wall_s for run in runs if (run.scene, run.name) == (scene, name))
        for name in ("bare", "relay")
    }
    relays = [run for run in runs if (run.scene, run.name) == (scene, "relay")]
    return {
        "bare_per_s": round(deliveries / walls["bare"]),
        "relay_per_s": round(deliveries / walls["relay"]),
        "ratio_to_bare": round(walls["bare"] / walls["relay"], 3),
        "statements_per_delivery": round(statistics.median(run.statements for run in relays) / deliveries, 4),
        "repeats_max": max(run.repeats for run in relays),
    }


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=40_000, help="deliveries of each run")
    parser.add_argument("--runs", type=int, default=5)
    for name in ("child", "dsn"):
        parser.add_argument(f"--{name}", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    match arguments.child:
        case "relay":
            uvloop.run(run_relay(arguments.dsn))
        case "bare":
            uvloop.run(run_bare(arguments.dsn))
        case _:
            uvloop.run(run_all(arguments.events, arguments.runs))


if __name__ == "__main__":
    main()

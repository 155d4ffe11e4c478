"""How many durable events a second writers tell who have one event each: alone, in groups, and all rows in one insert.

Each writer tells one event after the other, to one of a hundred merchants (or all to one), and goes on when it is committed.
`alone`: each in a transaction of its own (`log.append`). `together`: what is told meanwhile is committed together
(`relay.log.publisher`). The floor is a loop that inserts as many rows at once as there are writers, into one table of the same
columns with one index, without logs or hashes, one commit each. Writers and PostgreSQL (fsync on) share the machine.

    .venv/bin/python -m bench.append_events [--seconds 5] [--writers 16 64] [--merchants 100 1]
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from uuid import UUID, uuid4

import uvloop

from bench.deliver_events import cpu_s, new_database
from bench.deliver_in_trouble import fact_now, merchant_of
from bench.report import print_table, write_result
from gateway.process.collector import collect_rarely
from migrations.connect import open_pool
from migrations.handles import Pool
from relay.log import eventlog as log
from relay.log.bodies import RelayFact
from relay.log.publisher import Publisher

SCENES = ("floor", "alone", "together")
FLOOR_TABLE = """
create table floor (
  merchant_id uuid, sequence bigint, log_epoch integer, event_id uuid, object_id text, version bigint, type text,
  prev_hash bytea, body bytea, created_at timestamptz, primary key (merchant_id, sequence)
)
"""
FLOOR_INSERT = """
insert into floor
select *
from unnest(
  $1::uuid[], $2::bigint[], $3::integer[], $4::uuid[], $5::text[], $6::bigint[], $7::text[], $8::bytea[], $9::bytea[],
  $10::timestamptz[]
)
"""


@dataclass(frozen=True, slots=True)
class Run:
    """One scene; CPU seconds of the writers' process and of PostgreSQL."""

    scene: str
    writers: int
    merchants: int
    events: int
    wall_s: float
    cpu_s: float
    postgres_cpu_s: float
    commit_p50_ms: float


async def measure(scene: str, writers: int, merchants: int, seconds: float) -> Run:
    """One scene on a database of its own."""
    async with new_database() as (dsn, postmaster):
        pool = await open_pool(dsn, size=writers, application_name="bench", resets=False)
        publisher = Publisher(pool, clock=lambda: datetime.now(UTC))
        waits_s: list[float] = []
        count = itertools.count()

        async def tell_alone(fact: RelayFact) -> None:
            async with pool.acquire() as conn, conn.transaction():
                await log.append(conn, [fact], now=datetime.now(UTC))

        async def tell_together(fact: RelayFact) -> None:
            await publisher.publish([fact])

        async def write(tell: Callable[[RelayFact], Awaitable[None]], until_s: float) -> None:
            while (began_s := time.monotonic()) < until_s:
                number = next(count)
                await tell(fact_now(merchant_of(number % merchants), f"dep_{number}"))
                waits_s.append(time.monotonic() - began_s)

        async def work(for_s: float) -> int:
            """How many events were told."""
            until_s = time.monotonic() + for_s
            if scene == "floor":
                return await insert_rows(pool, writers, merchants, until_s)
            waits_s.clear()
            async with asyncio.TaskGroup() as group:
                for _ in range(writers):
                    group.create_task(write(tell_alone if scene == "alone" else tell_together, until_s))
            return len(waits_s)

        await pool.execute(FLOOR_TABLE)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(publisher.run())
            await work(1.0)
            postgres_s, own_s, began_s = cpu_s([postmaster]), time.process_time(), time.monotonic()
            events = await work(seconds)
            wall_s, own_s = time.monotonic() - began_s, time.process_time() - own_s
            postgres_s = cpu_s([postmaster]) - postgres_s
            running.cancel()
        await pool.close()
        p50_ms = 1000 * statistics.median(waits_s) if waits_s else 0.0
        return Run(scene, writers, merchants, events, wall_s, own_s, postgres_s, round(p50_ms, 2))


async def insert_rows(pool: Pool, at_once: int, merchants: int, until_s: float) -> int:
    """The floor: so many rows an insert."""
    told = 0
    first = int(time.monotonic_ns())
    async with pool.acquire() as conn:
        while time.monotonic() < until_s:
            rows = [_row(merchant_of(one % merchants), first + told + one) for one in range(at_once)]
            await conn.execute(FLOOR_INSERT, *(list(column) for column in zip(*rows, strict=True)))
            told += at_once
    return told


def _row(merchant: UUID, number: int) -> Sequence[object]:
    fact = fact_now(merchant, f"dep_{number}")
    body = str(fact.data).encode().ljust(400)
    return (merchant, number, 1, uuid4(), fact.object_id, 1, fact.type, bytes(32), body, datetime.now(UTC))


async def run_all(asked: argparse.Namespace) -> None:
    """All scenes by turns."""
    collect_rarely()
    found: list[Run] = []
    for merchants, writers, scene in itertools.product(asked.merchants, asked.writers, SCENES):
        run = await measure(scene, writers, merchants, asked.seconds)
        found.append(run)
        print(f"  {run}", flush=True)
    write_result("append_events", {"seconds": asked.seconds, "runs": [asdict(run) for run in found]})
    head = ("scene", "writers", "merchants", "events/s", "CPU ms", "PostgreSQL ms", "commit p50 ms")
    print_table(
        head,
        [
            (
                run.scene,
                run.writers,
                run.merchants,
                round(run.events / run.wall_s),
                round(1000 * run.cpu_s / run.events, 3),
                round(1000 * run.postgres_cpu_s / run.events, 3),
                run.commit_p50_ms,
            )
            for run in found
        ],
    )


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--writers", nargs="+", type=int, default=(16, 64))
    parser.add_argument("--merchants", nargs="+", type=int, default=(100, 1))
    uvloop.run(run_all(parser.parse_args()))


if __name__ == "__main__":
    main()

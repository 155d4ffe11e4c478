"""Whether a transaction that somebody leaves open for minutes slows deliveries: thirds of the time, beside the same without.

A stranger's connection writes a row and keeps its snapshot, so that PostgreSQL can remove no dead row version anywhere.
`twenty`: twenty endpoints whose logs hold more than can be delivered, so the load is full all the time. `steady`: two hundred
endpoints to which events are published at a fixed rate. Each run is cut into thirds: deliveries a second, ages where the
rate is fixed, and what PostgreSQL computes for one delivery. Publisher, receiver, relay and PostgreSQL (fsync on) share
the machine, each in a process of its own.

    .venv/bin/python -m bench.deliver_past_a_snapshot [--seconds 180] [--runs 1] [--rate 1000]
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import statistics
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import asdict, dataclass

import asyncpg
import uvloop

from bench.deliver_events import ask_receiver, cpu_s, fill
from bench.deliver_in_trouble import Stage, make_endpoint, merchant_of, open_stage
from bench.report import print_table, write_result

FULL_ENDPOINTS = 20
FULL_PER_S_MAX = 4_000
"""More than two cores deliver: the logs hold so many for each second."""
STEADY_ENDPOINTS = 200
WARMING_S = 5.0
THIRDS = 3
SCENES = ("twenty", "steady")
NAMES = ("alone", "beside")


@dataclass(frozen=True, slots=True)
class Third:
    """A third of a run."""

    per_s: float
    postgres_cpu_ms: float  # for one delivery
    age_ms: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Run:
    """One relay, alone or beside the stranger."""

    scene: str
    name: str
    thirds: Sequence[Third]
    cursors_mib: float


@asynccontextmanager
async def open_transaction(dsn: str) -> AsyncIterator[None]:
    """Somebody else's: it has written, has a snapshot, and is then left alone."""
    conn = await asyncpg.connect(dsn)
    try:
        await conn.execute("create table stranger (number int)")
        await conn.execute("begin isolation level repeatable read")
        await conn.execute("insert into stranger values (1)")
        yield
        assert await conn.fetchval("select count(*) from stranger") == 1, "it was open all the time"
        await conn.execute("rollback")
    finally:
        await conn.close()


async def measure(scene: str, name: str, seconds: float, rate_per_s: int) -> Run:
    """One run on a stage of its own."""
    third_s = seconds / THIRDS
    async with open_stage() as stage:
        if scene == "twenty":
            deliveries = int(FULL_PER_S_MAX * (seconds + WARMING_S))
            await fill(stage.pool, (FULL_ENDPOINTS, 1), deliveries, stage.port)
        else:
            for number in range(STEADY_ENDPOINTS):
                await make_endpoint(stage.pool, merchant_of(number), stage.url("hook", number))
        await stage.pool.execute("vacuum analyze")
        async with open_transaction(stage.dsn) if name == "beside" else nullcontext():
            if scene == "twenty":
                thirds = [await _deliver(stage, third_s) for _ in range(THIRDS)]
            else:
                await stage.publish(STEADY_ENDPOINTS, rate_per_s, WARMING_S, "warm")
                thirds = [await _publish(stage, rate_per_s, third_s, f"third_{one}") for one in range(THIRDS)]
            size = await stage.pool.fetchval("select pg_relation_size('endpoint_cursors')")
    return Run(scene, name, thirds, round(size / 2**20, 1))


async def _deliver(stage: Stage, seconds: float) -> Third:
    """As much as it can."""
    await ask_receiver(stage.port)
    began_s, spent_s = time.monotonic(), cpu_s([stage.postmaster_pid])
    await asyncio.sleep(seconds)
    received = (await ask_receiver(stage.port)).received
    took_s = time.monotonic() - began_s
    assert received, "more to deliver than can be delivered"
    return Third(round(received / took_s), _each_ms(cpu_s([stage.postmaster_pid]) - spent_s, received), {})


async def _publish(stage: Stage, rate_per_s: int, seconds: float, name: str) -> Third:
    """As much as is published."""
    spent_s = cpu_s([stage.postmaster_pid])
    told = await stage.publish(STEADY_ENDPOINTS, rate_per_s, seconds, name)
    spent_s = cpu_s([stage.postmaster_pid]) - spent_s
    return Third(round(told["delivered"] / seconds), _each_ms(spent_s, told["delivered"]), told["age_ms"])


def _each_ms(spent_s: float, deliveries: int) -> float:
    return round(1000 * spent_s / deliveries, 4)


async def run_all(seconds: float, runs: int, rate_per_s: int, scenes: Sequence[str]) -> None:
    """Alone and beside the stranger by turns."""
    found: list[Run] = []
    for number, scene, name in itertools.product(range(runs), scenes, NAMES):
        run = await measure(scene, name, seconds, rate_per_s)
        found.append(run)
        shown = "; ".join(
            f"{one.per_s:.0f}/s {one.postgres_cpu_ms:.3f} ms p99 {one.age_ms.get('p99', '-')}"
            for one in run.thirds
        )
        print(f"  run {number + 1}: {scene} {name:<6}  {shown}; cursors {run.cursors_mib} MiB", flush=True)
    summary = {
        f"{scene}, {name}": _summarise([run for run in found if (run.scene, run.name) == (scene, name)])
        for scene, name in itertools.product(scenes, NAMES)
    }
    write_result(
        "deliver_past_a_snapshot",
        {
            "seconds": seconds,
            "rate_per_s": rate_per_s,
            "scenes": summary,
            "runs": [asdict(run) for run in found],
        },
    )
    head = ("scene", "first /s", "last /s", "last to first", "PG ms each", "at last", "p99 ms", "at last")
    print_table(head, [(name, *one.values()) for name, one in summary.items()])


def _summarise(runs: Sequence[Run]) -> dict[str, float | None]:
    first, last = [run.thirds[0] for run in runs], [run.thirds[-1] for run in runs]
    per_s = [statistics.median(one.per_s for one in part) for part in (first, last)]
    each_ms = [statistics.median(one.postgres_cpu_ms for one in part) for part in (first, last)]
    ages = [[one.age_ms["p99"] for one in part if one.age_ms] for part in (first, last)]
    p99_ms = [statistics.median(part) if part else None for part in ages]
    return {
        "first_third_per_s": per_s[0],
        "last_third_per_s": per_s[1],
        "last_to_first": round(per_s[1] / per_s[0], 3),
        "first_third_postgres_ms_each": each_ms[0],
        "last_third_postgres_ms_each": each_ms[1],
        "first_third_age_p99_ms": p99_ms[0],
        "last_third_age_p99_ms": p99_ms[1],
    }


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=180.0, help="of each run")
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--rate", type=int, default=1_000, help="events a second of the steady scene")
    parser.add_argument("--scenes", nargs="+", choices=SCENES, default=SCENES)
    asked = parser.parse_args()
    uvloop.run(run_all(asked.seconds, asked.runs, asked.rate, asked.scenes))


if __name__ == "__main__":
    main()

"""What a transaction costs that somebody leaves open: deliveries by thirds of its time and after, beside the same without.

A stranger's connection writes a row and keeps its snapshot, so that PostgreSQL can remove no dead row version anywhere.
`steady`: two hundred endpoints to which events are published at a fixed rate. `twenty`: twenty endpoints of two merchants
whose logs hold more than can be delivered, so the load is full all the time. Of each third, and of a while as long after
the stranger left: deliveries a second, ages where the rate is fixed, and what PostgreSQL computes for one delivery, its
publication included. Publisher, receiver, relay and PostgreSQL (fsync on) share the machine, each in a process of its own.

    .venv/bin/python -m bench.deliver_past_a_snapshot [--seconds 180] [--runs 1] [--rate 500] [--scenes steady twenty]
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
from migrations.handles import Pool

FULL_SHAPE = (2, 10)
"""Merchants, and endpoints of each."""
FULL_PER_S_MAX = 15_000
"""More than two cores deliver: the logs hold so many for each second."""
STEADY_ENDPOINTS = 200
WARMING_S = 5.0
THIRDS = 3
SCENES = ("steady", "twenty")
NAMES = ("alone", "beside")


@dataclass(frozen=True, slots=True)
class Part:
    """A third of the stranger's time, or a while as long after it left."""

    per_s: float
    postgres_cpu_ms: float  # for one delivery
    age_ms: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Run:
    """One relay, alone or beside the stranger."""

    scene: str
    name: str
    thirds: Sequence[Part]
    after: Part

    @property
    def parts(self) -> Sequence[Part]:
        """In the order of time."""
        return (*self.thirds, self.after)


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
    full_s = WARMING_S + seconds * (THIRDS + 1) / THIRDS

    async def prepare(pool: Pool, port: int) -> None:
        if scene == "twenty":
            await fill(pool, FULL_SHAPE, int(FULL_PER_S_MAX * full_s), port)
        else:
            for number in range(STEADY_ENDPOINTS):
                await make_endpoint(pool, merchant_of(number), f"http://127.0.0.1:{port}/hook/{number}")
        await pool.execute("vacuum analyze")

    async with open_stage(prepare) as stage:
        if scene == "twenty":
            await asyncio.sleep(WARMING_S)
        else:
            await stage.publish(STEADY_ENDPOINTS, rate_per_s, WARMING_S, "warm")

        async def measure_part(number: int) -> Part:
            if scene == "twenty":
                return await _deliver(stage, seconds / THIRDS)
            return await _publish(stage, rate_per_s, seconds / THIRDS, f"part_{number}")

        async with open_transaction(stage.dsn) if name == "beside" else nullcontext():
            thirds = [await measure_part(number) for number in range(THIRDS)]
        return Run(scene, name, thirds, await measure_part(THIRDS))


async def _deliver(stage: Stage, seconds: float) -> Part:
    """As much as it can."""
    await ask_receiver(stage.port)
    began_s, spent_s = time.monotonic(), cpu_s([stage.postmaster_pid])
    await asyncio.sleep(seconds)
    received = (await ask_receiver(stage.port)).received
    took_s = time.monotonic() - began_s
    assert received, "more to deliver than can be delivered"
    return Part(round(received / took_s), _each_ms(cpu_s([stage.postmaster_pid]) - spent_s, received), {})


async def _publish(stage: Stage, rate_per_s: int, seconds: float, name: str) -> Part:
    """As much as is published."""
    spent_s = cpu_s([stage.postmaster_pid])
    told = await stage.publish(STEADY_ENDPOINTS, rate_per_s, seconds, name)
    spent_s = cpu_s([stage.postmaster_pid]) - spent_s
    return Part(round(told["delivered"] / seconds), _each_ms(spent_s, told["delivered"]), told["age_ms"])


def _each_ms(spent_s: float, deliveries: int) -> float:
    return round(1000 * spent_s / deliveries, 4)


async def run_all(seconds: float, runs: int, rate_per_s: int, scenes: Sequence[str]) -> None:
    """Alone and beside the stranger by turns."""
    found: list[Run] = []
    for number, scene, name in itertools.product(range(runs), scenes, NAMES):
        run = await measure(scene, name, seconds, rate_per_s)
        found.append(run)
        print(f"  run {number + 1}: {scene}, {name}: {'; '.join(map(_show, run.parts))}", flush=True)
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
    head = (
        "deliveries/s: first third",
        "last",
        "after",
        "PostgreSQL ms each",
        "last",
        "after",
        "p99 ms",
        "last",
        "after",
    )
    print_table(("scene", *head), [(name, *itertools.chain(*one.values())) for name, one in summary.items()])


def _show(part: Part) -> str:
    return f"{part.per_s:.0f}/s, {part.postgres_cpu_ms:.3f} ms, p99 {part.age_ms.get('p99', '-')}"


def _summarise(runs: Sequence[Run]) -> dict[str, list[float | None]]:
    """Of the first third, the last, and after: medians."""
    parts = [[run.thirds[0] for run in runs], [run.thirds[-1] for run in runs], [run.after for run in runs]]
    return {
        "per_s": [statistics.median(one.per_s for one in part) for part in parts],
        "postgres_cpu_ms_each": [statistics.median(one.postgres_cpu_ms for one in part) for part in parts],
        "age_p99_ms": [_median([one.age_ms["p99"] for one in part if one.age_ms]) for part in parts],
    }


def _median(values: Sequence[float]) -> float | None:
    return statistics.median(values) if values else None


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=180.0, help="of the stranger in each run")
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--rate", type=int, default=500, help="events a second of the steady scene")
    parser.add_argument("--scenes", nargs="+", choices=SCENES, default=SCENES)
    asked = parser.parse_args()
    uvloop.run(run_all(asked.seconds, asked.runs, asked.rate, asked.scenes))


if __name__ == "__main__":
    main()

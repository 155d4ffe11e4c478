"""The relay beside what one builds from registries, in one run: the same bodies, the same receiver, the same machine.

BullMQ with undici on Redis (its file written through each second, and always), and procrastinate with aiohttp on PostgreSQL
(fsync on): a job for each delivery, retries configured, both signatures made. Queues are filled before the clock runs, as the
relay's log is; it runs from the first request received until the last delivery is settled in the store. `one` and `thousand`
are the scenes of `deliver_events`. The relay runs in two processes, which share endpoints (so `one` is worked on by one of
them), and once more in one; a second process makes BullMQ slower on two cores: it signs in threads, beside its Redis.
Before that, each peer's requests are verified. `--sweep` is how the peers were tuned.

    make peers
    .venv/bin/python -m bench.deliver_with_peers [--events 40000] [--runs 5] [--sweep]
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import itertools
import math
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import uvloop

from bench.deliver_events import SCENES, ask_receiver, cpu_s, measure, start_receiver
from bench.peers import senders
from bench.peers.assignment import Assignment, Keys, Tuning
from bench.peers.inspection import start_inspector
from bench.peers.stores import Store, start_postgres, start_redis
from bench.report import print_table, write_result
from relay.keys import signing

RELAY = "relay"
RELAYS = {RELAY: 2, "relay, one process": 1}
"""Processes in that role. Ratios are to the first, which is tuned as the peers are."""
PATIENCE_S = 300.0
INSPECTED = 1_000
LACKED_BY_ALL = "order of an object's events, turns between endpoints, a guard of private addresses"
BULLMQ_LACKS = f"{LACKED_BY_ALL}, one transaction with the data that an event tells of"
BULLMQ_SWEEP = tuple(
    Tuning(processes, 1, concurrency) for processes in (1, 2) for concurrency in (25, 50, 100, 200, 400)
)
PROCRASTINATE_SWEEP = (
    Tuning(1, 1, 20), Tuning(1, 4, 10), Tuning(1, 8, 10), Tuning(1, 16, 10), Tuning(2, 4, 10), Tuning(2, 8, 10),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Peer:
    """One that the relay is measured beside: how it is run, and what is to be known of it beside its speed."""

    program: str
    start_store: Callable[[], AbstractAsyncContextManager[Store]]
    tuning: Tuning  # the best of `sweep`
    sweep: Sequence[Tuning]
    share: float  # of the events that the others get
    durability: str
    lacks: str


PEERS = {
    "bullmq, everysec": Peer(
        "bullmq", partial(start_redis, "everysec"), Tuning(1, 1, 50), BULLMQ_SWEEP, 1.0,
        durability="fsync every second: with the power, about a second of new jobs is lost", lacks=BULLMQ_LACKS,
    ),
    "bullmq, always": Peer(
        "bullmq", partial(start_redis, "always"), Tuning(1, 1, 100), BULLMQ_SWEEP, 1.0,
        durability="fsync before every answer, for all commands read at once", lacks=BULLMQ_LACKS,
    ),
    "procrastinate": Peer(
        "procrastinate", start_postgres, Tuning(2, 4, 10), PROCRASTINATE_SWEEP, 0.25,
        durability="fsync as a job is fetched, and as it has succeeded; a crash leaves jobs in work until a task retries them",
        lacks=f"{LACKED_BY_ALL}; order could be had by a lock on each object, which is not measured",
    ),
}  # fmt: skip
SUBJECTS = (*RELAYS, *PEERS)
RELAY_DURABILITY = "fsync of every batch of settled deliveries; a crash repeats some and loses none"


@dataclass(frozen=True, slots=True)
class Measured:
    """One subject's run. CPU seconds of its senders, of the receiver, and of its Redis or PostgreSQL."""

    subject: str
    scene: str
    deliveries: int
    wall_s: float
    cpu_s: float
    receiver_cpu_s: float
    store_cpu_s: float
    repeats: int

    @property
    def per_s(self) -> float:
        return self.deliveries / self.wall_s


def make_keys() -> Keys:
    """New ones."""
    secret, seed = os.urandom(signing.SECRET_BYTES), os.urandom(signing.SEED_BYTES)
    return Keys(base64.b64encode(secret).decode(), base64.b64encode(seed).decode())


async def inspect(peer: Peer) -> None:
    """Let the peer deliver to somebody who verifies; raises if a request is not what the relay's would be."""
    keys = make_keys()
    with tempfile.TemporaryDirectory(prefix="chainbell-bench-") as folder:
        path = Path(folder) / "jobs"
        async with start_inspector() as inspector:
            await senders.write_jobs(path, "thousand", INSPECTED, inspector.port)
            async with peer.start_store() as store:
                assert await senders.enqueue(peer.program, _assign("enqueue", store, keys, peer.tuning, path))
                async with senders.work(
                    peer.program, _assign("work", store, keys, peer.tuning, path)
                ) as working:
                    await _until_settled(store, working)
            inspector.check(path, keys)


async def measure_peer(name: str, scene: str, deliveries: int, tuning: Tuning) -> Measured:
    """One peer on a store of its own, with a receiver of its own."""
    peer, keys = PEERS[name], make_keys()
    with tempfile.TemporaryDirectory(prefix="chainbell-bench-") as folder:
        path = Path(folder) / "jobs"
        async with start_receiver() as (port, receiver):
            await senders.write_jobs(path, scene, deliveries, port)
            async with peer.start_store() as store:
                made = await senders.enqueue(peer.program, _assign("enqueue", store, keys, tuning, path))
                assert made == deliveries == await store.count_unsettled()
                await store.settle_in()
                store_before_s = cpu_s([store.pid])
                async with senders.work(peer.program, _assign("work", store, keys, tuning, path)) as working:
                    await _until_settled(store, working)
                    ended_s = time.monotonic()
                    spent_s, store_s = cpu_s(working.pids), cpu_s([store.pid]) - store_before_s
                assert await store.count_unsettled() == 0, "some failed"
            told = await ask_receiver(port)
            assert told.distinct == deliveries, told
            return Measured(
                name, scene, deliveries, ended_s - told.first_s, spent_s, cpu_s([receiver]), store_s,
                told.received - told.distinct,
            )  # fmt: skip


def _assign(task: str, store: Store, keys: Keys, tuning: Tuning, path: Path) -> Assignment:
    return Assignment(task, store.address, keys, tuning, str(path))


async def _until_settled(store: Store, working: senders.Senders) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not await store.is_settled():
            working.assert_alive()
            await asyncio.sleep(0.02)


async def measure_relay(name: str, scene: str, deliveries: int) -> Measured:
    """As `deliver_events` does."""
    run = await measure(scene, RELAY, deliveries, RELAYS[name])
    return Measured(
        name, scene, deliveries, run.wall_s, run.cpu_s, run.receiver_cpu_s, run.postgres_cpu_s, run.repeats
    )


def share_of(deliveries: int, share: float) -> int:
    """A part of the deliveries, as many to every endpoint of every scene."""
    step = math.lcm(*(merchants * each for merchants, each in SCENES.values()))
    return max(step, int(deliveries * share) // step * step)


async def run_all(deliveries: int, runs: int) -> None:
    """Everyone by turns, so that drift hits all alike."""
    for peer in PEERS.values():
        await inspect(peer)
    print(f"  signatures and bodies of {INSPECTED} deliveries verified for each peer", flush=True)
    found: list[Measured] = []
    for number, scene, name in itertools.product(range(runs), SCENES, SUBJECTS):
        if name in RELAYS:
            one = await measure_relay(name, scene, deliveries)
        else:
            part = share_of(deliveries, PEERS[name].share)
            one = await measure_peer(name, scene, part, PEERS[name].tuning)
        found.append(one)
        spent = f"cpu {one.cpu_s:.1f} + {one.receiver_cpu_s:.1f} + {one.store_cpu_s:.1f} s"
        print(f"  run {number + 1}: {scene:<9} {name:<17} {one.per_s:8.0f} deliveries/s, {spent}", flush=True)
    summary = {f"{name}, {scene}": _summarise(found, name, scene) for scene in SCENES for name in SUBJECTS}
    write_result(
        "deliver_with_peers",
        {
            "deliveries": deliveries,
            "versions": senders.describe_versions(),
            "relay_processes": RELAYS,
            "tunings": {name: asdict(peer.tuning) for name, peer in PEERS.items()},
            "subjects": summary,
            "runs": [asdict(one) for one in found],
        },
    )
    columns = ("deliveries", "per_s", "relay_ratio", "cpu_ms_each")
    print_table(("subject", *columns), [(name, *map(one.get, columns)) for name, one in summary.items()])
    print(f"{RELAY}: {RELAY_DURABILITY}")
    for name, peer in PEERS.items():
        print(f"{name}: {peer.durability}. Has no {peer.lacks}")


def _summarise(found: Sequence[Measured], name: str, scene: str) -> dict[str, Any]:
    def median_of(subject: str) -> float:
        return statistics.median(one.per_s for one in found if (one.subject, one.scene) == (subject, scene))

    runs = [one for one in found if (one.subject, one.scene) == (name, scene)]
    cpu_s_each = statistics.median((one.cpu_s + one.store_cpu_s) / one.deliveries for one in runs)
    return {
        "deliveries": runs[0].deliveries,
        "per_s": round(median_of(name)),
        "relay_ratio": round(median_of(RELAY) / median_of(name), 2),
        "cpu_ms_each": round(1000 * cpu_s_each, 3),
        "durability": RELAY_DURABILITY if name in RELAYS else PEERS[name].durability,
        "lacks": "" if name in RELAYS else PEERS[name].lacks,
        "repeats_max": max(one.repeats for one in runs),
    }


async def sweep(deliveries: int, runs: int) -> None:
    """Each peer with each of its tunings, by turns; the best becomes its `tuning` above."""
    found: dict[tuple[str, Tuning], list[float]] = {}
    for _, (name, peer) in itertools.product(range(runs), PEERS.items()):
        for tuning in peer.sweep:
            one = await measure_peer(name, "thousand", share_of(deliveries, peer.share), tuning)
            found.setdefault((name, tuning), []).append(one.per_s)
            print(f"  {name:<17} {tuning} {one.per_s:8.0f} deliveries/s", flush=True)
    head = ("peer", "processes", "workers in each", "jobs in flight in each", "per s")
    print_table(
        head,
        [
            (name, tuning.processes, tuning.workers, tuning.concurrency, round(statistics.median(speeds)))
            for (name, tuning), speeds in found.items()
        ],
    )


async def until_terminated(work: Coroutine[Any, Any, None]) -> None:
    """SIGTERM as Ctrl-C: whatever was started is stopped."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel, "SIGTERM")
    await work


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=40_000, help="deliveries of each run, in thousands")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--sweep", action="store_true", help="only find the peers' best tuning")
    arguments = parser.parse_args()
    if missing := senders.explain_what_is_missing():
        sys.exit(f"deliver_with_peers: {missing}")
    work = sweep if arguments.sweep else run_all
    uvloop.run(until_terminated(work(share_of(arguments.events, 1.0), arguments.runs)))


if __name__ == "__main__":
    main()

"""Runs schedules: one seed, one world, one verdict.

Lives here: turning a broken law into a line for a person, sharing many schedules among processes, and telling a schedule's
story again. Used by the command
(`__main__.py`) and by the tests, so that both mean the same by a seed.
"""

from __future__ import annotations

import gc
import os
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager

from tests.simulation.kinds import ANY, Kind
from tests.simulation.troubles import Tally
from tests.simulation.world import World

SCHEDULES_PER_COLLECTION = 64
SCHEDULES_EACH = 250
"""One errand of a process: some ten seconds."""

Share = tuple[Tally, dict[int, str]]
"""The troubles that came, and what broke by seed."""


@contextmanager
def rare_collections() -> Iterator[Callable[[int], None]]:
    """Worlds untie themselves: collecting what is left now and then is enough, and a fifth faster.

    Yields what to call with the number of each schedule that is over.
    """

    def collect(number: int) -> None:
        if number % SCHEDULES_PER_COLLECTION == 0:
            gc.collect()

    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield collect
    finally:
        if was_enabled:
            gc.enable()


def run_schedule(seed: int, steps: int, tally: Tally, kind: Kind = ANY) -> str | None:
    """None when every law held; else what broke, where."""
    world = World(seed, tally, kind=kind)
    try:
        world.run(steps)
    except Exception as error:  # noqa: BLE001  # whatever a schedule raises is its verdict
        return _describe(error)
    finally:
        world.close()
    return None


def run_share(first: int, count: int, steps: int, keep_going: bool, kind: Kind = ANY) -> Share:
    """Some schedules, one after the other, in a process of their own."""
    tally, failures = Tally(), dict[int, str]()
    with rare_collections() as collect:
        for seed in range(first, first + count):
            failure = run_schedule(seed, steps, tally, kind)
            collect(seed)
            if failure is not None:
                failures[seed] = failure
                if not keep_going:
                    break
    return tally, failures


def run_shares(
    pool: ProcessPoolExecutor, first: int, count: int, steps: int, *, keep_going: bool, kind: Kind = ANY
) -> Iterator[Share]:
    """Every share as it ends; without `keep_going` no further one is begun after a failure."""
    starts = iter(range(first, first + count, SCHEDULES_EACH))
    running: set[Future[Share]] = set()
    last, stopping = first + count, False
    while True:
        while not stopping and len(running) < (os.cpu_count() or 1):
            start = next(starts, None)
            if start is None:
                break
            size = min(SCHEDULES_EACH, last - start)
            running.add(pool.submit(run_share, start, size, steps, keep_going, kind))
        if not running:
            return
        done, running = wait(running, return_when=FIRST_COMPLETED)
        for one in done:
            share = one.result()
            stopping = stopping or bool(share[1] and not keep_going)
            yield share


def replay_command(seed: int, steps: int, kind: Kind = ANY) -> str:
    """What a person types to see it again."""
    return f"python -m tests.simulation --kind {kind.name} --replay {seed} --steps {steps}"


def tell_story(seed: int, steps: int, kind: Kind = ANY) -> bool:
    """Run one schedule with its story on standard output; True when every law held."""
    story: list[str] = []
    world = World(seed, Tally(), kind=kind, story=story)
    try:
        world.run(steps)
    except Exception:  # noqa: BLE001  # as above
        print("\n".join(story))
        traceback.print_exc()
        return False
    print("\n".join(story))
    return True


def _describe(error: Exception) -> str:
    places = traceback.extract_tb(error.__traceback__)
    inner = places[-1]
    return (
        f"{type(error).__name__}: {error} ({inner.filename.rsplit('/', 1)[-1]}:{inner.lineno} {inner.name})"
    )

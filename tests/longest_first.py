"""
A pytest plugin: the long tests run first, dealt out evenly, so that no worker ends alone with one of them.

Here: which tests are long (measured by `make test ARGS="--durations=25"`) and whether they compute or wait, and the order. Not here: which test runs on
which worker; xdist gives each a run of neighbours and lets idle ones steal from the end of the others' queue, where
only short tests are left. Loaded by `-p tests.longest_first` (pyproject.toml); every worker computes the same order.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

BUSY = (
    "tests/simulation/test_simulation.py",
    "tests/simulation/test_postgres.py",
)
WAITING = (
    "tests/processes/",
    "tests/relay_live/test_crash.py",
    "tests/redis/test_law_nine.py",
    "tests/live/test_faults.py",
    "tests/commands/",
    "tests/database/test_upgrade.py",
    "tests/database/test_embedded.py",
)


def deal(names: Sequence[str], workers_count: int) -> list[int]:
    """The positions of `names` in a new order: each worker's share of neighbours begins with its share of long tests.

    Every other worker begins with what keeps a core busy, the others with what mostly waits, so that neither cores nor
    workers stand idle. The rest keeps its order, so that tests which share a fixture stay together.
    """
    busy, waiting = _long(names, BUSY), _long(names, WAITING)
    long = {*busy, *waiting}
    short = [position for position in range(len(names)) if position not in long]
    busy_workers, waiting_workers = (workers_count + 1) // 2, max(workers_count // 2, 1)
    order: list[int] = []
    for worker in range(workers_count):
        size = (len(names) - len(order)) // (workers_count - worker)
        turn = worker // 2
        share = waiting[turn::waiting_workers] if worker % 2 else busy[turn::busy_workers]
        if workers_count == 1:
            share = [*busy, *waiting]
        filling = max(size - len(share), 0) if worker < workers_count - 1 else len(short)
        order += share + short[:filling]
        del short[:filling]
    return order


def _long(names: Sequence[str], prefixes: Sequence[str]) -> list[int]:
    """Where tests with these prefixes stand, in the order of the prefixes."""
    return [position for prefix in prefixes for position, name in enumerate(names) if name.startswith(prefix)]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """On a worker of xdist only: one process gains nothing from another order."""
    workers_count = getattr(config, "workerinput", {}).get("workercount", 1)
    if workers_count > 1:
        items[:] = [items[position] for position in deal([item.nodeid for item in items], workers_count)]

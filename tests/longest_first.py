"""
A pytest plugin: the long tests run first, dealt out evenly, so that no worker ends alone with one of them.

Here: which tests are long (measured by `make test ARGS="--durations=25"`), and the order. Not here: which test runs on
which worker; xdist gives each a run of neighbours and lets idle ones steal from the end of the others' queue, where
only short tests are left. Loaded by `-p tests.longest_first` (pyproject.toml); every worker computes the same order.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

LONG = (
    "tests/simulation/test_simulation.py",
    "tests/simulation/test_postgres.py",
    "tests/processes/",
    "tests/redis/test_law_nine.py",
    "tests/commands/test_commands.py::test_the_doctor",
    "tests/relay_live/test_crash.py",
    "tests/database/test_upgrade.py",
    "tests/live/test_faults.py",
)


def deal(names: Sequence[str], workers_count: int) -> list[int]:
    """The positions of `names` in a new order: each worker's share of neighbours begins with its share of long tests.

    The rest keeps its order, so that tests which share a fixture stay together.
    """
    ranked = [(rank, position) for position, name in enumerate(names) if (rank := _rank(name)) is not None]
    long = [position for _, position in sorted(ranked)]
    short = [position for position in range(len(names)) if position not in set(long)]
    order: list[int] = []
    for worker in range(workers_count):
        size = (len(names) - len(order)) // (workers_count - worker)
        share = long[worker::workers_count]
        filling = max(size - len(share), 0) if worker < workers_count - 1 else len(short)
        order += share + short[:filling]
        del short[:filling]
    return order


def _rank(name: str) -> int | None:
    return next((rank for rank, prefix in enumerate(LONG) if name.startswith(prefix)), None)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """On a worker of xdist only: one process gains nothing from another order."""
    workers_count = getattr(config, "workerinput", {}).get("workercount", 1)
    if workers_count > 1:
        items[:] = [items[position] for position in deal([item.nodeid for item in items], workers_count)]

"""Bugs where events come one by one: what may wait for others, and what may not.

Data only, as `planted.py`.
"""

from __future__ import annotations

from tests.mutants.edits import Edit, Planted

DISPATCH, WORKER = "relay/dispatch.py", "relay/worker.py"
PATIENCE, LOOP = ("tests/properties/relay/test_patience.py",), ("tests/unit/relay/test_worker.py",)

PLANTED_TRICKLE = (
    Planted(
        "a failure is written as late as a success",
        5,
        (Edit(DISPATCH, "lane.troubles.pending.is_urgent or ", ""),),
        asks=PATIENCE,
    ),
    Planted(
        "successes wait to be written however many they are",
        5,
        (Edit(DISPATCH, " or self._delivered >= UNWRITTEN_MAX", ""),),
        asks=PATIENCE,
    ),
    Planted(
        "a log with a backlog waits as long as a trickle",
        11,
        (
            Edit(
                DISPATCH,
                "if limit and not reads and head < lane.window.position + limit:",
                "if limit and not reads:",
            ),
        ),
        asks=PATIENCE,
    ),
    Planted(
        "what is urgent does not hurry what waits already",
        5,
        (
            Edit(
                WORKER,
                "self._settle_due = due if self._settle_due is None else min(due, self._settle_due)",
                "self._settle_due = self._settle_due or due",
            ),
        ),
        asks=LOOP,
    ),
    Planted(
        "each event is read by itself",
        11,
        (
            Edit(
                WORKER, "                reads = loop_s >= self._read_due\n", "                reads = True\n"
            ),
        ),
        asks=LOOP,
    ),
)

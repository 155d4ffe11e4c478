"""Bugs where events come one by one: what may wait for others, and what may not.

Data only, as `planted.py`.
"""

from __future__ import annotations

from tests.mutants.edits import Edit, Planted

DISPATCH, WORKER = "relay/workers/dispatch.py", "relay/workers/worker.py"
FRESH, ROSTER, LANE = "relay/workers/fresh.py", "relay/workers/roster.py", "relay/lanes/lane.py"
AT_HAND, HANDED = ("tests/unit/relay/test_fresh.py",), ("tests/properties/relay/test_hand_over.py",)
APPEND = "migrations/sql/0011_append.sql"
LOG = ("tests/database/relay/test_log.py",)
PATIENCE, LOOP = ("tests/properties/relay/test_patience.py",), ("tests/unit/relay/test_worker.py",)

SERVICE, SHARDS = "relay/service.py", ("tests/relay_live/test_shards.py",)

PLANTED_TRICKLE = (
    Planted(
        "a worker that begins to listen does not look at the shards freed before",
        11,
        (
            Edit(
                SERVICE,
                "        self._worker.hears = True\n        self._worker.look_at_shards()\n",
                "        self._worker.hears = True\n",
            ),
        ),
        asks=SHARDS,
    ),
    Planted(
        "a failure is written as late as a success",
        5,
        (Edit(DISPATCH, "lane.urgent or ", ""),),
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
                "        self._settle_due = self._dirty_since + delay_s\n",
                "        self._settle_due = self._settle_due or self._dirty_since + delay_s\n",
            ),
        ),
        asks=LOOP,
    ),
    Planted(
        "a lane that waits for room to read waits for a whole delay",
        11,
        (Edit(LANE, " or 2 * unwritten > self._settings.lane.window_events_max", ""),),
        asks=PATIENCE,
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
    Planted(
        "events are written in an epoch that is over",
        4,
        (
            Edit(
                APPEND,
                "    where h.log_epoch <> epochs[h.ordinality]\n",
                "    where h.log_epoch < epochs[h.ordinality]\n",
            ),
        ),
        asks=LOG,
    ),
    Planted(
        "the clock of a log runs backwards with ours",
        4,
        (Edit(APPEND, "      at := greatest(moment, head.head_at);\n", "      at := moment;\n"),),
        asks=LOG,
    ),
    Planted(
        "what was rolled back is handed on",
        4,
        (
            Edit(
                FRESH,
                "if event is None or not _hash_of(event).hex().startswith(hash_start):",
                "if event is None:",
            ),
        ),
        asks=AT_HAND,
    ),
    Planted(
        "what comes before a proven event is proven without its hash",
        4,
        (
            Edit(
                FRESH,
                "            if _hash_of(before) != event.prev_hash:\n",
                "            if not before.body:\n",
            ),
        ),
        asks=AT_HAND,
    ),
    Planted(
        "an old filter decides what is handed on",
        5,
        (Edit(ROSTER, "self.filter_revision == self.lane.filter_revision and not", "not"),),
        asks=HANDED,
    ),
    Planted(
        "what an outage covers is handed on",
        5,
        (Edit(LANE, "return self.window.position < self._drain_sequence", "return False"),),
        asks=HANDED,
    ),
    Planted(
        "an endpoint is handed what it did not ask for",
        4,
        (Edit(ROSTER, "            event.body if wanted else None,\n", "            event.body,\n"),),
        asks=HANDED,
    ),
)

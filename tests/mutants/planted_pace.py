"""Bugs in what is not asked of the database: news that nobody looks for any more, and rows that are remembered too long.

Data only, as `planted.py`.
"""

from __future__ import annotations

from tests.mutants.edits import Edit, Planted

REMEMBERED, STORE, CHAINS_SQL = (
    "indexer/rows/remembered.py",
    "indexer/rows/store.py",
    "indexer/sql/chains.sql",
)
LOOP, STEP, HISTORY = "indexer/follow/loop.py", "indexer/follow/step.py", "indexer/history/loop.py"
WORKER, HEADS, SERVICE = "relay/workers/worker.py", "relay/workers/heads.py", "relay/service.py"

HINTS, PACE = "chains/hints.py", "indexer/follow/pace.py"
NOTICES = "migrations/notices.py"
MATURING = "indexer/rules/maturing.py"

ASKS_REMEMBERED = ("tests/unit/indexer/test_remembered.py",)
ASKS_CHAINS = ("tests/database/indexer/test_chains.py",)
ASKS_IDLE = ("tests/processes/test_idle.py",)
ASKS_MATURING = ("tests/unit/indexer/test_maturing.py",)
ASKS_HINTS = ("tests/unit/chains/test_hints.py",)
ASKS_OCCASIONS = ("tests/unit/indexer/test_occasions.py",)
ASKS_PACE = ("tests/unit/indexer/test_pace.py",)
ASKS_NOTICES = ("tests/database/test_notices.py",)
ASKS_WORKER = ("tests/unit/relay/test_worker.py",)
ASKS_HEADS = ("tests/properties/relay/test_heads.py",)

PLANTED_PACE = (
    Planted(
        "what was read beside a move is remembered after it",
        1,
        (
            Edit(
                REMEMBERED,
                "if ticket == self._changes and not self._moves_open:\n            self._record = record\n\n    def begin_move",
                "if not self._moves_open:\n            self._record = record\n\n    def begin_move",
            ),
        ),
        asks=ASKS_REMEMBERED,
    ),
    Planted(
        "a move is remembered while another is under way",
        1,
        (
            Edit(
                REMEMBERED,
                "        self._moves_open -= 1\n        if ticket == self._changes and not self._moves_open:\n",
                "        self._moves_open -= 1\n        if True:\n",
            ),
        ),
        asks=ASKS_REMEMBERED,
    ),
    Planted(
        "a row is remembered for ever",
        6,
        (Edit(REMEMBERED, "if now_s < self.good_until_s else None", "if self.good_until_s else None"),),
        asks=ASKS_REMEMBERED,
    ),
    Planted(
        "what a move wrote and took back is remembered",
        1,
        (
            Edit(
                STORE,
                "remembered.end_move(ticket, after)",
                "remembered.end_move(ticket, after or locked.written)",
            ),
        ),
        asks=ASKS_CHAINS,
    ),
    Planted(
        "a lost lease leaves its row remembered",
        6,
        (Edit(STORE, "            remembered.forget()\n", ""),),
        asks=ASKS_CHAINS,
    ),
    Planted(
        "a follower whose chain stands still falls silent",
        8,
        (
            Edit(
                CHAINS_SQL,
                "  set reported_at = greatest(reported_at, now())\n",
                "  set reported_at = reported_at\n",
            ),
        ),
        asks=ASKS_CHAINS,
    ),
    Planted(
        "the hash of a head that is our tip is read",
        8,
        (Edit(STEP, "<= head.height < record.tip.height:", "<= head.height <= record.tip.height:"),),
        asks=ASKS_IDLE,
    ),
    Planted(
        "a status that did not change is written again",
        8,
        (Edit(LOOP, "if seen == self._status_told and loop_s < self._status_again_s:", "if False:"),),
        asks=ASKS_IDLE,
    ),
    Planted(
        "history asks every second",
        8,
        (Edit(HISTORY, "            await _wait_for_news(around, chain, store)\n", ""),),
        asks=ASKS_IDLE,
    ),
    Planted(
        "finality below our start is written with every look",
        8,
        (
            Edit(
                MATURING,
                "record.start_height - 1 if record.final_height is None",
                "-1 if record.final_height is None",
            ),
        ),
        asks=ASKS_MATURING,
    ),
    Planted(
        "a safe tag below our start is written with every look",
        8,
        (Edit(MATURING, "record.start_height <= report.safe.height != ", "report.safe.height != "),),
        asks=ASKS_MATURING,
    ),
    Planted(
        "a chain that stands still is looked at as often as one that is late",
        8,
        (Edit(PACE, "if would_hint and not self.is_hint_open and self._is_quiet():", "if False:"),),
        asks=ASKS_IDLE,
    ),
    Planted(
        "looks at a quiet chain are spread though nobody listens",
        8,
        (Edit(PACE, "if would_hint and not self.is_hint_open and", "if not self.is_hint_open and"),),
        asks=ASKS_PACE,
    ),
    Planted(
        "a block that is a little late is not looked for in short waits",
        8,
        (Edit(PACE, "would_hint and not self.is_hint_open and self._is_quiet():", "would_hint:"),),
        asks=ASKS_PACE,
    ),
    Planted(
        "a subscription that kept a head to itself is taken at its word again",
        8,
        (
            Edit(
                HINTS,
                'self._kept, self._untold = self._untold, ""',
                'self._untold = ""',
            ),
        ),
        asks=ASKS_HINTS,
    ),
    Planted(
        "a subscription that has ended would still tell",
        8,
        (Edit(HINTS, "        self._is_open = False\n        self._told", "        self._told"),),
        asks=ASKS_HINTS,
    ),
    Planted(
        "a step that finds a fork counts as still",
        8,
        (Edit(STEP, "self.head_read, self.is_still = None, False", "self.head_read = None"),),
        asks=ASKS_OCCASIONS,
    ),
    Planted(
        "a chain that stands still is stepped at every poll",
        8,
        (Edit(LOOP, "max(poll_s, STATUS_EVERY_S) if follower.is_still else poll_s", "poll_s"),),
        asks=ASKS_IDLE,
    ),
    Planted(
        "each who listens has a session of its own",
        8,
        (Edit(NOTICES, "    ear = _ears.get(pool)\n", "    ear = None\n"),),
        asks=ASKS_NOTICES,
    ),
    Planted(
        "whoever shared a lost connection waits for ever",
        7,
        (
            Edit(
                NOTICES,
                "            del _ears[pool]\n            ear.ended.set()\n",
                "            del _ears[pool]\n",
            ),
            Edit(NOTICES, "    ear.ended.set()\n    async with ear.line:\n", "    async with ear.line:\n"),
            Edit(
                NOTICES,
                "    def end(self, _conn: object) -> None:\n        self.ended.set()\n",
                "    def end(self, _conn: object) -> None:\n        return\n",
            ),
        ),
        asks=ASKS_NOTICES,
    ),
    Planted(
        "the surprise of one who listens deafens the others",
        7,
        (
            Edit(
                NOTICES, "loop.call_soon(one.take, channel, str(payload))", "one.take(channel, str(payload))"
            ),
        ),
        asks=ASKS_NOTICES,
    ),
    Planted(
        "a connection that is only listened on is never asked whether it is one",
        7,
        (Edit(NOTICES, 'await conn.execute(QUERIES["check_connection"])', "pass"),),
        asks=ASKS_NOTICES,
    ),
    Planted(
        "nobody is told that history is wanted",
        7,
        (Edit(CHAINS_SQL, "select pg_notify('chainbell_history', $1::text);", "select $1::text;"),),
        asks=ASKS_IDLE,
    ),
    Planted(
        "a worker that hears polls the database all the same",
        8,
        (Edit(WORKER, "if self._hears else deaf_s", "if not self._hears else deaf_s"),),
        asks=ASKS_WORKER,
    ),
    Planted(
        "a worker that became deaf waits as if it heard",
        7,
        (
            Edit(
                WORKER,
                "        self._hears = hears\n        self.look_around()\n",
                "        self._hears = hears\n",
            ),
        ),
        asks=ASKS_WORKER,
    ),
    Planted(
        "heads that could not be read are not asked for again",
        7,
        (Edit(HEADS, "                self._asked |= asked\n", ""),),
        asks=ASKS_HEADS,
    ),
)

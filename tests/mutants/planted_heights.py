"""Bugs where a chain skips heights (a gap believed that hides a block), and where a payment waits in no block yet.

Data only, as `planted.py`.
Why the rules are what they are: docs/decisions/0021-heights-that-skip.md.
"""

from __future__ import annotations

from tests.mutants.edits import BACKFILL, CANONICAL, COMMIT, FOLLOW, FORKS, VOICES, Edit, Planted

MODEL, HEARING, START, PREFETCH = (
    "chains/model.py", "indexer/move/hearing.py", "indexer/follow/start.py", "indexer/follow/prefetch.py",
)  # fmt: skip
ASKS = ("tests/unit/indexer/test_skipped_heights.py",)
UNCONFIRMED = "indexer/rules/unconfirmed.py"
WAITING = ("tests/unit/indexer/test_unconfirmed.py", "tests/properties/indexer/test_unconfirmed.py")
TREES = ("tests/properties/indexer/test_skipped_heights.py",)

PLANTED_HEIGHTS = (
    Planted(
        "any number of heights may be skipped",
        12,
        (Edit(MODEL, "and 0 <= skipped <= skipped_heights_max\n", "and skipped >= 0\n"),),
        asks=ASKS + TREES,
    ),
    Planted(
        "a parent may stand above its child",
        1,
        (Edit(MODEL, "and 0 <= skipped <= skipped_heights_max\n", "and skipped <= skipped_heights_max\n"),),
        asks=ASKS + TREES,
    ),
    Planted(
        "the parent of a head is not looked at",
        12,
        (
            Edit(
                FOLLOW,
                "        if not is_placed(head, skipped_heights_max=self._skipped_heights_max):\n",
                "        if False:\n",
            ),
        ),
        asks=ASKS,
    ),
    Planted(
        "the fork of a branch is looked for right under its head",
        5,
        (
            Edit(
                CANONICAL,
                "    if head.parent.height <= tip.height:\n        return SearchFork(height_last=head.parent.height)",
                "    if head.height == tip.height + 1:\n        return SearchFork(height_last=tip.height)",
            ),
        ),
        asks=ASKS + TREES,
    ),
    Planted(
        "a rewind is judged by the rows that leave",
        5,
        (
            Edit(
                VOICES,
                "        if branch and height > branch[0].parent.height:\n",
                "        if height in {header.height for header in branch}:\n",
            ),
        ),
        asks=("tests/unit/indexer/test_forks.py", "-k", "skips"),
    ),
    Planted(
        "an operator that skips our block agrees with it",
        5,
        (
            Edit(
                VOICES,
                "            if answer.height < asked.height and not question.is_behind:\n",
                "            if False:\n",
            ),
        ),
        asks=ASKS,
    ),
    Planted(
        "a witness need not show every block it vouches for",
        2,
        (Edit(HEARING, "for height in ours | told if", "for height in told if"),),
        asks=ASKS,
    ),
    Planted(
        "history inside our chain may leave blocks out",
        2,
        (
            Edit(
                BACKFILL,
                "        if ours != {header.height: header.hash for header in headers}:\n",
                "        if any(ours.get(header.height) != header.hash for header in headers):\n",
            ),
        ),
        asks=ASKS,
    ),
    Planted(
        "history below our start may end above a block",
        2,
        (Edit(BACKFILL, "    if headers[0].parent.height >= first:\n", "    if False:\n"),),
        asks=ASKS,
    ),
    Planted(
        "a chain covers nothing below its lowest block",
        2,
        (
            Edit(
                BACKFILL,
                "start_height=blocks[0].header.parent.height + 1))\n",
                "start_height=blocks[0].header.height))\n",
            ),
        ),
        asks=ASKS,
    ),
    Planted(
        "a height without a block may be final",
        5,
        (
            Edit(
                COMMIT,
                "    if not skipped_heights_max:\n        return height\n",
                "    if True:\n        return height\n",
            ),
        ),
        asks=ASKS,
    ),
    Planted(
        "a chain whose first block left keeps its start",
        1,
        (
            Edit(
                COMMIT,
                "if plan.fork is None else min(before.start_height, plan.fork.height + 1)\n",
                "\n",
            ),
        ),
        asks=ASKS,
    ),
    Planted(
        "following begins at a block that leaves out the height it was to begin at",
        2,
        (Edit(START, "        or blocks[0].header.parent.height >= height\n", ""),),
        asks=ASKS,
    ),
    Planted(
        "a branch that shares none of our blocks may leave some of its own out",
        1,
        (Edit(FORKS, "        if lowest.parent.height >= start_height:\n", "        if False:\n"),),
        asks=ASKS,
    ),
    Planted(
        "what was read ahead is thrown away at every gap",
        11,
        (
            Edit(
                PREFETCH,
                "self._taken_to + 1 == height_first\n",
                "self._ahead[0].height_first == height_first\n",
            ),
        ),
        asks=ASKS,
    ),
    Planted(
        "heights between two blocks are a hole",
        2,
        (Edit("indexer/sql/views.sql", "then lag(height) over below + 1\n", "then height\n"),),
        on_database=True,
        asks=("tests/database/indexer/test_coverage.py",),
    ),
    Planted(
        "a mempool that is behind takes a replaced deposit back",
        4,
        (
            Edit(
                UNCONFIRMED,
                "    if spent_by is not None:\n        return [] if",
                "    if False:\n        return [] if",
            ),
        ),
        asks=WAITING,
    ),
    Planted(
        "a node that does not answer drops what waits",
        5,
        (Edit(UNCONFIRMED, "if wait.waits or wait.missing_since is None or before", "if before"),),
        asks=WAITING,
    ),
    Planted(
        "what waits takes a deposit out of its block",
        3,
        (
            Edit(
                UNCONFIRMED,
                "    if before.state in ON_CHAIN or before.state is DepositState.SEEN:\n",
                "    if before.state is DepositState.SEEN:\n",
            ),
        ),
        asks=WAITING,
    ),
    Planted(
        "a deposit that was only seen is orphaned",
        4,
        (
            Edit(
                "indexer/rules/deposits.py", "(replaced_by is None and before.state not in ON_CHAIN)", "False"
            ),
        ),
        asks=WAITING,
    ),
    Planted(
        "what a branch has where ours skipped the floor is left out",
        6,
        (
            Edit(
                "indexer/follow/forks.py",
                "            if lowest.height + 1 < floor:",
                "            if False:",
            ),
        ),
        asks=("tests/unit/indexer/test_skipped_heights.py", "-k", "deeper"),
    ),
    Planted(
        "a block of ours that a node left out for a moment begins a branch",
        4,
        (
            Edit(
                "indexer/follow/forks.py",
                "        if ours.get(headers[0].height) == headers[0].hash:\n",
                "        if False:\n",
            ),
        ),
        asks=("tests/unit/indexer/test_skipped_heights.py",),
    ),
)

"""Bugs that credit history on one operator's word, or believe the wrong one.

Data only, as `planted.py`.
"""

from __future__ import annotations

from tests.mutants.edits import BACKFILL, COMMIT, DEPOSITS, Edit, Planted

DOUBTS, HISTORY, READING = (
    "indexer/rules/doubts.py",
    "indexer/history/chunk.py",
    "indexer/history/second_reading.py",
)
HEARING, HALTS, DEPOSITS_SQL = "indexer/move/hearing.py", "indexer/move/halts.py", "indexer/sql/deposits.sql"
HEARD = ("tests/unit/indexer/test_history.py",)

PLANTED_HISTORY = (
    Planted(
        "history in doubt matures with the head",
        2,
        (
            Edit(
                DEPOSITS,
                "    if found.on_one_word or is_doubted or not is_ripe:\n",
                "    if found.on_one_word or not is_ripe:\n",
            ),
        ),
        asks=HEARD,
    ),
    Planted(
        "the head's moves do not know which blocks are in doubt",
        2,
        (
            Edit(
                COMMIT,
                "    changes = decide_move(touched, sightings, plan.blocks, view, now=now)\n",
                "    view = replace(view, doubted_heights=frozenset())\n"
                "    changes = decide_move(touched, sightings, plan.blocks, view, now=now)\n",
            ),
        ),
        asks=HEARD,
    ),
    Planted(
        "one operator is a majority",
        2,
        (Edit(DOUBTS, "if 2 <= told.count(story) >", "if 1 <= told.count(story) >"),),
        asks=HEARD,
    ),
    Planted(
        "two are believed against two",
        5,
        (
            Edit(
                DOUBTS,
                "2 <= told.count(story) > len(told) - told.count(story)",
                "2 <= told.count(story) >= len(told) - told.count(story)",
            ),
        ),
        asks=HEARD,
    ),
    Planted(
        "who told what is recorded has no voice any more",
        5,
        (
            Edit(
                DOUBTS,
                "            stories.setdefault(heard.recorder[height], recorded)\n",
                "            pass\n",
            ),
        ),
        asks=HEARD,
    ),
    Planted(
        "a doubt is no reason to ask a second operator",
        2,
        (
            Edit(
                HISTORY,
                "    if reading.is_heard or not reading.are_several:\n",
                "    if True:\n",
            ),
        ),
        asks=HEARD,
    ),
    Planted(
        "what one operator shows amends what is credited",
        2,
        (
            Edit(
                DOUBTS,
                "    return deposit is None or deposit.state not in ON_CHAIN or changes_nothing(sighting, known)\n",
                "    return True\n",
            ),
        ),
        asks=HEARD,
    ),
    Planted(
        "what was invented stands on beside what most tell",
        4,
        (
            Edit(
                HISTORY,
                "        displaced=find_displaced(standing, told_anew),\n",
                "        displaced=[],\n",
            ),
        ),
        asks=HEARD,
    ),
    Planted(
        "who is left alone is credited without our operator's word",
        2,
        (
            Edit(
                HISTORY,
                "    findings = Findings(verdict.doubted, settled,",
                "    verdict.doubted -= alone\n    findings = Findings(verdict.doubted, settled,",
            ),
        ),
        asks=HEARD,
    ),
    Planted(
        "a witness of another branch is heard about ours",
        5,
        (
            Edit(
                HISTORY,
                "        if other.operator != reading.provider.operator and [block.header for block in told] == headers\n",
                "        if other.operator != reading.provider.operator\n",
            ),
        ),
        asks=HEARD,
    ),
    Planted(
        "what a witness contradicts at the head is asked of nobody",
        5,
        (Edit(HEARING, "    if servers:\n", "    if False:\n"),),
        asks=HEARD,
    ),
    Planted(
        "our operator's word does not reach history",
        2,
        (Edit(HALTS, "        await move.doubts.delete_up_to(until_height)\n", ""),),
        asks=HEARD,
    ),
    Planted(
        "an outvoted operator serves on",
        5,
        (
            Edit(
                BACKFILL,
                "        if provider.operator in found.findings.liars:\n",
                "        if False:\n",
            ),
        ),
        asks=HEARD,
    ),
    Planted(
        "an address that came later misses what a block in doubt paid it",
        2,
        (
            Edit(
                HISTORY,
                "        or (height in verdict.doubted and not reading.is_again and may_be_recorded(one, known))\n",
                "        or (height in verdict.doubted - marks.keys() and may_be_recorded(one, known))\n",
            ),
        ),
        asks=HEARD,
    ),
)

"""What a planted bug is made of: edits of files, a name, and the law it breaks.

Lives here: the two values, and the files that are edited. Does not live here: the bugs (`planted*.py`), planting them (`plant.py`).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Edit:
    """Replace `old`, which stands once in `file`, by `new`."""

    file: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Planted:
    """One bug; `law` is the design's number of the law it breaks, `name` a sentence for the table.

    `on_database`: only a real database can notice it. `asks`: the tests that must, where it is none of the usual ones.
    `kind`: of which chains the schedules are that must notice (`tests.simulation.kinds`).
    """

    name: str
    law: int
    edits: tuple[Edit, ...]
    on_database: bool = False
    asks: tuple[str, ...] = ()
    kind: str = "any"


CANONICAL, COMMIT, DEPOSITS = (
    "indexer/rules/canonical.py",
    "indexer/move/commit.py",
    "indexer/rules/deposits.py",
)
EVIDENCE, FINALITY, FOLLOW, FORKS = (
    "indexer/rules/evidence.py", "indexer/rules/finality.py", "indexer/follow/step.py", "indexer/follow/forks.py",
)  # fmt: skip
MATCHING, MOVES, POLICY, VOICES = (
    "indexer/rules/matching.py", "indexer/rules/moves.py", "indexer/rules/policy.py", "indexer/follow/voices.py",
)  # fmt: skip
BACKFILL, EVENTS, IDENTITY = (
    "indexer/history/backfill.py",
    "indexer/rules/events.py",
    "indexer/rules/identity.py",
)

NO_LINK_ASSERT = Edit(
    COMMIT,
    '        assert block.header.parent == parent, "a move must link to its parent"\n',
    "",
)

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
    """

    name: str
    law: int
    edits: tuple[Edit, ...]
    on_database: bool = False
    asks: tuple[str, ...] = ()


CANONICAL, COMMIT, DEPOSITS = "indexer/canonical.py", "indexer/commit.py", "indexer/deposits.py"
EVIDENCE, FINALITY, FOLLOW, FORKS = (
    "indexer/evidence.py", "indexer/finality.py", "indexer/follow.py", "indexer/forks.py",
)  # fmt: skip
MATCHING, MOVES, POLICY, VOICES = (
    "indexer/matching.py", "indexer/moves.py", "indexer/policy.py", "indexer/voices.py",
)  # fmt: skip
BACKFILL, EVENTS, IDENTITY = "indexer/backfill.py", "indexer/events.py", "indexer/identity.py"

NO_LINK_ASSERT = Edit(
    COMMIT,
    '        assert block.header.parent_hash == parent.hash, "a move must link to its parent"\n',
    "",
)

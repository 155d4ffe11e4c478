"""Bugs in what a move does not ask again: what it knew when it took the lock, and changed itself since.

Data only, as `planted.py`.
"""

from __future__ import annotations

from tests.mutants.edits import Edit, Planted

STORE, DOUBTS, TOUCHED = (
    "indexer/rows/store.py",
    "indexer/rows/doubt_store.py",
    "indexer/rows/touched_store.py",
)
CHAINS_SQL, WATCHLIST_SQL, DEPOSITS_SQL = (
    "indexer/sql/chains.sql",
    "indexer/sql/watchlist.sql",
    "indexer/sql/deposits.sql",
)
ASKS_MOVES = ("-n0", "tests/database/indexer/test_moves.py")

PLANTED_MOVES = (
    Planted(
        "a move does not see the doubt that it found itself",
        5,
        (Edit(DOUBTS, "        self._row.may_have_doubts = True\n", ""),),
        asks=ASKS_MOVES,
    ),
    Planted(
        "a move does not see the deposit that it let wait",
        3,
        (Edit(STORE, "        self.row.may_have_conflicts = True\n", ""),),
        asks=ASKS_MOVES,
    ),
    Planted(
        "blocks in doubt are forgotten between two moves",
        5,
        (Edit(CHAINS_SQL, "where doubted.chain = $1) as has_doubts", "where false) as has_doubts"),),
        asks=ASKS_MOVES,
    ),
    Planted(
        "the newest address is not heard of under the lock",
        2,
        (
            Edit(
                CHAINS_SQL,
                "(select coalesce(max(watch_version), 0) from addresses",
                "(select coalesce(max(watch_version), 0) - 1 from addresses",
            ),
        ),
        asks=ASKS_MOVES,
    ),
    Planted(
        "what an address is called is asked again with each deposit",
        8,
        (
            Edit(
                TOUCHED,
                '    row.references |= {AddressId(one["address_id"]): one["reference"] for one in found}\n',
                "",
            ),
            Edit(
                STORE,
                '        self.row.references |= {AddressId(row["id"]): row["reference"] for row in registrations}\n',
                "",
            ),
        ),
        asks=ASKS_MOVES,
    ),
    Planted(
        "a deposit that matures is told without its reference",
        4,
        (
            Edit(
                DEPOSITS_SQL,
                "(select reference from addresses where addresses.id = touched.address_id) as reference",
                "null::text as reference",
            ),
        ),
        asks=ASKS_MOVES,
    ),
)

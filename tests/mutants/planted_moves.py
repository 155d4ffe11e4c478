"""Bugs in what is not asked again: what a move knew when it took the lock, and what a node answered beside its head.

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
AHEAD, HINTS, SOURCE = (
    "chains/evm/nodes/ahead.py",
    "chains/hints.py",
    "chains/evm/source.py",
)
ASKS_HAND = ("-n0", "tests/live_evm/test_ahead.py")
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
    Planted(
        "which deposits a move names is planned anew each time",
        8,
        (Edit(DEPOSITS_SQL, "where id = any((select $6::uuid[])::uuid[])", "where id = any($6::uuid[])"),),
        asks=ASKS_MOVES,
    ),
    Planted(
        "what is at hand answers whatever is asked",
        1,
        (Edit(AHEAD, "self._outcomes if list(calls) == list(self._calls) else ()", "self._outcomes"),),
        asks=ASKS_HAND,
    ),
    Planted(
        "what is at hand answers again and again",
        5,
        (
            Edit(
                AHEAD,
                "else ()\n        self._calls = self._outcomes = ()\n",
                "else ()\n",
            ),
        ),
        asks=ASKS_HAND,
    ),
    Planted(
        "an announced block that the node does not hold yet counts as missing",
        5,
        (Edit(AHEAD, "isinstance(one, ChainError) or is_null(one)", "isinstance(one, ChainError)"),),
        asks=ASKS_HAND,
    ),
    Planted(
        "a block that breaks the exchange takes every head with it",
        8,
        (
            Edit(
                AHEAD,
                "                self._alone_looks = ALONE_LOOKS\n",
                "                self._alone_looks = 0\n",
            ),
        ),
        asks=ASKS_HAND,
    ),
    Planted(
        "whoever is not believed chooses what is asked",
        11,
        (Edit(HINTS, "if len(self._told) < 2 or not self.is_live(now_s):", "if len(self._told) < 2:"),),
        asks=("-n0", "tests/unit/chains/test_hints.py"),
    ),
    Planted(
        "a block is asked along although more than one was announced",
        11,
        (
            Edit(
                HINTS,
                "return last if before == self._seen != last else None",
                "return last if self._seen != last else None",
            ),
        ),
        asks=("-n0", "tests/unit/chains/test_hints.py"),
    ),
    Planted(
        "what is no hash is asked for along with the head",
        12,
        (Edit(SOURCE, " or not _HASH.fullmatch(announced):", ":"),),
        asks=ASKS_HAND,
    ),
)

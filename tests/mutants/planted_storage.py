"""Bugs where decisions meet the database, and where the relay meets receivers.

Data only, as `planted.py`.
Those marked `on_database` are asked of PostgreSQL: nothing in memory has its locks, its SQL, or its half transactions.
"""

from __future__ import annotations

from tests.mutants.edits import Edit, Planted

STORE, DEPOSITS_SQL, WATCHLIST_SQL, CHAINS_SQL, WORK_SQL = (
    "indexer/rows/store.py",
    "indexer/sql/deposits.sql",
    "indexer/sql/watchlist.sql",
    "indexer/sql/chains.sql",
    "indexer/sql/work.sql",
)
BODIES, LANE, WINDOW = "relay/log/bodies.py", "relay/lanes/lane.py", "relay/lanes/window.py"

PLANTED_STORAGE = (
    Planted(
        "a sequence has holes",
        4,
        (Edit(BODIES, "        sequence = head.sequence + 1\n", "        sequence = head.sequence + 2\n"),),
    ),
    Planted(
        "a body names the hash of the body before the last",
        4,
        (
            Edit(
                BODIES,
                "LogHead(head.log_epoch, sequence, hashlib.sha256(body).digest(), created_at)\n",
                "LogHead(head.log_epoch, sequence, head.head_hash, created_at)\n",
            ),
        ),
    ),
    Planted(
        "the cursor passes a delivery that failed",
        7,
        (
            Edit(
                LANE,
                "        if outcome.kind is OutcomeKind.DELIVERED:\n            self.window.settle(entry)\n            return\n",
                "        if outcome.kind is not OutcomeKind.INTERRUPTED:\n            self.window.settle(entry)\n            return\n",
            ),
        ),
    ),
    Planted(
        "the cursor passes what was only read",
        7,
        (
            Edit(
                WINDOW,
                "        while entries and entries[0].settled:\n",
                "        while entries and (entries[0].settled or len(entries) > 1):\n",
            ),
        ),
    ),
    Planted(
        "a retry that an outage kept from being written is forgotten",
        7,
        (
            Edit(
                LANE,
                "            self.troubles.due_by(row.retry_at)\n",
                "            self.troubles.due_by(None)\n",
            ),
        ),
    ),
    Planted(
        "the chain's lock is not taken by a move",
        2,
        (
            Edit(
                STORE,
                "                await lock_chain_exclusive(conn, await self._lock_key(conn, chain))\n"
                "                # A statement of its own",
                "                # A statement of its own",
            ),
        ),
        on_database=True,
    ),
    Planted(
        "a move is not one transaction",
        6,
        (
            Edit(
                STORE,
                "            async with self._pool.acquire() as conn, conn.transaction():\n"
                "                await lock_chain_exclusive(conn, await self._lock_key(conn, chain))\n"
                "                # A statement of its own",
                "            async with self._pool.acquire() as conn:\n"
                "                # A statement of its own",
            ),
        ),
        on_database=True,
    ),
    Planted(
        "an epoch that is over still writes",
        6,
        (
            Edit(
                STORE,
                "                if (epoch := locked.record.lease_epoch) != lease_epoch:\n",
                "                if (epoch := locked.record.lease_epoch) < 0:\n",
            ),
        ),
        on_database=True,
    ),
    Planted(
        "deposits whose block is final are not looked for",
        2,
        (
            Edit(
                DEPOSITS_SQL,
                "and state in ('included', 'confirmed')\n      and not on_one_word\n      and height <= $3\n      and (\n",
                "and state in ('included')\n      and not on_one_word\n      and height <= $3\n      and (\n",
            ),
        ),
        on_database=True,
    ),
    Planted(
        "orphans are not looked for when blocks come",
        4,
        (
            Edit(
                CHAINS_SQL,
                "where waiting.chain = $1) as has_conflicts",
                "where waiting.chain = $1 and false) as has_conflicts",
            ),
        ),
        on_database=True,
    ),
    Planted(
        "a deposit in the last block that leaves is forgotten",
        2,
        (Edit(DEPOSITS_SQL, "  and height > $2;\n", "  and height > $2 + 1;\n"),),
        on_database=True,
    ),
    Planted(
        "a rewind lowers no address that began right above the old tip",
        2,
        (
            Edit(
                WATCHLIST_SQL,
                "  and effective_start > $2 + 1\n  and effective_start <= $3 + 1;\n",
                "  and effective_start > $2 + 1\n  and effective_start <= $3;\n",
            ),
        ),
        on_database=True,
    ),
    Planted(
        "a chunk of history covers one height more than was read",
        2,
        (
            Edit(
                WORK_SQL,
                "  effective_start = greatest($2, pending_start),\n",
                "  effective_start = greatest($2 - 1, pending_start),\n",
            ),
        ),
        on_database=True,
    ),
)

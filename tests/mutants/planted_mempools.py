"""Bugs in what waits: told too early, too late, twice, without end, or against what a block says.

Data only, as `planted.py`.
"""

from __future__ import annotations

from tests.mutants.edits import DEPOSITS, MOVES, Edit, Planted

LOOKER, LOOK, BOOK = "indexer/follow/mempools/look.py", "indexer/move/waiting.py", "indexer/rules/waiting.py"
RULES, NOTICES, SQL = "indexer/rules/unconfirmed.py", "indexer/move/notices.py", "indexer/sql/mempools.sql"
TOUCHED, WATCH = "indexer/rows/touched_store.py", "indexer/follow/mempools/watch.py"
ASKS_LOOKS = ("-n0", "tests/unit/indexer/test_mempool.py")
ASKS_PUT_AWAY = ("-n0", "tests/unit/indexer/test_put_away.py")
ASKS_BOOK = ("-n0", "tests/unit/indexer/test_waiting.py")
ASKS_RULES = ("-n0", "tests/unit/indexer/test_unconfirmed.py", "tests/unit/indexer/test_notices.py")
ASKS_ROWS = ("-n0", "tests/database/indexer/test_mempools.py")

PLANTED_MEMPOOLS = (
    Planted(
        "what was said to be put away is believed for ever",
        3,
        (Edit(LOOKER, "        if is_whole:\n            self._left.clear()\n", ""),),
        asks=ASKS_PUT_AWAY,
    ),
    Planted(
        "whoever publishes lies has everything looked at without end",
        3,
        (Edit(WATCH, "min(self._whole_at_s, self._whole_again_s)", "0.0"),),
        asks=ASKS_PUT_AWAY,
    ),
    Planted(
        "what a node put away is waited for like anything that is gone",
        3,
        (Edit(RULES, "wait.rival is not None or wait.put_away", "wait.rival is not None"),),
        asks=ASKS_PUT_AWAY,
    ),
    Planted(
        "a mempool is believed whatever block it stands on",
        5,
        (
            Edit(
                LOOKER,
                "        self.book.is_apart = await self._mempool.fetch_tip() != record.tip.hash\n",
                "        self.book.is_apart = not await self._mempool.fetch_tip()\n",
            ),
            Edit(
                LOOKER,
                "            if await self._mempool.fetch_tip() != record.tip.hash:\n",
                "            if False:\n",
            ),
        ),
    ),
    Planted(
        "a mempool that left our block while it was read is believed",
        2,
        (
            Edit(
                LOOKER,
                "            if await self._mempool.fetch_tip() != record.tip.hash:\n",
                "            if False:\n",
            ),
        ),
        asks=ASKS_LOOKS,
    ),
    Planted(
        "who was paid beside another and counts later is forgotten",
        4,
        (
            Edit(
                LOOK,
                "        judged |= {one.deposit_id for one in sightings}\n",
                "        judged |= possible.keys() if sightings else set()\n",
            ),
        ),
        asks=("-n0", "tests/unit/indexer/test_mempool_later.py"),
    ),
    Planted(
        "what waits is told although a block came meanwhile",
        5,
        (Edit(LOOK, "move.record.tip != look.tip or ", ""),),
        asks=ASKS_LOOKS,
    ),
    Planted(
        "what waits is told of a halted chain",
        4,
        (
            Edit(
                LOOK,
                "        if move.record.tip != look.tip or move.record.is_halted:\n",
                "        if move.record.tip != look.tip:\n",
            ),
            Edit(LOOKER, "        if record is None or record.is_halted:\n", "        if record is None:\n"),
        ),
        asks=ASKS_LOOKS,
    ),
    Planted(
        "what is dropped may still be replaced, and nobody looks",
        4,
        (
            Edit(
                DEPOSITS,
                "WAITING = frozenset({S.SEEN, S.ORPHANED, S.DROPPED})",
                "WAITING = frozenset({S.SEEN, S.ORPHANED})",
            ),
        ),
    ),
    Planted(
        "a mempool that is behind brings back what a block replaced",
        5,
        (
            Edit(
                LOOK,
                "    return None if deposit.replaced_height is None else deposit.replaced_by\n",
                "    return None\n",
            ),
        ),
        asks=ASKS_LOOKS,
    ),
    Planted(
        "what replaced a deposit is remembered after its block has left",
        4,
        (
            Edit(
                TOUCHED,
                "        off_chain += await load_freed(conn, chain, query.displaced_above)\n",
                "        pass\n",
            ),
        ),
        asks=ASKS_ROWS,
    ),
    Planted(
        "where the rival stands is not remembered",
        5,
        (
            Edit(
                MOVES,
                "            replaced_height=None if rival is None else rival.height,\n",
                "            replaced_height=None,\n",
            ),
        ),
        asks=ASKS_LOOKS,
    ),
    Planted(
        "a transaction that is gone for a moment is dropped",
        5,
        (Edit(RULES, "EVICTED_AFTER = timedelta(minutes=20)", "EVICTED_AFTER = timedelta(0)"),),
        asks=(*ASKS_RULES, *ASKS_LOOKS[1:]),
    ),
    Planted(
        "what is gone is waited for without end",
        4,
        (
            Edit(
                LOOKER,
                "            if one in rivals or one in self._left or now - since >= EVICTED_AFTER\n",
                "            if one in rivals or one in self._left\n",
            ),
        ),
    ),
    Planted(
        "time in which nobody looked counts as missing",
        5,
        (
            Edit(
                BOOK,
                "        if self.looked_at is None or now - self.looked_at > SILENCE_MAX:\n",
                "        if self.looked_at is None:\n",
            ),
        ),
        asks=ASKS_LOOKS,
    ),
    Planted(
        "a node that does not answer shows nothing",
        5,
        (
            Edit(
                BOOK,
                "        answering = [book for book in self.books.values() if book.answers]\n",
                "        answering = list(self.books.values())\n",
            ),
        ),
        asks=ASKS_BOOK,
    ),
    Planted(
        "a look is remembered as told before it is written",
        6,
        (
            Edit(
                LOOKER,
                "        told = Told()\n        if waits",
                "        self.book.note_read(asked, txs)\n        told = Told()\n        if waits",
            ),
        ),
        asks=ASKS_LOOKS,
    ),
    Planted(
        "an address that is registered later is found by the next block",
        4,
        (Edit(LOOKER, "            self.book.read_again(self.book.find_paying(page.addresses))\n", ""),),
        asks=ASKS_LOOKS,
    ),
    Planted(
        "what was dropped while a node was silent stays dropped though it waits",
        4,
        (Edit(LOOKER, "        self._board.forget_txs(dropped)\n", ""),),
        asks=ASKS_LOOKS,
    ),
    Planted(
        "what lost its block is not read again",
        4,
        (
            Edit(
                LOOKER,
                "        self.book.read_again([one.tx_hash for one in undecided if not one.is_seen])\n",
                "",
            ),
        ),
    ),
    Planted(
        "one transaction that makes no sense stops all others",
        8,
        (
            Edit(
                LOOKER,
                "        readable = [tx for tx in txs if is_readable(tx)]\n",
                "        readable = txs\n",
            ),
        ),
        asks=ASKS_LOOKS,
    ),
    Planted(
        "dust that waits fills the tables",
        11,
        (Edit(RULES, "        if not is_worth_telling(sighting):\n            return []\n", ""),),
        asks=ASKS_LOOKS,
    ),
    Planted(
        "one look reads everything that came in",
        11,
        (
            Edit(
                LOOKER,
                "        asked = self.book.next_unread(TXS_READ_MAX)\n",
                "        asked = self.book.next_unread(10**9)\n",
            ),
        ),
        asks=ASKS_LOOKS,
    ),
    Planted(
        "what is told of fees stays when the deposit is in a block",
        4,
        (
            Edit(
                DEPOSITS,
                "        fees=found.fees if state is S.SEEN else None,\n",
                "        fees=found.fees,\n",
            ),
        ),
        asks=ASKS_LOOKS,
    ),
    Planted(
        "fees that are silent end a congestion",
        4,
        (Edit(NOTICES, "    if any(signs) or (was_congested and None in signs):\n", "    if any(signs):\n"),),
        asks=ASKS_RULES,
    ),
    Planted(
        "congestion by fees begins and ends with each look",
        4,
        (Edit(RULES, "(factor / 2 if was_congested else factor)", "factor"),),
        asks=ASKS_RULES,
    ),
    Planted(
        "what has been replaced by what left our chain is looked for no more",
        4,
        (
            Edit(
                SQL, "  and (state <> 'replaced' or replaced_height is null)\n", "  and state <> 'replaced'\n"
            ),
        ),
        asks=ASKS_ROWS,
    ),
)

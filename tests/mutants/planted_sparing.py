"""Bugs in what goes without receipts: a deposit that nobody looked for, and receipts that nobody needs.

Data only, as `planted.py`.
"""

from __future__ import annotations

from tests.mutants.edits import BACKFILL, COMMIT, FOLLOW, Edit, Planted

SPARING, WINDOW, UNDER_LOCK = (
    "chains/evm/value/sparing.py",
    "chains/evm/nodes/window.py",
    "indexer/move/sparing.py",
)

ASKS_RULES = ("tests/unit/chains/test_sparing.py",)
ASKS_MOVES = ("tests/unit/indexer/test_sparing.py",)
ASKS_NODE = ("-n0", "tests/live_evm/test_sparing.py")
ASKS_FOLLOWER = ("-n0", "tests/live/test_sparing.py")


def _spared(name: str, *edits: Edit, law: int = 3, asks: tuple[str, ...] = ASKS_RULES) -> Planted:
    return Planted(name, law, edits, asks=asks)


PLANTED_SPARING = (
    _spared(
        "tokens are not looked for in blooms",
        Edit(SPARING, "    may_log = any(", "    may_log = False and any("),
    ),
    _spared(
        "whom a transaction names is not looked at",
        Edit(SPARING, "            reached.add(parse_address_row(transaction.to))\n", "            pass\n"),
    ),
    _spared(
        "a deposit that mints reaches nobody",
        Edit(
            SPARING, "            reached.add(parse_address_row(transaction.sender))\n", "            pass\n"
        ),
    ),
    _spared(
        "a creation with value needs no receipt",
        Edit(SPARING, "        elif parse_quantity(transaction.value):\n", "        elif False:\n"),
    ),
    _spared(
        "a type that nobody knows needs no receipt",
        Edit(SPARING, "if transaction.type not in SIGNED_TYPES and not is_minting:", "if False:"),
        Edit(SPARING, "examination.proven >= _PROVING and examination.hold is Hold.NONE", "True"),
    ),
    _spared(
        "an excuse is taken for a proof",
        Edit(SPARING, "examination.proven >= _PROVING and examination.hold is Hold.NONE", "True"),
    ),
    _spared(
        "blooms are believed for ever",
        Edit(SPARING, "self._held_at is not None and abs(height - self._held_at) <= VOUCHED_BLOCKS", "True"),
    ),
    _spared(
        "a bloom of nothing vouches for blooms",
        Edit(SPARING, 'parse_bloom(block.logs_bloom or "") > 0', "True"),
    ),
    _spared(
        "logs that no bloom covers are looked for in blooms",
        Edit(SPARING, "or rules.profile.may_hide_state_sync(parse_quantity(block.number))", "or False"),
    ),
    _spared(
        "a check on trial is a proof",
        Edit(SPARING, "profile.modes[check] is Mode.ENFORCED", "profile.modes[check] is not Mode.ABSENT"),
    ),
    _spared(
        "what moves inside calls is looked for in blooms",
        Edit(SPARING, "or facts.traces or", "or"),
    ),
    _spared(
        "a block that is spared is not held against the hash that was asked for",
        Edit(
            WINDOW,
            "            check_without_receipts(reading.rules, reference if by_hash else None, block)\n",
            "            pass\n",
        ),
        asks=ASKS_NODE,
    ),
    _spared(
        "nothing is spared",
        Edit(WINDOW, "    if sparing is None or not block.transactions:\n", "    if True:\n"),
        law=8,
        asks=ASKS_NODE,
    ),
    _spared(
        "where few are spared each costs two exchanges",
        Edit(WINDOW, "        and node.abilities.spared_share >= SPARED_SHARE_MIN\n", ""),
        law=8,
        asks=ASKS_NODE,
    ),
    _spared(
        "who was registered meanwhile is not held against a spared block",
        Edit(
            COMMIT,
            "if concerned := find_concerned(plan.blocks, desk.watched):",
            "if concerned := frozenset():",
        ),
        asks=ASKS_MOVES,
    ),
    _spared(
        "a list that is too long to be held against a block concerns none",
        Edit(UNDER_LOCK, "(sought is None or", "(sought is not None and"),
        asks=ASKS_MOVES,
    ),
    _spared(
        "a branch that is read again has moved starts",
        Edit(
            COMMIT,
            "            _assert_may_leave(before, plan)\n",
            "            _assert_may_leave(before, plan)\n            await move.lower_starts(plan.fork.height)\n",
        ),
        law=2,
        asks=ASKS_MOVES,
    ),
    _spared(
        "a block that may concern somebody is not read again",
        Edit(FOLLOW, "            if moved.concerned:\n", "            if False:\n"),
        asks=ASKS_FOLLOWER,
    ),
    _spared(
        "a block that was read whole stays recorded as spared",
        Edit(BACKFILL, "            await move.fill_spared(blocks)\n", ""),
        law=1,
        asks=ASKS_FOLLOWER,
    ),
    _spared(
        "an audit takes an unknown count for another one",
        Edit("indexer/history/audit.py", "        if row.log_count is not None:\n", "        if True:\n"),
        law=1,
        asks=ASKS_FOLLOWER,
    ),
    _spared(
        "what was spared wrongly is read again for ever",
        Edit(
            "indexer/sql/chains.sql",
            "      and blocks.height between rescans.height_first and rescans.height_next\n",
            "      and false\n",
        ),
        law=8,
        asks=ASKS_FOLLOWER,
    ),
)

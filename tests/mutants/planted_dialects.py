"""Bugs against how nodes are understood: refusals taken for something else, answers paired with the wrong call.

Data only, as `planted.py`.  The rules they break stand in `docs/follower.md` under "What a node means, not its words".
"""

from __future__ import annotations

from tests.mutants.edits import Edit, Planted

BATCHES, WINDOW, HEADS, JSONRPC, NODE, RECEIPTS, TRANSPORT, THROTTLE = (
    "chains/rpc/batches.py", "chains/evm/nodes/window.py", "chains/evm/nodes/heads.py", "chains/rpc/jsonrpc.py",
    "chains/evm/nodes/node.py", "chains/evm/nodes/receipts.py", "chains/rpc/transport.py", "chains/rpc/throttle.py",
)  # fmt: skip
DIALECTS = ("-n0", "tests/live_evm/test_dialects.py")
EXCHANGES = ("-n0", "tests/unit/chains/test_exchanges.py", "tests/unit/chains/test_jsonrpc.py")


def _dialect(name: str, *edits: Edit, asks: tuple[str, ...] = DIALECTS) -> Planted:
    return Planted(name, 5, edits, asks=asks)


PLANTED_DIALECTS = (
    _dialect(
        "receipts refused are taken for lag",
        Edit(
            WINDOW,
            "    if not lacking:\n        return\n",
            "    if refusals:\n        raise Missing(refusals[0].detail)\n    if not lacking:\n        return\n",
        ),
    ),
    _dialect(
        "receipts that were refused once are never asked for at once again",
        Edit(
            RECEIPTS,
            "        self.blocks_until_retry = max(0, self.blocks_until_retry - 1)\n",
            "        pass\n",
        ),
        asks=("-n0", "tests/unit/chains/test_receipts_way.py"),
    ),
    _dialect(
        "a batch refusal is final",
        Edit(
            BATCHES,
            "        else:\n            self._split(part)\n",
            "        else:\n            raise error\n",
        ),
    ),
    _dialect(
        "calls left out of a batch are lost",
        Edit(
            BATCHES,
            "        if isinstance(outcome, NoBatches | TooLarge | Unanswered):\n            return True\n",
            "        if isinstance(outcome, NoBatches | TooLarge):\n            return True\n",
        ),
    ),
    _dialect(
        "one refused method makes batches small for ever",
        Edit(BATCHES, "                if not doubt.is_excused:\n", "                if True:\n"),
    ),
    _dialect(
        "a refused rate throws a window away",
        Edit(BATCHES, "        if self._pauses_left == 0 or wait_s > PAUSE_MAX_S:\n", "        if True:\n"),
    ),
    _dialect(
        "answers without ids are paired by their place",
        Edit(
            JSONRPC,
            "    by_id, strays, twice = _pair(answers)\n",
            "    by_id, strays, twice = _pair(answers)\n    by_id |= dict(enumerate(strays, id_first))\n",
        ),
        asks=EXCHANGES,
    ),
    _dialect(
        "an answer to another call is taken for a single one's",
        Edit(
            JSONRPC,
            "    mine = [answer for answer in answers if _read_id(answer.id) in (number, None)]\n",
            "    mine = list(answers)\n",
        ),
        asks=EXCHANGES,
    ),
    _dialect(
        "an idle connection that received bytes is used again",
        Edit(
            TRANSPORT,
            "            if protocol is not None and not protocol.should_close:\n",
            "            if protocol is not None:\n",
        ),
        asks=EXCHANGES,
    ),
    _dialect(
        "a block without transactions waits for its receipts",
        Edit(
            RECEIPTS,
            "    return not block.transactions and rules.receipts_beyond_max == 0\n",
            "    return False\n",
        ),
        Edit(
            WINDOW,
            "        if not draft.block.transactions and not _is_answered(draft.trace):\n",
            "        if False:\n",
        ),
    ),
    _dialect(
        "a block is believed empty because its receipts are refused",
        Edit(
            RECEIPTS,
            "    return not block.transactions and rules.receipts_beyond_max == 0\n",
            "    return True\n",
        ),
    ),
    _dialect(
        "bridge receipts that no list names are left out",
        Edit(
            RECEIPTS,
            "    return listed if listed and listed[-1] == bridge else [*listed, bridge]\n",
            "    return listed\n",
        ),
    ),
    _dialect(
        "another block than the asked one tells the network",
        Edit(NODE, "        if shown.height != height:\n", "        if False:\n"),
    ),
    _dialect(
        "what a trace weighs is not counted",
        Edit(WINDOW, "        answers.append(rows.trace)\n", "        pass\n"),
    ),
    _dialect(
        "a refused rate is climbed to again at once",
        Edit(THROTTLE, "        self._refused_per_s = sent_per_s\n", "        self._refused_per_s = None\n"),
        asks=("-n0", "tests/unit/chains/test_throttle.py"),
    ),
    _dialect(
        "heads without a hash are not heard",
        Edit(HEADS, "    return head.hash or str(head.number)", "    return head.hash"),
        asks=("-n0", "tests/live_evm/test_heads.py"),
    ),
)

"""Bugs against nodes that break, reorganise or fall silent while they are asked, and chains that stand still unheard.

Data only, as `planted.py`.  The rules they break stand in `docs/follower.md`.
"""

from __future__ import annotations

from tests.mutants.edits import Edit, Planted

BREAKS = ("-n0", "tests/live_evm/test_breaks.py")

PLANTED_NODES = (
    Planted(
        "receipts that break the exchange are asked for so for ever",
        5,
        (
            Edit(
                "chains/evm/blocks.py",
                "            node.abilities.receipts.note_broken(error)\n",
                "            pass\n",
            ),
        ),
        asks=BREAKS,
    ),
    Planted(
        "a finality tag that breaks the exchange takes the head with it",
        5,
        (
            Edit(
                "chains/rpc/batches.py",
                "if not self._answered or not (self._doubts or is_apart):",
                "if True:",
            ),
        ),
        asks=BREAKS,
    ),
    Planted(
        "a reorganisation between two answers is taken for a lie",
        5,
        (
            Edit(
                "indexer/follow/forks.py",
                "from chains.errors import Missing, WrongNetwork\n",
                "from chains.errors import Inconsistent as Missing\nfrom chains.errors import WrongNetwork\n",
            ),
        ),
        asks=("-n0", "tests/unit/indexer/test_forks.py"),
    ),
    Planted(
        "a fork waits for an operator that may rest for an hour",
        5,
        (
            Edit(
                "chains/rpc/endpoints.py",
                "last_resort=[one for one in others if not one.distrusts]",
                "last_resort=[]",
            ),
        ),
        asks=("-n0", "tests/unit/chains/test_endpoints.py"),
    ),
    Planted(
        "a halted chain rings at every poll",
        5,
        (
            Edit(
                "indexer/follow/loop.py",
                "if self._vitals.last_error is None and self._damper.over():",
                "if self._damper.over():",
            ),
        ),
        asks=("-n0", "tests/database/indexer/test_broken_chain.py"),
    ),
)

"""Bugs that only the rules of one family show: what spends outputs, and what is solid when its nodes say so.

Data only, as `planted.py`; the schedules that must notice are of that kind of chain.
"""

from __future__ import annotations

from tests.mutants.edits import FINALITY, MOVES, Edit, Planted

PLANTED_KINDS = (
    Planted(
        "what a block alone shows to have taken a payment's place is not told",
        4,
        (
            Edit(
                MOVES,
                "        rival = find_replacement(deposit, blocks)\n        losses",
                "        rival = None\n        losses",
            ),
        ),
        kind="bitcoin",
    ),
    Planted(
        "only who waits is replaced by a block, and not who loses his own",
        4,
        (
            Edit(
                MOVES,
                "            if spender is not None and spender != deposit.tx_hash:\n",
                "            if spender is not None and spender != deposit.tx_hash and deposit.occurrence is None:\n",
            ),
        ),
        kind="bitcoin",
    ),
    Planted(
        "of a transaction that stands twice in one block the later place counts",
        2,
        (
            Edit(
                MOVES,
                "        if known is None or sighting.header.height < known.header.height:\n",
                "        if known is None or sighting.header.height <= known.header.height:\n",
            ),
        ),
        kind="bitcoin",
    ),
    Planted(
        "what is solid is so no more when its nodes go back",
        5,
        (
            Edit(
                FINALITY,
                "    return previous if candidate is None else max(previous, candidate)\n",
                "    return previous if candidate is None else candidate\n",
            ),
        ),
        kind="tron",
    ),
    Planted(
        "what is solid is forgotten while it leads or is of another branch",
        5,
        (
            Edit(
                FINALITY,
                "    return previous if candidate is None else max(previous, candidate)\n",
                "    return None if candidate is None else max(previous, candidate)\n",
            ),
        ),
        kind="tron",
    ),
)

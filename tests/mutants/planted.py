"""Bugs an indexer of deposits could have, planted one at a time: which law each breaks, and the edits that make it.

Data only. Each edit replaces text that stands exactly once in its file, so that a change of the code near it is noticed
here (`test_planted.py`). Planting and judging is `plant.py`; small mechanical changes of every line are `operators.py`.
"""

from __future__ import annotations

from tests.mutants.edits import (
    BACKFILL,
    CANONICAL,
    COMMIT,
    DEPOSITS,
    EVENTS,
    FORKS,
    IDENTITY,
    MATCHING,
    MOVES,
    NO_LINK_ASSERT,
    Edit,
    Planted,
)
from tests.mutants.planted_api import PLANTED_API
from tests.mutants.planted_backup import PLANTED_BACKUP
from tests.mutants.planted_bill import PLANTED_BILL
from tests.mutants.planted_bitcoin import PLANTED_BITCOIN
from tests.mutants.planted_configuration import PLANTED_CONFIGURATION
from tests.mutants.planted_delivery import PLANTED_DELIVERY
from tests.mutants.planted_deposit_proofs import PLANTED_DEPOSIT_PROOFS
from tests.mutants.planted_dialects import PLANTED_DIALECTS
from tests.mutants.planted_doors import PLANTED_DOORS
from tests.mutants.planted_edge import PLANTED_EDGE
from tests.mutants.planted_evidence import PLANTED_EVIDENCE
from tests.mutants.planted_following import PLANTED_FOLLOWING
from tests.mutants.planted_heights import PLANTED_HEIGHTS
from tests.mutants.planted_history import PLANTED_HISTORY
from tests.mutants.planted_holds import PLANTED_HOLDS
from tests.mutants.planted_kinds import PLANTED_KINDS
from tests.mutants.planted_mempools import PLANTED_MEMPOOLS
from tests.mutants.planted_moves import PLANTED_MOVES
from tests.mutants.planted_nodes import PLANTED_NODES
from tests.mutants.planted_pace import PLANTED_PACE
from tests.mutants.planted_proofs import PLANTED_PROOFS
from tests.mutants.planted_rows import PLANTED_ROWS
from tests.mutants.planted_sparing import PLANTED_SPARING
from tests.mutants.planted_storage import PLANTED_STORAGE
from tests.mutants.planted_trickle import PLANTED_TRICKLE
from tests.mutants.planted_tron import PLANTED_TRON

PLANTED = (
    Planted(
        "the parent of the next block is not looked at",
        1,
        (
            Edit(CANONICAL, "        and headers[0].parent == tip\n", ""),
            Edit(CANONICAL, "    if head.parent == tip:\n", "    if head.parent.height == tip.height:\n"),
            NO_LINK_ASSERT,
        ),
    ),
    Planted(
        "a branch is not held against the fork it is said to leave at",
        1,
        (
            Edit(FORKS, "        if headers[0].parent != fork:\n", "        if False:\n"),
            NO_LINK_ASSERT,
        ),
    ),
    Planted(
        "the first block we recorded can never leave",
        1,
        (Edit(FORKS, "        if fork is None and floor == record.start_height:\n", "        if False:\n"),),
    ),
    Planted(
        "history that is not of our chain is believed",
        2,
        (
            Edit(
                BACKFILL,
                "        if ours != {header.height: header.hash for header in headers}:\n",
                "        if not ours:\n",
            ),
        ),
    ),
    Planted(
        "more history counts as read than was read",
        2,
        (
            Edit(
                BACKFILL,
                "        await move.cover(first, last, at=now)\n",
                "        await move.cover(max(0, first - 1), last, at=now)\n",
            ),
        ),
    ),
    Planted(
        "addresses registered since are not matched",
        2,
        (
            Edit(
                COMMIT,
                "        if await refresh_watched(desk, move, searched_version):\n",
                "        if False:\n",
            ),
        ),
    ),
    Planted(
        "what another loop added to the watch set is not searched",
        2,
        (
            Edit(
                COMMIT,
                "    return desk.watched.version > searched_version\n",
                "    return bool(delta.addresses)\n",
            ),
        ),
    ),
    Planted(
        "effective starts are not lowered by a rewind",
        2,
        (
            Edit(
                COMMIT,
                "            await move.lower_starts(plan.fork.height)\n",
                "            assert plan.fork.height >= -1\n",
            ),
        ),
    ),
    Planted(
        "a deleted address goes on counting",
        2,
        (
            Edit(
                MATCHING,
                "            self.watching_until is None or height <= self.watching_until\n",
                "            self.watching_until is None or height >= 0\n",
            ),
        ),
    ),
    Planted(
        "an own transfer is credited like any other",
        2,
        (
            Edit(
                MATCHING,
                "    if transfer.recipient in senders:\n",
                "    if True:\n        return False\n    if False:\n",
            ),
        ),
    ),
    Planted(
        "of several senders only the first makes an own transfer",
        2,
        (
            Edit(
                MATCHING,
                "        for sender in senders\n",
                "        for sender in transfer.senders[:1]\n",
            ),
        ),
        asks=("tests/properties/indexer/test_matching.py",),
    ),
    Planted(
        "as many senders are told as somebody cares to pay from",
        8,
        (Edit(DEPOSITS, "    return transfer.senders[:SENDERS_MAX]\n", "    return transfer.senders\n"),),
        asks=("tests/properties/indexer/test_events.py",),
    ),
    Planted(
        "what is below the minimum is published",
        2,
        (
            Edit(
                DEPOSITS,
                "    return sighting.transfer.amount_base_units >= sighting.min_base_units\n",
                "    return sighting.transfer.amount_base_units >= 0\n",
            ),
        ),
    ),
    Planted(
        "deposits do not mature while no block of theirs is touched",
        2,
        (
            Edit(
                MOVES,
                "        matured += decide_matured(deposit, view, now=now)\n",
                "        matured += []\n",
            ),
        ),
    ),
    Planted(
        "another amount on execution again is overlooked",
        2,
        (
            Edit(
                DEPOSITS,
                "            amount_base_units=transfer.amount_base_units,\n            occurrence=occurrence,\n            requirement=sighting.requirement,\n            replaced_by=None,\n        )\n",
                "            occurrence=occurrence,\n            requirement=sighting.requirement,\n            replaced_by=None,\n        )\n",
            ),
        ),
    ),
    Planted(
        "the place in the block is part of a deposit's identity",
        3,
        (Edit(IDENTITY, "        str(transfer.n),\n", "        str(transfer.n) + transfer.position,\n"),),
    ),
    Planted(
        "credit is kept when the block leaves",
        3,
        (
            Edit(
                DEPOSITS,
                "        if self.own_transfer or self.state not in CREDITING:\n",
                "        if self.own_transfer or self.state in (S.INCLUDED, S.SEEN):\n",
            ),
        ),
    ),
    Planted(
        "the net change of a move is told in two halves",
        4,
        (
            Edit(
                MOVES,
                "        if deposit.id in sighted or (deposit.id not in gone and deposit.state in ON_CHAIN):\n",
                "        if deposit not in touched.displaced and deposit.state in ON_CHAIN:\n",
            ),
        ),
    ),
    Planted(
        "final comes without confirmed",
        4,
        (Edit(DEPOSITS, "    if target is S.FINAL and _begins_credit(before, found):\n", "    if False:\n"),),
    ),
    Planted(
        "a version is used twice",
        4,
        (
            Edit(
                DEPOSITS,
                "    version = 1 if before is None else before.version + 1\n",
                "    version = 1 if before is None else max(2, before.version)\n",
            ),
        ),
    ),
    Planted(
        "reversed names the last event and not the one that granted the credit",
        4,
        (
            Edit(
                DEPOSITS,
                "        reverses_version=told.confirmed_version if told is not None and is_reversed else None,\n",
                "        reverses_version=told.version if told is not None and is_reversed else None,\n",
            ),
        ),
    ),
    Planted(
        "a deposit found again in another block is told nobody",
        4,
        (
            Edit(
                DEPOSITS,
                "        before.occurrence == found.occurrence\n",
                "        found.occurrence is not None\n",
            ),
        ),
    ),
    Planted(
        "a replacement with the same nonce is not recognised",
        4,
        (
            Edit(
                MOVES,
                "            if spender is not None and spender != deposit.tx_hash:\n",
                "            if spender is not None and spender == b'':\n",
            ),
        ),
    ),
    Planted(
        "events are committed before what they tell",
        6,
        (
            Edit(
                COMMIT,
                "    left = 0\n    if plan.fork is not None:\n",
                "    early = await facts_of(desk, move, changes, tip_height=after.tip.height)\n"
                "    if early:\n"
                "        async with desk.store.open_move(after.chain, lease_epoch=desk.lease_epoch) as first:\n"
                "            await first.publish(early)\n"
                "        changes = ()\n"
                "    left = 0\n    if plan.fork is not None:\n",
            ),
        ),
    ),
    Planted(
        "blocks are committed without their deposits",
        6,
        (
            Edit(
                COMMIT,
                "    if rows := decided.rows():\n        await move.write_deposits(rows)\n",
                "    if rows := decided.rows():\n"
                "        async with desk.store.open_move(after.chain, lease_epoch=desk.lease_epoch) as other:\n"
                "            await other.write_deposits(rows)\n",
            ),
        ),
    ),
    Planted(
        "two followers write on different grounds",
        6,
        (
            Edit(
                COMMIT,
                "        if before.tip != plan.expected_tip or before.is_halted:\n",
                "        if before.is_halted:\n",
            ),
            NO_LINK_ASSERT,
            Edit(
                COMMIT,
                "        assert is_placed(block.header, skipped_heights_max=skipped_heights_max), (\n",
                "        assert block.header, (\n",
            ),
        ),
    ),
    Planted(
        "confirmations count from the tip before the move",
        4,
        (
            Edit(
                EVENTS,
                "    return max(0, tip_height - deposit.occurrence.height + 1)\n",
                "    return max(0, tip_height - deposit.occurrence.height)\n",
            ),
        ),
    ),
    *PLANTED_DOORS,
    *PLANTED_EDGE,
    *PLANTED_DIALECTS,
    *PLANTED_NODES,
    *PLANTED_API,
    *PLANTED_BACKUP,
    *PLANTED_BILL,
    *PLANTED_BITCOIN,
    *PLANTED_TRON,
    *PLANTED_DEPOSIT_PROOFS,
    *PLANTED_EVIDENCE,
    *PLANTED_KINDS,
    *PLANTED_CONFIGURATION,
    *PLANTED_HOLDS,
    *PLANTED_ROWS,
    *PLANTED_SPARING,
    *PLANTED_FOLLOWING,
    *PLANTED_HEIGHTS,
    *PLANTED_HISTORY,
    *PLANTED_PROOFS,
    *PLANTED_STORAGE,
    *PLANTED_DELIVERY,
    *PLANTED_TRICKLE,
    *PLANTED_PACE,
    *PLANTED_MOVES,
    *PLANTED_MEMPOOLS,
)

"""Bugs against Law 5 and its kin: blocks, credit and finality that move on less than evidence.

Data only, as `planted.py`.
The rules they break stand in DESIGN under "Following a chain".
"""

from __future__ import annotations

from tests.mutants.edits import (
    CANONICAL,
    COMMIT,
    EVIDENCE,
    FINALITY,
    FOLLOW,
    FORKS,
    MOVES,
    POLICY,
    VOICES,
    Edit,
    Planted,
)

PLANTED_EVIDENCE = (
    Planted(
        "a branch whose head is far away need not be the heavier one",
        5,
        (
            Edit(
                FORKS,
                "        return theirs <= ours\n",
                "        return theirs <= ours and read_count == len(headers) and last.hash == head.hash\n",
            ),
        ),
        kind="bitcoin",
    ),
    Planted(
        "what a block pays its maker counts before it can be spent",
        2,
        (
            Edit(
                POLICY,
                "    return matures_after_blocks == 0 or counted_up_to - height + 1 >= matures_after_blocks\n",
                "    return True\n",
            ),
        ),
        kind="bitcoin",
    ),
    Planted(
        "the policy forgets that coins have to ripen",
        2,
        (
            Edit(
                POLICY,
                "    if requirement.confirmations is None or requirement.confirmations >= matures_after_blocks:\n",
                "    if True:\n",
            ),
            Edit(
                POLICY,
                "    return matures_after_blocks == 0 or counted_up_to - height + 1 >= matures_after_blocks\n",
                "    return True\n",
            ),
        ),
        kind="bitcoin",
    ),
    Planted(
        "a rival is known by the first thing it spends",
        4,
        (
            Edit(
                MOVES,
                "        for key in deposit.conflict_keys:\n            spender",
                "        for key in deposit.conflict_keys[:1]:\n            spender",
            ),
        ),
        kind="bitcoin",
    ),
    Planted(
        "what waits in the stead of another is known by the first thing that spends",
        4,
        (
            Edit(
                "indexer/follow/mempools/look.py",
                "                keys.update(one.spends)\n",
                "                keys.update(one.spends[:1])\n",
            ),
        ),
        kind="bitcoin",
    ),
    Planted(
        "one sight of a fork is evidence enough",
        5,
        (
            Edit(
                EVIDENCE,
                "    if previous is None or (previous.fork, previous.first_hash) != (seen.fork, seen.first_hash):\n",
                "    if False:\n",
            ),
            Edit(
                FOLLOW,
                "        if previous is not None and not seen.is_lighter:\n",
                "        if not seen.is_lighter:\n",
            ),
        ),
    ),
    Planted(
        "the longer branch is the chain, whatever it weighs",
        5,
        (
            Edit(EVIDENCE, "    if seen.is_lighter:\n", "    if False:\n"),
            Edit(
                FOLLOW,
                "        if previous is not None and not seen.is_lighter:\n",
                "        if previous is not None:\n",
            ),
        ),
        asks=("tests/unit/indexer/test_work.py",),
    ),
    Planted(
        "of a branch's work only the last block's is weighed",
        5,
        (Edit(FORKS, "    return sum(works) if", "    return works[-1] if"),),
        asks=("tests/unit/indexer/test_work.py",),
    ),
    Planted(
        "a silent operator counts as consent",
        5,
        (
            Edit(
                EVIDENCE,
                "    return Opinion.CONTRADICTS if for_ours else Opinion.SILENT\n",
                "    return Opinion.CONTRADICTS if for_ours else Opinion.AGREES\n",
            ),
        ),
    ),
    Planted(
        "a lagging provider's head is a reason to rewind",
        5,
        (Edit(CANONICAL, "        if head.hash == ours_at_head_height:\n            return Behind()\n", ""),),
    ),
    Planted(
        "new blocks count as agreed without asking anybody",
        5,
        (
            Edit(
                FOLLOW,
                "        return None if not self._voices.are_several else record.agreed_height\n",
                "        return None\n",
            ),
        ),
    ),
    Planted(
        "blocks that one operator alone has shown deepen a deposit",
        5,
        (
            Edit(
                POLICY,
                "            counted_up_to = view.tip_height if was_confirmed else view.agreed_height\n",
                "            counted_up_to = view.tip_height\n",
            ),
        ),
    ),
    Planted(
        "blocks that one operator alone has shown make a block final",
        5,
        (
            Edit(
                FINALITY,
                "            candidate = min(tip.height, ceiling) - confirmations + 1\n",
                "            candidate = tip.height - confirmations + 1\n",
            ),
        ),
    ),
    Planted(
        "agreement with blocks that are leaving counts for those that come",
        5,
        (Edit(VOICES, "        if branch and height > branch[0].parent.height:\n", "        if False:\n"),),
    ),
    Planted(
        "two providers of one operator are two voices",
        5,
        (
            Edit(
                VOICES,
                "                for_branch.add(other.operator)\n",
                "                for_branch.add(other.name)\n",
            ),
            Edit(
                VOICES,
                "                for_ours.add(other.operator)\n",
                "                for_ours.add(other.name)\n",
            ),
        ),
    ),
    Planted(
        "a dispute holds nothing back",
        5,
        (
            Edit(
                POLICY,
                "    if not was_confirmed and view.held_above is not None and height > view.held_above:\n",
                "    if not was_confirmed and view.held_above is not None and height < 0:\n",
            ),
        ),
    ),
    Planted(
        "finality goes backward",
        5,
        (
            Edit(
                FINALITY,
                "    return previous if candidate is None else max(previous, candidate)\n",
                "    return candidate\n",
            ),
        ),
    ),
    Planted(
        "a finality tag of another branch is believed",
        5,
        (
            Edit(
                FINALITY,
                "    return tag.height if hash_at(tag.height) == tag.hash else None\n",
                "    return tag.height\n",
            ),
        ),
    ),
    Planted(
        "what was final leaves without asking anybody",
        5,
        (
            Edit(
                EVIDENCE,
                "            return Halt() if seen.below_final else Rewind()\n",
                "            return Rewind()\n",
            ),
            Edit(
                COMMIT,
                '        assert plan.accept_final_above, "what was final may only leave with an operator\'s leave"\n',
                "        final_leaves = True\n",
            ),
        ),
    ),
    Planted(
        "an operator's leave to rewind is good for ever",
        5,
        (
            Edit(
                COMMIT,
                "        accepted_fork_hash=None if leave_used or leave_is_stale else before.accepted_fork_hash,\n",
                "        accepted_fork_hash=before.accepted_fork_hash,\n",
            ),
        ),
    ),
    Planted(
        "a halted chain goes on",
        5,
        (
            Edit(
                COMMIT,
                "        if before.tip != plan.expected_tip or before.is_halted:\n",
                "        if before.tip != plan.expected_tip:\n",
            ),
            Edit(
                FOLLOW,
                "        if record is not None and record.halt_reason is not None:\n",
                "        if record is None and False:\n",
            ),
        ),
    ),
)

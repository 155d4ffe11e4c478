"""Bugs in what one operator's word is good for, in what is shown of that, and in whom an audit asks.

Data only, as `planted.py`.
"""

from __future__ import annotations

from tests.mutants.edits import COMMIT, DEPOSITS, MATCHING, MOVES, POLICY, VOICES, Edit, Planted

HISTORY, WITNESS = "indexer/history/chunk.py", "indexer/rules/witness.py"
HALTS, RECONCILE = "indexer/move/halts.py", "indexer/move/reconcile.py"
AUDIT, AUDITORS = "indexer/history/audit.py", "indexer/history/auditors.py"
CHAINS_HTTP, DOCTOR = "gateway/http/resources/chains.py", "gateway/doctor/chains.py"
VERIFIER, CONFIG = "chains/evm/verify/verifier.py", "gateway/config/chains.py"

ONE_WORD = ("tests/unit/indexer/test_one_word.py",)
LIVE = ("tests/live/test_one_word.py",)
AUDITS = ("tests/unit/indexer/test_audit.py",)
TOLD_ALONE = ("tests/unit/indexer/test_told_alone.py",)
SHOWN = ("tests/api/test_service.py",)

PLANTED_HOLDS = (
    Planted(
        "what one of several operators tells without proof is credited at once",
        2,
        (Edit(WITNESS, " or (are_several and block.level is not VerificationLevel.FULL)\n", "\n"),),
        asks=TOLD_ALONE,
    ),
    Planted(
        "history without proof is read from one of several operators",
        2,
        (
            Edit(
                HISTORY,
                "    return any(is_held(one, are_several=True) and",
                "    return any(is_held(one, are_several=False) and",
            ),
        ),
        asks=TOLD_ALONE,
    ),
    Planted(
        "a witness of blocks that left since counts for those that came",
        2,
        (Edit(VOICES, "return errand.blocks if ours == errand.ours else ()", "return errand.blocks"),),
        asks=("tests/unit/indexer/test_second_operator.py",),
    ),
    Planted(
        "a large deposit on one word is credited like any other",
        5,
        (
            Edit(
                DEPOSITS,
                "    if found.on_one_word or is_doubted or not is_ripe:\n",
                "    if is_doubted or not is_ripe:\n",
            ),
        ),
    ),
    Planted(
        "what one operator's word is good for has no limit",
        5,
        (
            Edit(
                POLICY,
                "    return limit is not None and amount_base_units > limit\n",
                "    return limit is not None and amount_base_units > 2 * limit\n",
            ),
        ),
        asks=ONE_WORD,
    ),
    Planted(
        "a trace proves as much as a header",
        5,
        (
            Edit(
                MATCHING,
                "level is VerificationLevel.FULL and transfer.kind is not TransferKind.INTERNAL\n",
                "level is VerificationLevel.FULL\n",
            ),
        ),
        asks=ONE_WORD,
    ),
    Planted(
        "what the operator vouched for ahead waits all the same",
        5,
        (
            Edit(
                COMMIT,
                "    doubted_above = after.trusted_height if plan.agreed_height is None else None\n",
                "    doubted_above = -1 if plan.agreed_height is None else None\n",
            ),
        ),
    ),
    Planted(
        "history credits on one word whatever the amount",
        5,
        (Edit(HISTORY, "None if reading.are_several else move.record.trusted_height\n", "None\n"),),
        asks=LIVE,
    ),
    Planted(
        "a deposit that moves to a block nobody could check keeps its credit",
        5,
        (
            Edit(
                DEPOSITS,
                "    return before.on_one_word or (before.occurrence, before.amount_base_units, before.senders) != seen\n",
                "    return before.on_one_word and (before.occurrence, before.amount_base_units, before.senders) == seen\n",
            ),
        ),
    ),
    Planted(
        "reading a block again takes back what was vouched for",
        5,
        (
            Edit(
                DEPOSITS,
                "    return before.on_one_word or (before.occurrence, before.amount_base_units, before.senders) != seen\n",
                "    return bool(seen)\n",
            ),
        ),
        asks=ONE_WORD,
    ),
    Planted(
        "what was lifted before its time is not written",
        5,
        (
            Edit(
                MOVES,
                "        if one.on_one_word and one.id not in changed\n",
                "        if one.on_one_word and one.id in changed\n",
            ),
        ),
        asks=ONE_WORD,
    ),
    Planted(
        "the operator who served a block is asked a second time about it",
        5,
        (Edit(VOICES, "height, height, but=server)\n", "height, height, but=None)\n"),),
        asks=LIVE,
    ),
    Planted(
        "one block that operators tell differently keeps all others waiting",
        8,
        (
            Edit(
                VOICES,
                "        self._looked_at = NOWHERE if height is None else height\n",
                "        self._looked_at = NOWHERE\n",
            ),
        ),
        asks=LIVE,
    ),
    Planted(
        "a witness lifts what it contradicts",
        5,
        (
            Edit(
                "indexer/move/hearing.py",
                "    settled = compute_settled(witness, differing)\n",
                "    settled = compute_settled(witness, ())\n",
            ),
        ),
        asks=("tests/unit/indexer/test_hearing.py",),
    ),
    Planted(
        "an operator's word confirms nothing before the next block",
        5,
        (
            Edit(
                HALTS,
                "            changes = [change for one in lifted for change in decide_matured(one, view, now=now)]\n",
                "            changes = [change for one in lifted[:0] for change in decide_matured(one, view, now=now)]\n",
            ),
        ),
    ),
    Planted(
        "a raised limit leaves waiting what is below it",
        5,
        (
            Edit(
                RECONCILE,
                "                on_one_word = deposit.on_one_word and is_too_large(\n",
                "                on_one_word = deposit.on_one_word or is_too_large(\n",
            ),
        ),
        asks=LIVE,
    ),
    Planted(
        "a limit's fraction is read as whole coins",
        5,
        (
            Edit(
                CONFIG,
                "Fraction(coins) * 10**asset.decimals",
                'Fraction(str(coins).replace(".", "")) * 10**asset.decimals',
            ),
        ),
        asks=("tests/unit/gateway/test_config.py",),
    ),
    Planted(
        "a chain whose blocks nothing proves is shown like another",
        5,
        (
            Edit(
                CHAINS_HTTP,
                "    return None if unverified_count is None else unverified_count > 0 and not _are_several(providers)\n",
                "    return None if unverified_count is None else False\n",
            ),
        ),
        asks=SHOWN,
    ),
    Planted(
        "checks are shown as configured, whatever the follower learnt",
        5,
        (
            Edit(
                CHAINS_HTTP,
                '    known = {one["check"]: one for one in learnt}\n',
                '    known = {one["check"]: one for one in learnt[:0]}\n',
            ),
        ),
        asks=SHOWN,
    ),
    Planted(
        "the newest proof of a check is told as the first",
        5,
        (
            Edit(
                VERIFIER,
                "                if mode is not before.modes[check]:\n",
                "                if mode is Mode.ENFORCED:\n",
            ),
        ),
        asks=("tests/unit/chains/verify/test_verifier.py",),
    ),
    Planted(
        "the doctor finds one word as good as two",
        5,
        (
            Edit(
                DOCTOR,
                "    if operators_count > 1:\n        return []\n",
                "    if True:\n        return []\n",
            ),
        ),
        asks=("tests/unit/gateway/test_checks_chains.py",),
    ),
    Planted(
        "an audit does not look at who sent",
        5,
        (
            Edit(
                AUDIT,
                '            ("sender", say(deposit.senders), say(senders_of(transfer))),\n',
                "",
            ),
        ),
        asks=AUDITS,
    ),
    Planted(
        "an audit calls a sender who was registered later a difference",
        5,
        (
            Edit(
                AUDIT,
                "    if deposit.state is DepositState.FINAL and not deposit.own_transfer:\n",
                "    if deposit.state is None:\n",
            ),
        ),
        asks=AUDITS,
    ),
    Planted(
        "an audit asks whoever is next",
        5,
        (Edit(AUDITORS, "    for provider in (*others, *same):\n", "    for provider in candidates:\n"),),
        asks=AUDITS,
    ),
    Planted(
        "an audit that asked the same operator says nothing of it",
        5,
        (Edit(AUDITORS, "    elif not others:\n", "    elif False:\n"),),
        asks=AUDITS,
    ),
)

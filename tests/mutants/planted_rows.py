"""Bugs in reading and checking what a node says: values nobody understood, rows no hash covers.

Data only, as `planted.py`.  The simulation knows no rows, so these ask the
tests of the EVM family.
"""

from __future__ import annotations

from tests.mutants.edits import Edit, Planted

CONSISTENCY, DECODE, QUANTITIES, ROWS = (
    "chains/evm/rows/consistency.py", "chains/evm/value/decode.py", "chains/evm/rows/quantities.py", "chains/evm/rows/structs.py",
)  # fmt: skip
SIGNERS, TRACES = "chains/evm/value/signers.py", "chains/evm/value/traces.py"
BLOCK, LEDGER, PROFILES, WITNESS = (
    "chains/evm/verify/block.py", "chains/evm/value/ledger.py", "chains/evm/verify/profiles.py", "indexer/rules/witness.py",
)  # fmt: skip
NATIVES = "chains/evm/value/natives.py"
COMMIT, VOICES = "indexer/move/commit.py", "indexer/follow/voices.py"

ROW_TESTS = ("tests/unit/chains",)
LIES = ("tests/unit/chains/verify/test_lies.py", "tests/unit/chains/verify/test_cases.py")
SIGNER_TESTS = ("tests/unit/chains/test_evm_signers.py",)
HOLDS = ("tests/unit/indexer/test_witness.py", "tests/live/test_held.py")

PLANTED_ROWS = (
    Planted(
        "a listed token's transfer in another shape is skipped in silence",
        12,
        (Edit(DECODE, '        unread[f"{emitter}: {shape}"] = None\n', "        pass\n"),),
        asks=ROW_TESTS,
    ),
    Planted(
        "who paid how much may be no number where nothing was hashed",
        12,
        (Edit(DECODE, '        unhexlify("".join(unread_digits))\n', "        pass\n"),),
        asks=ROW_TESTS,
    ),
    Planted(
        "an emitter that is no address is nobody's",
        12,
        (Edit(DECODE, "            if len(emitter) != ADDRESS_TEXT_LENGTH:\n", "            if False:\n"),),
        asks=ROW_TESTS,
    ),
    Planted(
        "a transaction may stand in a block twice",
        3,
        (
            Edit(
                CONSISTENCY,
                "    if len({transaction.hash.lower() for transaction in block.transactions})"
                " < len(block.transactions):\n",
                "    if False:\n",
            ),
        ),
        asks=ROW_TESTS,
    ),
    Planted(
        "the kind of a frame is compared as it is written",
        12,
        (Edit(TRACES, '    return (frame.type or "").strip().upper()\n', '    return frame.type or ""\n'),),
        asks=ROW_TESTS,
    ),
    Planted(
        "value in a frame of an unknown kind is skipped in silence",
        12,
        (Edit(TRACES, "        elif kind not in VALUE_SHOWING_TYPES:\n", "        elif False:\n"),),
        asks=ROW_TESTS,
    ),
    Planted(
        "a frame under a reverted one counts",
        2,
        (Edit(TRACES, "        if not has_failed(frame):\n", "        if True:\n"),),
        asks=ROW_TESTS,
    ),
    Planted(
        "a number that may have lost digits is believed",
        12,
        (Edit(QUANTITIES, "        case int() if 0 <= value <= NUMBER_MAX:\n", "        case int():\n"),),
        asks=ROW_TESTS,
    ),
    Planted(
        "a type is compared as it is written",
        12,
        (
            Edit(
                ROWS,
                "            transaction.type = spell_type(transaction.type)\n",
                "            pass\n",
            ),
        ),
        asks=ROW_TESTS,
    ),
    Planted(
        "an authorisation for another chain uses up a nonce",
        3,
        (Edit(SIGNERS, "    if chain not in {0, chain_number} or", "    if"),),
        asks=ROW_TESTS,
    ),
    Planted(
        "an authorisation takes a nonce from its owner's own transaction",
        3,
        (
            Edit(
                DECODE,
                "            spends[key] = TxHash(parse_word(transaction.hash))\n",
                "            spends.setdefault(key, TxHash(parse_word(transaction.hash)))\n",
            ),
        ),
        asks=ROW_TESTS,
    ),
    Planted(
        "a header that lacks a field excuses everything",
        2,
        (
            Edit(
                BLOCK,
                "        step.settle(Check.HEADER_HASH, holds=False, excuse=None, detail=detail)\n",
                '        step.excuse(Check.HEADER_HASH, "field-missing", Hold.NONE)\n',
            ),
        ),
        asks=LIES,
    ),
    Planted(
        "a field nobody knows excuses a forged amount",
        2,
        (
            Edit(
                BLOCK,
                "            self.excuse(check, excuse, Hold.CHAIN)\n",
                "            self.excuse(check, excuse, Hold.NONE)\n",
            ),
        ),
        asks=LIES,
    ),
    Planted(
        "a rule on trial lets the first liar through",
        2,
        (
            Edit(
                BLOCK,
                "Hold.HITS if mode is Mode.BEST_EFFORT else Hold.CHAIN)\n",
                "Hold.NONE)\n",
            ),
        ),
        asks=LIES,
    ),
    Planted(
        "a type nobody knows holds nothing",
        2,
        (
            Edit(
                BLOCK,
                "        hold = Hold.CHAIN if unknown - opaque else Hold.HITS\n",
                "        hold = Hold.NONE\n",
            ),
        ),
        asks=LIES,
    ),
    Planted(
        "a settled height need not be hashed",
        2,
        (
            Edit(
                BLOCK,
                "        return self.tail_length is None or position < self.tail_length\n",
                "        return True\n",
            ),
        ),
        asks=LIES,
    ),
    Planted(
        "a system transaction moves what its row shows",
        2,
        (
            Edit(
                PROFILES,
                '    still_types=frozenset({"0x69", "0x6a"}),\n',
                "",
            ),
        ),
        asks=LIES,
    ),
    Planted(
        "a type that leaves a root open may be any transaction's",
        2,
        (Edit(BLOCK, "    if holds and not _are_of_one_type(step):\n", "    if False:\n"),),
        asks=LIES,
    ),
    Planted(
        "a bridge transaction in no root carries what its row shows",
        2,
        (Edit(BLOCK, "        if moves:\n", "        if False:\n"),),
        asks=LIES,
    ),
    Planted(
        "a testnet's bridge is not its main network's",
        12,
        (Edit(CONSISTENCY, '        "polygon-amoy": _BOR,\n', ""),),
        asks=LIES,
    ),
    Planted(
        "an opaque type counts below its fork",
        2,
        (Edit(BLOCK, "            if kind in profile.opaque_types - opaque:\n", "            if False:\n"),),
        asks=LIES,
    ),
    Planted(
        "receipts may be of another block",
        3,
        (
            Edit(CONSISTENCY, "        receipt.block_hash != block.hash\n", "        False\n"),
            Edit(
                CONSISTENCY, "    if receipts and receipts[0].block_hash != block.hash:\n", "    if False:\n"
            ),
        ),
        asks=LIES,
    ),
    Planted(
        "a row may stand in another place",
        3,
        (
            Edit(
                CONSISTENCY,
                "                and not is_quantity(transaction.transaction_index, position)\n",
                "                and False\n",
            ),
        ),
        asks=LIES,
    ),
    Planted(
        "a removed log counts",
        3,
        (Edit(CONSISTENCY, "            or log.removed\n", ""),),
        asks=LIES,
    ),
    Planted(
        "a log index may be skipped",
        3,
        (Edit(CONSISTENCY, "(index > log_index_next and not may_skip)", "False"),),
        asks=LIES,
    ),
    Planted(
        "receipts are not hashed",
        2,
        (
            Edit(
                BLOCK,
                "    holds = compute_ordered_root(encoded) == _parse_hash(_need(step.block.receipts_root))\n",
                "    holds = True\n",
            ),
        ),
        asks=LIES,
    ),
    Planted(
        "transactions need not give the root",
        2,
        (
            Edit(
                BLOCK,
                "        holds=compute_ordered_root(step.envelopes) == _parse_hash(_need(step.block.transactions_root)),\n",
                "        holds=True,\n",
            ),
        ),
        asks=LIES,
    ),
    Planted(
        "a transaction need not give its hash",
        2,
        (
            Edit(
                BLOCK,
                "            holds = compute_keccak(envelope) == _parse_hash(transaction.hash)\n",
                "            holds = True\n",
            ),
        ),
        asks=LIES,
    ),
    Planted(
        "the nonce of an unsigned creation is believed",
        2,
        (
            Edit(
                NATIVES,
                "    if nonce is None:\n        return None\n",
                '    nonce = transaction.nonce or "0x0"\n',
            ),
        ),
        asks=LIES,
    ),
    Planted(
        "what was shown on trial is never enforced",
        2,
        (
            Edit(
                PROFILES,
                "        trial = [check for check in checks if self.modes[check] is Mode.ON_TRIAL]\n",
                "        trial: list[Check] = []\n",
            ),
        ),
        asks=LIES,
    ),
    Planted(
        "every 0x7e mints",
        2,
        (Edit(NATIVES, "        if rules.mints and kind", "        if kind"),),
        asks=SIGNER_TESTS,
    ),
    Planted(
        "the sender is believed",
        2,
        (
            Edit(
                DECODE,
                "        if signer is not None and signer != parse_address_row(transaction.sender):\n",
                "        if False:\n",
            ),
        ),
        asks=LIES,
    ),
    Planted(
        "a created address is believed",
        2,
        (
            Edit(
                NATIVES,
                "    if not isinstance(transaction, HashedTransaction):\n        if receipt.contract_address is None:\n",
                "    if receipt.contract_address is not None or not isinstance(transaction, HashedTransaction):\n"
                "        if receipt.contract_address is None:\n",
            ),
        ),
        asks=SIGNER_TESTS,
    ),
    Planted(
        "who served a block is its own witness",
        2,
        (Edit(VOICES, "first, last, but=of_one)\n", "first, last, but=None)\n"),),
        asks=HOLDS,
    ),
    Planted(
        "a witness need not show the same deposits",
        2,
        (
            Edit(
                WITNESS,
                "    return witness[-1].header.height if not differing else min(differing) - 1\n",
                "    return witness[-1].header.height\n",
            ),
        ),
        asks=HOLDS,
    ),
    Planted(
        "held blocks count as agreed",
        2,
        (
            Edit(
                COMMIT,
                "        agreed = max(min(agreed, held - 1), agreed_before)\n",
                "        agreed = max(agreed, agreed_before)\n",
            ),
        ),
        asks=HOLDS,
    ),
)

"""Bugs in reading and checking what a node says: values nobody understood, rows no hash covers.

Data only, as `planted.py`.  The simulation knows no rows, so these ask the
tests of the EVM family.
"""

from __future__ import annotations

from tests.mutants.edits import Edit, Planted

CONSISTENCY, DECODE, QUANTITIES, ROWS = (
    "chains/evm/consistency.py", "chains/evm/decode.py", "chains/evm/quantities.py", "chains/evm/rows.py",
)  # fmt: skip
SIGNERS, TRACES = "chains/evm/signers.py", "chains/evm/traces.py"

ROW_TESTS = ("tests/unit/chains",)

PLANTED_ROWS = (
    Planted(
        "a listed token's transfer in another shape is skipped in silence",
        12,
        (Edit(DECODE, '            unread[f"{emitter}: {shape}"] = None\n', "            pass\n"),),
        tests=ROW_TESTS,
    ),
    Planted(
        "an emitter that is no address is nobody's",
        12,
        (Edit(DECODE, "            if len(emitter) != ADDRESS_TEXT_LENGTH:\n", "            if False:\n"),),
        tests=ROW_TESTS,
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
        tests=ROW_TESTS,
    ),
    Planted(
        "the kind of a frame is compared as it is written",
        12,
        (Edit(TRACES, '    return (frame.type or "").strip().upper()\n', '    return frame.type or ""\n'),),
        tests=ROW_TESTS,
    ),
    Planted(
        "value in a frame of an unknown kind is skipped in silence",
        12,
        (Edit(TRACES, "        elif kind not in VALUE_SHOWING_TYPES:\n", "        elif False:\n"),),
        tests=ROW_TESTS,
    ),
    Planted(
        "a frame under a reverted one counts",
        2,
        (Edit(TRACES, "        if not has_failed(frame):\n", "        if True:\n"),),
        tests=ROW_TESTS,
    ),
    Planted(
        "a number that may have lost digits is believed",
        12,
        (Edit(QUANTITIES, "        case int() if 0 <= value <= NUMBER_MAX:\n", "        case int():\n"),),
        tests=ROW_TESTS,
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
        tests=ROW_TESTS,
    ),
    Planted(
        "an authorisation for another chain uses up a nonce",
        3,
        (Edit(SIGNERS, "    if chain not in {0, chain_number} or", "    if"),),
        tests=ROW_TESTS,
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
        tests=ROW_TESTS,
    ),
)

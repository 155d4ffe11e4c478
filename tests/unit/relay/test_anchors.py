"""A transaction's bytes and a note: which of them are an anchor of it, to the kit and to the verifier in Java.

Not here: that the kit for Node says the same (test_kits_agree.py), the command that plans them (tests/commands/test_logs.py).
"""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from relay.verify_log import ProofInvalid, verify_anchor
from tests.java_program import ask_java
from tests.unit.relay.test_kits_agree import note_of

NOTE = note_of(7)
TEXT = NOTE.partition("\n\n")[0] + "\n"
HASH = hashlib.sha256(NOTE.encode()).hexdigest()
TAG = b"cbl1".hex()
GOOD = [f"0x{TAG}{HASH}", f"{TAG}{HASH}", f"6a24{TAG}{HASH}", f"0x6A24{TAG}{HASH.upper()}"]
BAD: list[Any] = [
    "",
    "0x",
    None,
    7,
    HASH,
    f"6a20{HASH}",
    f"6a24{TAG}{HASH}00",
    f"00{TAG}{HASH}",
    f"{TAG}{HASH[:-1]}",
    f"{TAG}{HASH[:-2]}",
    f"63626c32{HASH}",
    f"6a4c24{TAG}{HASH}",
    f"6b24{TAG}{HASH}",
    f"{TAG}{HASH}\n",
    f"{TAG}{hashlib.sha256(HASH.encode()).hexdigest()}",
    f"{TAG}{hashlib.sha256(NOTE.strip().encode()).hexdigest()}",
    f"{TAG}{hashlib.sha256(TEXT.encode()).hexdigest()}",
    f"{TAG}{'0' * 64}",
]


@pytest.mark.parametrize("anchored", GOOD)
def test_calldata_and_a_script_anchor_exactly_this_note(anchored: str) -> None:
    verify_anchor(NOTE, anchored)
    for other in (note_of(8), NOTE + "\n", NOTE.replace("\n", "\r\n"), NOTE[:-1], "", "x" * 20_000, "\ud800"):
        with pytest.raises(ProofInvalid):
            verify_anchor(other, anchored)


@pytest.mark.parametrize("anchored", BAD)
def test_whatever_else_a_transaction_holds_is_no_anchor(anchored: Any) -> None:
    with pytest.raises(ProofInvalid):
        verify_anchor(NOTE, anchored)


def test_java_says_the_same() -> None:
    questions = [{"check": "anchor", "note": NOTE, "anchored": one} for one in GOOD + BAD]
    assert [one["holds"] for one in ask_java(questions)] == [True] * len(GOOD) + [False] * len(BAD)

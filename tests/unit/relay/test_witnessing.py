"""What a witness signs along: only what continues what it signed along before (the socket: tests/relay_live/test_witness.py)."""

from __future__ import annotations

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.keys import signing
from relay.proof import merkle, notes
from relay.proof.witnessing import Refusal, Submission, Witnessed, decide, group_of, parse_submission

ORIGIN = "log.example/1"
KEY, STRANGER = signing.signing_key_from_seed(b"l" * 32), signing.signing_key_from_seed(b"s" * 32)
LOGS = {ORIGIN: [signing.public_bytes(KEY)]}


def tree(size: int, tag: bytes = b"") -> list[bytes]:
    return [merkle.hash_leaf(tag + bytes([n])) for n in range(size)]


def root(size: int, tag: bytes = b"") -> bytes:
    return merkle.compute_root(tree(size, tag)) if size else merkle.EMPTY_ROOT


def asked(
    old: int, size: int, *, tag: bytes = b"", start: int | None = None, key: object = KEY
) -> Submission:
    start = old if start is None else start
    spans = merkle.compute_consistency(start, size) if 0 < start < size else []
    path = "".join(f"{b64encode(merkle.compute_root(tree(size, tag)[a:b])).decode()}\n" for a, b in spans)
    text = notes.compose_checkpoint(ORIGIN, size=size, root_hash=root(size, tag))
    note = notes.sign_note(text, ORIGIN, key)  # type: ignore[arg-type]  # one of the two above
    return parse_submission(f"old {old}\n{path}\n{note}".encode())


@given(st.integers(1, 40), st.integers(0, 40))
def test_a_log_that_grows_is_signed_along_at_every_size(size: int, more: int) -> None:
    assert decide(LOGS, None, asked(0, size)) is None
    assert decide(LOGS, Witnessed(size, root(size)), asked(size, size + more)) is None


def status(known: Witnessed | None, submission: Submission) -> int | None:
    refusal = decide(LOGS, known, submission)
    return None if refusal is None else refusal.status


def test_what_does_not_continue_is_refused_with_the_status_of_the_specification() -> None:
    known = Witnessed(3, root(3))
    assert status(known, asked(3, 5, tag=b"x")) == 422
    assert status(known, asked(3, 5, start=2)) == 422
    assert status(known, asked(3, 3, tag=b"x")) == 409
    assert status(None, asked(0, 5, start=3)) == 422  # from nothing, no proof
    assert status(None, asked(0, 0)) is None
    assert status(known, asked(5, 3)) == 400
    assert status(known, asked(0, 3, key=STRANGER)) == 403
    assert decide({}, known, asked(3, 5)) == Refusal(404, "this log is not known here")
    assert decide(LOGS, known, asked(2, 5)) == Refusal(409, "the proof must begin at another size", 3)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"old 1\n",
        b"old 01\n\nx",
        b"old 1\nAAAA\n\nx\n1\nAAAA\n\n",
        b"old 0\n\nlog\n3\nno root\n\nx",
        b"\xff",
    ],
)
def test_what_is_no_submission_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError):
        parse_submission(body)


def test_the_epochs_of_one_log_are_known_by_one_key_and_other_names_are_not_read_so() -> None:
    log = "chainbell/log/mer_00000000000000000000000001"
    assert group_of(f"{log}/1/0") == group_of(f"{log}/9/300") == log
    for other in (log, f"{log}/1", f"x/{log}/1/0", f"{log}/1/0/2", "log.example/1/0"):
        assert group_of(other) == other

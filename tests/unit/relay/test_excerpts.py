"""Answers of strangers, kept and shown: no secret of ours comes back in them, and they do nothing to a reader."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.out.excerpts import CUT_LENGTH_MIN, SECRET_LENGTH_MIN, SHOWN_BYTES_MAX, hide_secrets, show_excerpt
from relay.out.targets import find_header_flaws

VALUES = st.text(
    st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=SECRET_LENGTH_MIN, max_size=60
)


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        (b"you sent authorization: Bearer t0psecret!", b"you sent authorization: [hidden]!"),
        (b'{"token":"t0psecret"}', b'{"token":"[hidden]"}'),
        (b"t0psecret t0psecret", b"[hidden] [hidden]"),
        (b"nothing of yours", b"nothing of yours"),
        (b"...and it ends with t0psec", b"...and it ends with [hidden]"),
        (b"webhook-id: evt_0000", b"webhook-id: evt_0000"),
    ],
)
def test_the_merchants_own_header_values_are_hidden(answer: bytes, kept: bytes) -> None:
    headers = {
        "Authorization": "Bearer t0psecret",
        "webhook-id": "evt_0000",
        "user-agent": "chainbell-webhooks/1",
    }
    found = hide_secrets(answer, headers)
    assert b"t0ps" not in found
    assert found == kept


@given(st.binary(max_size=80), VALUES, st.binary(max_size=80), st.integers(0, 200))
def test_no_value_survives_wherever_it_stands_or_is_cut(
    before: bytes, value: str, after: bytes, length: int
) -> None:
    sent = {"X-Own": value}
    assert not find_header_flaws(sent)
    answer = (before + value.encode() + after)[:length]
    kept = hide_secrets(answer, sent)
    assert value.encode() not in kept
    if len(before) + CUT_LENGTH_MIN <= length < len(before) + len(value):
        assert not kept.endswith(value.encode()[: length - len(before)])


def test_an_answer_without_own_headers_is_kept_as_it_is() -> None:
    headers = {"content-type": "application/json", "accept": "*/*", "chainbell-delivery": "dlv_000000"}
    answer = b"application/json dlv_000000"
    assert hide_secrets(answer, headers) == answer


@given(st.binary(max_size=4_096))
def test_what_is_shown_is_bounded_text_that_can_not_steer_a_terminal(answer: bytes) -> None:
    shown = show_excerpt(answer)
    assert len(shown) <= SHOWN_BYTES_MAX
    assert not {one for one in shown if ord(one) < 0x20 or 0x7F <= ord(one) < 0xA0} - {"\n", "\t"}


def test_a_character_that_the_end_cuts_off_is_left_out_and_reading_order_stays() -> None:
    assert show_excerpt("é".encode() * 2_000) == "é" * 512
    assert show_excerpt(b"x" + "é".encode() * 2_000) == "x" + "é" * 511
    assert show_excerpt("ok\u202eko\x1b[2J".encode()) == "ok\ufffdko\ufffd[2J"
    assert show_excerpt(b"\xff\xfe") == "\ufffd\ufffd"

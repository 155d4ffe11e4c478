"""Who must prove that an endpoint is wanted, and what counts as proof."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.desk.ownership import (
    CHALLENGE_WAITS_S,
    NOT_ECHOED,
    judge_echo,
    must_prove,
    must_prove_again,
    next_challenge_at,
)
from relay.model import Outcome, OutcomeKind
from relay.verify import challenge_of

NOW = datetime(2026, 11, 20, tzinfo=UTC)
TEXT = "x3hJ-challenge"


def answered(excerpt: bytes, kind: OutcomeKind = OutcomeKind.DELIVERED) -> Outcome:
    return Outcome(kind, 1, 200, excerpt=excerpt)


@pytest.mark.parametrize(
    "answer, failure",
    [
        (TEXT.encode(), None),
        (b" " + TEXT.encode() + b"\r\n", None),
        (json.dumps({"challenge": TEXT, "more": 1}).encode(), None),
        (b"", NOT_ECHOED),
        (b"ok", NOT_ECHOED),
        (TEXT.encode() + b"x", NOT_ECHOED),
        (TEXT[:-1].encode(), NOT_ECHOED),
        (b"<html>" + TEXT.encode(), NOT_ECHOED),
        (
            json.dumps({"data": {"challenge": TEXT}}).encode(),
            NOT_ECHOED,
        ),  # a mirror shows all that it was sent
        (json.dumps([TEXT]).encode(), NOT_ECHOED),
        (json.dumps({"challenge": [TEXT]}).encode(), NOT_ECHOED),
        (b"{" * 4096, NOT_ECHOED),
        (b'{"a":' * 800, NOT_ECHOED),
        (b"\xff\xfe" + TEXT.encode(), NOT_ECHOED),
    ],
)
def test_only_the_challenge_itself_is_an_echo(answer: bytes, failure: str | None) -> None:
    assert judge_echo(TEXT, answered(answer)) == failure


@pytest.mark.parametrize("kind", [kind for kind in OutcomeKind if kind is not OutcomeKind.DELIVERED])
def test_an_echo_that_is_not_accepted_proves_nothing(kind: OutcomeKind) -> None:
    assert judge_echo(TEXT, answered(TEXT.encode(), kind)) == kind.value


@given(st.binary(max_size=200))
def test_judging_any_answer_is_an_answer_not_an_accident(answer: bytes) -> None:
    assert judge_echo(TEXT, answered(answer)) in {None, NOT_ECHOED}
    assert challenge_of(answer) is None


@pytest.mark.parametrize(
    "body, challenge",
    [
        (b'{"type":"endpoint.challenge","data":{"challenge":"abc"}}', "abc"),
        (b'{"type":"deposit.seen","data":{"challenge":"abc"}}', None),
        (b'{"type":"endpoint.challenge","data":{"challenge":7}}', None),
        (b'{"type":"endpoint.challenge","data":[]}', None),
        (b'{"type":"endpoint.challenge"}', None),
        (b"[]", None),
        (b"[" * 100_000, None),
    ],
)
def test_a_receiver_finds_the_challenge_in_a_challenge_only(body: bytes, challenge: str | None) -> None:
    assert challenge_of(body) == challenge


@pytest.mark.parametrize(
    "url, asked, must",
    [
        ("https://shop.example/", True, True),
        ("https://shop.example/", False, False),
        ("http://127.0.0.1:9/", True, False),
        ("http://localhost:9/", True, False),
    ],
)
def test_public_hosts_are_asked_and_this_machine_is_not(url: str, asked: bool, must: bool) -> None:
    assert must_prove(url, asked=asked) == must


@pytest.mark.parametrize(
    "before, after, proven, again",
    [
        ("https://a.example/1", "https://a.example/1", True, False),
        ("https://a.example/1", "https://a.example/2", True, False),
        ("https://a.example/1", "https://A.example.:443/1", True, False),
        ("https://a.example/1", "https://b.example/1", True, True),
        ("https://a.example/1", "https://b.a.example/1", True, True),
        ("https://a.example/1", "https://a.example/1", False, False),
        ("https://a.example/1", "https://a.example/2", False, True),
    ],
)
def test_another_host_is_asked_again_and_another_path_is_not(
    before: str, after: str, proven: bool, again: bool
) -> None:
    assert must_prove_again(before, after, proven=proven) == again


def test_a_stranger_who_never_answers_is_asked_a_bounded_number_of_times() -> None:
    waits = [next_challenge_at(asked, NOW) for asked in range(len(CHALLENGE_WAITS_S))]
    assert waits == [NOW + timedelta(seconds=wait_s) for wait_s in CHALLENGE_WAITS_S]
    assert next_challenge_at(len(CHALLENGE_WAITS_S), NOW) is None

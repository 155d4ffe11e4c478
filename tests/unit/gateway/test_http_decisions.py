"""The plain decisions of the API: pointers, cursors, repetitions, problems, states."""

from __future__ import annotations

import hashlib
import uuid
from datetime import UTC, datetime

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from gateway.event_types import EVENT_TYPES, check_event_type
from gateway.http.edge.cursors import decode_cursor, encode_cursor, page
from gateway.http.edge.decoding import DEPTH_MAX, check_depth, decode_body, decode_query
from gateway.http.edge.idempotency import KeyedCall, Repetition, compute_request_hash, decide_repetition
from gateway.http.edge.problem import Problem, problem_of
from gateway.http.resources.chains import decide_state, decide_trust
from gateway.http.shapes.addresses import AddressQuery, NewAddresses
from gateway.store import RememberedAnswer
from indexer.move.registration import RegistrationConflict
from migrations.errors import DatabaseAway
from relay.desk.terms import EVENT_TYPES as RELAY_EVENT_TYPES
from relay.errors import (
    Conflict,
    Flaw,
    NotFound,
    RequestFlawed,
    SecretUnreadable,
    SequenceAhead,
    SequencePruned,
)

BODIES = [
    (b'{"items":[{"chain":"a","address":"b"},{"chain":1,"address":"b"}]}', "/items/1/chain"),
    (b'{"items":[{"chain":"a"}]}', "/items/0/address"),
    (b'{"items":[{"chain":"a","address":"b","a/b~c":1}]}', "/items/0/a~1b~0c"),
    (
        b'{"items":[{"chain":"a","address":"b","metadata":{"x":{"y":["\\u0000"]}}}]}',
        "/items/0/metadata/x/y/0",
    ),
    (b"{}", "/items"),
    (b"7", ""),
]


@pytest.mark.parametrize(("body", "pointer"), BODIES)
def test_a_pointer_leads_to_what_is_wrong(body: bytes, pointer: str) -> None:
    with pytest.raises(Problem) as caught:
        decode_body(body, NewAddresses)
    assert (caught.value.status, [flaw.pointer for flaw in caught.value.flaws]) == (422, [pointer])


def test_nesting_is_bounded_and_brackets_in_text_do_not_count() -> None:
    check_depth(b"[" * DEPTH_MAX + b"]" * DEPTH_MAX)
    check_depth(b'"' + b"[" * 5000 + b'"')
    check_depth(b'["\\"' + b"[" * 5000 + b'"]')
    with pytest.raises(Problem, match="nests deeper"):
        check_depth(b"[" * (DEPTH_MAX + 1))


@given(st.binary(max_size=200))
def test_no_body_does_more_than_be_refused(body: bytes) -> None:
    try:
        decode_body(body, NewAddresses)
    except Problem as problem:
        assert problem.status in (400, 422)  # noqa: PT017  (a problem is one of two outcomes)


@given(
    st.lists(st.tuples(st.sampled_from(["limit", "chain", "after", "x"]), st.text(max_size=20)), max_size=4)
)
def test_no_query_does_more_than_be_refused(pairs: list[tuple[str, str]]) -> None:
    try:
        decode_query(pairs, AddressQuery)
    except Problem as problem:
        assert problem.status == 422  # noqa: PT017  (a problem is one of two outcomes)


@given(st.datetimes(timezones=st.just(UTC)), st.uuids())
def test_a_cursor_reads_back_to_the_microsecond(at: datetime, last: uuid.UUID) -> None:
    cursor = encode_cursor("deposits", at, last)
    assert decode_cursor("deposits", cursor) == (at, last)
    with pytest.raises(Problem):
        decode_cursor("addresses", cursor)


@given(st.text(max_size=60))
def test_an_invented_cursor_is_refused(text: str) -> None:
    with pytest.raises(Problem) as caught:
        decode_cursor("deposits", text)
    assert caught.value.status == 422


def test_a_page_shows_no_more_than_its_limit_and_says_whether_there_is_more() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    items = [uuid.UUID(int=number) for number in range(3)]
    first = page("items", items, 2, place=lambda one: (at, one), view=str)
    assert first["items"] == [str(one) for one in items[:2]]
    assert decode_cursor("items", first["next"]) == (at, items[1])
    assert page("items", items, 3, place=lambda one: (at, one), view=str)["next"] is None
    assert page("items", [], 3, place=lambda one: (at, one), view=str) == {"items": [], "next": None}


def test_a_repetition_is_the_same_only_with_the_same_request() -> None:
    asked = compute_request_hash("a=1", b"{}")
    remembered = RememberedAnswer(asked, 201, "application/json", b"sealed")
    assert decide_repetition(None, asked) is Repetition.FIRST
    assert decide_repetition(remembered, asked) is Repetition.SAME
    for query, body in (("a=2", b"{}"), ("a=1", b"{ }"), ("", b"a=1\n{}")):
        assert decide_repetition(remembered, compute_request_hash(query, body)) is Repetition.OTHER


@given(st.uuids(), st.text(max_size=50), st.text(max_size=50))
def test_the_lock_of_a_call_fits_the_database(caller: uuid.UUID, path: str, key: str) -> None:
    assert -(2**31) <= KeyedCall(caller, path, key, hashlib.sha256(b"").digest()).lock_key < 2**31


PROBLEMS = [
    (RequestFlawed(Flaw("/url", "no")), 422),
    (NotFound("no such endpoint"), 404),
    (Conflict("no"), 409),
    (RegistrationConflict(0, "no"), 409),
    (SequencePruned(7), 410),
    (SequenceAhead(7, 1), 409),
    (DatabaseAway("no"), 503),
    (DatabaseAway("no"), 503),
    (SecretUnreadable("no"), 503),
    (web.HTTPNotFound(), 404),
    (web.HTTPMethodNotAllowed("PUT", ["GET"]), 405),
    (web.HTTPRequestEntityTooLarge(1, 2), 413),
    (web.HTTPBadRequest(), 400),
    (web.HTTPFound("/elsewhere"), 404),
]


@pytest.mark.parametrize(("error", "status"), PROBLEMS, ids=lambda value: type(value).__name__)
def test_every_known_exception_has_its_status(error: Exception, status: int) -> None:
    problem = problem_of(error)
    assert problem is not None
    assert problem.status == status
    assert ("Retry-After" in problem.headers) == (status == 503)


def test_an_unknown_exception_has_none() -> None:
    assert problem_of(KeyError("x")) is None


def test_every_event_type_of_the_relay_may_be_asked_for() -> None:
    assert set(RELAY_EVENT_TYPES) <= set(EVENT_TYPES)
    assert check_event_type("deposit.final") is None
    assert "did you mean deposit.final?" in (check_event_type("deposit.finall") or "")


def test_a_chain_that_nobody_follows_is_said_to_be_so_before_anything_else_but_a_halt() -> None:
    assert decide_state(None, [], is_configured=False, is_silent=True) == "not_configured"
    assert decide_state(None, [], is_configured=True, is_silent=True) == "not_followed"
    assert decide_state(None, [], is_configured=True, is_silent=False) == "starting"


def test_trust_counts_operators_not_providers() -> None:
    assert decide_trust(None, [{"operator": "a"}, {"operator": "a"}]) == "single"
    assert decide_trust(None, [{"operator": "a"}, {"operator": "b"}]) == "agreed"

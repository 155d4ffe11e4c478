"""Who is asked next, decided from what happened and a clock that is an argument.

Pure: seconds are numbers here.  That real nodes fail the way they do is
`tests/live_evm/test_providers.py`.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chains.errors import ChainError, Inconsistent, Missing, Refused, Throttled, Unreachable, WrongNetwork
from chains.rpc.endpoints import LAST_RESORT_REST_S, EndpointBook, compute_stale_after


def book(*operators: str) -> EndpointBook:
    made = EndpointBook()
    for number, operator in enumerate(operators or ("x", "y", "z")):
        made.add("abcdef"[number], operator)
    return made


def test_the_first_configured_is_asked_first() -> None:
    assert book().choose_order(0) == ["a", "b", "c"]
    assert book().choose_primary(0) == "a"


def test_a_failed_endpoint_keeps_its_place() -> None:
    one = book()
    one.record_failure("a", Unreachable("gone"), 0)
    assert one.choose_primary(0.5) == "b"
    assert one.choose_order(5) == ["b", "a", "c"], "who serves goes on serving; the others keep their order"


@pytest.mark.parametrize("error", [Unreachable("x"), Refused("x"), Throttled("x")])
def test_rests_grow_with_every_failure_and_have_an_end(error: ChainError) -> None:
    one = book()
    rests = []
    for _ in range(12):
        one.record_failure("a", error, 1000)
        rests.append(one.healths["a"].rests_until_s - 1000)
    assert rests[:4] == [1, 2, 4, 8]
    assert rests[-1] == 120


def test_a_throttled_provider_rests_as_long_as_it_asked() -> None:
    one = book()
    one.record_failure("a", Throttled("429", retry_after_s=40), 0)
    assert "a" not in one.choose_order(39)
    assert "a" in one.choose_order(41)


@pytest.mark.parametrize("error", [Inconsistent("lie"), WrongNetwork("other")])
def test_a_liar_rests_longest_and_is_asked_last_afterwards(error: ChainError) -> None:
    one = book()
    one.choose_primary(0)
    one.record_failure("a", error, 0)
    assert one.choose_order(59) == ["b", "c"]
    assert one.choose_order(61) == ["b", "c", "a"]
    one.record_failure("a", error, 61)
    assert "a" not in one.choose_order(61 + 119)


def test_a_liar_is_believed_again_after_steps_that_went_through() -> None:
    one = book()
    for _ in range(2):
        one.record_failure("a", Inconsistent("lie"), 0)
    one.record_success("a")
    assert one.choose_order(0)[-1] == "a"
    one.record_success("a")
    assert one.choose_order(0)[0] == "a"


def test_blocks_not_held_yet_are_ordinary_lag() -> None:
    one = book()
    for _ in range(3):
        one.record_failure("a", Missing("not yet"), 0)
        assert one.choose_primary(0) == "a"
    one.record_failure("a", Missing("not yet"), 0)
    assert one.choose_primary(0) == "b"


@pytest.mark.parametrize(
    "error", [Unreachable("x"), Inconsistent("x"), WrongNetwork("x"), Throttled("x", retry_after_s=3600)]
)
def test_the_only_provider_is_tried_again_within_ten_seconds(error: ChainError) -> None:
    one = book("x")
    for _ in range(8):
        one.record_failure("a", error, 100)
    assert one.choose_order(100 + LAST_RESORT_REST_S - 0.1) == []
    assert one.choose_order(100 + LAST_RESORT_REST_S) == ["a"]


def test_when_all_rest_each_is_tried_again_within_ten_seconds() -> None:
    one = book("x", "y")
    one.record_failure("a", Inconsistent("x"), 0)
    one.record_failure("b", WrongNetwork("x"), 5)
    assert one.choose_order(9) == []
    assert one.choose_order(10) == ["a"]
    assert one.choose_order(15) == ["a", "b"]


def test_one_that_lags_is_asked_last_until_it_catches_up() -> None:
    one = book()
    one.record_lag("a", 90, 100)
    assert one.choose_order(0) == ["b", "c", "a"]
    one.record_lag("a", 99, 100)
    assert one.choose_order(0) == ["a", "b", "c"]


def test_a_head_that_stands_still_moves_us_on_but_a_halted_chain_does_not_keep_us_moving() -> None:
    one = book("x", "y")
    one.record_head("a", 10, 0)
    assert one.choose_primary(30) == "a"
    assert one.choose_primary(31) == "b"
    one.record_head("b", 10, 31)
    assert one.choose_primary(60) == "b"
    assert one.choose_primary(70) == "b", "both stand still now: the one that serves goes on"


def test_a_boasted_head_does_not_make_the_honest_ones_late() -> None:
    one = book()
    one.record_head("a", 100, 0)
    one.record_head("b", 10**9, 0)
    assert one.choose_order(1) == ["a", "b", "c"]


@pytest.mark.parametrize("absurd", [10**9, 2**63, 2**256])
def test_one_absurd_head_is_forgotten(absurd: int) -> None:
    one = book("x", "y")
    one.record_head("a", 100, 0)
    one.record_head("a", absurd, 1)
    for second in range(2, 200):
        one.record_head("a", 100 + second, second)
        one.record_head("b", 100, 0)
    assert one.choose_primary(200) == "a", "it does advance"
    assert one.healths["a"].head_height == 299


def test_a_balancer_between_two_heads_that_stand_still_does_not_advance() -> None:
    one = book("x", "y")
    for second in range(60):
        one.record_head("a", 100 + second % 2, second)
        one.record_head("b", 100 + second, second)
    assert one.choose_primary(60) == "b"


def test_a_slow_chain_may_stand_still_for_longer() -> None:
    assert compute_stale_after(0.25) == 30
    assert compute_stale_after(12) == 120


def test_a_second_opinion_is_one_usable_provider_of_each_other_operator() -> None:
    one = book("x", "x", "y", "y", "z")
    assert one.compute_second_opinions("a", 0) == ["c", "e"]
    one.record_failure("c", Unreachable("gone"), 0)
    assert one.compute_second_opinions("a", 0.5) == ["d", "e"]
    assert book("x", "x").compute_second_opinions("a", 0) == []


def test_a_liar_that_rests_is_no_second_opinion_even_as_the_last_resort() -> None:
    one = book("x", "y")
    for name in ("a", "b"):
        one.record_failure(name, Inconsistent("lie"), 0)
    assert one.choose_order(20) == ["a", "b"]
    assert one.compute_second_opinions("a", 20) == []


ERRORS = st.sampled_from(
    [Unreachable("u"), Throttled("t"), Refused("r"), Missing("m"), Inconsistent("i"), WrongNetwork("w")]
)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.one_of(st.none(), ERRORS), st.floats(0, 100))))
def test_somebody_can_always_be_asked_within_ten_seconds(
    story: list[tuple[str, ChainError | None, float]],
) -> None:
    one, now_s = book(), 0.0
    for name, error, passed_s in story:
        now_s += passed_s
        if error is None:
            one.record_success(name)
        else:
            one.record_failure(name, error, now_s)
        order = one.choose_order(now_s)
        assert len(order) == len(set(order))
    assert one.choose_order(now_s + LAST_RESORT_REST_S)


def test_an_operator_that_rests_alone_is_asked_for_its_opinion_as_a_last_resort() -> None:
    one = book("x", "y", "x")
    one.record_failure("b", Throttled("no", retry_after_s=3_600.0), 100)
    assert one.compute_second_opinions("a", 109) == []
    assert one.compute_second_opinions("a", 110) == ["b"], "a fork would wait for it for an hour"
    one.record_failure("b", Throttled("no", retry_after_s=3_600.0), 110)
    assert one.compute_second_opinions("a", 119) == []


def test_a_provider_that_never_holds_its_blocks_gives_way_to_another() -> None:
    # Its heads are fine and its receipts are not: it must not be asked at every poll for ever.
    book = EndpointBook()
    book.add("broken", "one")
    book.add("sound", "two")
    asked = []
    for now_s in range(8):
        name = book.choose_primary(float(now_s))
        assert name is not None
        asked.append(name)
        if name == "broken":
            book.record_failure(name, Missing("receipts are null"), float(now_s))
        else:
            book.record_success(name)
    assert asked[-1] == "sound"
    assert asked.count("broken") <= 5

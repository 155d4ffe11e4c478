"""A policy says no less of a block for more blocks, more agreement or more finality."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from chains.model import AssetId
from indexer.rules.policy import (
    ChainView,
    ConfirmedBy,
    ConfirmRule,
    Requirement,
    choose_requirement,
    is_confirmed,
    is_final,
)
from tests.simulation.oracle import ChainOracle, PolicyRule

requirements = st.one_of(
    st.builds(Requirement, st.just(ConfirmedBy.DEPTH), st.integers(1, 20)),
    st.just(Requirement(ConfirmedBy.SAFE)),
    st.just(Requirement(ConfirmedBy.FINAL)),
)
heights = st.integers(0, 30)


@st.composite
def views(draw: st.DrawFn) -> ChainView:
    """Heights as they can stand: nothing beyond the tip."""
    tip = draw(heights)
    below = st.none() | st.integers(0, tip)
    return ChainView(tip, draw(below), draw(below), draw(st.integers(0, tip)), draw(below))


@given(heights, requirements, views(), st.booleans())
def test_growth_never_takes_a_confirmation_back(
    height: int, requirement: Requirement, view: ChainView, was_confirmed: bool
) -> None:
    grown = replace(view, tip_height=view.tip_height + 1, agreed_height=view.agreed_height + 1)
    if is_confirmed(height, requirement, view, was_confirmed=was_confirmed):
        assert is_confirmed(height, requirement, grown, was_confirmed=was_confirmed)


@given(heights, requirements, views())
def test_what_is_confirmed_anew_stays_confirmed_under_the_same_heights(
    height: int, requirement: Requirement, view: ChainView
) -> None:
    if is_confirmed(height, requirement, view, was_confirmed=False):
        assert is_confirmed(height, requirement, view, was_confirmed=True)


@given(heights, requirements, views())
def test_doubt_takes_nothing_back(height: int, requirement: Requirement, view: ChainView) -> None:
    calm = replace(view, agreed_height=view.tip_height, held_above=None)
    if is_confirmed(height, requirement, calm, was_confirmed=False) and height <= view.agreed_height:
        assert is_confirmed(height, requirement, view, was_confirmed=True)


@given(heights, requirements, views(), st.booleans())
def test_nothing_above_the_agreed_height_is_confirmed_unless_it_is_final(
    height: int, requirement: Requirement, view: ChainView, was_confirmed: bool
) -> None:
    if is_confirmed(height, requirement, view, was_confirmed=was_confirmed):
        assert is_final(height, view) or height <= view.agreed_height


ASSETS = [AssetId("a"), AssetId("b")]


@given(
    st.lists(
        st.tuples(st.none() | st.sampled_from(ASSETS), st.none() | st.integers(1, 9), st.integers(1, 9))
    ),
    st.sampled_from(ASSETS),
    st.integers(1, 10),
)
def test_the_rule_chosen_is_the_contract_s(
    lines: list[tuple[AssetId | None, int | None, int]], asset: AssetId, amount: int
) -> None:
    rules = [ConfirmRule(Requirement(ConfirmedBy.DEPTH, depth), on, up_to) for on, up_to, depth in lines]
    oracle = ChainOracle("eip155:1", [PolicyRule("depth", depth, on, up_to) for on, up_to, depth in lines])
    chosen, due = choose_requirement(rules, asset, amount), oracle.rule_for(asset, amount)
    assert (chosen.by.value, chosen.confirmations) == (due.by, due.confirmations)

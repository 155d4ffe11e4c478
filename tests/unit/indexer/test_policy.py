"""Which rule applies, when it is met, and whose blocks count for it."""

from __future__ import annotations

import pytest

from chains.model import AssetId
from indexer.rules.policy import (
    UNTIL_FINAL,
    ChainView,
    ConfirmedBy,
    ConfirmRule,
    Requirement,
    choose_requirement,
    describe_requirement,
    is_confirmed,
    is_final,
    is_mature,
    ripen,
)
from tests.unit.indexer.making import COIN, TOKEN, depth, view

SAFE = Requirement(ConfirmedBy.SAFE)


def test_the_first_rule_that_applies_decides() -> None:
    rules = (
        ConfirmRule(depth(1), TOKEN.asset_id, up_to_base_units=100),
        ConfirmRule(depth(3), up_to_base_units=1_000),
        ConfirmRule(SAFE, COIN.asset_id),
    )
    assert choose_requirement(rules, TOKEN.asset_id, 100) == depth(1)
    assert choose_requirement(rules, TOKEN.asset_id, 101) == depth(3)
    assert choose_requirement(rules, COIN.asset_id, 5) == depth(3)
    assert choose_requirement(rules, COIN.asset_id, 1_001) == SAFE
    assert choose_requirement(rules, AssetId("eip155:31337/erc20:0xbb"), 1_001) == UNTIL_FINAL
    assert choose_requirement((), COIN.asset_id, 1) == UNTIL_FINAL


@pytest.mark.parametrize(
    ("requirement", "text"), [(depth(12), "confirmations>=12"), (SAFE, "safe"), (UNTIL_FINAL, "final")]
)
def test_a_policy_is_shown_in_the_contract_s_words(requirement: Requirement, text: str) -> None:
    assert describe_requirement(requirement) == text


def test_one_confirmation_is_the_block_itself() -> None:
    assert is_confirmed(10, depth(1), view(10), was_confirmed=False)
    assert not is_confirmed(10, depth(2), view(10), was_confirmed=False)
    assert is_confirmed(10, depth(2), view(11), was_confirmed=False)


def test_nothing_confirms_that_only_one_of_several_operators_has_shown() -> None:
    assert not is_confirmed(10, depth(1), view(20, agreed=9), was_confirmed=False)


def test_blocks_that_only_one_of_several_operators_has_shown_deepen_nothing() -> None:
    assert not is_confirmed(10, depth(3), view(20, agreed=11), was_confirmed=False)
    assert is_confirmed(10, depth(3), view(20, agreed=12), was_confirmed=False)


def test_doubt_about_newer_blocks_takes_nothing_back() -> None:
    assert is_confirmed(10, depth(3), view(12, agreed=10), was_confirmed=True)


def test_a_dispute_holds_back_what_is_new_and_keeps_what_is_confirmed() -> None:
    disputed = view(20, held_above=9)
    assert not is_confirmed(10, depth(3), disputed, was_confirmed=False)
    assert is_confirmed(10, depth(3), disputed, was_confirmed=True)
    assert is_confirmed(9, depth(3), disputed, was_confirmed=False)


def test_what_is_final_is_confirmed_whatever_the_policy() -> None:
    for requirement in (depth(1000), SAFE, UNTIL_FINAL):
        assert is_confirmed(10, requirement, view(20, final=10), was_confirmed=False)
        assert is_final(10, view(20, final=10))
        assert not is_final(11, view(20, final=10))


def test_an_unknown_safe_height_confirms_nothing() -> None:
    assert not is_confirmed(10, SAFE, view(20), was_confirmed=False)
    assert is_confirmed(10, SAFE, view(20, safe=10), was_confirmed=False)
    assert not is_confirmed(11, SAFE, view(20, safe=10), was_confirmed=False)


def test_coins_that_cannot_be_spent_raise_a_count_and_no_tag() -> None:
    assert ripen(depth(2), 100) == depth(100)
    assert ripen(depth(120), 100) == depth(120)
    assert ripen(SAFE, 100) == SAFE
    assert ripen(UNTIL_FINAL, 100) == UNTIL_FINAL


def test_coins_ripen_with_what_all_agree_on_and_stay_ripe_with_the_tip() -> None:
    seen = ChainView(tip_height=109, final_height=109, safe_height=None, agreed_height=108)
    assert not is_mature(10, 100, seen, was_confirmed=False)
    assert is_mature(10, 100, seen, was_confirmed=True)
    assert is_mature(10, 99, seen, was_confirmed=False)
    assert is_mature(200, 0, seen, was_confirmed=False), "what can be spent at once waits for nothing here"

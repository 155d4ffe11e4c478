"""Large amounts that nothing but one operator's word stands behind: which they are, and what lifts that."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chains.model import Asset, AssetId, TransferKind, VerificationLevel
from indexer.rules.deposits import Deposit, DepositState, decide_lost, decide_matured
from indexer.rules.matching import MatchRules
from indexer.rules.moves import Touched, decide_move, find_lifted, lift
from indexer.rules.policy import is_too_large
from tests.unit.indexer.making import (
    CHAIN,
    COIN,
    LATER,
    NOW,
    TOKEN,
    depth,
    found,
    recorded,
    sighting,
    transfer,
    view,
)

FULL, PARTIAL, CONSISTENT = VerificationLevel.FULL, VerificationLevel.PARTIAL, VerificationLevel.CONSISTENT
DOUBTFUL = replace(sighting(), on_one_word=True)


def held() -> Deposit:
    """A deposit that waits for another word, deep enough for any policy."""
    return recorded(DOUBTFUL, view(30, final=30))


@pytest.mark.parametrize(
    ("asset", "amount", "limits", "is_large"),
    [
        (TOKEN, 1_000 * 10**6, {}, False),
        (TOKEN, 1_000 * 10**6 + 1, {}, True),
        (COIN, 10**18, {}, False),
        (COIN, 10**18 + 1, {}, True),
        (TOKEN, 1, {TOKEN.asset_id: 0}, True),
        (TOKEN, 2**256 - 1, {TOKEN.asset_id: None}, False),
        (COIN, 10**18 + 1, {TOKEN.asset_id: None}, True),
        (Asset(AssetId(f"{CHAIN}/erc20:0xcc"), "C", 0, TOKEN.contract), 1_001, {}, True),
        (Asset(AssetId(f"{CHAIN}/erc20:0xcc"), "C", 77, TOKEN.contract), 10**79, {}, False),
        (Asset(AssetId(f"{CHAIN}/erc20:0xcc"), "C", 77, TOKEN.contract), 2**256, {}, False),
    ],
)
def test_what_is_too_large_is_said_in_whole_coins_unless_the_operator_says_otherwise(
    asset: Asset, amount: int, limits: dict[AssetId, int | None], *, is_large: bool
) -> None:
    assert is_too_large(asset, amount, limits) == is_large


@pytest.mark.parametrize(
    ("level", "kind", "doubted_above", "waits"),
    [
        (FULL, TransferKind.TOKEN, -1, False),
        (PARTIAL, TransferKind.TOKEN, -1, True),
        (CONSISTENT, TransferKind.NATIVE, -1, True),
        (FULL, TransferKind.INTERNAL, -1, True),
        (PARTIAL, TransferKind.TOKEN, None, False),
        (FULL, TransferKind.INTERNAL, None, False),
        (CONSISTENT, TransferKind.TOKEN, 9, True),
        (CONSISTENT, TransferKind.TOKEN, 10, False),
    ],
)
def test_what_no_hash_covers_waits_above_what_was_vouched_for_where_nobody_else_is_asked(
    level: VerificationLevel, kind: TransferKind, doubted_above: int | None, *, waits: bool
) -> None:
    rules = MatchRules(CHAIN, {}, lambda *_: sighting().deposit_id, lambda *_: depth(1), {TOKEN.asset_id: 5})
    rules = replace(rules, doubted_above=doubted_above)
    assert rules.is_on_one_word(10, level, replace(transfer(6), kind=kind), TOKEN) == waits
    assert not rules.is_on_one_word(10, level, replace(transfer(5), kind=kind), TOKEN)


def test_a_held_deposit_is_included_however_deep_and_however_final() -> None:
    deposit = held()
    assert (deposit.state, deposit.credited_base_units) == (DepositState.INCLUDED, 0)
    assert decide_matured(deposit, view(900, final=900, safe=900), now=LATER) == []


def test_a_block_that_is_verified_credits_what_another_did_not() -> None:
    changes = found(held(), sighting(11), view(30), now=LATER)
    assert [change.event_type for change in changes] == ["deposit.confirmed"]
    assert not changes[-1].deposit.on_one_word


def test_a_credited_deposit_that_moves_to_a_block_nobody_could_check_is_taken_back() -> None:
    (change,) = found(recorded(), replace(sighting(11), on_one_word=True), view(30), now=LATER)
    assert (change.event_type, change.deposit.credited_base_units) == ("deposit.reversed", 0)


def test_what_was_lifted_stays_so_while_it_is_the_same_deposit_at_the_same_place() -> None:
    vouched = replace(recorded(), on_one_word=False)
    assert found(vouched, DOUBTFUL, view(12)) == []
    for seen in (
        replace(DOUBTFUL, transfer=transfer(10**9)),
        replace(DOUBTFUL, transfer=replace(transfer(), senders=())),
        replace(sighting(10, block="other"), on_one_word=True),
    ):
        (change,) = found(vouched, seen, view(30))
        assert change.event_type == "deposit.reversed", seen


def test_a_deposit_that_left_the_chain_waits_for_no_word() -> None:
    (change,) = decide_lost(held(), replaced_by=None, now=LATER)
    assert (change.deposit.state, change.deposit.on_one_word) == (DepositState.ORPHANED, False)


def test_what_another_operator_showed_matures_in_the_same_move() -> None:
    touched = lift(Touched({}, (), (), ()), [held()])
    changes = decide_move(touched, (), (), view(30, final=10), now=LATER)
    assert [change.event_type for change in changes] == ["deposit.confirmed", "deposit.final"]
    assert find_lifted([held()], touched, (), changes) == []


def test_what_is_lifted_before_its_time_is_written_and_told_to_nobody() -> None:
    touched = lift(Touched({}, (), (), ()), [held()])
    changes = decide_move(touched, (), (), view(10), now=NOW)
    assert changes == []
    assert [one.on_one_word for one in find_lifted([held()], touched, (), changes)] == [False]


def test_a_reading_that_verifies_the_block_lifts_it_and_another_that_does_not_leaves_it() -> None:
    before = held()
    touched = Touched({before.id: before}, (), (), ())
    assert [one.id for one in find_lifted((), touched, [sighting()], ())] == [before.id]
    assert find_lifted((), touched, [DOUBTFUL], ()) == []
    assert lift(touched, [recorded()]) is touched, "what waits for nothing is touched by nothing"

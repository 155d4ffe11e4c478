"""Where a deposit stands when several canonical blocks hold its transaction, and what is kept of the others."""

from __future__ import annotations

from chains.model import Address
from indexer.rules.deposits import Deposit, DepositState, Sighting, occurrence_of
from indexer.rules.matching import ListedAsset, MatchRules, Registration, recall
from indexer.rules.moves import Repeat, Touched, choose_places, decide_move, find_repeats
from tests.unit.indexer.making import (
    ADDRESS_ID,
    CHAIN,
    COIN,
    MERCHANT,
    NOW,
    TOKEN,
    depth,
    recorded,
    sighting,
    transfer,
    view,
)

FINAL_VIEW = view(40, final=30)
SENDER = Address(b"the payer")


def standing(*deposits: Deposit) -> Touched:
    """These are known, and nothing leaves."""
    return Touched({one.id: one for one in deposits}, (), (), ())


def leaving(deposit: Deposit) -> Touched:
    """Its block leaves."""
    return Touched({deposit.id: deposit}, (deposit,), (), ())


def heights(found: list[Sighting] | list[Repeat]) -> list[int]:
    return [one.header.height if isinstance(one, Sighting) else one.occurrence.height for one in found]


def test_a_later_block_that_holds_it_too_moves_nothing() -> None:
    for at in (view(12), view(10), FINAL_VIEW):
        deposit = recorded(sighting(10), at)
        seen = [sighting(25, moved=transfer(500))]
        assert decide_move(standing(deposit), seen, (), at, now=NOW) == []
        assert heights(find_repeats(standing(deposit), seen)) == [25]


def test_history_that_shows_a_lower_block_moves_it_there_and_keeps_the_higher_one() -> None:
    deposit = recorded(sighting(25), view(40))
    seen = [sighting(10)]
    (change,) = decide_move(standing(deposit), seen, (), view(40), now=NOW, backfilled=True)
    assert (change.event_type, change.deposit.credited_base_units) == ("deposit.moved", 100)
    assert heights(find_repeats(standing(deposit), seen)) == [25]


def test_what_is_final_stays_whatever_history_shows() -> None:
    deposit = recorded(sighting(25), FINAL_VIEW)
    assert deposit.state is DepositState.FINAL
    for seen in (sighting(10), sighting(25, moved=transfer(7)), sighting(25, own=True)):
        assert decide_move(standing(deposit), [seen], (), FINAL_VIEW, now=NOW) == []


def test_two_in_one_move_are_one_version() -> None:
    seen = [sighting(10), sighting(11)]
    changes = decide_move(Touched({}, (), (), ()), seen, (), view(10), now=NOW)
    assert [(one.event_type, one.deposit.version) for one in changes] == [("deposit.included", 1)]
    assert heights(find_repeats(Touched({}, (), (), ()), seen)) == [11]


def test_when_its_place_leaves_it_stands_at_the_lowest_that_is_left() -> None:
    deposit = recorded(sighting(25), view(40))
    left = [sighting(10), sighting(26, block="other")]
    assert heights(choose_places(leaving(deposit), left)) == [10]
    (change,) = decide_move(leaving(deposit), left, (), view(40), now=NOW)
    assert change.event_type == "deposit.moved"
    assert heights(find_repeats(leaving(deposit), left)) == [26]


def test_a_block_read_again_is_no_repeat() -> None:
    deposit = recorded(sighting(10), view(12))
    assert find_repeats(standing(deposit), [sighting(10)]) == []


def test_whether_it_is_an_own_transfer_is_asked_anew_where_it_stands_then() -> None:
    deposit = recorded(sighting(25, own=True), view(40))
    repeat = Repeat(deposit.id, occurrence_of(sighting(10)), (SENDER,), deposit.amount_base_units)
    rules = MatchRules(
        chain=CHAIN,
        assets={asset.asset_id: ListedAsset(asset, 0) for asset in (COIN, TOKEN)},
        deposit_id=lambda merchant, moved: deposit.id,
        requirement=lambda asset, amount: depth(3),
    )
    for watched_from, is_own in ((10, True), (11, False)):
        sender = Registration(ADDRESS_ID, MERCHANT, SENDER, watched_from, None)
        (seen,) = recall([repeat], {deposit.id: deposit}, {SENDER: [sender]}, rules)
        assert seen.own_transfer is is_own

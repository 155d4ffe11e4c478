"""One deposit's life, row by row of CONTRACT 5, and the changes that are easy to get wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from chains.model import TxHash
from indexer.rules.deposits import LEGAL_MOVES, Change, Deposit, DepositState, decide_lost, decide_matured
from indexer.rules.policy import ConfirmedBy, Requirement
from tests.simulation import oracle
from tests.unit.indexer.making import LATER, NOW, depth, found, recorded, sighting, transfer, view

RIVAL = TxHash(b"rival".ljust(32, b"."))
S = DepositState


def included() -> Deposit:
    return recorded(at=view(10))


def confirmed() -> Deposit:
    return recorded(at=view(12))


def final() -> Deposit:
    return recorded(at=view(12, final=10))


def orphaned() -> Deposit:
    return decide_lost(included(), replaced_by=None, now=NOW)[0].deposit


def replaced() -> Deposit:
    return decide_lost(included(), replaced_by=RIVAL, now=NOW)[0].deposit


def told(changes: list[Change]) -> list[str]:
    return [change.event_type for change in changes]


def test_the_table_of_legal_moves_is_the_contract_s() -> None:
    for before, after in oracle.LEGAL_MOVES.items():
        state = None if before is None else DepositState(before)
        if state is S.FINAL:
            assert LEGAL_MOVES[state] == {DepositState(one) for one in oracle.AFTER_ACCEPTED_REORG}
        else:
            assert LEGAL_MOVES[state] == {DepositState(one) for one in after}


def test_a_new_deposit_in_the_tip_is_included() -> None:
    (change,) = found(None, sighting(10), view(10))
    assert (change.event_type, change.previous_state) == ("deposit.included", None)
    assert (change.deposit.state, change.deposit.version) == (S.INCLUDED, 1)
    assert change.deposit.credited_base_units == 0


def test_a_new_deposit_that_is_deep_enough_is_confirmed_at_once() -> None:
    (change,) = found(None, sighting(10), view(12))
    assert change.event_type == "deposit.confirmed"
    assert change.deposit.credited_base_units == 100
    assert (change.deposit.confirmed_version, change.deposit.confirmed_at) == (1, NOW)


def test_final_comes_after_confirmed_when_both_hold_at_once() -> None:
    changes = found(None, sighting(10), view(12, final=10))
    assert told(changes) == ["deposit.confirmed", "deposit.final"]
    assert [change.deposit.version for change in changes] == [1, 2]
    assert [change.previous_state for change in changes] == [None, S.CONFIRMED]
    assert changes[-1].deposit.confirmed_version == 1


def test_included_becomes_final_by_way_of_confirmed() -> None:
    changes = decide_matured(included(), view(20, final=15), now=LATER)
    assert told(changes) == ["deposit.confirmed", "deposit.final"]


def test_included_becomes_confirmed_when_it_is_deep_enough() -> None:
    assert decide_matured(included(), view(11), now=LATER) == []
    assert told(decide_matured(included(), view(12), now=LATER)) == ["deposit.confirmed"]


def test_confirmations_that_only_count_up_are_no_change() -> None:
    assert decide_matured(confirmed(), view(13), now=LATER) == []


def test_confirmed_becomes_final() -> None:
    (change,) = decide_matured(confirmed(), view(30, final=10), now=LATER)
    assert (change.event_type, change.deposit.final_at) == ("deposit.final", LATER)
    assert change.deposit.credited_base_units == 100


def test_a_shorter_chain_takes_a_confirmation_back() -> None:
    (change,) = decide_matured(confirmed(), view(11), now=LATER)
    assert (change.event_type, change.deposit.state) == ("deposit.reversed", S.INCLUDED)
    assert change.reverses_version == 1
    assert change.deposit.confirmed_at is None


@pytest.mark.parametrize(
    ("before", "rival", "event", "state"),
    [
        (included, None, "deposit.orphaned", S.ORPHANED),
        (included, RIVAL, "deposit.replaced", S.REPLACED),
        (confirmed, None, "deposit.reversed", S.ORPHANED),
        (confirmed, RIVAL, "deposit.reversed", S.REPLACED),
        (final, None, "deposit.reversed", S.ORPHANED),
        (final, RIVAL, "deposit.reversed", S.REPLACED),
        (orphaned, RIVAL, "deposit.replaced", S.REPLACED),
    ],
)
def test_a_deposit_that_lost_its_block_is_told_by_what_it_had(
    before: Callable[[], Deposit], rival: TxHash | None, event: str, state: DepositState
) -> None:
    (change,) = decide_lost(before(), replaced_by=rival, now=LATER)
    assert (change.event_type, change.deposit.state) == (event, state)
    assert (change.deposit.occurrence, change.deposit.credited_base_units) == (None, 0)
    assert change.deposit.replaced_by == rival


@pytest.mark.parametrize(("before", "rival"), [(orphaned, None), (replaced, None), (replaced, RIVAL)])
def test_what_is_lost_already_is_not_lost_again(before: Callable[[], Deposit], rival: TxHash | None) -> None:
    assert decide_lost(before(), replaced_by=rival, now=LATER) == []


@pytest.mark.parametrize("before", [orphaned, replaced])
@pytest.mark.parametrize(("tip", "event"), [(10, "deposit.included"), (12, "deposit.confirmed")])
def test_a_lost_deposit_comes_back_under_its_own_identity(
    before: Callable[[], Deposit], tip: int, event: str
) -> None:
    lost = before()
    (change,) = found(lost, sighting(10, block="other"), view(tip))
    assert (change.event_type, change.deposit.id, change.deposit.version) == (
        event,
        lost.id,
        lost.version + 1,
    )
    assert change.deposit.replaced_by is None


def test_mined_again_at_the_same_depth_is_moved_and_nothing_else() -> None:
    (change,) = found(confirmed(), sighting(10, block="other"), view(12))
    assert (change.event_type, change.deposit.state) == ("deposit.moved", S.CONFIRMED)
    assert change.deposit.credited_base_units == 100
    assert change.deposit.confirmed_version == 1


def test_mined_again_higher_up_takes_the_credit_back() -> None:
    (change,) = found(confirmed(), sighting(12, block="other"), view(12))
    assert (change.event_type, change.deposit.state, change.reverses_version) == (
        "deposit.reversed",
        S.INCLUDED,
        1,
    )


def test_another_amount_is_amended() -> None:
    (change,) = found(confirmed(), sighting(10, block="other", moved=transfer(70)), view(12))
    assert (change.event_type, change.deposit.credited_base_units) == ("deposit.amended", 70)


def test_an_amount_that_needs_more_confirmations_is_reversed() -> None:
    dear = sighting(10, block="other", moved=transfer(5_000), requirement=depth(30))
    (change,) = found(confirmed(), dear, view(12))
    assert (change.event_type, change.deposit.state) == ("deposit.reversed", S.INCLUDED)


def test_an_own_transfer_is_told_and_never_credited() -> None:
    (change,) = found(None, sighting(10, own=True), view(12))
    assert (change.event_type, change.deposit.credited_base_units) == ("deposit.confirmed", 0)
    (lost,) = decide_lost(change.deposit, replaced_by=None, now=LATER)
    assert (lost.event_type, lost.reverses_version) == ("deposit.orphaned", None)


def test_below_the_minimum_it_is_recorded_and_not_told() -> None:
    (change,) = found(None, sighting(10, moved=transfer(9)), view(12))
    assert (change.deposit.published, change.deposit.amount_base_units) == (False, 9)


def test_the_minimum_itself_is_told_and_even_the_smallest_credit_is_taken_back() -> None:
    smallest = recorded(sighting(moved=transfer(1), minimum=1), view(12))
    assert smallest.published
    assert told(decide_lost(smallest, replaced_by=None, now=NOW)) == ["deposit.reversed"]


def test_the_first_telling_of_a_deposit_begins_its_story() -> None:
    unseen = recorded(sighting(10, moved=transfer(9)))
    assert (unseen.published, unseen.state) == (False, S.CONFIRMED)
    (change,) = found(unseen, sighting(10, block="other", moved=transfer(50)), view(12))
    assert (change.event_type, change.previous_state) == ("deposit.confirmed", None)
    assert change.deposit.confirmed_version == change.deposit.version == 2


def test_the_first_telling_of_a_final_deposit_tells_its_confirmation_first() -> None:
    unseen = recorded(sighting(10, moved=transfer(9)))
    changes = found(unseen, sighting(10, block="other", moved=transfer(50)), view(12, final=10))
    assert told(changes) == ["deposit.confirmed", "deposit.final"]
    assert [change.previous_state for change in changes] == [None, S.CONFIRMED]


def test_reversed_names_a_confirmation_that_was_told() -> None:
    unseen = recorded(sighting(10, moved=transfer(9)))
    (grown,) = found(unseen, sighting(10, block="other", moved=transfer(50)), view(12))
    (lost,) = decide_lost(grown.deposit, replaced_by=None, now=LATER)
    assert (lost.event_type, lost.reverses_version) == ("deposit.reversed", grown.deposit.version)


def test_credit_that_begins_after_an_own_transfer_is_a_confirmation_of_its_own() -> None:
    own = recorded(sighting(10, own=True))
    (change,) = found(own, sighting(10, block="other", own=False), view(12))
    assert (change.event_type, change.deposit.credited_base_units) == ("deposit.confirmed", 100)
    assert change.deposit.confirmed_version == change.deposit.version


def test_credit_that_begins_with_finality_after_an_own_transfer_is_confirmed_first() -> None:
    own = recorded(sighting(10, own=True))
    changes = found(own, sighting(10, block="other", own=False), view(12, final=10))
    assert told(changes) == ["deposit.confirmed", "deposit.final"]


def test_a_sender_registered_later_takes_the_credit_of_what_is_not_final() -> None:
    (change,) = found(confirmed(), sighting(10, own=True), view(12))
    assert (change.event_type, change.deposit.state, change.reverses_version) == (
        "deposit.reversed",
        S.CONFIRMED,
        1,
    )
    assert found(final(), sighting(10, own=True), view(20, final=10)) == []


def test_an_own_transfer_found_out_before_it_is_confirmed_is_amended() -> None:
    (change,) = found(included(), sighting(10, own=True), view(10))
    assert (change.event_type, change.deposit.own_transfer) == ("deposit.amended", True)


def test_final_that_leaves_by_an_accepted_reorganisation_goes_on_as_confirmed_does() -> None:
    (change,) = found(final(), sighting(11, block="other"), view(13, final=9))
    assert (change.event_type, change.deposit.state) == ("deposit.confirmed", S.CONFIRMED)
    assert change.deposit.final_at is None
    (back,) = found(final(), sighting(13, block="other"), view(13, final=9))
    assert (back.event_type, back.deposit.state) == ("deposit.reversed", S.INCLUDED)


def test_a_policy_of_finality_confirms_in_the_same_move_as_it_is_final() -> None:
    waiting = recorded(sighting(10, requirement=Requirement(ConfirmedBy.FINAL)), view(12))
    assert waiting.state is S.INCLUDED
    assert told(decide_matured(waiting, view(40, final=10), now=LATER)) == [
        "deposit.confirmed",
        "deposit.final",
    ]


def test_a_version_is_never_used_twice() -> None:
    deposit = included()
    versions = [deposit.version]
    for tip, name in ((12, "b10"), (12, "x"), (10, "y"), (12, "z")):
        (change,) = found(deposit, sighting(10, block=name), view(tip))
        deposit = change.deposit
        versions.append(deposit.version)
    assert versions == [1, 2, 3, 4, 5]
    assert replace(deposit, version=5) == deposit

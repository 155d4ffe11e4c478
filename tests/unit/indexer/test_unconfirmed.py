"""What a mempool may and may not do to a deposit, state by state."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from chains.mempool import FeeRung, WaitingTx
from chains.model import Address, ConflictKey, TxHash
from indexer.rules.deposits import ON_CHAIN, Change, Deposit, DepositState, FeeStanding, begin_deposit
from indexer.rules.unconfirmed import (
    EVICTED_AFTER,
    FEE_RATE_MAX,
    RUNGS_MAX,
    Wait,
    accept_rungs,
    compute_standing,
    decide_dropped,
    decide_seen,
    is_readable,
)
from tests.unit.indexer.making import LATER, NOW, sighting, transfer

S = DepositState
RIVAL = TxHash(b"the rival that a block holds....")
LOST = [S.SEEN, S.ORPHANED, S.DROPPED, S.REPLACED]
GONE = Wait(waits=False, missing_since=NOW - EVICTED_AFTER)


def deposit_in(state: DepositState) -> Deposit:
    begun = begin_deposit(sighting(10), now=NOW, backfilled=False)
    return replace(begun, state=state, version=3, occurrence=begun.occurrence if state in ON_CHAIN else None)


def states(changes: list[Change]) -> list[DepositState]:
    return [one.deposit.state for one in changes]


@pytest.mark.parametrize("state", sorted(ON_CHAIN))
def test_what_a_block_holds_is_no_business_of_a_mempool(state: DepositState) -> None:
    before = deposit_in(state)
    assert decide_seen(before, sighting(11), spent_by=None, now=LATER) == []
    assert decide_seen(before, sighting(11), spent_by=RIVAL, now=LATER) == []
    assert decide_dropped(before, GONE, now=NOW) == []
    assert decide_dropped(before, replace(GONE, spent_by=RIVAL, rival=RIVAL), now=NOW) == []


@pytest.mark.parametrize("state", LOST)
def test_what_waits_again_is_seen_again_and_told_once(state: DepositState) -> None:
    changes = decide_seen(deposit_in(state), sighting(11), spent_by=None, now=LATER)
    assert states(changes) == ([] if state is S.SEEN else [S.SEEN])


@pytest.mark.parametrize("state", LOST)
def test_a_rival_in_a_block_ends_the_waiting_whatever_the_mempool_shows(state: DepositState) -> None:
    expected = [] if state is S.REPLACED else [S.REPLACED]
    before = deposit_in(state)
    seen = decide_seen(before, sighting(11), spent_by=RIVAL, now=LATER)
    dropped = decide_dropped(before, Wait(waits=True, spent_by=RIVAL), now=LATER)
    assert states(seen) == states(dropped) == expected
    assert all(one.deposit.replaced_by == RIVAL for one in (*seen, *dropped))


@pytest.mark.parametrize(
    ("wait", "drops"),
    [
        (GONE, True),
        (replace(GONE, missing_since=NOW - EVICTED_AFTER + timedelta(seconds=1)), False),
        (replace(GONE, missing_since=NOW, rival=RIVAL), True),
        (replace(GONE, missing_since=None, rival=RIVAL), False),
        (replace(GONE, waits=True, rival=RIVAL), False),
    ],
    ids=["long", "not-long", "rivalled", "nobody-looked", "waits"],
)
@pytest.mark.parametrize("state", LOST)
def test_a_transaction_that_is_gone_for_long_or_for_a_rival_is_dropped_once(
    state: DepositState, wait: Wait, drops: bool
) -> None:
    changes = decide_dropped(deposit_in(state), wait, now=NOW)
    assert states(changes) == ([S.DROPPED] if drops and state is not S.DROPPED else [])


def test_dust_is_no_deposit_before_a_block_holds_it_and_one_that_is_runs_on() -> None:
    dust = sighting(11, minimum=101)
    assert decide_seen(None, dust, spent_by=None, now=NOW) == []
    assert states(decide_seen(deposit_in(S.DROPPED), dust, spent_by=None, now=LATER)) == [S.SEEN]


RUNGS = (FeeRung(1, 9_000), FeeRung(6, 4_000), FeeRung(144, 1_000))


@pytest.mark.parametrize(
    ("offered", "expected"),
    [(10_000, 1), (9_000, 1), (8_999, 6), (1_000, 144), (999, None), (0, None), (-5, None), (None, None)],
)
def test_a_payment_is_expected_with_the_first_rung_that_it_reaches(
    offered: int | None, expected: int | None
) -> None:
    fees = compute_standing(WaitingTx(RIVAL, (), (), offered), RUNGS)
    assert (fees.fee_rate_wanted_per_kvb, fees.expected_blocks) == (9_000, expected)
    assert fees.fee_rate_per_kvb is None if offered is None else fees.fee_rate_per_kvb == max(offered, 0)
    silent = compute_standing(WaitingTx(RIVAL, (), (), offered, True), ())
    assert (silent.has_unconfirmed_parents, silent.expected_blocks) == (True, None)


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        (RUNGS, RUNGS),
        ((), ()),
        ((FeeRung(0, 5), FeeRung(-1, 5), FeeRung(1, 5)), (FeeRung(1, 5),)),
        ((FeeRung(1, 5), FeeRung(1, 4)), (FeeRung(1, 5),)),
        ((FeeRung(1, 5), FeeRung(2, 6), FeeRung(3, 5)), (FeeRung(1, 5), FeeRung(3, 5))),
        ((FeeRung(1, -1), FeeRung(2, FEE_RATE_MAX + 1), FeeRung(3, 1)), (FeeRung(3, 1),)),
        ((FeeRung(10**12, 1),), ()),
    ],
)
def test_rungs_that_are_none_are_left_out(told: tuple[FeeRung, ...], kept: tuple[FeeRung, ...]) -> None:
    assert accept_rungs(told) == kept


def test_a_ladder_without_end_is_cut() -> None:
    assert len(accept_rungs([FeeRung(one, 10**6 - one) for one in range(1, 10_000)])) == RUNGS_MAX


def test_an_offer_beyond_all_money_is_kept_as_the_most_there_can_be() -> None:
    fees = compute_standing(WaitingTx(RIVAL, (), (), 10**40), (FeeRung(1, 5),))
    assert fees == FeeStanding(FEE_RATE_MAX, False, 5, 1)


PAID = transfer()


@pytest.mark.parametrize(
    "tx",
    [
        WaitingTx(RIVAL, (PAID,), ()),
        WaitingTx(PAID.tx_hash, (PAID, PAID), ()),
        WaitingTx(PAID.tx_hash, (replace(PAID, amount_base_units=0),), ()),
        WaitingTx(PAID.tx_hash, (replace(PAID, amount_base_units=-1),), ()),
        WaitingTx(PAID.tx_hash, (replace(PAID, amount_base_units=10**78),), ()),
        WaitingTx(PAID.tx_hash, (replace(PAID, n=-1),), ()),
        WaitingTx(PAID.tx_hash, (replace(PAID, n=2**31),), ()),
        WaitingTx(PAID.tx_hash, (replace(PAID, conflict_keys=(ConflictKey(b""),)),), ()),
        WaitingTx(PAID.tx_hash, (replace(PAID, conflict_keys=(ConflictKey(b"k" * 256),)),), ()),
        WaitingTx(PAID.tx_hash, (replace(PAID, senders=(Address(b"s" * 256),)),), ()),
    ],
)
def test_what_no_row_could_hold_is_not_judged(tx: WaitingTx) -> None:
    assert not is_readable(tx)


def test_a_transaction_that_makes_sense_is_judged() -> None:
    assert is_readable(WaitingTx(PAID.tx_hash, (PAID, replace(PAID, n=1)), PAID.conflict_keys))
    assert is_readable(WaitingTx(RIVAL, (), ()))

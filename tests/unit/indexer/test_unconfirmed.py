"""What a mempool may and may not do to a deposit, state by state."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from chains.model import TxHash
from indexer.rules.deposits import ON_CHAIN, Change, Deposit, DepositState, begin_deposit
from indexer.rules.unconfirmed import EVICTED_AFTER, Wait, decide_dropped, decide_seen
from tests.unit.indexer.making import LATER, NOW, sighting

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

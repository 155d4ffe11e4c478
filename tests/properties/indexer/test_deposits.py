"""One deposit under every order of sightings, losses and heights: legal moves, rising versions, one credit."""

from __future__ import annotations

from dataclasses import replace

import hypothesis
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from chains.model import TxHash
from indexer.rules.deposits import (
    CREDITING,
    ON_CHAIN,
    Change,
    Deposit,
    DepositState,
    decide_found,
    decide_lost,
    decide_matured,
)
from indexer.rules.policy import ChainView, ConfirmedBy, Requirement, is_confirmed, is_final
from tests.simulation.oracle import AFTER_ACCEPTED_REORG, LEGAL_MOVES
from tests.unit.indexer.making import NOW, depth, sighting, transfer

RIVALS = (TxHash(b"rival-1".ljust(32)), TxHash(b"rival-2".ljust(32)))
requirements = st.sampled_from(
    [depth(1), depth(3), Requirement(ConfirmedBy.SAFE), Requirement(ConfirmedBy.FINAL)]
)


class DepositMachine(RuleBasedStateMachine):
    """The chain moves as it likes; whoever reads the changes must be able to follow."""

    def __init__(self) -> None:
        super().__init__()
        self.deposit: Deposit | None = None
        self.told: Deposit | None = None
        self.granted_version: int | None = None
        self.tip = 20
        self.final: int | None = None
        self.blocks = 0

    def view(self, data: st.DataObject, *, accepted: bool = False) -> ChainView:
        self.tip = max(data.draw(st.integers(self.tip - 3, self.tip + 6)), self.final or 0, 5)
        if accepted:
            self.final = None
        lowest = -1 if self.final is None else self.final
        final = data.draw(st.integers(lowest, self.tip)) if data.draw(st.booleans()) else lowest
        self.final = None if final < 0 else final
        agreed = data.draw(st.integers(max(final, 0), self.tip)) if data.draw(st.booleans()) else self.tip
        held = data.draw(st.none() | st.integers(max(final, 0), self.tip))
        return ChainView(self.tip, self.final, data.draw(st.none() | st.integers(0, self.tip)), agreed, held)

    def standing(self) -> Deposit:
        """The deposit, where there must be one."""
        assert self.deposit is not None
        return self.deposit

    def is_settled(self) -> bool:
        return self.deposit is not None and self.deposit.state is DepositState.FINAL

    @rule(
        data=st.data(),
        amount=st.sampled_from([5, 50, 50, 70]),
        own=st.booleans(),
        requirement=requirements,
        accepted=st.booleans(),
    )
    def found_in_a_new_block(
        self, data: st.DataObject, amount: int, own: bool, requirement: Requirement, accepted: bool
    ) -> None:
        if self.is_settled() and not accepted:
            return
        view = self.view(data, accepted=accepted)
        self.blocks += 1
        height = data.draw(st.integers(max(0, self.tip - 8), self.tip))
        seen = sighting(
            height, block=f"block{self.blocks}", moved=transfer(amount), own=own, requirement=requirement
        )
        changes = decide_found(self.deposit, seen, view, now=NOW, backfilled=False)
        assert changes, "another block is a change"
        self.read(changes, view, may_leave_final=accepted)
        assert self.deposit is not None
        assert self.deposit.amount_base_units == amount
        assert self.deposit.own_transfer == own

    @precondition(lambda self: self.deposit is not None and self.deposit.occurrence is not None)
    @rule(data=st.data(), own=st.booleans())
    def read_again_in_the_same_block(self, data: st.DataObject, own: bool) -> None:
        before = self.standing()
        at = before.occurrence
        assert at is not None
        view = self.view(data)
        seen = sighting(
            at.height, moved=transfer(before.amount_base_units), own=own, requirement=before.requirement
        )
        seen = replace(seen, header=replace(seen.header, hash=at.block_hash))
        changes = decide_found(before, seen, view, now=NOW, backfilled=True)
        self.read(changes, view)
        if before.state is DepositState.FINAL:
            assert not changes

    @precondition(lambda self: self.deposit is not None and self.deposit.occurrence is not None)
    @rule(data=st.data())
    def heights_move(self, data: st.DataObject) -> None:
        deposit, view = self.standing(), self.view(data)
        assert deposit.occurrence is not None
        if deposit.occurrence.height > view.tip_height:
            return
        self.read(decide_matured(deposit, view, now=NOW), view)

    @precondition(lambda self: self.deposit is not None)
    @rule(rival=st.none() | st.sampled_from(RIVALS), accepted=st.booleans())
    def its_block_leaves(self, rival: TxHash | None, accepted: bool) -> None:
        if self.is_settled() and not accepted:
            return
        before = self.standing()
        changes = decide_lost(before, replaced_by=rival, now=NOW)
        self.read(changes, None, may_leave_final=accepted)
        after = self.standing()
        assert after.state not in ON_CHAIN
        if before.state in ON_CHAIN:
            assert (after.state is DepositState.REPLACED) == (rival is not None)

    def read(self, changes: list[Change], view: ChainView | None, *, may_leave_final: bool = False) -> None:
        """What a merchant does with the events of one move."""
        version = 0 if self.deposit is None else self.deposit.version
        assert len(changes) <= 2
        for change in changes:
            version += 1
            after = change.deposit
            assert after.version == version
            if after.published:
                self.check_told(change, after, may_leave_final=may_leave_final)
                self.told = after
            self.deposit = after
        if len(changes) == 2:
            assert [one.deposit.state for one in changes] == [DepositState.CONFIRMED, DepositState.FINAL]
        if changes and view is not None and self.standing().occurrence is not None:
            self.check_state(self.standing(), view)

    def check_told(self, change: Change, after: Deposit, *, may_leave_final: bool) -> None:
        before = self.told
        state_before = None if before is None else before.state.value
        assert change.previous_state == (None if before is None else before.state)
        credited_before = 0 if before is None else before.credited_base_units
        if state_before == after.state.value:
            assert change.event_type in (
                "deposit.moved", "deposit.amended", "deposit.reversed", "deposit.confirmed",
            )  # fmt: skip
        else:
            legal = (
                AFTER_ACCEPTED_REORG
                if state_before == "final" and may_leave_final
                else LEGAL_MOVES[state_before]
            )
            assert after.state.value in legal
        is_reversed = credited_before > 0 and after.credited_base_units == 0
        assert (change.event_type == "deposit.reversed") == is_reversed
        assert change.reverses_version == (self.granted_version if is_reversed else None)
        if is_reversed:
            self.granted_version = None
        if credited_before == 0 and after.credited_base_units > 0:
            assert change.event_type == "deposit.confirmed"
            assert self.granted_version is None
            self.granted_version = after.version

    @staticmethod
    def check_state(deposit: Deposit, view: ChainView) -> None:
        assert deposit.occurrence is not None
        height = deposit.occurrence.height
        if is_final(height, view):
            assert deposit.state is DepositState.FINAL
        elif is_confirmed(height, deposit.requirement, view, was_confirmed=False):
            assert deposit.state is DepositState.CONFIRMED
        elif not is_confirmed(height, deposit.requirement, view, was_confirmed=True):
            assert deposit.state is DepositState.INCLUDED

    @invariant()
    def credit_is_the_amount_while_it_counts(self) -> None:
        if self.deposit is None:
            return
        one = self.deposit
        counts = one.state in CREDITING and not one.own_transfer
        assert one.credited_base_units == (one.amount_base_units if counts else 0)
        assert (one.occurrence is not None) == (one.state in ON_CHAIN)
        assert (one.replaced_by is not None) == (one.state is DepositState.REPLACED)
        assert (one.confirmed_at is not None) == (one.state in CREDITING)
        assert (one.final_at is not None) == (one.state is DepositState.FINAL)


TestDeposit = DepositMachine.TestCase
TestDeposit.settings = hypothesis.settings(max_examples=40)

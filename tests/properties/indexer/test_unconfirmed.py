"""A payment that waits, with a rival for the same nonce, on a chain that reorganises and a node that forgets and falls silent."""

from __future__ import annotations

from collections.abc import Coroutine
from dataclasses import replace
from datetime import timedelta
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from chains.errors import Unreachable
from chains.mempool import WaitingTx
from chains.model import Address, TxHash
from chains.scripted import ScriptedChain, ScriptedMempool, ScriptedTx
from indexer.rules.deposits import (
    ON_CHAIN,
    Change,
    Deposit,
    DepositState,
    Sighting,
    decide_found,
    decide_lost,
    decide_matured,
)
from indexer.rules.unconfirmed import EVICTED_AFTER, Wait, decide_dropped, decide_seen
from tests.devnet.local import local_traits
from tests.unit.indexer.making import NOW, depth, sighting, view

SHOP, PAYER = Address(b"\x55" * 20), Address(b"\x66" * 20)
CONFIRMATIONS = 2
S = DepositState
T = TypeVar("T")


def drive(work: Coroutine[Any, Any, T]) -> T:
    """The answer of a scripted node, which never waits."""
    try:
        work.send(None)
    except StopIteration as stop:
        answer: T = stop.value
        return answer
    raise AssertionError("it waited")


class WaitingPayment(RuleBasedStateMachine):
    """One deposit, told as a follower of chain and mempool would: blocks first, then what waits."""

    def __init__(self) -> None:
        super().__init__()
        self.chain = ScriptedChain(local_traits())
        self.mempool = ScriptedMempool(self.chain)
        self.payment = self.chain.pay(SHOP, 500, sender=PAYER, nonce=1)
        self.rival = self.chain.pay(SHOP, 1, sender=PAYER, nonce=1)
        self.chain.mine_many(3)
        self.deposit: Deposit | None = None
        self.now = NOW
        self.missing_since = NOW
        self.waits = False
        self.is_missing = False

    @rule(rivals=st.booleans())
    def broadcast(self, rivals: bool) -> None:
        self.chain.broadcast(self.rival if rivals else self.payment)

    @rule(rivals=st.booleans())
    def evict(self, rivals: bool) -> None:
        self.chain.evict(self.rival if rivals else self.payment)

    @rule(which=st.sampled_from(["payment", "rival", "nothing"]))
    def mine(self, which: str) -> None:
        tx: ScriptedTx | None = {"payment": self.payment, "rival": self.rival}.get(which)
        self.chain.mine(*([] if tx is None or self.canonical() is not None else [tx]))

    @rule(deep=st.integers(1, 3), length=st.integers(1, 4))
    def reorganise(self, deep: int, length: int) -> None:
        self.chain.reorg(min(deep, len(self.chain.canonical) - 1), *[()] * length)

    @rule(is_down=st.booleans(), forgets=st.booleans(), is_behind=st.booleans())
    def disturb(self, is_down: bool, forgets: bool, is_behind: bool) -> None:
        self.mempool.is_down = is_down
        self.mempool.remembers = (self.payment,) if is_behind else ()
        self.mempool.forgotten = frozenset({self.payment.tx_hash} if forgets else ())

    @rule(minutes=st.integers(1, 15))
    def look(self, minutes: int) -> None:
        """Blocks are followed, then the mempool is read."""
        self.now += timedelta(minutes=minutes)
        self.follow()
        self.read_mempool()

    def follow(self) -> None:
        at, before, heights = self.canonical(), self.deposit, view(self.chain.head.height)
        if at is not None and at[0] == self.payment:
            sighted = replace(self.sight(), header=at[1])
            if (
                before is not None
                and before.occurrence is not None
                and before.occurrence.block_hash == at[1].hash
            ):
                self.take(decide_matured(before, heights, now=self.now))
            else:
                self.take(decide_found(before, sighted, heights, now=self.now, backfilled=False))
        elif before is not None:
            spent_by = None if at is None else at[0].tx_hash
            self.take(decide_lost(before, replaced_by=spent_by, now=self.now))

    def read_mempool(self) -> None:
        before, at = self.deposit, self.canonical()
        spent_by = None if at is None or at[0] == self.payment else at[0].tx_hash
        try:
            (found,) = drive(self.mempool.fetch_waiting_txs([self.payment.tx_hash])) or (None,)
            spenders = drive(
                self.mempool.fetch_spenders([key for key in (self.payment.conflict_key,) if key])
            )
        except Unreachable:
            if before is not None:
                changes = decide_dropped(before, Wait(self.waits, spent_by=spent_by), now=self.now)
                assert not changes or spent_by is not None, "silence drops nothing"
                self.take(changes)
            return
        self.waits = found is not None
        if found is not None:
            self.is_missing = False
            self.take(decide_seen(before, self.sight(found), spent_by=spent_by, now=self.now))
        else:
            self.missing_since = self.missing_since if self.is_missing else self.now
            self.is_missing = True
            rival = next(iter(spenders.values()), None)
            if before is not None:
                wait = Wait(waits=False, missing_since=self.missing_since, rival=rival, spent_by=spent_by)
                self.take(decide_dropped(before, wait, now=self.now))
        self.judge(spent_by, is_rivalled=bool(spenders) and found is None)

    def judge(self, spent_by: TxHash | None, *, is_rivalled: bool) -> None:
        """After both were read, the state is what they say."""
        at, deposit = self.canonical(), self.deposit
        if deposit is None:
            assert at is None or at[0] != self.payment
            return
        if at is not None and at[0] == self.payment:
            assert deposit.state in ON_CHAIN
        elif spent_by is not None:
            assert (deposit.state, deposit.replaced_by) == (S.REPLACED, spent_by)
        elif self.waits:
            assert deposit.state is S.SEEN
        elif is_rivalled or self.now - self.missing_since >= EVICTED_AFTER:
            assert deposit.state is S.DROPPED
        else:
            assert deposit.state in {S.SEEN, S.ORPHANED, S.REPLACED, S.DROPPED}

    def sight(self, found: WaitingTx | None = None) -> Sighting:
        one = sighting(100, block="next")
        transfer = (
            one.transfer if found is None else replace(one.transfer, senders=found.transfers[0].senders)
        )
        keys = () if self.payment.conflict_key is None else (self.payment.conflict_key,)
        transfer = replace(transfer, tx_hash=self.payment.tx_hash, conflict_keys=keys)
        return replace(one, transfer=transfer, requirement=depth(CONFIRMATIONS))

    def canonical(self) -> tuple[ScriptedTx, Any] | None:
        """Which of the two a canonical block holds, and its header."""
        for block in self.chain.canonical:
            for tx in block.txs:
                return tx, block.header
        return None

    def take(self, changes: list[Change]) -> None:
        for change in changes:
            assert change.deposit.version == (0 if self.deposit is None else self.deposit.version) + 1
            if change.deposit.state not in ON_CHAIN:
                assert change.deposit.credited_base_units == 0
                assert (change.event_type == "deposit.reversed") == (change.reverses_version is not None)
            self.deposit = change.deposit

    @invariant()
    def only_a_block_credits(self) -> None:
        if self.deposit is not None and self.deposit.credited_base_units:
            assert self.deposit.occurrence is not None
            assert self.deposit.state in {S.CONFIRMED, S.FINAL}


TestWaitingPayment = WaitingPayment.TestCase

"""The net change of a move is the difference between two fresh passes, whatever blocks it leaves and applies."""

from __future__ import annotations

import random
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from indexer.rules.deposits import ON_CHAIN, Deposit, DepositState, Sighting
from indexer.rules.identity import AddressId, DepositId, MerchantId
from indexer.rules.moves import Touched, decide_move, find_replacement, last_versions
from indexer.rules.policy import ChainView
from tests.simulation.blocks import SimBlock
from tests.simulation.chain import SimChain
from tests.simulation.oracle import ChainOracle, PolicyRule, Sight, Watch
from tests.simulation.setups import draw_setup
from tests.simulation.troubles import Tally
from tests.unit.indexer.making import CHAIN, NOW, depth

MERCHANT = MerchantId(UUID(int=5))
CONFIRMATIONS = 2


class Ledger:
    """Deposits recorded so far, moved on by `decide_move` alone."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        setup = draw_setup(0, self.rng)
        self.chain = SimChain(0, self.rng, setup.economy, Tally(), final_depth=99)
        self.oracle = ChainOracle(CHAIN, [PolicyRule("depth", CONFIRMATIONS)])
        for number, address in enumerate(setup.economy.addresses[:3]):
            self.oracle.watch(Watch(UUID(int=number), MERCHANT, address, 0, 0))
        for asset in (setup.economy.native, *setup.economy.tokens):
            self.oracle.list_asset(asset, 0)
        self.path = list(self.chain.tip.path)
        self.rows: dict[DepositId, Deposit] = {}
        self.credit_before = 0

    def move_to(self, tip: SimBlock) -> dict[UUID, Sight]:
        """Leave what is not under `tip` and apply what is; returns a fresh pass over the new chain."""
        self.credit_before = credit_of(self.oracle.fresh_pass(self.path), self.path[-1].height)
        fork = max(block.height for block in self.path if tip.descends_from(block))
        applied = tip.path[fork + 1 :]
        old_rows = list(self.rows.values())
        touched = Touched(
            by_id=self.rows,
            displaced=[
                one for one in old_rows if one.occurrence is not None and one.occurrence.height > fork
            ],
            maturing=[
                one for one in old_rows if one.occurrence is not None and one.occurrence.height <= fork
            ],
            off_chain=[one for one in old_rows if one.state is DepositState.ORPHANED],
        )
        sightings = [
            as_sighting(sight) for block in applied for sight in self.oracle.fresh_pass([block]).values()
        ]
        view = ChainView(tip.height, None, None, tip.height)
        changes = decide_move(touched, sightings, [block.block for block in applied], view, now=NOW)
        ids = [change.deposit.id for change in changes]
        assert len(ids) == len(set(ids)), "a deposit changes once in a move"
        order = [change.deposit.occurrence is not None for change in changes]
        assert order == sorted(order), "losses are told first"
        for row in last_versions(changes):
            self.rows[row.id] = row
        self.path = list(tip.path)
        return self.oracle.fresh_pass(self.path)


def as_sighting(sight: Sight) -> Sighting:
    return Sighting(
        DepositId(sight.deposit_id),
        MerchantId(sight.merchant_id),
        AddressId(UUID(int=1)),
        CHAIN,
        sight.block.header,
        sight.transfer,
        sight.own_transfer,
        depth(CONFIRMATIONS),
        1,
    )


steps = st.lists(st.tuples(st.integers(0, 4), st.integers(1, 5)), min_size=1, max_size=8)


@given(st.integers(0, 1 << 32), steps)
def test_rows_after_a_move_are_the_fresh_pass_over_the_new_chain(
    seed: int, moves: list[tuple[int, int]]
) -> None:
    ledger = Ledger(seed)
    for leave, apply in moves:
        depth_now = min(leave, ledger.chain.tip.height)
        if depth_now:
            ledger.chain.reorganise(depth_now, apply)
        else:
            ledger.chain.extend(apply)
        credited = sum(row.credited_base_units for row in ledger.rows.values())
        after = ledger.move_to(ledger.chain.tip)
        standing = {row.id: row for row in ledger.rows.values() if row.state in ON_CHAIN}
        assert standing.keys() == after.keys()
        for deposit_id, sight in after.items():
            row = standing[DepositId(deposit_id)]
            assert row.occurrence is not None
            assert row.occurrence.block_hash == sight.block.hash
            assert row.amount_base_units == sight.transfer.amount_base_units
            is_deep = ledger.chain.tip.height - sight.block.height + 1 >= CONFIRMATIONS
            assert row.state is (DepositState.CONFIRMED if is_deep else DepositState.INCLUDED)
        gained = sum(row.credited_base_units for row in ledger.rows.values()) - credited
        assert gained == credit_of(after, ledger.chain.tip.height) - ledger.credit_before


def credit_of(sights: dict[UUID, Sight], tip_height: int) -> int:
    return sum(
        sight.transfer.amount_base_units
        for sight in sights.values()
        if not sight.own_transfer and tip_height - sight.block.height + 1 >= CONFIRMATIONS
    )


@given(st.integers(0, 1 << 32), st.integers(1, 6))
def test_a_replacement_is_another_transaction_that_used_up_the_same_nonce(seed: int, blocks: int) -> None:
    ledger = Ledger(seed)
    ledger.chain.extend(blocks)
    ledger.move_to(ledger.chain.tip)
    for row in list(ledger.rows.values()):
        rival = find_replacement(row, [block.block for block in ledger.path])
        assert rival is None, "its own transaction replaces nothing"
    ledger.chain.reorganise(min(blocks, 3), 4)
    new = [block.block for block in ledger.chain.tip.path]
    for row in ledger.rows.values():
        rival = find_replacement(row, new)
        spenders = {
            payment.tx_hash
            for block in ledger.chain.tip.path
            for payment in block.payments
            if not set(payment.keys).isdisjoint(row.conflict_keys) and payment.tx_hash != row.tx_hash
        }
        assert ({rival.tx_hash} if rival is not None else set()) == spenders

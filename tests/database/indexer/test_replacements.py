"""A deposit that lost its block, and the transaction that took its place later."""

from __future__ import annotations

from indexer.rows.spelling import decode_deposit
from indexer.rules.deposits import DepositState
from tests.database.indexer.scene import Scene, open_scene
from tests.simulation.blocks import Payment
from tests.simulation.setups import WATCHABLE


async def pay_the_till(scene: Scene) -> Payment:
    """A payment to the watched address, alone in our tip."""
    while True:
        scene.chain.extend()
        tip = scene.chain.tip
        pays_the_till = {one.recipient for one in tip.transfers} == {WATCHABLE[0]}
        is_listed = scene.setup.late_asset not in {one.asset for one in tip.transfers}
        if len(tip.payments) == 1 and pays_the_till and is_listed:
            return tip.payments[0]


async def state_of(scene: Scene, payment: Payment) -> DepositState:
    """The state of the one deposit of this payment."""
    rows = await scene.pool.fetch("select * from deposits where tx_hash = $1", payment.tx_hash)
    return {decode_deposit(row).state for row in rows}.pop()


async def test_an_orphan_is_replaced_by_a_transaction_of_a_later_block(database_url: str) -> None:
    async with open_scene(database_url) as scene:
        await scene.follow()
        await scene.watch()
        payment = await pay_the_till(scene)
        await scene.follow()
        assert await state_of(scene, payment) in (DepositState.INCLUDED, DepositState.CONFIRMED)
        payment.dropped = True
        scene.chain.tip = scene.chain.mine(scene.chain.mine(scene.chain.tip.path[-2]))
        await scene.follow()
        assert await state_of(scene, payment) is DepositState.ORPHANED
        rival = Payment(type(payment.tx_hash)(b"rival".ljust(32, b".")), payment.keys, payment.legs)
        scene.chain.pool.append(rival)
        while not rival.mined_times:
            scene.chain.extend()
        await scene.follow()
        assert await state_of(scene, payment) is DepositState.REPLACED

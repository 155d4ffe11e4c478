"""What waits and is nobody's deposit yet, because an address counts only from a block to come.

Here: for whom a transaction is read again. Not here: what is told at once (`test_mempool`).
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from chains.model import TxHash
from chains.scripted.mempool import ScriptedMempool
from indexer.rules.identity import MerchantId
from tests.simulation.setups import MERCHANTS
from tests.unit.indexer.mempools import TILL, Scene, open_scene


def states_of(scene: Scene) -> dict[MerchantId, str]:
    """Each merchant's only deposit."""
    return {one.merchant_id: one.state.value for one in scene.rows.deposits.values()}


async def test_who_counts_from_a_block_to_come_is_told_then_though_another_was_told_at_once() -> None:
    scene = await open_scene()
    scene.watch(TILL, merchant=1, in_blocks=3)
    payment = scene.pay()
    scene.chain.broadcast(payment)
    await scene.look()
    assert states_of(scene) == {MERCHANTS[0]: "seen"}
    scene.chain.mine_many(2)
    await scene.follow()
    await scene.look()
    assert states_of(scene) == {MERCHANTS[0]: "seen", MERCHANTS[1]: "seen"}


async def test_what_pays_only_who_does_not_count_any_more_is_read_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scene = await open_scene()
    (registration,) = scene.rows.registrations
    scene.store.delete(scene.chain.traits.chain, registration.address_id)
    scene.chain.mine_many(scene.chain.traits.reorg_window_blocks + 1)
    await scene.follow()
    read: list[TxHash] = []
    fetch = ScriptedMempool.fetch_waiting_txs

    async def counted(node: ScriptedMempool, asked: Sequence[TxHash]) -> object:
        read.extend(asked)
        return await fetch(node, asked)

    monkeypatch.setattr(ScriptedMempool, "fetch_waiting_txs", counted)
    scene.chain.broadcast(payment := scene.pay())
    for _ in range(3):
        scene.chain.mine_many(1)
        await scene.follow()
        await scene.look()
    assert states_of(scene) == {}
    assert read == [payment.tx_hash]

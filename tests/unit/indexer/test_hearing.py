"""A witness vouches for what it shows as we recorded it, up to the first block of which it tells otherwise."""

from __future__ import annotations

import pytest

from indexer.move.hearing import Heard, hear_witness
from tests.unit.indexer.operators import (
    PAID_AT,
    PAYER,
    TILL,
    Node,
    Scene,
    Tale,
    hidden,
    inflated,
    invented,
    open_scene,
)

EARLY, LATE = 500, 900


async def paid_twice() -> Scene:
    """One deposit in history, and one that came after it."""
    scene = await open_scene()
    scene.watch()
    await scene.read(scene.nodes[0])
    scene.chain.mine(scene.chain.pay(TILL, LATE, sender=PAYER))
    await scene.follow()
    assert {one.amount_base_units for one in scene.deposits} == {EARLY, LATE}
    return scene


async def hear(scene: Scene, witness: Node) -> Heard:
    blocks = await witness.fetch_blocks(PAID_AT, scene.chain.head.height)
    chain, epoch = scene.chain.traits.chain, scene.desk.lease_epoch
    async with scene.store.open_move(chain, lease_epoch=epoch) as move:
        return await hear_witness(move, blocks, scene.desk.watched, scene.desk.rules)


async def test_a_witness_that_tells_the_same_vouches_for_all_of_it() -> None:
    scene = await paid_twice()
    heard = await hear(scene, scene.nodes[1])
    assert heard.differing_heights == ()
    assert {one.amount_base_units for one in heard.vouched} == {EARLY, LATE}


@pytest.mark.parametrize("tale", [inflated, invented, hidden])
async def test_a_witness_vouches_for_nothing_from_where_it_contradicts_us(tale: Tale) -> None:
    scene = await paid_twice()
    scene.nodes[1].tale = tale
    heard = await hear(scene, scene.nodes[1])
    assert (heard.differing_heights, heard.vouched) == ((PAID_AT,), ())


@pytest.mark.parametrize("tale", [inflated, invented, hidden])
async def test_what_lies_below_a_contradiction_is_vouched_for(tale: Tale) -> None:
    scene = await paid_twice()
    scene.nodes[1].tale, scene.nodes[1].lies_at = tale, scene.chain.head.height
    heard = await hear(scene, scene.nodes[1])
    assert heard.differing_heights == (scene.chain.head.height,)
    assert [one.amount_base_units for one in heard.vouched] == [EARLY]

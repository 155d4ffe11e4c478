"""Where rows are not all tied to a hash, what is left out is asked about like what is shown: at the head and in history."""

from __future__ import annotations

import pytest

from chains.model import VerificationLevel
from tests.unit.indexer.operators import OTHER_TILL, PAID_AT, PAYER, TILL, hidden, open_scene

LEVELS = [VerificationLevel.PARTIAL, VerificationLevel.CONSISTENT]


@pytest.mark.parametrize("level", LEVELS)
async def test_a_payment_that_one_operator_leaves_out_at_the_head_is_noticed_and_told_by_the_others(
    level: VerificationLevel,
) -> None:
    scene = await open_scene(3, level=level)
    scene.watch()
    liar = scene.nodes[0]
    await scene.read(liar)
    liar.tale, liar.lies_at = hidden, scene.chain.head.height + 1
    scene.chain.mine(scene.chain.pay(TILL, 900, sender=PAYER))
    await scene.follow(3)
    assert scene.states == [("final", 500)], "nobody served us the other one"
    assert scene.rows.record.held_height == liar.lies_at, "and nothing is credited on top of it"
    await scene.ask()
    await scene.follow(3)
    assert scene.credited == 1400
    assert scene.found.liars == {liar.operator}
    assert scene.rows.record.held_height is None


@pytest.mark.parametrize("level", LEVELS)
async def test_of_two_operators_one_that_leaves_a_payment_out_holds_credit_and_rings(
    level: VerificationLevel,
) -> None:
    scene = await open_scene(2, level=level)
    scene.watch()
    await scene.read(scene.nodes[0])
    at = scene.chain.head.height + 1
    scene.nodes[0].tale, scene.nodes[0].lies_at = hidden, at
    scene.chain.mine(scene.chain.pay(TILL, 900, sender=PAYER))
    await scene.follow(3)
    await scene.ask()
    assert scene.rows.record.held_height == at
    assert at in scene.rows.doubted
    assert scene.credited == 500


@pytest.mark.parametrize("level", LEVELS)
async def test_a_payment_that_the_reader_of_history_leaves_out_is_told_by_the_witness(
    level: VerificationLevel,
) -> None:
    scene = await open_scene(3, level=level)
    scene.watch()
    scene.nodes[0].tale = hidden
    await scene.read(scene.nodes[0])
    assert scene.states == []
    assert set(scene.rows.doubted) == {PAID_AT}
    await scene.ask()
    assert scene.states == [("final", 500)]
    assert scene.found.liars == {scene.nodes[0].operator}


@pytest.mark.parametrize("level", LEVELS)
async def test_honest_operators_hold_nothing(
    level: VerificationLevel,
) -> None:
    scene = await open_scene(2, level=level)
    scene.watch(OTHER_TILL)
    await scene.read(scene.nodes[1])
    scene.chain.mine(scene.chain.pay(OTHER_TILL, 900, sender=PAYER))
    await scene.follow(9)
    assert scene.rows.record.held_height is None
    assert scene.rows.doubted == {}
    assert scene.credited == 970

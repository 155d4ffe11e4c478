"""What a step asks for on which occasion: no head where none is due, nobody who has agreed, and who shows a fork who it is."""

from __future__ import annotations

from datetime import timedelta

import pytest

from chains.errors import WrongNetwork
from chains.model import BlockHash
from indexer.follow.outcomes import Advanced, Idle, StepOutcome, Suspecting
from indexer.follow.pace import Occasion
from indexer.follow.step import Follower
from tests.unit.indexer.test_second_operator import Primary, Scene, open_scene


async def step(scene: Scene, occasion: Occasion) -> StepOutcome:
    scene.now += timedelta(seconds=0.1)
    return await scene.follower.step(scene.now, occasion=occasion)


async def test_an_answer_is_heard_and_confirms_without_another_look() -> None:
    async with open_scene() as scene:
        scene.chain.mine()
        await step(scene, Occasion.HEAD)
        asked = scene.first.calls_count
        await scene.answers()
        await step(scene, Occasion.WORD)
        assert scene.record.agreed_height == scene.record.tip.height
        assert scene.first.calls_count == asked
        assert scene.follower.head_read is None


async def test_who_has_agreed_is_not_asked_again() -> None:
    async with open_scene() as scene:
        asked = scene.second.calls_count
        for occasion in (Occasion.HEAD, Occasion.TICK, Occasion.WORD) * 3:
            assert isinstance(await step(scene, occasion), Idle)
            await scene.answers()
        assert scene.second.calls_count == asked


async def test_who_lags_is_asked_again_at_the_next_tick_and_not_at_its_own_word() -> None:
    async with open_scene() as scene:
        scene.second.lag_blocks = 1
        scene.chain.mine()
        await step(scene, Occasion.HEAD)
        await scene.answers()
        asked = scene.second.calls_count
        for _ in range(3):
            await step(scene, Occasion.WORD)
            await scene.answers()
        assert scene.second.calls_count == asked
        scene.second.lag_blocks = 0
        await step(scene, Occasion.TICK)
        await scene.answers()
        await step(scene, Occasion.WORD)
        assert scene.record.agreed_height == scene.record.tip.height


async def test_a_tick_reads_the_head_where_the_last_one_is_not_our_tip() -> None:
    async with open_scene() as scene:
        scene.first.lag_blocks = 1
        await step(scene, Occasion.HEAD)
        asked = scene.first.calls_count + scene.second.calls_count
        await step(scene, Occasion.TICK)
        assert scene.first.calls_count + scene.second.calls_count > asked
        assert scene.follower.head_read is not None


async def test_a_step_is_still_where_the_head_is_our_tip_and_nobody_else_is_asked() -> None:
    async with open_scene() as scene:
        alone = Follower(scene.follower.desk, Primary(scene.first))
        for occasion in (Occasion.HEAD, Occasion.TICK):
            assert isinstance(await alone.step(scene.now, occasion=occasion), Idle)
            assert alone.is_still
        await step(scene, Occasion.HEAD)
        assert not scene.follower.is_still, "another may not have agreed"
        scene.chain.reorg(1, (), ())
        assert isinstance(await alone.step(scene.now), Suspecting)
        assert not alone.is_still, "a fork is looked at again a poll later"


async def test_a_suspicion_is_looked_at_again_at_the_next_tick() -> None:
    async with open_scene() as scene:
        scene.chain.reorg(1, (), ())
        assert isinstance(await step(scene, Occasion.HEAD), Suspecting)
        await step(scene, Occasion.TICK)
        assert scene.follower.head_read is not None


async def test_who_shows_another_chain_is_asked_which_network_it_serves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def refuse() -> BlockHash:
        raise WrongNetwork("serves chain 56, not 31337", provider="node-a.test")

    async with open_scene() as scene:
        scene.chain.mine()
        monkeypatch.setattr(type(scene.first), "fetch_network_id", lambda _self: refuse())
        assert isinstance(await step(scene, Occasion.HEAD), Advanced), "a block of ours says it by itself"
        scene.chain.reorg(1, (), ())
        with pytest.raises(WrongNetwork):
            await step(scene, Occasion.HEAD)
        assert scene.record.halt_reason is None

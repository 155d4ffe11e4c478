"""Where blocks have work, the branch with more of it is the chain, however long the other one is."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from chains.scripted import ScriptedChain, ScriptedProvider, ScriptedSource
from indexer.follow import forks
from indexer.follow.outcomes import Advanced, Halted, Idle, Rewound, Started, StepOutcome, Suspecting
from indexer.follow.step import Follower
from indexer.move.commit import ChainDesk
from tests.simulation.log import MerchantLogs
from tests.simulation.memory import MemoryStore
from tests.simulation.setups import draw_setup
from tests.unit.indexer.operators import NOW
from tests.unit.indexer.test_forks import Quiet

HEAVY, LIGHT = 2**70, 2**69


@dataclass(slots=True)
class Scene:
    """A chain of heavy blocks that one operator shows."""

    chain: ScriptedChain
    follower: Follower
    store: MemoryStore

    async def steps(self, count: int) -> list[StepOutcome]:
        now = NOW + timedelta(seconds=10 * self.chain.head.height)
        return [await self.follower.step(now + timedelta(seconds=2 * number)) for number in range(count)]

    @property
    def is_at_head(self) -> bool:
        return self.store.rows[self.chain.traits.chain].record.tip == self.chain.head.ref


async def open_scene() -> Scene:
    setup = draw_setup(0, random.Random(1))
    settings = replace(setup.settings, start_height=1, poll_interval_s=1.0)
    chain = ScriptedChain(settings.traits)
    chain.block_work = HEAVY
    chain.mine_many(8)
    store = MemoryStore(Quiet(), MerchantLogs(), lambda *_: None)
    desk = ChainDesk(settings, store, setup.naming, setup.deposit_id)
    scene = Scene(chain, Follower(desk, ScriptedSource(ScriptedProvider(chain))), store)
    for outcome in await scene.steps(4):
        assert isinstance(outcome, Started | Advanced | Idle)
    assert scene.is_at_head
    return scene


@pytest.mark.parametrize("length", [1, 3, 5, 6])
async def test_a_longer_branch_of_less_or_equal_work_moves_nothing(length: int) -> None:
    scene = await open_scene()
    scene.chain.block_work = LIGHT
    scene.chain.reorg(3, *[()] * length)
    told = await scene.steps(6)
    assert not [one for one in told if isinstance(one, Rewound)]
    assert any(isinstance(one, Suspecting) and one.suspicion.is_lighter for one in told)
    assert not scene.is_at_head


@pytest.mark.parametrize("length", [7, 40, 300, 1_000])
async def test_a_branch_is_weighed_to_its_head_however_long_it_is(length: int) -> None:
    scene = await open_scene()
    scene.chain.block_work = HEAVY // 1_000
    scene.chain.reorg(3, *[()] * length)
    told = await scene.steps(6)
    assert not [one for one in told if isinstance(one, Rewound)]
    assert any(isinstance(one, Suspecting) and one.suspicion.is_lighter for one in told)
    scene.chain.block_work = 3 * HEAVY
    scene.chain.mine()
    assert any(isinstance(one, Rewound) for one in await scene.steps(4))


async def test_a_branch_without_end_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forks, "WEIGHED_MAX", 50)
    scene = await open_scene()
    scene.chain.block_work = 1
    scene.chain.reorg(3, *[()] * 400)
    told = await scene.steps(4)
    assert any(isinstance(one, Suspecting) and one.suspicion.is_lighter for one in told)
    assert not [one for one in told if isinstance(one, Rewound)]


async def test_a_light_branch_that_leaves_deeper_than_is_looked_for_does_not_stop_the_chain() -> None:
    scene = await open_scene()
    scene.chain.mine_many(40)
    await scene.steps(30)
    assert scene.is_at_head
    scene.chain.block_work = HEAVY // 1_000
    scene.chain.reorg(45, *[()] * 60)
    told = await scene.steps(6)
    assert not [one for one in told if isinstance(one, Halted | Rewound)]
    assert any(isinstance(one, Suspecting) and one.suspicion.is_lighter for one in told)
    scene.chain.block_work = 100 * HEAVY
    scene.chain.mine()
    assert any(isinstance(one, Halted) for one in await scene.steps(4))


async def test_a_branch_is_taken_as_soon_as_it_is_the_heavier_one() -> None:
    scene = await open_scene()
    scene.chain.block_work = LIGHT
    scene.chain.reorg(3, *[()] * 6)
    await scene.steps(4)
    scene.chain.mine()
    assert any(isinstance(one, Rewound) for one in await scene.steps(4))
    assert scene.is_at_head


async def test_a_shorter_branch_of_more_work_is_taken() -> None:
    scene = await open_scene()
    scene.chain.block_work = 3 * HEAVY
    scene.chain.reorg(2, ())
    assert any(isinstance(one, Rewound) for one in await scene.steps(4))
    assert scene.is_at_head


async def test_work_that_is_not_known_decides_nothing() -> None:
    scene = await open_scene()
    scene.chain.block_work = None
    scene.chain.reorg(2, ())
    assert any(isinstance(one, Rewound) for one in await scene.steps(4))
    assert scene.is_at_head

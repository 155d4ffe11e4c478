"""A dispute between operators ends when another one shows our chain, or when one alone is configured: not otherwise."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from chains.model import BlockRef, ChainId
from indexer.follow.step import Follower
from indexer.move.commit import ChainDesk
from indexer.rows.storage import ChainRecord
from indexer.rules.watchset import WatchSet
from tests.simulation.chain import SimChain
from tests.simulation.log import MerchantLogs
from tests.simulation.memory import MemoryStore
from tests.simulation.providers import Mood, ServedBook, SimProvider, SimSource
from tests.simulation.setups import draw_setup
from tests.simulation.troubles import Tally

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FORK = 7


class Quiet:
    """Nothing interrupts a test."""

    def pause(self, where: str, chain: ChainId | None = None) -> None:
        """Nobody acts."""

    def wants_retry(self) -> bool:
        """Every transaction goes through."""
        return False


class Scene:
    """A chain of ten blocks, all agreed on once, whose operators contradict each other above `FORK` now."""

    def __init__(self, operators: str) -> None:
        rng = random.Random(1)
        self.setup = draw_setup(0, rng)
        self.chain = SimChain(0, rng, self.setup.economy, Tally(), final_depth=90)
        self.chain.extend(10)
        self.store = MemoryStore(Quiet(), MerchantLogs(), lambda *_: None)
        self.providers = [
            SimProvider(f"node-{index}", letter, self.chain, rng, ServedBook(), lambda: None)
            for index, letter in enumerate(operators)
        ]
        desk = ChainDesk(
            self.setup.settings, self.store, self.setup.naming, self.setup.deposit_id, WatchSet(), 0
        )
        self.follower = Follower(desk, SimSource(self.providers, rng))

    async def dispute(self) -> None:
        """Record the chain as disputed above `FORK`; every provider shows it as it is."""
        path = self.chain.tip.path
        await self.store.create_chain(
            self.setup.chain, alias="x", network_id=path[0].hash, assets=(), first=path[1].block, at=NOW
        )
        rows = self.store.rows[self.setup.chain]
        rows.blocks = [block.header for block in path[1:]]
        rows.record = replace(
            rows.record, tip=BlockRef(10, path[10].hash), agreed_height=10, disputed_fork_height=FORK
        )
        for provider in self.providers:
            provider.view = self.chain.tip

    @property
    def record(self) -> ChainRecord:
        return self.store.rows[self.setup.chain].record

    async def ask_first(self) -> None:
        """One step in which the first provider is asked for its head."""
        self.follower._looks.next_provider = self.providers[0]
        await self.follower.step(NOW)


async def test_what_was_agreed_on_before_a_dispute_does_not_settle_it() -> None:
    scene = Scene("ab")
    await scene.dispute()
    old = scene.chain.tip
    scene.chain.reorganise(3, 5)
    scene.providers[0].view, scene.providers[1].view = old, scene.chain.tip
    await scene.ask_first()
    assert scene.record.disputed_fork_height == FORK


async def test_silence_does_not_settle_a_dispute() -> None:
    scene = Scene("ab")
    await scene.dispute()
    scene.providers[1].mood = Mood.SILENT
    await scene.ask_first()
    assert scene.record.disputed_fork_height == FORK


async def test_another_operator_that_shows_our_tip_settles_a_dispute() -> None:
    scene = Scene("ab")
    await scene.dispute()
    await scene.ask_first()
    assert scene.record.disputed_fork_height is None


@pytest.mark.parametrize("new_blocks", [0, 2])
async def test_a_dispute_ends_when_one_operator_alone_is_left_in_the_configuration(new_blocks: int) -> None:
    scene = Scene("a")
    await scene.dispute()
    scene.chain.extend(new_blocks)
    scene.providers[0].view = scene.chain.tip
    await scene.ask_first()
    assert scene.record.disputed_fork_height is None

"""Which chunk of history is read next, and what happens when somebody else reads it too."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest

from chains.errors import Inconsistent
from chains.model import BlockRef, ChainId
from indexer.history.backfill import Covered, NothingPending, choose_chunk, step_backfill
from indexer.move.commit import ChainDesk
from indexer.rules.identity import AddressId
from indexer.rules.watchset import WatchSet
from tests.simulation.chain import SimChain
from tests.simulation.history import MemoryBackfillStore
from tests.simulation.log import MerchantLogs
from tests.simulation.memory import MemoryStore
from tests.simulation.providers import ServedBook, SimProvider
from tests.simulation.setups import MERCHANTS, WATCHABLE, draw_setup
from tests.simulation.troubles import Tally

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Quiet:
    """Nothing interrupts a test."""

    def pause(self, where: str, chain: ChainId | None = None) -> None:
        """Nobody acts."""

    def wants_retry(self) -> bool:
        """Every transaction goes through."""
        return False


class Scene:
    """A chain recorded from height 10 to 20, watched from 21, and wanted from 4 on."""

    def __init__(self) -> None:
        rng = random.Random(2)
        setup = draw_setup(0, rng)
        self.id = setup.chain
        self.chain = SimChain(0, rng, setup.economy, Tally(), final_depth=99)
        self.chain.extend(20)
        self.store = MemoryStore(Quiet(), MerchantLogs(), lambda *_: None)
        settings = replace(setup.settings, backfill_blocks_max=4)
        self.desk = ChainDesk(settings, self.store, setup.naming, setup.deposit_id, WatchSet(), 0)
        self.provider = SimProvider("node", "a", self.chain, rng, ServedBook(), lambda: None)
        self.assets = (*settings.traits.assets, settings.traits.native)

    async def begin(self, *, agreed: int = 20) -> None:
        path = self.chain.tip.path
        first = path[10].block
        await self.store.create_chain(
            self.id, alias="x", network_id=path[0].hash, assets=self.assets, first=first, at=NOW
        )
        rows = self.store.rows[self.id]
        rows.blocks = [block.header for block in path[10:]]
        rows.record = replace(rows.record, tip=BlockRef(20, path[20].hash), agreed_height=agreed)
        self.store.register(
            self.id, AddressId(UUID(int=1)), MERCHANTS[0], WATCHABLE[0], effective_start=21, pending_start=4
        )

    async def step(self) -> object:
        return await step_backfill(self.desk, MemoryBackfillStore(self.store), self.provider, now=NOW)

    @property
    def start(self) -> int:
        return self.store.rows[self.id].registrations[0].effective_start


@pytest.mark.parametrize(
    ("wanted", "start", "chunk"),
    [
        ((0, 20), 10, (17, 20)),
        ((0, 12), 10, (10, 12)),
        ((0, 9), 10, (6, 9)),
        ((8, 9), 10, (8, 9)),
        ((3, 3), 0, (3, 3)),
    ],
)
def test_a_chunk_is_the_highest_part_and_never_crosses_our_start(
    wanted: tuple[int, int], start: int, chunk: tuple[int, int]
) -> None:
    assert choose_chunk(wanted, start, 4) == chunk


async def test_history_is_read_downward_and_each_chunk_lowers_the_start() -> None:
    scene = Scene()
    await scene.begin()
    starts = []
    while isinstance(outcome := await scene.step(), Covered):
        starts.append((outcome.height_first, scene.start))
    assert starts == [(17, 17), (13, 13), (10, 10), (6, 6), (4, 4)]
    rows = scene.store.rows[scene.id]
    assert rows.record.start_height == 4
    assert [header.hash for header in rows.blocks] == [block.hash for block in scene.chain.tip.path[4:]]
    assert rows.pending_starts == {}


async def test_history_of_another_branch_is_refused_and_lowers_nothing() -> None:
    scene = Scene()
    await scene.begin()
    scene.chain.reorganise(3, 4)
    scene.provider.view = scene.chain.tip
    with pytest.raises(Inconsistent):
        await scene.step()
    assert scene.start == 21


async def test_below_our_start_history_must_hang_on_our_lowest_block() -> None:
    scene = Scene()
    await scene.begin()
    while scene.start > 10:
        await scene.step()
    scene.chain.reorganise(12, 13)
    scene.provider.view = scene.chain.tip
    with pytest.raises(Inconsistent):
        await scene.step()
    assert scene.store.rows[scene.id].record.start_height == 10


async def test_history_waits_until_the_first_block_is_agreed_on() -> None:
    scene = Scene()
    await scene.begin(agreed=9)
    assert await scene.step() == NothingPending()


async def test_a_range_that_somebody_else_is_reading_is_left_to_them() -> None:
    scene = Scene()
    await scene.begin()
    while scene.start > 6:
        await scene.step()

    class Older(MemoryBackfillStore):
        """Loads the chain as it was before somebody else let it grow downward."""

        async def load_chain(self, chain: ChainId) -> object:  # type: ignore[override]  # as narrow as the test
            record = await super().load_chain(chain)
            assert record is not None
            return replace(record, start_height=10)

    outcome = await step_backfill(scene.desk, Older(scene.store), scene.provider, now=NOW)  # type: ignore[arg-type]  # as above
    assert outcome == NothingPending()


async def test_history_that_was_asked_for_before_a_halt_is_not_recorded_after_it() -> None:
    scene = Scene()
    await scene.begin()
    before = scene.store.rows[scene.id].record
    scene.store.rows[scene.id].record = replace(before, halt_reason="a branch below what was final")

    class Older(MemoryBackfillStore):
        """Loads the chain as it was before it was halted."""

        async def load_chain(self, chain: ChainId) -> object:  # type: ignore[override]  # as narrow as the test
            return before

    outcome = await step_backfill(scene.desk, Older(scene.store), scene.provider, now=NOW)  # type: ignore[arg-type]  # as above
    assert (outcome, scene.start) == (NothingPending(), 21)

"""Chains on which not every height has a block: what links is followed, what was hidden is refused."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID

import pytest

from chains.errors import ChainError, Inconsistent, Missing
from chains.model import BlockHash, BlockRef, Header
from chains.port import Provider
from chains.scripted import ScriptedBlock, ScriptedChain, ScriptedProvider, ScriptedSource
from chains.traits import FinalAtDepth
from indexer.follow.forks import ForkSearch
from indexer.follow.outcomes import Halted, NotYet, Rewound, StepOutcome, Suspecting
from indexer.follow.prefetch import Prefetch
from indexer.follow.step import Follower
from indexer.history.backfill import step_backfill
from indexer.move.commit import ChainDesk
from indexer.rows.storage import ChainRecord
from indexer.rules.identity import AddressId
from tests.simulation.history import MemoryBackfillStore
from tests.simulation.log import MerchantLogs
from tests.simulation.memory import MemoryStore
from tests.simulation.setups import MERCHANTS, WATCHABLE, draw_setup
from tests.unit.indexer.operators import NOW
from tests.unit.indexer.test_forks import Quiet

SKIPPED_MAX = 6
SHOP = WATCHABLE[0]


@dataclass(slots=True)
class Scene:
    """A chain that may skip heights, and who follows it."""

    chain: ScriptedChain
    source: ScriptedSource
    follower: Follower
    store: MemoryStore
    polls: int = 0

    async def step(self) -> StepOutcome:
        self.polls += 1
        return await self.follower.step(NOW + timedelta(seconds=2 * self.polls))

    async def follow(self, steps: int = 8) -> list[StepOutcome | ChainError]:
        told: list[StepOutcome | ChainError] = []
        for _ in range(steps):
            try:
                told.append(await self.step())
            except ChainError as error:
                told.append(error)
        return told

    async def read_history(self, provider: Provider, *, chunks: int = 1) -> None:
        desk, history = self.follower.desk, MemoryBackfillStore(self.store)
        for _ in range(chunks):
            await step_backfill(desk, history, provider, now=NOW, source=self.source)

    def watch(self, from_height: int) -> None:
        """A shop watches its address from there on; what lies below our tip is history."""
        self.store.register(
            self.chain.traits.chain, AddressId(UUID(int=1)), MERCHANTS[0], SHOP,
            effective_start=self.record.tip.height + 1, pending_start=from_height,
        )  # fmt: skip

    @property
    def record(self) -> ChainRecord:
        return self.store.rows[self.chain.traits.chain].record

    @property
    def heights(self) -> list[int]:
        return [header.height for header in self.store.rows[self.chain.traits.chain].blocks]

    @property
    def starts(self) -> list[int]:
        rows = self.store.rows[self.chain.traits.chain]
        return [one.effective_start for one in rows.registrations]

    @property
    def amounts(self) -> list[int]:
        rows = self.store.rows[self.chain.traits.chain]
        return sorted(one.amount_base_units for one in rows.deposits.values() if one.occurrence is not None)

    @property
    def is_at_head(self) -> bool:
        return self.record.tip == self.chain.head.ref


def open_scene(
    *, start: int | None = 0, first_height: int = 0, skipped_max: int = SKIPPED_MAX, operators: str = "a"
) -> Scene:
    setup = draw_setup(0, random.Random(1))
    traits = replace(setup.settings.traits, skipped_heights_max=skipped_max)
    settings = replace(
        setup.settings, traits=traits, start_height=start, poll_interval_s=1.0, batch_blocks_max=2,
        backfill_blocks_max=3,
    )  # fmt: skip
    chain = ScriptedChain(traits, first_height=first_height)
    providers = [ScriptedProvider(chain, name=f"node-{one}", operator=one) for one in operators]
    store = MemoryStore(Quiet(), MerchantLogs(), lambda *_: None)
    source = ScriptedSource(*providers)
    desk = ChainDesk(settings, store, setup.naming, setup.deposit_id)
    return Scene(chain, source, Follower(desk, source), store)


async def test_blocks_are_followed_across_gaps_and_each_once() -> None:
    scene = open_scene()
    for skipped in (0, 6, 1, 0, 3, 6, 6):
        scene.chain.mine(skipped=skipped)
    await scene.follow(12)
    assert scene.is_at_head
    assert scene.heights == [block.header.height for block in scene.chain.canonical]
    scene.chain.mine(skipped=5)
    await scene.follow(1)
    assert scene.is_at_head, "the head's parent is our tip, whatever heights lie between"


async def test_more_than_may_be_skipped_is_refused_and_so_is_any_gap_where_heights_are_dense() -> None:
    for skipped_max, gap in ((SKIPPED_MAX, SKIPPED_MAX + 1), (SKIPPED_MAX, 10**9), (0, 1)):
        scene = open_scene(skipped_max=skipped_max)
        scene.chain.mine()
        await scene.follow(4)
        scene.chain.mine(skipped=gap)
        assert isinstance((await scene.follow(1))[0], Inconsistent)
        scene.chain.mine_many(3)
        assert all(isinstance(one, Missing) for one in await scene.follow(4))
        assert scene.heights == [0, 1], "nothing above the gap was believed"


@pytest.mark.parametrize(
    "parent",
    [
        BlockRef(9, BlockHash(b"\x01" * 32)),
        BlockRef(5, BlockHash(b"\x02" * 32)),
        BlockRef(-2, BlockHash(b"")),
    ],
)
async def test_a_head_whose_parent_does_not_lie_below_it_is_refused(
    parent: BlockRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = open_scene()
    scene.chain.mine_many(4)
    await scene.follow(4)
    honest = ScriptedProvider._header

    def strange(provider: ScriptedProvider, block: ScriptedBlock) -> Header:
        return replace(honest(provider, block), height=5, hash=BlockHash(b"\x02" * 32), parent=parent)

    monkeypatch.setattr(ScriptedProvider, "_header", strange)
    assert all(isinstance(one, Inconsistent) for one in await scene.follow(3))
    assert scene.record.tip.height == 4


@pytest.mark.parametrize("skipped", [1, 3, 6])
async def test_a_gap_that_appears_with_a_reorganisation_takes_the_blocks_there_along(skipped: int) -> None:
    scene = open_scene(operators="ab")
    scene.chain.mine_many(3)
    await scene.follow(4)
    scene.watch(0)
    scene.chain.mine(scene.chain.pay(SHOP, 7))
    scene.chain.mine_many(2)
    await scene.follow(4)
    assert scene.amounts == [7]
    scene.chain.reorg(3, (), (), skipped=skipped)
    scene.chain.mine()
    told = await scene.follow(6)
    assert any(isinstance(one, Rewound) for one in told)
    assert scene.is_at_head
    assert scene.heights == [0, 1, 2, 3, *(4 + skipped + number for number in range(3))]
    assert scene.amounts == []
    assert scene.record.agreed_height == scene.record.tip.height, "the other operator is heard of the branch"


async def test_the_first_block_may_leave_for_a_branch_that_skips_its_height() -> None:
    scene = open_scene(start=3)
    scene.chain.mine_many(4)
    await scene.follow(3)
    assert scene.heights == [3, 4]
    scene.chain.reorg(3, (), (), skipped=3)
    await scene.follow(6)
    assert scene.is_at_head
    assert scene.heights == [5, 6]
    assert scene.record.start_height == 2, "the heights between the lowest block and its parent have none"


@pytest.mark.parametrize("operators", ["a", "ab"])
async def test_a_block_passed_off_as_a_skipped_height_is_not_left_out(operators: str) -> None:
    scene = open_scene(operators=operators)
    scene.chain.mine_many(2)
    await scene.follow(3)
    scene.watch(0)
    hidden = scene.chain.mine(scene.chain.pay(SHOP, 9))
    scene.chain.mine_many(3)
    liar = scene.source.choose_provider()
    liar.hides = frozenset({hidden.hash})
    await scene.follow(3)
    assert scene.heights in ([0, 1, 2], [0, 1, 2, *range(3, 7)]), "it is known that something stands between"
    liar.hides = frozenset()
    await scene.follow(4)
    assert (scene.is_at_head, scene.amounts) == (True, [9])


async def test_a_witness_that_leaves_out_a_block_vouches_for_nothing() -> None:
    scene = open_scene(operators="ab")
    scene.chain.mine_many(2)
    liar = scene.source._providers[1]
    await scene.follow(3)
    scene.chain.mine()
    hidden = scene.chain.mine()
    scene.chain.mine()
    liar.hides = frozenset({hidden.hash})
    await scene.follow(6)
    held = scene.record.held_height
    assert held is not None
    assert held <= hidden.height, "the block that it does not show waits"
    liar.hides = frozenset()
    await scene.follow(6)
    assert scene.record.held_height is None


async def test_an_operator_that_skips_our_block_contradicts_it_and_does_not_lag() -> None:
    scene = open_scene(operators="ab")
    scene.chain.mine_many(2)
    await scene.follow(4)
    ours = scene.chain.mine()
    scene.source._providers[0].stuck_on = ours.hash
    scene.chain.reorg(1, (), skipped=1)
    told = await scene.follow(4)
    assert scene.record.tip == ours.ref
    assert scene.record.agreed_height < ours.height
    assert scene.source.lags == []
    assert any(isinstance(one, Suspecting) for one in told), "its side is looked at"


async def test_history_is_read_across_gaps_down_to_where_it_is_wanted() -> None:
    scene = open_scene(start=20)
    for skipped in (1, 0, 5, 0, 2, 6):
        scene.chain.mine(scene.chain.pay(SHOP, skipped + 1), skipped=skipped)
    scene.chain.mine_many(2)
    await scene.follow(4)
    assert scene.heights[0] == scene.chain.canonical[6].header.height
    scene.watch(0)
    for _ in range(9):
        await scene.read_history(scene.source.choose_provider())
        under = scene.record.start_height - 1
        assert under == scene.store.rows[scene.chain.traits.chain].blocks[0].parent.height
    assert scene.record.start_height == 0
    assert scene.starts == [0]
    assert scene.amounts == [1, 1, 2, 3, 6, 7]


async def test_a_height_without_a_block_can_be_where_following_and_watching_begin() -> None:
    scene = open_scene(start=4)
    scene.chain.mine(skipped=2)
    assert isinstance(await scene.step(), NotYet)
    scene.chain.mine(scene.chain.pay(SHOP, 5), skipped=3)
    scene.chain.mine()
    await scene.follow(3)
    assert (scene.heights, scene.record.start_height) == ([7, 8], 4)
    scene.watch(5)
    await scene.read_history(scene.source.choose_provider(), chunks=2)
    assert (scene.starts, scene.amounts) == ([5], [5]), (
        "from there on nothing is missing, though no block stands there"
    )


async def test_history_that_hides_a_block_is_refused_on_either_side_of_our_start() -> None:
    for start in (0, 6):
        scene = open_scene(start=start)
        scene.chain.mine_many(4)
        hidden = scene.chain.mine(scene.chain.pay(SHOP, 5))
        scene.chain.mine_many(2)
        await scene.follow(6)
        scene.watch(1)
        liar = scene.source.choose_provider()
        for relinks in (False, True):
            liar.hides, liar.relinks = frozenset({hidden.hash}), relinks
            with pytest.raises(Inconsistent):
                await scene.read_history(liar, chunks=4)
        liar.hides = frozenset()
        await scene.read_history(liar, chunks=4)
        assert scene.amounts == [5]


async def test_the_lowest_block_of_a_chunk_says_what_lies_below_it() -> None:
    scene = open_scene(start=6)
    scene.chain.mine_many(7)
    await scene.follow(4)
    scene.watch(0)
    liar = scene.source.choose_provider()
    liar.hides = frozenset({scene.chain.canonical[3].header.hash})
    with pytest.raises(Inconsistent, match="leaves out a block that its lowest one stands on"):
        await scene.read_history(liar, chunks=2)  # 6 and 7, then 3 to 5 without 3
    assert scene.record.start_height == 6


async def test_height_0_may_have_no_block() -> None:
    scene = open_scene(start=0, first_height=3)
    scene.chain.mine(scene.chain.pay(SHOP, 5), skipped=1)
    await scene.follow(3)
    assert (scene.heights, scene.record.start_height) == ([3, 5], 0)
    scene.watch(0)
    await scene.read_history(scene.source.choose_provider(), chunks=3)
    assert (scene.starts, scene.amounts) == ([0], [5])


async def test_what_is_final_is_a_block_so_leaving_what_skipped_a_final_height_is_no_halt() -> None:
    scene = open_scene()
    scene.follower.desk.settings = replace(scene.follower.desk.settings, finality=FinalAtDepth(3))
    scene.chain.mine_many(2)
    scene.chain.mine(skipped=4)
    scene.chain.mine()
    await scene.follow(5)
    assert (scene.heights, scene.record.final_height) == ([0, 1, 2, 7, 8], 2)
    scene.chain.reorg(2, (), (), skipped=0)
    scene.chain.mine_many(5)
    assert any(isinstance(one, Rewound) for one in await scene.follow(6))
    assert scene.is_at_head


async def test_following_begins_with_the_block_that_covers_the_height_it_is_to_begin_at() -> None:
    scene = open_scene(start=4)
    scene.chain.mine_many(7)
    liar = scene.source.choose_provider()
    liar.hides = frozenset({scene.chain.canonical[4].header.hash})
    with pytest.raises(Inconsistent, match="covers height 4"):
        await scene.step()
    assert not scene.store.rows
    liar.hides = frozenset()
    await scene.follow(4)
    assert (scene.is_at_head, scene.record.start_height) == (True, 4)


async def test_a_branch_that_leaves_out_its_lowest_block_is_not_looked_at_further() -> None:
    scene = open_scene(start=3)
    scene.chain.mine_many(4)
    await scene.follow(3)
    scene.chain.reorg(3, (), (), (), ())
    scene.source.choose_provider().hides = frozenset({scene.chain.canonical[3].header.hash})
    told = await scene.follow(3)
    assert all(isinstance(one, Missing) and "leaves out" in one.detail for one in told)


async def test_what_is_read_ahead_goes_on_behind_a_gap() -> None:
    scene = open_scene()
    for skipped in (0, 0, 5, 1, 0, 4, 0, 0, 3, 0):  # what is asked for at once ends within a gap
        scene.chain.mine(skipped=skipped)
    provider, head = scene.source.choose_provider(), scene.chain.head
    async with asyncio.TaskGroup() as group:
        prefetch = Prefetch(group.create_task, batches_max=2)
        tip, heights = 0, [0]
        while tip < head.height:
            last = min(head.height, tip + SKIPPED_MAX + 1)
            blocks = await prefetch.take(provider, tip + 1, last, head_height=head.height)
            assert blocks[0].header.parent.height == tip
            heights += [block.header.height for block in blocks]
            tip = heights[-1]
    assert heights == [block.header.height for block in scene.chain.canonical]
    assert provider.calls_count <= head.height // (SKIPPED_MAX + 1) + 2, "nothing was asked for twice"


async def test_a_fork_deeper_than_is_looked_for_halts_where_ours_skipped_the_floor() -> None:
    """Both branches are looked at from the same height: what the other one has at ours' gap is asked of everybody."""
    scene = open_scene(operators="ab")
    window = scene.follower.desk.settings.reorg_window_blocks
    scene.chain.mine_many(3)
    scene.chain.mine(skipped=SKIPPED_MAX)
    scene.chain.mine_many(window - 3)
    assert 3 < scene.chain.head.height - window < 10
    await scene.follow(window + 8)
    assert scene.is_at_head
    scene.chain.reorg(window - 1, *[()] * (window + 7))
    told = await scene.follow(6)
    assert any(isinstance(one, Halted) for one in told), told


class Forgetful(ScriptedProvider):
    """A node behind a load balancer: asked for a range of headers, it answers by a replica that has not got so far."""

    behind: int | None = None

    async def fetch_headers(self, height_first: int, height_last: int) -> list[Header]:
        headers = await super().fetch_headers(height_first, height_last)
        behind, self.behind = self.behind, self.behind if height_first > (self.behind or 0) else None
        return headers if behind is None else [one for one in headers if one.height <= behind]


async def test_a_block_of_ours_that_a_node_left_out_for_a_moment_is_no_branch() -> None:
    scene = open_scene()
    for skipped in (0, 3, 0, 5, 0, 0, 4):
        scene.chain.mine(skipped=skipped)
    await scene.follow(12)
    tip = scene.record.tip
    node = Forgetful(scene.chain, name="balanced", operator="a")
    search = ForkSearch(scene.store, scene.follower.desk.settings)
    for behind in scene.heights[1:-1]:
        node.behind = behind
        with pytest.raises(Missing):
            await search.find_branch(scene.record, node, scene.chain.mine(), tip.height)

"""Where another branch leaves our chain, asked of one provider, and what the other operators say of it."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from chains.errors import Missing, WrongNetwork
from chains.model import BlockHash, BlockRef, ChainId
from indexer.follow.forks import ForkSearch
from indexer.follow.voices import Voices
from indexer.rows.storage import ChainRecord
from indexer.rules.evidence import Opinion
from tests.simulation.blocks import SimBlock
from tests.simulation.chain import SimChain
from tests.simulation.log import MerchantLogs
from tests.simulation.memory import MemoryStore
from tests.simulation.providers import Mood, ServedBook, SimProvider, SimSource
from tests.simulation.setups import draw_setup
from tests.simulation.troubles import Tally

NOW = datetime(2026, 11, 1, tzinfo=UTC)


class Quiet:
    """Nothing interrupts a test."""

    def pause(self, where: str, chain: ChainId | None = None) -> None:
        """Nobody acts."""

    def wants_retry(self) -> bool:
        """Every transaction goes through."""
        return False


class Scene:
    """Our rows follow one branch from `start` on; providers may follow another."""

    def __init__(self, *, operators: str = "a", blocks: int = 10, number: int = 0) -> None:
        self.rng = random.Random(1)
        setup = draw_setup(0, self.rng)
        self.settings = replace(setup.settings, batch_blocks_max=8, rewind_blocks_max=64)
        self.chain = SimChain(number, self.rng, setup.economy, Tally(), final_depth=90)
        self.chain.extend(blocks)
        self.store = MemoryStore(Quiet(), MerchantLogs(), lambda *_: None)
        self.providers = [
            SimProvider(f"node-{index}", letter, self.chain, self.rng, ServedBook(), lambda: None)
            for index, letter in enumerate(operators)
        ]
        self.source = SimSource(self.providers, self.rng)
        self.id = setup.chain

    async def hold(self, start: int, tip: SimBlock, *, final: int | None = None) -> ChainRecord:
        """Our canonical chain is the path of `tip` from `start` on."""
        first = tip.path[start]
        await self.store.create_chain(
            self.id, alias="x", network_id=tip.path[0].hash, assets=(), first=first.block, at=NOW
        )
        rows = self.store.rows[self.id]
        rows.blocks = [block.header for block in tip.path[start:]]
        rows.record = replace(
            rows.record, tip=BlockRef(tip.height, tip.hash), final_height=final, agreed_height=tip.height
        )
        return rows.record

    def search(self) -> ForkSearch:
        return ForkSearch(self.store, self.settings)

    def voices(self) -> Voices:
        return Voices(self.store, self.source, self.settings.traits.skipped_heights_max)


def fork_of(scene: Scene, depth: int, length: int) -> tuple[SimBlock, SimBlock]:
    """Our tip before a reorganisation, and the new one."""
    old = scene.chain.tip
    scene.chain.reorganise(depth, length)
    for provider in scene.providers:
        provider.view = scene.chain.tip
    return old, scene.chain.tip


@pytest.mark.parametrize(("depth", "length"), [(1, 1), (1, 2), (3, 1), (4, 4), (9, 10)])
async def test_the_fork_is_the_last_block_both_hold(depth: int, length: int) -> None:
    scene = Scene()
    old, new = fork_of(scene, depth, length)
    record = await scene.hold(1, old)
    branch = await scene.search().find_branch(
        record, scene.providers[0], new.header, min(new.height - 1, old.height)
    )
    assert branch.fork.hash == old.path[10 - depth].hash
    assert branch.headers[0].hash == new.path[11 - depth].hash
    assert branch.headers[-1].hash == new.hash
    assert not branch.below_final


async def test_the_first_block_we_hold_may_leave_like_any_other() -> None:
    scene = Scene()
    old, new = fork_of(scene, 1, 1)
    record = await scene.hold(10, old)
    branch = await scene.search().find_branch(record, scene.providers[0], new.header, new.height - 1)
    assert branch.fork == BlockRef(9, new.path[9].hash)
    assert [header.hash for header in branch.headers] == [new.hash]
    assert not branch.below_final


async def test_a_branch_that_shares_none_of_our_blocks_forks_right_under_our_start() -> None:
    scene = Scene()
    old, new = fork_of(scene, 6, 8)
    record = await scene.hold(7, old)
    branch = await scene.search().find_branch(record, scene.providers[0], new.header, old.height)
    assert branch.fork == BlockRef(6, new.path[6].hash)
    assert [header.height for header in branch.headers] == list(range(7, new.height + 1))


async def test_below_what_is_final_it_halts_unless_an_operator_accepted_that_fork() -> None:
    scene = Scene()
    old, new = fork_of(scene, 6, 7)
    record = await scene.hold(1, old, final=5)
    found = await scene.search().find_branch(record, scene.providers[0], new.header, old.height)
    assert found.below_final
    accepted = replace(record, accepted_fork_hash=found.fork.hash)
    again = await scene.search().find_branch(accepted, scene.providers[0], new.header, old.height)
    assert not again.below_final
    assert again.fork == found.fork


async def test_under_our_start_what_is_final_halts_too() -> None:
    scene = Scene()
    old, new = fork_of(scene, 3, 4)
    record = await scene.hold(9, old, final=9)
    found = await scene.search().find_branch(record, scene.providers[0], new.header, old.height)
    assert found.below_final
    accepted = replace(record, accepted_fork_hash=found.fork.hash)
    again = await scene.search().find_branch(accepted, scene.providers[0], new.header, old.height)
    assert (again.fork, again.below_final) == (found.fork, False)


async def test_another_genesis_block_is_another_network() -> None:
    scene, stranger = Scene(), Scene(number=1)
    record = await scene.hold(0, scene.chain.tip)
    head = stranger.chain.tip.header
    with pytest.raises(WrongNetwork):
        await scene.search().find_branch(record, stranger.providers[0], head, 9)


async def test_headers_of_two_branches_are_refused_and_are_no_lie() -> None:
    scene = Scene()
    old, new = fork_of(scene, 4, 9)
    record = await scene.hold(1, old)
    provider = scene.providers[0]
    provider.other_view, provider.mood = old, Mood.FLAPPING
    outcomes = set()
    for _ in range(60):
        try:
            branch = await scene.search().find_branch(record, provider, new.header, old.height)
        except Exception as error:  # noqa: BLE001  # the kinds are what is tested
            outcomes.add(type(error).__name__)
        else:
            assert branch.headers[0].parent == branch.fork
            outcomes.add("found")
    assert outcomes == {"found", "Missing"}, "a node that reorganises between two answers is no liar"


async def test_a_head_that_was_left_before_its_height_was_asked_for_is_no_lie() -> None:
    scene = Scene()
    old, new = fork_of(scene, 6, 8)
    record = await scene.hold(7, old)
    left = replace(new.header, hash=BlockHash(b"\x99" * 32))
    with pytest.raises(Missing, match="name different blocks"):
        await scene.search().find_branch(record, scene.providers[0], left, old.height)


async def test_two_providers_of_one_operator_are_one_voice() -> None:
    scene = Scene(operators="abbc")
    old, new = fork_of(scene, 1, 2)
    record = await scene.hold(1, old)
    for liar in scene.providers[1:3]:
        liar.view = old
    opinion = await scene.voices().ask_opinion(
        record, scene.providers[0], new.path[9].header.ref, new.path[10].header.ref
    )
    assert opinion is Opinion.AGREES


async def test_before_a_rewind_agreement_means_the_branch_and_not_the_rows_that_leave() -> None:
    scene = Scene(operators="ab")
    old, new = fork_of(scene, 3, 5)
    record = await scene.hold(1, old)
    scene.providers[1].view = old.path[9]
    branch = [block.header for block in new.path[8:]]
    candidate = replace(record, tip=BlockRef(new.height, new.hash), agreed_height=7)
    agreement = await scene.voices().ask_agreement(candidate, scene.providers[0], branch)
    assert (agreement.height, agreement.contradicting) == (7, scene.providers[1])
    scene.providers[1].view = new.path[9]
    agreement = await scene.voices().ask_agreement(candidate, scene.providers[0], branch)
    assert (agreement.height, agreement.contradicting) == (9, None)


async def test_before_a_rewind_a_height_that_the_branch_skips_has_no_block_of_ours() -> None:
    scene = Scene(operators="ab")
    old, new = fork_of(scene, 3, 5)
    record = await scene.hold(1, old)
    scene.providers[1].view = old.path[8]
    first, *others = [block.header for block in new.path[9:]]
    branch = [replace(first, parent=new.path[7].header.ref), *others]
    candidate = replace(record, tip=BlockRef(new.height, new.hash), agreed_height=7)
    agreement = await scene.voices().ask_agreement(candidate, scene.providers[0], branch)
    assert (agreement.height, agreement.contradicting) == (7, scene.providers[1])

"""History that no hash proves: told on one operator's word, credited on two, and taken back where most tell otherwise."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from chains.errors import Inconsistent, Unreachable
from chains.model import Address, Block, Hold, ListedTransfers, Transfer, VerificationLevel
from chains.scripted.chain import ScriptedBlock, ScriptedChain
from chains.scripted.provider import ScriptedProvider
from chains.scripted.source import ScriptedSource
from chains.traits import FinalAtDepth
from indexer.backfill import BackfillOutcome, Covered, NothingPending, step_backfill, step_doubts
from indexer.commit import ChainDesk
from indexer.deposits import Deposit
from indexer.doubts import Findings
from indexer.follow import Follower
from indexer.halts import commit_trust
from indexer.identity import AddressId
from indexer.outcomes import Idle, Started
from indexer.policy import ConfirmRule
from tests.simulation.history import MemoryBackfillStore
from tests.simulation.log import MerchantLogs
from tests.simulation.memory import MemoryStore
from tests.simulation.rows import ChainRows
from tests.simulation.setups import MERCHANTS, STRANGERS, WATCHABLE, draw_setup
from tests.unit.indexer.making import depth
from tests.unit.indexer.test_forks import Quiet

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TILL, OTHER_TILL, PAYER = WATCHABLE[0], WATCHABLE[1], STRANGERS[0]
PAID_AT = 5
Tale = Callable[[Sequence[Transfer]], Sequence[Transfer]]


@dataclass(slots=True, kw_only=True)
class Node(ScriptedProvider):
    """An operator that may lie about what a block holds, or fall silent when asked for blocks."""

    tale: Tale | None = None
    lies_at: int = PAID_AT
    is_silent: bool = False
    hold: Hold = Hold.NONE
    blocks_told: int = 0

    def _tell(self, block: ScriptedBlock) -> Block:
        if self.is_silent:
            raise Unreachable("is silent", provider=self.name)
        self.blocks_told += 1
        told = ScriptedProvider._tell(self, block)
        assert isinstance(told.transfers, ListedTransfers)
        if self.tale is not None and told.header.height == self.lies_at:
            told = replace(told, transfers=ListedTransfers(tuple(self.tale(told.transfers.transfers))))
        return replace(told, hold=self.hold)


def inflated(transfers: Sequence[Transfer]) -> Sequence[Transfer]:
    return [replace(one, amount_base_units=10**12) for one in transfers]


def invented(transfers: Sequence[Transfer]) -> Sequence[Transfer]:
    return [*transfers, *(replace(one, tx_hash=type(one.tx_hash)(b"\x66" * 32)) for one in transfers)]


def hidden(_transfers: Sequence[Transfer]) -> Sequence[Transfer]:
    return []


@dataclass(slots=True)
class Scene:
    """A chain that several operators serve, followed to its head before the till was watched."""

    chain: ScriptedChain
    nodes: list[Node]
    source: ScriptedSource
    store: MemoryStore
    desk: ChainDesk
    follower: Follower
    history: MemoryBackfillStore
    now: datetime = NOW
    found: Findings = field(default_factory=Findings)

    @property
    def rows(self) -> ChainRows:
        return self.store.rows[self.chain.traits.chain]

    async def follow(self, blocks: int = 0) -> None:
        """The head goes on by so many blocks, and everything that can mature does."""
        for _ in range(blocks):
            self.chain.mine()
        for _ in range(40):
            self.now += timedelta(seconds=1)
            outcome = await self.follower.step(self.now)
            if isinstance(outcome, Idle) and outcome.moved is None:
                return

    async def read(self, reader: Node) -> BackfillOutcome:
        """Every chunk of history that is wanted, from one node."""
        outcome: BackfillOutcome = NothingPending()
        while isinstance(
            one := await step_backfill(self.desk, self.history, reader, now=self.now, source=self.source),
            Covered,
        ):
            outcome = one
            self.found.add(one.findings)
        return outcome

    async def ask(self) -> BackfillOutcome:
        """Half a minute later, everybody is asked about what is in doubt."""
        self.now += timedelta(seconds=31)
        outcome = await step_doubts(self.desk, self.history, self.source, now=self.now)
        if isinstance(outcome, Covered):
            self.found.add(outcome.findings)
        return outcome

    def watch(self, till: Address = TILL, number: int = 1) -> None:
        tip = self.rows.record.tip.height
        self.store.register(
            self.chain.traits.chain,
            AddressId(UUID(int=number)),
            MERCHANTS[0],
            till,
            effective_start=tip + 1,
            pending_start=1,
        )

    @property
    def deposits(self) -> list[Deposit]:
        return sorted(self.rows.deposits.values(), key=lambda one: one.tx_hash)

    @property
    def states(self) -> list[tuple[str, int]]:
        return [(one.state.value, one.amount_base_units) for one in self.deposits]

    @property
    def credited(self) -> int:
        return sum(one.credited_base_units for one in self.deposits)


async def open_scene(operators: int = 2, *, level: VerificationLevel = VerificationLevel.CONSISTENT) -> Scene:
    setup = draw_setup(0, random.Random(1))
    finality = FinalAtDepth(6)
    traits = replace(setup.settings.traits, finality=finality)
    settings = replace(
        setup.settings,
        traits=traits,
        finality=finality,
        start_height=1,
        confirm_rules=(ConfirmRule(depth(2)),),
        backfill_blocks_max=8,
        poll_interval_s=0.5,
    )
    chain = ScriptedChain(traits)
    chain.mine_many(PAID_AT - 1)
    chain.mine(
        chain.pay(TILL, 500, sender=PAYER),
        chain.pay(OTHER_TILL, 70, sender=PAYER),
    )
    chain.mine_many(8)
    nodes = [
        Node(chain, f"node-{letter}.test", f"operator-{letter}", level=level) for letter in "abcd"[:operators]
    ]
    source = ScriptedSource(*nodes)
    store = MemoryStore(Quiet(), MerchantLogs(), lambda *_: None)
    desk = ChainDesk(settings, store, setup.naming, setup.deposit_id)
    scene = Scene(chain, nodes, source, store, desk, Follower(desk, source), MemoryBackfillStore(store))
    while isinstance(await scene.follower.step(scene.now), Started):
        pass
    await scene.follow()
    assert scene.rows.record.agreed_height == scene.rows.record.tip.height == chain.head.height
    return scene


async def test_what_two_operators_show_is_credited_at_once_and_costs_one_more_request() -> None:
    scene = await open_scene(3)
    scene.watch()
    told = [node.blocks_told for node in scene.nodes]
    await scene.read(scene.nodes[0])
    assert scene.states == [("final", 500)]
    assert scene.rows.doubted == {}
    more = [node.blocks_told - before for node, before in zip(scene.nodes, told, strict=True)]
    assert more[0] > 0
    assert more[1] == PAID_AT, "one chunk has a payment, and one other operator is asked for it"
    assert more[2] == 0


async def test_a_chain_that_verifies_in_full_asks_nobody_twice() -> None:
    scene = await open_scene(2, level=VerificationLevel.FULL)
    scene.watch()
    told = scene.nodes[1].blocks_told
    await scene.read(scene.nodes[0])
    assert scene.states == [("final", 500)]
    assert scene.nodes[1].blocks_told == told
    assert await scene.ask() == NothingPending()


async def test_one_operators_word_is_told_and_never_credited_by_the_heads_moves() -> None:
    scene = await open_scene(2)
    scene.watch()
    scene.nodes[1].is_silent = True
    await scene.read(scene.nodes[0])
    assert scene.states == [("included", 500)]
    await scene.ask()
    scene.nodes[1].is_silent = False
    await scene.follow(12)
    assert scene.rows.record.agreed_height == scene.rows.record.tip.height
    assert scene.states == [("included", 500)], "neither confirmed nor final, however deep"
    await scene.ask()
    assert scene.states == [("final", 500)]
    assert scene.rows.doubted == {}
    assert scene.found.differing == set()


@pytest.mark.parametrize("tale", [inflated, invented, hidden])
@pytest.mark.parametrize("liar", [0, 1])
async def test_of_two_that_contradict_each_other_nothing_is_credited(tale: Tale, liar: int) -> None:
    scene = await open_scene(2)
    scene.watch()
    scene.nodes[liar].tale = tale
    await scene.read(scene.nodes[0])
    for _ in range(3):
        await scene.follow(3)
        await scene.ask()
    if (tale, liar) == (hidden, 0):
        assert scene.states == [], "what the reader hides is asked of nobody, and credits nobody"
        return
    assert scene.found.differing == {PAID_AT}
    assert scene.found.liars == set(), "one word against another"
    assert scene.credited == 0
    scene.nodes[liar].tale = None
    await scene.ask()
    assert scene.credited == 500, "what both tell now counts, and what was told before does not"
    assert {one.state.value for one in scene.deposits} <= {"final", "orphaned"}


@pytest.mark.parametrize("tale", [inflated, invented])
@pytest.mark.parametrize("liar", [0, 1, 2])
async def test_of_three_the_two_that_agree_are_believed_whoever_was_read_first(tale: Tale, liar: int) -> None:
    scene = await open_scene(3)
    scene.watch()
    scene.nodes[liar].tale = tale
    await scene.read(scene.nodes[0])
    await scene.ask()
    assert scene.credited == 500
    assert scene.rows.doubted == {}
    if liar < 2:
        assert scene.found.differing == {PAID_AT}
        assert scene.found.liars == {f"operator-{'ab'[liar]}"}
        name, error = scene.source.failures[-1]
        assert (name, type(error)) == (scene.nodes[liar].name, Inconsistent)
    told = [one for one in scene.deposits if one.state.value == "orphaned"]
    assert len(told) == (1 if (tale, liar) == (invented, 0) else 0), "what was invented is taken back"


async def test_two_against_two_is_no_majority() -> None:
    scene = await open_scene(4)
    scene.watch()
    scene.nodes[0].tale = scene.nodes[2].tale = inflated
    await scene.read(scene.nodes[0])
    await scene.ask()
    await scene.follow(3)
    assert scene.credited == 0


async def test_our_operators_word_counts_for_what_is_recorded() -> None:
    scene = await open_scene(2)
    scene.watch()
    scene.nodes[1].tale = hidden
    await scene.read(scene.nodes[0])
    await scene.follow(2)
    assert scene.credited == 0
    assert await commit_trust(scene.desk, scene.rows.record, until_height=PAID_AT)
    await scene.follow(1)
    assert scene.states == [("final", 500)]
    assert await scene.ask() == NothingPending()


async def test_who_lied_is_taken_out_and_the_range_read_again() -> None:
    """The way out with two operators, as docs/chains.md tells it."""
    scene = await open_scene(2)
    scene.watch()
    liar, honest = scene.nodes
    liar.tale = invented
    await scene.read(liar)
    await scene.ask()
    assert [state for state, _ in scene.states] == ["included", "included"]
    scene.source._providers = [honest]
    scene.store.rescan(scene.chain.traits.chain, 1, PAID_AT)
    await scene.read(honest)
    assert sorted(scene.states) == [("included", 500), ("orphaned", 500)]
    await scene.follow(2)
    assert scene.credited == 0, "one operator is left, and its word is doubted as well"
    assert await commit_trust(scene.desk, scene.rows.record, until_height=PAID_AT)
    await scene.follow(1)
    assert scene.credited == 500


async def test_reading_again_changes_nothing_that_is_credited_on_one_word() -> None:
    scene = await open_scene(2)
    scene.watch()
    await scene.read(scene.nodes[0])
    assert scene.credited == 500
    for tale in (inflated, invented):
        scene.nodes[0].tale = tale
        scene.store.rescan(scene.chain.traits.chain, 1, PAID_AT)
        await scene.read(scene.nodes[0])
        await scene.follow(2)
        assert scene.credited == 500
    assert scene.found.differing == {PAID_AT}


async def test_an_address_that_came_later_is_told_of_what_a_block_in_doubt_paid_it() -> None:
    scene = await open_scene(2)
    scene.watch()
    scene.nodes[1].is_silent = True
    await scene.read(scene.nodes[0])
    scene.watch(OTHER_TILL, 2)
    await scene.read(scene.nodes[0])
    assert sorted(scene.states) == [("included", 70), ("included", 500)]
    scene.nodes[1].is_silent = False
    await scene.ask()
    assert scene.credited == 570


async def test_a_novelty_in_history_waits_for_our_operator_where_only_one_is_configured() -> None:
    scene = await open_scene(1)
    scene.watch()
    scene.nodes[0].hold = Hold.CHAIN
    await scene.read(scene.nodes[0])
    scene.nodes[0].hold = Hold.NONE
    await scene.follow(8)
    await scene.ask()
    assert scene.states == [("included", 500)]
    assert scene.rows.record.held_height is None, "the head's credit does not wait for history"
    assert await commit_trust(scene.desk, scene.rows.record, until_height=PAID_AT)
    await scene.follow(1)
    assert scene.credited == 500


async def test_with_one_operator_a_known_gap_in_history_is_its_word() -> None:
    scene = await open_scene(1)
    scene.watch()
    scene.nodes[0].hold = Hold.HITS
    await scene.read(scene.nodes[0])
    assert scene.states == [("final", 500)]


async def test_a_doubt_leaves_with_its_block() -> None:
    scene = await open_scene(2)
    scene.watch()
    scene.nodes[1].is_silent = True
    await scene.read(scene.nodes[0])
    assert set(scene.rows.doubted) == {PAID_AT}
    async with scene.store.open_move(scene.chain.traits.chain, lease_epoch=0) as move:
        await move.leave_blocks(PAID_AT, left_for=scene.chain.head.hash, at=NOW)
    assert set(scene.rows.doubted) == {PAID_AT}
    async with scene.store.open_move(scene.chain.traits.chain, lease_epoch=0) as move:
        await move.leave_blocks(PAID_AT - 1, left_for=scene.chain.head.hash, at=NOW)
    assert scene.rows.doubted == {}


async def test_what_a_witness_contradicts_at_the_head_is_told_anew_where_most_tell_otherwise() -> None:
    scene = await open_scene(3)
    scene.watch()
    liar = scene.nodes[0]
    await scene.read(liar)

    def double(transfers: Sequence[Transfer]) -> Sequence[Transfer]:
        return [replace(one, amount_base_units=2 * one.amount_base_units) for one in transfers]

    liar.tale, liar.lies_at = double, scene.chain.head.height + 1
    scene.chain.mine(scene.chain.pay(TILL, 900, sender=PAYER))
    await scene.follow(3)
    assert scene.credited == 500
    assert ("included", 1800) in scene.states
    await scene.ask()
    await scene.follow(2)
    assert scene.credited == 1400
    assert scene.found.liars == {liar.operator}
    assert scene.rows.record.held_height is None


async def test_blocks_in_doubt_are_asked_about_twice_a_minute_at_most() -> None:
    scene = await open_scene(2)
    scene.watch()
    scene.nodes[1].tale = inflated
    await scene.read(scene.nodes[0])
    assert isinstance(await scene.ask(), Covered)
    told = scene.nodes[1].blocks_told
    for _ in range(20):
        assert await step_doubts(scene.desk, scene.history, scene.source, now=scene.now) == NothingPending()
    assert scene.nodes[1].blocks_told == told


async def test_an_operator_on_another_branch_says_nothing_of_our_blocks() -> None:
    scene = await open_scene(2)
    scene.watch()
    fork = ScriptedChain(scene.chain.traits)
    fork.mine_many(3)
    fork._blocks_mined += 100  # other hashes from here on
    fork.mine_many(12)
    scene.nodes[1].chain = fork
    await scene.read(scene.nodes[0])
    await scene.ask()
    assert scene.states == [("included", 500)]
    assert scene.found.differing == set()

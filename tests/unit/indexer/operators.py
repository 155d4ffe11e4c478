"""A chain that several operators serve, some of whom lie about one block, and our follower and history over it.

Here: the nodes, the tales they tell, and the scene. Not here: what must come of it (`test_history`).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from chains.errors import Unreachable
from chains.model import Address, Block, Hold, ListedTransfers, Sought, Transfer, VerificationLevel
from chains.scripted.chain import ScriptedBlock, ScriptedChain
from chains.scripted.provider import ScriptedProvider
from chains.scripted.source import ScriptedSource
from chains.traits import FinalAtDepth
from indexer.follow.outcomes import Idle, Started
from indexer.follow.step import Follower
from indexer.history.backfill import BackfillOutcome, Covered, NothingPending, step_backfill, step_doubts
from indexer.move.commit import ChainDesk
from indexer.rules.deposits import Deposit
from indexer.rules.doubts import Findings
from indexer.rules.identity import AddressId
from indexer.rules.policy import ConfirmRule
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

    def _tell(self, block: ScriptedBlock, sought: Sought | None = None) -> Block:
        if self.is_silent:
            raise Unreachable("is silent", provider=self.name)
        self.blocks_told += 1
        told = ScriptedProvider._tell(self, block, sought)
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


async def open_scene(operators: int = 2, *, level: VerificationLevel = VerificationLevel.PARTIAL) -> Scene:
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
        hold_limits={},
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

"""A chain whose payers wait in the mempools of two nodes, and our follower and looks over it.

Here: the nodes and the scene. Not here: what must come of it (`test_mempool`).
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from chains.model import Address, TxHash
from chains.scripted.chain import ScriptedChain, ScriptedTx
from chains.scripted.mempool import ScriptedMempool
from chains.scripted.provider import ScriptedProvider
from chains.scripted.source import ScriptedSource
from chains.traits import FinalAtDepth
from indexer.follow.mempools.look import LookOutcome, MempoolLooker
from indexer.follow.outcomes import Idle
from indexer.follow.step import Follower
from indexer.move.commit import ChainDesk
from indexer.rules.deposits import Deposit
from indexer.rules.identity import AddressId
from indexer.rules.policy import ConfirmRule
from indexer.rules.waiting import MempoolBoard
from tests.simulation.log import MerchantLogs
from tests.simulation.memory import MemoryStore
from tests.simulation.rows import ChainRows
from tests.simulation.setups import MERCHANTS, STRANGERS, WATCHABLE, draw_setup
from tests.unit.indexer.making import depth
from tests.unit.indexer.test_forks import Quiet

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TILL, OTHER_TILL, PAYER = WATCHABLE[0], WATCHABLE[1], STRANGERS[0]


@dataclass(slots=True)
class Scene:
    """One chain, one process that follows it, and two nodes whose mempools it looks at."""

    chain: ScriptedChain
    nodes: list[ScriptedMempool]
    store: MemoryStore
    source: ScriptedSource
    desk: ChainDesk
    follower: Follower
    board: MempoolBoard
    lookers: list[MempoolLooker]
    now: datetime = NOW
    registered: int = 0

    @property
    def rows(self) -> ChainRows:
        return self.store.rows[self.chain.traits.chain]

    async def follow(self) -> None:
        """Whatever blocks there are, are ours."""
        for _ in range(40):
            self.now += timedelta(seconds=1)
            outcome = await self.follower.step(self.now)
            if isinstance(outcome, Idle) and outcome.moved is None:
                return

    async def look(self, *, is_whole: bool = True, minutes: int = 0, node: int = 0) -> LookOutcome:
        """One look of one node, some minutes later."""
        self.now += timedelta(minutes=minutes, seconds=1)
        return await self.lookers[node].step(self.now, is_whole=is_whole, asks_fees=is_whole)

    async def look_for(self, minutes: int) -> None:
        """A look at every node each minute."""
        for _ in range(minutes):
            self.now += timedelta(minutes=1)
            for node in range(len(self.nodes)):
                await self.look(node=node)

    def watch(self, till: Address = TILL, merchant: int = 0, *, in_blocks: int = 1) -> None:
        """A merchant registers an address now, which counts from the block after so many; the next is 1."""
        self.registered += 1
        self.store.register(
            self.chain.traits.chain,
            AddressId(UUID(int=self.registered)),
            MERCHANTS[merchant],
            till,
            effective_start=self.rows.record.tip.height + in_blocks,
            pending_start=None,
        )

    def pay(
        self, amount: int = 500, *, nonce: int = 1, to: Address = TILL, fee: int | None = None
    ) -> ScriptedTx:
        """A payment, not sent yet; the same nonce makes it a rival."""
        return replace(self.chain.pay(to, amount, sender=PAYER, nonce=nonce), fee_rate_per_kvb=fee)

    def start_again(self) -> None:
        """The process dies, and the next one begins with nothing in memory."""
        rows = self.rows
        rows.record = replace(rows.record, lease_epoch=rows.record.lease_epoch + 1)
        self.desk = ChainDesk(
            self.desk.settings,
            self.store,
            self.desk.naming,
            self.desk.deposit_id,
            lease_epoch=rows.record.lease_epoch,
        )
        self.follower = Follower(self.desk, self.source)
        self.board = MempoolBoard()
        self.lookers = [MempoolLooker(self.desk, one, self.board) for one in self.nodes]

    def deposit(self, tx: ScriptedTx) -> Deposit | None:
        """The one deposit by a transaction."""
        found = [one for one in self.rows.deposits.values() if one.tx_hash == tx.tx_hash]
        assert len(found) < 2
        return found[0] if found else None

    def state(self, tx: ScriptedTx) -> str | None:
        deposit = self.deposit(tx)
        return None if deposit is None else deposit.state.value

    def replaced_by(self, tx: ScriptedTx) -> TxHash | None:
        deposit = self.deposit(tx)
        return None if deposit is None else deposit.replaced_by

    @property
    def told(self) -> list[str]:
        """The types of all events, in order."""
        return [event.type for log in self.store.logs.by_merchant.values() for event in log.events]


async def open_scene(nodes: int = 1) -> Scene:
    """Followed up to its head, with one watched address."""
    setup = draw_setup(0, random.Random(1))
    finality = FinalAtDepth(6)
    traits = replace(setup.settings.traits, finality=finality)
    settings = replace(
        setup.settings,
        traits=traits,
        finality=finality,
        start_height=1,
        confirm_rules=(ConfirmRule(depth(2)),),
        poll_interval_s=0.5,
        hold_limits={},
    )
    chain = ScriptedChain(traits)
    chain.mine_many(4)
    source = ScriptedSource(ScriptedProvider(chain))
    mempools = [ScriptedMempool(chain, f"node-{letter}.test") for letter in "ab"[:nodes]]
    store = MemoryStore(Quiet(), MerchantLogs(), lambda *_: None)
    desk = ChainDesk(settings, store, setup.naming, setup.deposit_id)
    board = MempoolBoard()
    scene = Scene(chain, mempools, store, source, desk, Follower(desk, source), board, [])
    await scene.follow()
    scene.lookers = [MempoolLooker(desk, one, board) for one in mempools]
    scene.watch()
    return scene

"""What waits to be mined in a schedule: payments sent, bumped, double-spent, evicted, and nodes that tell of them.

Lives here: the nodes' mempools, what payers do, our looks, and what must hold after each look and at rest. Does not live
here: how blocks take payments (`chain.py`), and the laws of every commit (`laws.py`).
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from chains.errors import Unreachable
from chains.mempool import FeeRung, WaitingTx
from chains.model import BlockHash, ConflictKey, Transfer, TxHash
from indexer.follow.mempools.look import Looked, MempoolLooker
from indexer.follow.step import Follower
from indexer.rules.identity import DepositId
from indexer.rules.unconfirmed import EVICTED_AFTER
from indexer.rules.waiting import MempoolBoard
from tests.simulation.blocks import Payment, SimBlock, place_of, spends_of
from tests.simulation.chain import SimChain
from tests.simulation.laws import Watched
from tests.simulation.network import Network
from tests.simulation.rows import ChainRows
from tests.simulation.troubles import Tally, Trouble

NODES_MAX = 2
LOOKS_AT_REST_MAX = 12
SENT_AT_REST, BUMPED_AT_REST = 4, 3
LONG_SHARE = 0.03
"""Of steps: those after which no block comes for so long that what is gone is given up."""
RUNGS = (FeeRung(1, 900), FeeRung(6, 300))

Run = Callable[[Network, Coroutine[Any, Any, object]], object]
"""The world's way to let a process do something, whatever comes of it."""


class PoolMood(StrEnum):
    """What a node's mempool does."""

    HONEST = "honest"
    DOWN = "down"
    BEHIND = "behind"
    """It stands on an older block, and shows what waited there."""

    FORGETFUL = "forgetful"
    """It has started again, and hears of some of what waits only later."""


@dataclass(slots=True)
class SimMempool:
    """One node's mempool; `view` is the block it stands on."""

    name: str
    chain: SimChain
    rng: random.Random
    pause: Callable[[], None]
    mood: PoolMood = PoolMood.HONEST
    view: SimBlock | None = None
    forgotten: set[TxHash] = field(default_factory=set)
    are_hints_live: bool = True

    def stands_on(self) -> SimBlock:
        return self.chain.tip if self.view is None else self.view

    def pool(self) -> dict[TxHash, Payment]:
        """What waits there; of those that use up the same, the one that was sent last."""
        return {
            one.tx_hash: one
            for one in waiting_on(self.chain, self.stands_on())
            if one.tx_hash not in self.forgotten
        }

    async def fetch_tip(self) -> BlockHash:
        self._answer()
        return self.stands_on().hash

    async def fetch_waiting(self) -> Collection[TxHash]:
        self._answer()
        return set(self.pool())

    async def fetch_waiting_txs(self, tx_hashes: Sequence[TxHash]) -> list[WaitingTx]:
        self._answer()
        pool = self.pool()
        return [
            WaitingTx(
                one,
                transfers_of(pool[one], counts_outputs=self.chain.kind.counts_outputs),
                pool[one].keys,
                self.rng.randrange(1_000),
            )
            for one in tx_hashes
            if one in pool
        ]

    async def fetch_spenders(self, keys: Sequence[ConflictKey]) -> dict[ConflictKey, TxHash]:
        self._answer()
        return {key: tx_hash for key, tx_hash in spends_of(self.pool().values()).items() if key in set(keys)}

    async def fetch_fee_rungs(self) -> Sequence[FeeRung]:
        self._answer()
        return RUNGS

    def take_left(self) -> Collection[TxHash]:
        return ()

    async def wait_for_entered(self, timeout_s: float) -> Sequence[TxHash]:
        raise AssertionError("a schedule hints by itself")

    def _answer(self) -> None:
        self.pause()
        if self.mood is PoolMood.DOWN:
            raise Unreachable("does not answer", provider=self.name)


def waiting_on(chain: SimChain, block: SimBlock) -> list[Payment]:
    """What every mempool would show on this block: whoever comes later puts all away that use up some of the same."""
    waiting: dict[TxHash, Payment] = {}
    by_used: dict[bytes, Payment] = {}
    for one in chain.pool:
        if one.dropped or not one.fits(block.keys):
            continue
        for rival in {other.tx_hash: other for key in one.used if (other := by_used.get(key))}.values():
            del waiting[rival.tx_hash]
            for key in rival.used:
                del by_used[key]
        waiting[one.tx_hash] = one
        by_used.update(dict.fromkeys(one.used, one))
    return list(waiting.values())


def transfers_of(payment: Payment, *, counts_outputs: bool) -> tuple[Transfer, ...]:
    """What a payment would move in the next block, without a place in it."""
    ordinals: Counter[object] = Counter()
    transfers: list[Transfer] = []
    for leg in payment.legs:
        place = place_of(leg, counts_outputs=counts_outputs)
        senders = () if leg.sender is None else (leg.sender,)
        transfers.append(
            Transfer(
                payment.tx_hash,
                leg.kind,
                leg.asset,
                leg.recipient,
                senders,
                ordinals[place],
                leg.amount_base_units,
                "",
                payment.keys,
                leg.memo,
            )
        )
        ordinals[place] += 1
    return tuple(transfers)


class Waiting:
    """One network's payers, its nodes' mempools and our looks at them."""

    def __init__(self, network: Network, rng: random.Random, tally: Tally, pause: Callable[[], None]) -> None:
        self.network = network
        self._rng = rng
        self._tally = tally
        self.nodes = [
            SimMempool(f"pool-{number}", network.chain, rng, pause)
            for number in range(rng.randrange(1, NODES_MAX + 1))
        ]
        self._follower: Follower | None = None
        self._lookers: list[MempoolLooker] = []

    # What payers and nodes do.

    def act(self) -> None:
        """One deed, drawn from this network's own chance."""
        rng, chain = self._rng, self.network.chain
        chance = rng.random()
        waiting = waiting_on(chain, chain.tip)
        if chance < 0.45 or not waiting:
            chain.send()
            self._tally.count(Trouble.WAITING_SENT)
        elif chance < 0.65:
            chain.bump(rng.choice(waiting))
            self._tally.count(Trouble.WAITING_BUMPED)
        elif chance < 0.75:
            rng.choice(waiting).dropped = True
            self._tally.count(Trouble.WAITING_EVICTED)
        elif chance < 0.85:
            for payment in chain.pool[-8:]:
                payment.dropped = False
        else:
            self._change_mood(rng.choice(self.nodes))

    def _change_mood(self, node: SimMempool) -> None:
        rng, chain = self._rng, self.network.chain
        node.mood, node.view = rng.choice(tuple(PoolMood)), None
        if node.mood is PoolMood.BEHIND:
            node.view = chain.tip.path[max(0, chain.tip.height - rng.randrange(1, 4))]
            self._tally.count(Trouble.POOL_BEHIND)
        elif node.mood is PoolMood.FORGETFUL:
            node.forgotten = set(node.pool())
            self._tally.count(Trouble.POOL_FORGETS)
        elif node.mood is PoolMood.DOWN:
            self._tally.count(Trouble.POOL_DOWN)
        else:
            node.forgotten.clear()

    # What our process does.

    def step(
        self, now: datetime, follower: Follower, rows: ChainRows, watched: Watched, run: Run
    ) -> datetime:
        """Payers and nodes do something, and the process that follows looks; now and then for as long as it takes."""
        self.act()
        if self._rng.random() < LONG_SHARE:
            return self.wait_long(now, follower, rows, watched, run)
        self.look(now, follower, rows, watched, run)
        return now

    def look(
        self,
        now: datetime,
        follower: Follower,
        rows: ChainRows,
        watched: Watched,
        run: Run,
        *,
        whole_share: float = 0.7,
    ) -> None:
        """A look at each node, and what must hold of it."""
        for node, looker in zip(self.nodes, self._lookers_of(follower), strict=True):
            is_whole = self._rng.random() < whole_share
            hinted = [one for one in node.pool() if self._rng.random() < 0.3]
            before = dict(rows.deposits)
            tip = rows.record.tip
            work = looker.step(now, is_whole=is_whole, entered=hinted, asks_fees=is_whole)
            run(self.network, work)
            if rows.record.tip == tip:
                self._check_look(before, rows, watched)

    def wait_long(
        self, now: datetime, follower: Follower, rows: ChainRows, watched: Watched, run: Run
    ) -> datetime:
        """So long without a block that whatever is only gone is given up; a look at each node a minute."""
        end = now + EVICTED_AFTER + timedelta(minutes=3)
        while now < end:
            now += timedelta(minutes=1)
            self.look(now, follower, rows, watched, run, whole_share=1)
        return now

    def _lookers_of(self, follower: Follower) -> list[MempoolLooker]:
        """Those of the process that follows now: another one begins with nothing in memory."""
        if self._follower is not follower:
            board = MempoolBoard()
            self._follower = follower
            self._lookers = [MempoolLooker(follower.desk, node, board) for node in self.nodes]
        return self._lookers

    # What must hold.

    def _check_look(self, before: Mapping[DepositId, Any], rows: ChainRows, watched: Watched) -> None:
        """Whatever was told as seen could be mined on our tip; that no look credits, every commit's laws say."""
        for deposit_id, row in rows.deposits.items():
            old = before.get(deposit_id)
            if row.state == "seen" and (old is None or old.version != row.version):
                used = watched.path[-1].keys
                assert not any(key in used for key in row.conflict_keys), "what is on chain wins"
                self._tally.count(Trouble.TOLD_SEEN)
            elif row.state == "dropped" and (old is None or old.version != row.version):
                self._tally.count(Trouble.TOLD_DROPPED)

    def come_to_rest(
        self, now: datetime, follower: Follower, rows: ChainRows, watched: Watched, run: Run
    ) -> datetime:
        """Every node is honest: in bounded looks all that waits is told, and nothing else after its time."""
        for node in self.nodes:
            node.mood, node.view = PoolMood.HONEST, None
            node.forgotten.clear()
        chain = self.network.chain
        for _ in range(SENT_AT_REST):
            chain.send()
        self.look(now, follower, rows, watched, run, whole_share=1)
        for payment in waiting_on(chain, chain.tip)[:BUMPED_AT_REST]:
            chain.bump(payment)
        for _ in range(LOOKS_AT_REST_MAX):
            now += timedelta(seconds=1)
            outcomes: list[object] = []

            def note(
                network: Network, work: Coroutine[Any, Any, object], into: list[object] = outcomes
            ) -> object:
                into.append(run(network, work))
                return into[-1]

            self.look(now, follower, rows, watched, note, whole_share=1)
            if all(isinstance(one, Looked) and not one.is_more and not one.changes for one in outcomes):
                break
        else:
            raise AssertionError(f"{self.network.id}: looks do not come to rest")
        spends = spends_of(waiting_on(self.network.chain, watched.path[-1]))
        for row in rows.deposits.values():
            rivals = {spends[key] for key in row.conflict_keys if key in spends}
            assert row.state != "seen" or rivals <= {row.tx_hash}, (
                "another waits in its stead, and nobody says so"
            )
        now = self.wait_long(now, follower, rows, watched, run)
        expected = self._expected(rows, watched)
        seen = {one.id for one in rows.deposits.values() if one.state == "seen"}
        assert seen == expected, "what is told as seen is not what waits"
        assert not any(one.state == "orphaned" for one in rows.deposits.values()), "waited for without end"
        return now

    def _expected(self, rows: ChainRows, watched: Watched) -> set[UUID]:
        """The deposits that the next block would hold if it took all that waits; dust only where it is known already."""
        tip = watched.path[-1]
        waiting = waiting_on(self.network.chain, tip)
        by_output = self.network.chain.kind.counts_outputs
        transfers = tuple(
            one for payment in waiting for one in transfers_of(payment, counts_outputs=by_output)
        )
        block = SimBlock(tip, BlockHash(b"the next block"), waiting, transfers, is_forged=False)
        return {
            sight.deposit_id
            for sight in watched.oracle.sights_in(block)
            if (sight.counts or (sight.has_begun and sight.deposit_id in rows.deposits))
            and (
                sight.transfer.amount_base_units >= watched.minima[sight.transfer.asset]
                or sight.deposit_id in rows.deposits
            )
        }

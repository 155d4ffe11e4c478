"""One node's mempool on a scripted chain: the port's `MempoolSource`, honest, deaf, or restarted.

What waits is the script's (`ScriptedChain.pool`); knobs are plain attributes,
to be turned between two calls.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from chains.errors import Unreachable
from chains.mempool import FeeRung, WaitingTx
from chains.model import BlockHash, ConflictKey, TxHash
from chains.scripted.chain import ScriptedChain, ScriptedTx, compute_transfers


@dataclass(slots=True)
class ScriptedMempool:
    """What one node knows of the transactions that wait.

    `is_down`: it does not answer.  `forgotten`: what it does not know though
    others do, as after a restart.  `remembers`: what it shows though it waits
    no more, as one does that is behind the blocks.  `stands_on`: the block it
    is at, where that is not the chain's head.  `is_deaf`: it hints at nothing.  `left`: what
    it says next that it put away, true or not.
    """

    chain: ScriptedChain
    name: str = "node-a.test"
    is_down: bool = False
    forgotten: frozenset[TxHash] = frozenset()
    remembers: tuple[ScriptedTx, ...] = ()
    stands_on: BlockHash | None = None
    is_deaf: bool = False
    fee_rungs: tuple[FeeRung, ...] = ()
    left: list[TxHash] = field(default_factory=list)
    _hinted: set[TxHash] = field(default_factory=set)
    _called: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.chain.listen(self._called.set)

    @property
    def are_hints_live(self) -> bool:
        return not self.is_deaf

    async def fetch_tip(self) -> BlockHash:
        self._pool()
        return self.chain.head.hash if self.stands_on is None else self.stands_on

    async def fetch_waiting(self) -> Collection[TxHash]:
        return set(self._pool())

    async def fetch_waiting_txs(self, tx_hashes: Sequence[TxHash]) -> list[WaitingTx]:
        pool = self._pool()
        return [_describe(pool[tx_hash]) for tx_hash in tx_hashes if tx_hash in pool]

    async def fetch_spenders(self, keys: Sequence[ConflictKey]) -> dict[ConflictKey, TxHash]:
        spenders = {
            tx.conflict_key: tx.tx_hash for tx in self._pool().values() if tx.conflict_key is not None
        }
        return {key: spenders[key] for key in keys if key in spenders}

    async def fetch_fee_rungs(self) -> Sequence[FeeRung]:
        self._pool()
        return self.fee_rungs

    async def wait_for_entered(self, timeout_s: float) -> Sequence[TxHash]:
        try:
            async with asyncio.timeout(timeout_s):
                while self.is_deaf or not (
                    entered := [one for one in self._pool() if one not in self._hinted]
                ):
                    self._called.clear()
                    await self._called.wait()
        except TimeoutError:
            return []
        self._hinted = set(self._pool())
        return entered

    def take_left(self) -> Collection[TxHash]:
        left, self.left = self.left, []
        return left

    def _pool(self) -> dict[TxHash, ScriptedTx]:
        if self.is_down:
            raise Unreachable("does not answer", provider=self.name)
        pool = self.chain.pool | {tx.tx_hash: tx for tx in self.remembers}
        return {one: tx for one, tx in pool.items() if one not in self.forgotten}


def _describe(tx: ScriptedTx) -> WaitingTx:
    transfers = tuple(replace(one, position="") for one in compute_transfers([tx]))
    spends = () if tx.conflict_key is None else (tx.conflict_key,)
    return WaitingTx(tx.tx_hash, transfers, spends, tx.fee_rate_per_kvb, tx.has_unconfirmed_parents)

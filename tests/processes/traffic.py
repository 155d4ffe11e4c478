"""What a busy, forgetful chain does while processes die: payments, blocks, reorganisations.

Bounded and seeded; every choice comes from one `random.Random`.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.devnet.anvil import ACCOUNTS, AnvilNode
from tests.live.world import mint_data, transfer_data

PATIENCE_S = 30.0


@dataclass(slots=True)
class Traffic:
    """Pays to `tills` and mines; `stop` ends it after the action in hand."""

    node: AnvilNode
    token: str
    tills: Sequence[str]
    rng: random.Random
    pause_s: float = 0.05
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    payments_count: int = 0
    reorgs_count: int = 0
    recent: list[str] = field(default_factory=list)
    _paid: asyncio.Event = field(default_factory=asyncio.Event)

    async def prepare(self) -> None:
        """Give the payer tokens, and the chain some depth to change its mind in."""
        await self.node.send(to=self.token, data=mint_data(ACCOUNTS[0], 10**15))
        await self.node.mine(8)

    async def run(self) -> None:
        """Act until stopped."""
        while not self.stop.is_set():
            await self.act()
            await asyncio.sleep(self.pause_s)

    async def until_paid(self, more: int) -> None:
        """Wait until so many payments more were made."""
        wanted = self.payments_count + more
        async with asyncio.timeout(PATIENCE_S):
            while self.payments_count < wanted:
                self._paid.clear()
                await self._paid.wait()

    async def act(self) -> None:
        """One action: mostly a payment and a block, sometimes a reorganisation."""
        roll = self.rng.random()
        if roll < 0.08:
            await self._reorganise()
            return
        for _ in range(self.rng.choice((0, 1, 1, 2, 3))):
            await self._pay()
        await self.node.mine(self.rng.choice((1, 1, 2)))

    async def _pay(self) -> None:
        till = self.rng.choice(self.tills)
        amount = self.rng.randint(1, 10**9)
        if self.rng.random() < 0.5:
            tx_hash = await self.node.send(to=till, value=amount)
        else:
            tx_hash = await self.node.send(to=self.token, data=transfer_data(till, amount))
        self.payments_count += 1
        self._paid.set()
        self.recent = [*self.recent[-11:], tx_hash]

    async def _reorganise(self) -> None:
        """Replace up to four blocks; about half of the recent payments are mined again, elsewhere."""
        depth = self.rng.randint(1, 4)
        lowest = await self.node.height() - depth + 1
        kept: list[list[object]] = []
        offset = 0
        for tx_hash in self.recent:
            receipt = await self.node.call("eth_getTransactionReceipt", tx_hash)
            if receipt is None or int(receipt["blockNumber"], 16) < lowest or self.rng.random() < 0.3:
                continue
            offset = min(depth - 1, offset + self.rng.randint(0, 1))
            kept.append([await self.node.raw_transaction(tx_hash), offset])
        await self.node.call("anvil_reorg", depth, kept)
        await self.node.mine()
        self.reorgs_count += 1
        self.recent = []

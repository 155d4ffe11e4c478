"""The demo's story on Bitcoin: a payment seen while it waits, one taken back, one that a reorganisation puts off.

Scenes act on the node and wait until the shop has been told; how that is expected and checked is `story`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.demo.regtest import Regtest
from gateway.demo.story import Telling

COIN = 10**8


@dataclass(slots=True)
class BitcoinStory:
    """The scenes, in order."""

    node: Regtest
    telling: Telling
    tills: dict[str, str] = field(default_factory=dict)

    async def prepare(self) -> None:
        """The merchant, the endpoint, and one address an order."""
        self.tills = {f"order-200{number}": await self.node.address("shop") for number in (1, 2, 3)}
        await self.telling.prepare("bitcoin-regtest", self.tills)

    async def pay_and_confirm(self) -> None:
        """A payment is seen, mined, confirmed."""
        self._say("a customer pays 0.25 BTC for order-2001; no block holds it yet")
        await self.node.pay(self.tills["order-2001"], COIN // 4)
        await self._expect("order-2001", "deposit.seen")
        self.telling.check_books("BTC", 0, COIN)
        self._say("three blocks: three confirmations")
        await self.node.mine()
        await self._expect("order-2001", "deposit.included")
        await self.node.mine(2)
        await self._expect("order-2001", "deposit.confirmed")

    async def take_back(self) -> None:
        """A payment that waits is replaced by one to the customer himself."""
        self._say("another pays 0.1 BTC for order-2002, and takes it back for a higher fee (RBF)")
        tx_hash = await self.node.pay(self.tills["order-2002"], COIN // 10)
        await self._expect("order-2002", "deposit.seen")
        await self.node.take_back(tx_hash)
        await self._expect("order-2002", "deposit.dropped")
        self._say("a block holds what took its place")
        await self.node.mine()
        await self._expect("order-2002", "deposit.replaced")
        self.telling.check_books("BTC", COIN // 4, COIN)

    async def put_off(self) -> None:
        """A confirmed payment leaves the chain, waits again, and comes back."""
        self._say("a third pays 0.4 BTC for order-2003, and gets three confirmations")
        await self.node.pay(self.tills["order-2003"], 2 * COIN // 5)
        await self._expect("order-2003", "deposit.seen")
        await self.node.mine()
        await self._expect("order-2003", "deposit.included")
        await self.node.mine(2)
        await self._expect("order-2003", "deposit.confirmed")
        self.telling.check_books("BTC", 65 * COIN // 100, COIN)
        self._say(
            "the chain changes its mind: three blocks are replaced by four with more work, and nobody's payment is in them"
        )
        await self.node.replace_blocks(3)
        await self._expect("order-2003", "deposit.reversed")
        self.telling.check_books("BTC", COIN // 4, COIN)
        await self._expect("order-2003", "deposit.seen")
        self._say("it waits again, and is mined again")
        await self.node.mine()
        await self._expect("order-2003", "deposit.included")

    async def finish(self) -> None:
        """Enough blocks for everything that stands to become final."""
        self._say("six more blocks: what stands is final")
        await self.node.mine(2)
        await self._expect("order-2003", "deposit.confirmed")
        await self.node.mine(4)
        for reference in ("order-2001", "order-2003"):
            await self._expect(reference, "deposit.final")
        self.telling.check_books("BTC", 65 * COIN // 100, COIN)
        self.telling.check_nothing_else()

    def _say(self, line: str) -> None:
        self.telling.narrate(line)

    async def _expect(self, reference: str, event_type: str) -> None:
        await self.telling.expect(reference, event_type)

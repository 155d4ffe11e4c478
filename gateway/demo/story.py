"""The demo's story: four payments, one reorganisation that moves one and one that takes one away.

Each scene acts on the chain and then waits until the shop has been told what
the contract promises; what was expected and never came is the demo's failure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.demo.devnet import Devnet
from gateway.demo.program import Program
from gateway.demo.shop import Shop

USDT = 10**6
ETHER = 10**18
PATIENCE_S = 75.0
"""What has left a mempool is found by a look at the whole, twice a minute where hints are live."""

TILLS = {
    "order-1001": "0x9858EfFD232B4033E47d90003D41EC34EcaEda94",
    "order-1002": "0x6Fac4D18c912343BF86fa7049364Dd4E424Ab9C0",
    "order-1003": "0xb6716976A3ebe8D39aCEB04372f22Ff8e6802D7A",
    "order-1004": "0x399Db6Ed32539fbDF44c3e7678b5b428e378F666",
}


class StoryFailure(Exception):
    """Something that was promised did not arrive, or something arrived that should not have."""


@dataclass(slots=True)
class Telling:
    """What the shop must have been told, and nothing else; `narrate` writes one line for people."""

    program: Program
    shop: Shop
    narrate: Callable[[str], None]
    expected: list[tuple[str, str]] = field(default_factory=list)

    async def prepare(self, chain: str, tills: Mapping[str, str]) -> None:
        """The merchant, the endpoint, and one address an order."""
        merchant_id = await self.program.create_merchant("Corner shop")
        self.narrate(f"merchant {merchant_id} created; its shop listens at {self.shop.url}")
        endpoint = await self.program.call("POST", "/v1/endpoints", {"url": self.shop.url})
        self.shop.secret = endpoint["secret"]
        for reference, address in tills.items():
            body = {"chain": chain, "address": address, "reference": reference}
            watched = await self.program.call("POST", "/v1/addresses", body)
            self.narrate(
                f"{reference} is watched at {address} from height {watched['watching_from']['height']}"
            )

    async def expect(self, reference: str, event_type: str) -> dict[str, Any]:
        """Wait for one more event of this type about this order."""
        self.expected.append((reference, event_type))
        nth = self.expected.count((reference, event_type))
        try:
            return await self.shop.wait_for(
                lambda event: (
                    event["type"] == event_type and event["data"]["deposit"]["reference"] == reference
                ),
                patience_s=PATIENCE_S,
                nth=nth,
            )
        except TimeoutError as error:
            raise StoryFailure(
                f"{event_type} for {reference} did not arrive within {PATIENCE_S:g} s"
            ) from error

    def check_books(self, symbol: str, base_units: int, unit: int) -> None:
        """The shop's books hold exactly this."""
        balance = self.shop.balance_base_units(symbol)
        if balance != base_units:
            raise StoryFailure(f"the shop's books say {balance / unit:g} {symbol}, not {base_units / unit:g}")
        self.narrate(f"the shop's books: {balance / unit:g} {symbol}")

    def check_nothing_else(self) -> None:
        """Every event of the story came once, and no other."""
        told = [
            (event["data"]["deposit"]["reference"], event["type"])
            for event in self.shop.events
            if event["type"].startswith("deposit.")
        ]
        if sorted(told) != sorted(self.expected):
            raise StoryFailure(f"told {sorted(set(told) ^ set(self.expected))} too much or too little")
        if self.shop.refused_count:
            raise StoryFailure(f"{self.shop.refused_count} webhooks did not verify")
        sequences = sorted(event["sequence"] for event in self.shop.events)
        if sequences != list(range(sequences[0], sequences[0] + len(sequences))):
            raise StoryFailure(f"the sequence has holes: {sequences}")


@dataclass(slots=True)
class Story:
    """The scenes, in order."""

    devnet: Devnet
    telling: Telling

    async def prepare(self) -> None:
        """The merchant, the endpoint, and one address an order."""
        await self.telling.prepare("local", TILLS)

    async def pay_and_confirm(self) -> None:
        """Two payments, seen and confirmed."""
        self.telling.narrate("a customer pays 25 USDT for order-1001 and 0.5 ETH for order-1002")
        await self.devnet.pay_token(TILLS["order-1001"], 25 * USDT)
        await self.devnet.pay_native(TILLS["order-1002"], ETHER // 2)
        await self.devnet.mine()
        await self.telling.expect("order-1001", "deposit.included")
        await self.telling.expect("order-1002", "deposit.included")
        self.telling.narrate("two more blocks: three confirmations")
        await self.devnet.mine(2)
        await self.telling.expect("order-1001", "deposit.confirmed")
        await self.telling.expect("order-1002", "deposit.confirmed")

    async def move(self) -> None:
        """A reorganisation that puts a payment into another block."""
        self.telling.narrate("a customer pays 10 USDT for order-1003")
        tx_hash = await self.devnet.pay_token(TILLS["order-1003"], 10 * USDT)
        await self.devnet.mine(2)
        await self.telling.expect("order-1003", "deposit.included")
        self.telling.narrate(
            "the chain changes its mind: the last two blocks are replaced, the payment is mined one later"
        )
        await self.devnet.reorganise(2, [(await self.devnet.raw_transaction(tx_hash), 1)])
        await self.telling.expect("order-1003", "deposit.moved")
        await self.devnet.mine(2)
        await self.telling.expect("order-1003", "deposit.confirmed")

    async def take_away(self) -> None:
        """A reorganisation that removes a confirmed payment."""
        self.telling.narrate("a customer pays 40 USDT for order-1004")
        await self.devnet.pay_token(TILLS["order-1004"], 40 * USDT)
        await self.devnet.mine()
        await self.telling.expect("order-1004", "deposit.included")
        await self.devnet.mine(2)
        await self.telling.expect("order-1004", "deposit.confirmed")
        self.telling.check_books("USDT", 75 * USDT, USDT)
        self.telling.narrate(
            "the chain changes its mind again: three blocks are replaced, and the payment is in none of them"
        )
        await self.devnet.reorganise(3)
        event = await self.telling.expect("order-1004", "deposit.reversed")
        if event["data"]["reverses"] is None:
            raise StoryFailure("deposit.reversed does not say which event it takes back")
        self.telling.check_books("USDT", 35 * USDT, USDT)

    async def finish(self) -> None:
        """Enough blocks for everything that stands to become final."""
        self.telling.narrate("twelve more blocks: what stands is final")
        await self.devnet.mine(12)
        for reference in ("order-1001", "order-1002", "order-1003"):
            await self.telling.expect(reference, "deposit.final")
        self.telling.check_books("USDT", 35 * USDT, USDT)
        self.telling.check_nothing_else()

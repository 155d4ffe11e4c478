"""Every kind of lie that a block of a real chain can carry, played to the program by one operator, by the first, by the second.

The lies are those of the corpus; what they come to row by row is `tests/unit/chains/verify/test_lies.py`. Here it is
what is told: no lie is ever a confirmed deposit, and the honest ones are confirmed as soon as somebody shows them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import pytest

from chains.catalog import entry
from chains.traits import ChainTraits
from tests.devnet.anvil import ACCOUNTS
from tests.live.stage import CONFIRMATIONS, ZERO, Paid, Payment, Stage
from tests.live.world import World, mint_data, open_world
from tests.unit.chains.verify.lies import LIES, VICTIM

TILL = "0x9858EfFD232B4033E47d90003D41EC34EcaEda94"

NOT_HERE = (
    "#1",
    "#2",
    "#3",
    "#4",
    "#5",
    "protocol's",
    "foreign",
    *(f"type 0x{kind}" for kind in ("7e", "69", "6a", "64", "7b")),
)
"""A local node has no transactions of its own, and one payment stands for all."""

OF_ALL = tuple(name for name in LIES if not any(word in name for word in NOT_HERE))
OF_SOME = (
    "an altered amount", "a log left out", "a log invented", "payment #0 of a fortune", "payment #0 by another",
    "a payment too many", "a payment replaced", "a failure shown as success",
    "a creation elsewhere", "a made-up state sync", "a made-up state sync with value", "a payment as type 0x55",
    "both rows as type 0x7f", "a forged payment behind type 0x7f",
)  # fmt: skip
"""One of each way to an amount, where the profile reads mismatches otherwise."""

EXCUSED = ("a header field nobody knows", "a receipt field nobody knows", "a receipt type nobody knows")
FOLLOWED = {"ethereum": OF_ALL, "linea": OF_SOME, "polygon-amoy": OF_SOME, "zksync": OF_SOME}
"""Whose rules the local chain is followed by: all enforced, all on trial, with a known gap, none."""

UNTOLD_BY_ONE = {("polygon-amoy", "a made-up state sync")}
"""With one operator a known gap is that operator's word."""


def as_network(alias: str) -> Callable[[ChainTraits], ChainTraits]:
    """The local chain under the rules of a network of the catalogue."""
    found = entry(alias)
    assert found is not None
    return lambda traits: replace(traits, facts=found.traits.facts)


@dataclass(frozen=True, slots=True)
class AnvilGround:
    """The local node; what leaves it does not come again."""

    world: World

    async def mine(self, blocks: int = 1) -> None:
        await self.world.node.mine(blocks)

    async def pay(self) -> Paid:
        """One block with payments, a token, a failure and a creation."""
        node, token = self.world.node, self.world.token
        await node.send(to=TILL, value=5)
        await node.send(to=token, data=mint_data(TILL, 500))
        await node.send(to=TILL, value=6, sender=ACCOUNTS[1])
        await node.send(to=token, data="0xdeadbeef", value=7, gas=hex(100_000))
        await node.send(data="0x00", value=9)
        await node.mine()
        block = await node.call("eth_getBlockByNumber", "latest", True)
        receipts = await node.call("eth_getBlockReceipts", block["number"])
        native = [one for one in block["transactions"] if one["to"] == TILL.lower()]
        payments = {(one["hash"], TILL.lower(), int(one["value"], 16), one["from"]) for one in native}
        payments |= {(one["transactionHash"], TILL.lower(), 500, ZERO) for one in receipts if one["logs"]}
        return Paid(block, receipts, frozenset(payments))

    async def leave(self, paid: Paid) -> frozenset[Payment]:
        node = self.world.node
        await node.call("anvil_reorg", await node.height() - paid.height + 1, [])
        return frozenset()


def played(lies: Sequence[str]) -> list[tuple[str, str]]:
    """Which lies are told beside which excuse."""
    return [*((lie, "no excuse") for lie in lies), *(("an altered amount", excuse) for excuse in EXCUSED)]


@asynccontextmanager
async def open_stage(database_url: str, alias: str, *, operators: int) -> AsyncIterator[Stage]:
    async with open_world(
        database_url, token=True, operators=operators, confirmations=CONFIRMATIONS, adapt=as_network(alias)
    ) as world:
        await world.watch(TILL)
        await world.watch(VICTIM)
        yield Stage(world, AnvilGround(world))


@pytest.mark.parametrize("alias", [alias for alias in FOLLOWED if alias != "zksync"])
async def test_no_lie_of_an_only_operator_is_confirmed(database_url: str, alias: str) -> None:
    async with open_stage(database_url, alias, operators=1) as stage:
        for lie, excuse in played(FOLLOWED[alias]):
            if (alias, lie) not in UNTOLD_BY_ONE:
                await stage.play(lie, excuse, is_first=True)


@pytest.mark.parametrize("alias", FOLLOWED)
async def test_no_lie_of_the_first_of_two_operators_is_confirmed(database_url: str, alias: str) -> None:
    async with open_stage(database_url, alias, operators=2) as stage:
        lies = played(FOLLOWED[alias])
        for lie, excuse in lies:
            await stage.play(lie, excuse, is_first=True)
        assert stage.heard_count == len(lies)
        assert stage.held_count > 0, "some of these lies are told, and held"


@pytest.mark.parametrize("alias", ["ethereum", "polygon-amoy", "zksync"])
async def test_no_lie_of_the_second_of_two_operators_is_confirmed(database_url: str, alias: str) -> None:
    """Where everything is hashed the second is asked for headers only, and honest credit goes on."""
    async with open_stage(database_url, alias, operators=2) as stage:
        lies = played(OF_SOME)
        for lie, excuse in lies:
            await stage.play(lie, excuse, is_first=False)
        assert stage.heard_count == (len(lies) if alias == "zksync" else 0)

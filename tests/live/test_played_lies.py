"""Every kind of lie that a block of a real chain can carry, played to the program by one operator, by the first, by the second.

The lies are those of the corpus; what they come to row by row is `tests/unit/chains/verify/test_lies.py`. Here it is
what is told: no lie is ever a confirmed deposit, and the honest ones are confirmed as soon as somebody shows them.
"""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from chains.catalog import entry
from chains.traits import ChainTraits
from indexer.follow.outcomes import Advanced, Idle
from indexer.history.backfill import step_doubts
from indexer.rows.work_store import PostgresBackfillStore
from tests.devnet.anvil import ACCOUNTS
from tests.faultproxy.played import play
from tests.faultproxy.proxy import FaultProxy
from tests.live.world import World, mint_data, open_world
from tests.unit.chains.verify.excuses import EXCUSES
from tests.unit.chains.verify.lies import LIES, VICTIM

TILL = "0x9858EfFD232B4033E47d90003D41EC34EcaEda94"
CONFIRMATIONS = 2
ZERO = "0x" + "00" * 20

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
    "a payment too many", "a failure shown as success",
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
    return lambda traits: replace(traits, verification_profile=found.traits.verification_profile)


@dataclass(slots=True)
class Stage:
    """One world in which blocks are paid, lied about, and left again where a lie was told."""

    world: World
    honest: set[tuple[str, str, int, str]] = field(default_factory=set)
    heard_count: int = 0
    held_count: int = 0
    differed: bool = False

    async def rest(self) -> None:
        """Let distrust pass, and stand at the head."""
        for proxy in self.world.proxies:
            proxy.heal()
        self.world.now += timedelta(hours=2)
        await self.world.node.mine()
        await self.steps(3)
        history = PostgresBackfillStore(self.world.pool, self.world.store)
        await step_doubts(self.world.desk, history, self.world.source, now=self.world.now)
        await self.world.settle()

    async def steps(self, count: int) -> None:
        for _ in range(count):
            outcome = await self.world.step_in_weather()
            if isinstance(outcome, Idle | Advanced) and outcome.moved is not None:
                self.differed |= bool(outcome.moved.differing_heights)

    async def pay(self) -> tuple[dict[str, Any], list[Any]]:
        """One block with payments, a token, a failure and a creation; returns what the node says of it."""
        node = self.world.node
        await node.send(to=TILL, value=5)
        await node.send(to=self.world.token, data=mint_data(TILL, 500))
        await node.send(to=TILL, value=6, sender=ACCOUNTS[1])
        await node.send(to=self.world.token, data="0xdeadbeef", value=7, gas=hex(100_000))
        await node.send(data="0x00", value=9)
        await node.mine()
        block = await node.call("eth_getBlockByNumber", "latest", True)
        receipts = await node.call("eth_getBlockReceipts", block["number"])
        native = [one for one in block["transactions"] if one["to"] == TILL.lower()]
        self.honest |= {(one["hash"], TILL.lower(), int(one["value"], 16), one["from"]) for one in native}
        self.honest |= {(one["transactionHash"], TILL.lower(), 500, ZERO) for one in receipts if one["logs"]}
        return block, receipts

    def liar(self, *, is_first: bool) -> FaultProxy:
        """The proxy that the program asks next, or the other one."""
        first = self.world.source.choose_provider().name
        asked = [proxy for proxy in self.world.proxies if first.endswith(str(proxy.port))]
        others = [proxy for proxy in self.world.proxies if proxy not in asked]
        return (asked if is_first else others)[0]

    async def recorded(self, *states: str) -> set[tuple[str, str, int, str]]:
        rows = await self.world.pool.fetch(
            "select tx_hash, recipient, amount_base_units, sender from deposits where state = any($1)",
            list(states),
        )
        return {
            ("0x" + row["tx_hash"].hex(), "0x" + row["recipient"].hex(), int(row["amount_base_units"]),
             "0x" + (row["sender"] or bytes(20)).hex())
            for row in rows
        }  # fmt: skip

    async def play(self, lie: str, excuse: str, *, is_first: bool) -> None:
        """A block is paid and lied about, and buried; then the liar is found out or its block is left."""
        await self.rest()
        before = set(self.honest)
        block, receipts = await self.pay()
        bent, bent_receipts = copy.deepcopy(block), copy.deepcopy(receipts)
        if not LIES[lie](bent, bent_receipts) or not EXCUSES[excuse](bent, bent_receipts):
            raise AssertionError(f"{lie}: nothing to bend")
        self.differed = False
        heard = play(self.liar(is_first=is_first), block, bent, bent_receipts)
        await self.steps(3)
        await self.world.node.mine(CONFIRMATIONS + 1)
        await self.steps(4)
        self.heard_count += bool(heard["block"] and heard["receipts"])
        assert not is_first or heard["block"], f"{lie}: nobody asked the liar"
        wrong = await self.recorded("confirmed", "final") - self.honest
        assert not wrong, f"{lie}, {excuse}: {wrong}"
        record = await self.world.store.load_chain(self.world.chain)
        assert record is not None
        self.held_count += record.held_height is not None
        if not is_first and self.honest != await self.recorded("confirmed", "final"):
            assert record.held_height is not None, f"{lie}, {excuse}: neither credited nor held"
        await self.rest()
        record = await self.world.store.load_chain(self.world.chain)
        assert record is not None
        if record.held_height is not None:
            assert self.differed or len(self.world.proxies) == 1, (
                f"{lie}, {excuse}: held, and nobody says why"
            )
            self.honest = before
            await self.world.node.call(
                "anvil_reorg", await self.world.node.height() - int(block["number"], 16) + 1, []
            )
            await self.steps(8)
            await self.rest()
        standing = await self.recorded("confirmed", "final")
        assert standing == self.honest, f"{lie}, {excuse}: {standing ^ self.honest}"


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
        yield Stage(world)


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

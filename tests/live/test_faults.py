"""No provider can make us credit what did not happen, miss what did, or stop us for good.

A real node behind fault proxies, the whole indexer on a real database.  After
every fault: no credit the chain does not hold; once it is over: everything
caught up, compared with an independent recount.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from chains.errors import ChainError
from indexer.follow.outcomes import Halted
from migrations.ids import encode_id
from tests.devnet.anvil import ACCOUNTS
from tests.faultproxy import faults
from tests.faultproxy.proxy import FaultProxy
from tests.live.followed import SHOP
from tests.live.world import World, mint_data, open_world, transfer_data
from tests.processes.recount import recount

TILL = "0x9858EfFD232B4033E47d90003D41EC34EcaEda94"

Inflict = Callable[[FaultProxy], None]


def bending(method: str, bend: faults.Bend, *, tag: str | None = None) -> Inflict:
    """A lie in one method's answers, or only where it is asked for one tag."""
    if tag is None:
        return lambda proxy: proxy.bend(method, bend)
    return lambda proxy: proxy.bend(method, bend, when=lambda params: params[0] == tag)


def breaking(*exchanges: faults.Exchange) -> Inflict:
    """Broken HTTP exchanges, many in a row."""
    return lambda proxy: proxy.next_exchange(*(exchanges * 20))


BLOCK, HASHED, RECEIPTS = "eth_getBlockByNumber", "eth_getBlockByHash", "eth_getBlockReceipts"

FAULTS: dict[str, Inflict] = {
    "resets": breaking(faults.Reset()),
    "truncation": breaking(faults.Truncate()),
    "honest-truncation": breaking(faults.Truncate(honest=True)),
    "429": breaking(faults.Status(429, headers={"retry-after": "1"})),
    "503": breaking(faults.Status(503)),
    "html": breaking(faults.WebPage()),
    "html-error": breaking(faults.WebPage(502)),
    "not-json": breaking(faults.Raw(b"\x00\xff nonsense")),
    "shuffled": breaking(faults.Shuffled()),
    "head-jumps-ahead": bending(BLOCK, faults.head_moved_by(1000), tag="latest"),
    "head-jumps-back": bending(BLOCK, faults.head_moved_by(-3), tag="latest"),
    "null-head": bending(BLOCK, faults.nothing, tag="latest"),
    "null-block": bending(HASHED, faults.nothing),
    "null-receipts": bending(RECEIPTS, faults.nothing),
    "short-receipts": bending(RECEIPTS, faults.short_receipts),
    "empty-receipts": bending(RECEIPTS, faults.no_receipts),
    "no-transactions": bending(HASHED, faults.no_transactions),
    "missing-log": bending(RECEIPTS, faults.missing_log),
    "gap-in-logs": bending(RECEIPTS, faults.gap_in_logs),
    "forged-log": bending(RECEIPTS, faults.forged_log),
    "altered-amount": bending(RECEIPTS, faults.altered_amount),
    "rows-of-another-block": bending(RECEIPTS, faults.rows_of_block("0x" + "01" * 32)),
    "removed-true": bending(RECEIPTS, faults.removed_logs),
    "wrong-chain-id": bending("eth_chainId", faults.constant("0x1")),
    "frozen-finality": bending(BLOCK, faults.nothing, tag="finalized"),
    "pruned": bending(RECEIPTS, faults.failing(-32000, "missing trie node: state is pruned")),
    "method-gone": bending(RECEIPTS, faults.failing(-32601, "the method does not exist")),
}


@dataclass(slots=True)
class Oracle:
    """What the chain holds, recounted from the node itself."""

    world: World
    start: int

    async def expected(self) -> dict[str, Any]:
        """Every deposit that stands on the node's canonical chain now."""
        merchant = encode_id("mer", SHOP)
        return dict(await recount(self.world.node, merchant, {TILL.lower(): self.start}, self.world.token))

    async def newest(self) -> dict[str, dict[str, Any]]:
        """What the merchant believes: the newest version of each deposit."""
        believed: dict[str, dict[str, Any]] = {}
        for event in await self.world.told():
            if "deposit" in event["data"]:
                believed[event["data"]["deposit"]["id"]] = event["data"]["deposit"]
        return believed

    async def assert_no_false_credit(self) -> None:
        """Nothing is credited that the chain does not hold, with its amount."""
        expected = await self.expected()
        for deposit_id, deposit in (await self.newest()).items():
            credit = int(deposit["credited_base_units"])
            if credit:
                assert deposit_id in expected, f"{deposit_id} is credited and is not on the chain"
                assert credit == expected[deposit_id].amount_base_units

    async def assert_caught_up(self) -> None:
        """Everything the chain holds is recorded, at its place and with its amount."""
        expected = await self.expected()
        standing = {
            deposit_id: (int(deposit["amount_base_units"]), deposit["block"]["hash"])
            for deposit_id, deposit in (await self.newest()).items()
            if deposit["block"] is not None
        }
        assert standing == {i: (e.amount_base_units, e.block_hash) for i, e in expected.items()}


async def prepare(world: World) -> Oracle:
    """A watched till and a payer with tokens."""
    await world.node.send(to=world.token, data=mint_data(ACCOUNTS[0], 10**15))
    await world.node.mine()
    await world.settle()
    watched = await world.watch(TILL)
    return Oracle(world, watched.watching_from.height + 1)


async def pay(world: World, rng: random.Random) -> str:
    """A token or native payment that waits to be mined."""
    amount = rng.randint(1, 10**9)
    if rng.random() < 0.5:
        return await world.node.send(to=TILL, value=amount)
    return await world.node.send(to=world.token, data=transfer_data(TILL, amount))


async def steps(world: World, count: int) -> list[object]:
    """So many steps in whatever weather."""
    return [await world.step_in_weather() for _ in range(count)]


async def heal_and_settle(world: World, *, patience_steps: int = 60, long_waits: int = 60) -> None:
    """All faults end; steps go on until our tip is the node's, and another operator's.

    First a second apart; then minutes, since a provider that lied is rested for long and may be the one that must agree.
    """
    for proxy in world.proxies:
        proxy.heal()
    tip = await world.node.height()
    for number in range(patience_steps + long_waits):
        if number >= patience_steps:
            world.now += timedelta(minutes=2)
        await world.step_in_weather()
        record = await world.store.load_chain(world.settings.traits.chain)
        assert record is not None
        if record.tip.height == tip and record.agreed_height == tip:
            return
    raise AssertionError("not caught up long after the last fault")


@pytest.mark.parametrize("name", FAULTS)
async def test_a_fault_of_the_only_provider_delays_and_never_deceives(
    database_url: str, rng: random.Random, name: str
) -> None:
    async with open_world(database_url, token=True, confirmations=2, operators=1) as world:
        oracle = await prepare(world)
        await pay(world, rng)
        await world.node.mine(2)
        await world.settle()
        FAULTS[name](world.proxies[0])
        for _ in range(3):
            await pay(world, rng)
            await world.node.mine()
            await steps(world, 2)
            await oracle.assert_no_false_credit()
        await world.node.mine(3)
        await heal_and_settle(world)
        await oracle.assert_caught_up()
        assert "deposit.reversed" not in await world.told_types(), "a fault is not a reorganisation"


@pytest.mark.parametrize("name", FAULTS)
async def test_a_fault_of_one_of_three_providers_changes_nothing(
    database_url: str, rng: random.Random, name: str
) -> None:
    async with open_world(database_url, token=True, confirmations=2, operators=3) as world:
        oracle = await prepare(world)
        FAULTS[name](world.proxies[rng.randrange(3)])
        for _ in range(4):
            await pay(world, rng)
            await world.node.mine()
            await steps(world, 3)
            await oracle.assert_no_false_credit()
        await world.node.mine(2)
        await steps(world, 12)
        await oracle.assert_caught_up()
        credited = [d for d in (await oracle.newest()).values() if int(d["credited_base_units"])]
        assert len(credited) == 4, "the others carry on without the faulty one"


@pytest.mark.timeout(120)
@pytest.mark.parametrize("number", range(4))
async def test_faults_mixed_at_random_with_reorganisations(
    database_url: str, rng: random.Random, number: int
) -> None:
    rng.seed(rng.random() + number)
    async with open_world(database_url, token=True, confirmations=3, operators=3) as world:
        oracle = await prepare(world)
        recent: list[str] = []
        for _ in range(25):
            for proxy in world.proxies:
                roll = rng.random()
                if roll < 0.25:
                    FAULTS[rng.choice(list(FAULTS))](proxy)
                elif roll < 0.5:
                    proxy.heal()
            if rng.random() < 0.2 and len(recent) >= 3:
                raw = await world.node.raw_transaction(recent[-1])
                await world.node.call(
                    "anvil_reorg", rng.randint(1, 2), [[raw, 0]] if rng.random() < 0.5 else []
                )
                recent.clear()
            recent.append(await pay(world, rng))
            await world.node.mine()
            if rng.random() < 0.1:
                world.restart()
            await steps(world, 2)
        await world.node.mine(3)
        await heal_and_settle(world)
        await oracle.assert_caught_up()
        await oracle.assert_no_false_credit()


async def test_an_upstream_swapped_in_the_middle_of_a_step_mixes_nothing(
    database_url: str, rng: random.Random
) -> None:
    async with open_world(database_url, token=True, confirmations=2, operators=1) as world:
        oracle = await prepare(world)
        for method in (BLOCK, HASHED, RECEIPTS):
            await pay(world, rng)
            await world.node.mine()
            world.proxies[0].after(method, lambda: world.node.call("anvil_reorg", 1, []))
            await steps(world, 4)
            await oracle.assert_no_false_credit()
        await world.node.mine(3)
        await heal_and_settle(world)
        await oracle.assert_caught_up()


async def test_a_lone_liar_about_finality_halts_nothing_for_others(
    database_url: str, rng: random.Random
) -> None:
    async with open_world(database_url, token=True, confirmations=2, operators=3) as world:
        await prepare(world)
        world.proxies[0].bend(BLOCK, faults.head_moved_by(50), when=lambda params: params[0] == "finalized")
        await pay(world, rng)
        await world.node.mine(3)
        outcomes = await steps(world, 8)
        assert not any(isinstance(outcome, Halted) for outcome in outcomes)
        assert not all(isinstance(outcome, ChainError) for outcome in outcomes)

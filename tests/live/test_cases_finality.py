"""Cases of what is final: too deep, below it, late, null and backwards (52 to 55).

The chain of `test_case_054` is run by its own loop, since notices are the
loop's; everything else is stepped.  What a provider answers for its tags is
`tests/live_evm/test_lies.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from chains.model import BlockHash
from chains.traits import FinalByTag
from indexer.follow.loop import FollowLoop
from indexer.follow.outcomes import Halted, Rewound
from indexer.follow.surroundings import FollowedChain, Surroundings
from indexer.follow.turn import Turn
from indexer.move.halts import commit_accept_reorg
from indexer.rules.policy import ConfirmedBy, ConfirmRule, Requirement
from tests.faultproxy import faults
from tests.faultproxy.faults import Bend
from tests.live.world import World, open_world

pytestmark = pytest.mark.live

TILL = "0x9858EfFD232B4033E47d90003D41EC34EcaEda94"
BLOCK = "eth_getBlockByNumber"
WHEN_FINAL = (ConfirmRule(Requirement(ConfirmedBy.FINAL, None)),)


def bend_tags(world: World, bend: Bend, *tags: str) -> None:
    """Every provider answers these tags so."""
    for proxy in world.proxies:
        proxy.bend(BLOCK, bend, when=lambda params: params[0] in tags)


async def pay(world: World, value: int, *, then_blocks: int = 0) -> None:
    """A payment in its block and some more blocks, followed."""
    await world.node.send(to=TILL, value=value)
    await world.node.mine(1 + then_blocks)
    await world.settle()


async def final_height(world: World) -> int | None:
    """What counts as final now."""
    record = await world.store.load_chain(world.chain)
    assert record is not None
    return record.final_height


async def test_case_052_deeper_than_the_window_halts_and_credits_nothing(database_url: str) -> None:
    async with open_world(database_url, finality=FinalByTag(), confirmations=2, operators=1) as world:
        bend_tags(world, faults.nothing, "finalized", "safe")
        await world.watch(TILL)
        fork = await world.node.block_hash(await world.node.height())
        await pay(world, 5)
        await world.node.call("anvil_mine", hex(world.settings.reorg_window_blocks + 10))
        await world.settle()
        assert await final_height(world) is None, "nothing is final, so only the window can stop it"
        before = await world.told_types()
        assert before[-1] == "deposit.confirmed"
        await world.node.call("anvil_reorg", world.settings.reorg_window_blocks + 11, [])
        await world.node.send(to=TILL, value=7)
        await world.node.mine(4)
        outcomes = [await world.step() for _ in range(4)]
        assert not any(isinstance(outcome, Rewound) for outcome in outcomes)
        assert isinstance(outcomes[-1], Halted)
        world.restart()
        assert isinstance(await world.step(), Halted)
        assert await world.told_types() == [*before, "chain.halted"], "nothing credited, nothing taken back"
        await accept(world, fork)
        await world.settle()
        assert await credited(world) == {5: 0, 7: 7}


async def test_case_053_below_what_was_final_nothing_moves_until_an_operator_accepts(
    database_url: str,
) -> None:
    async with open_world(database_url, finality=FinalByTag(), confirmations=1) as world:
        await world.watch(TILL)
        fork = await world.node.block_hash(await world.node.height())
        await pay(world, 5, then_blocks=4)
        assert (await world.told_types())[-1] == "deposit.final"
        await world.node.call("anvil_reorg", 5, [])
        await world.node.send(to=TILL, value=7)
        await world.node.mine()
        outcomes = [await world.step() for _ in range(6)]
        assert isinstance(outcomes[-1], Halted)
        assert not any(isinstance(outcome, Rewound) for outcome in outcomes)
        assert await credited(world) == {5: 5}
        await accept(world, "0x" + "77" * 32)
        for _ in range(4):
            await world.step()
        assert await credited(world) == {5: 5}, "another fork than the accepted one is no leave"
        await accept(world, fork)
        await world.settle()
        assert await credited(world) == {5: 0, 7: 7}
        types = [kind for kind in await world.told_types() if kind.startswith("deposit")]
        assert types == ["deposit.confirmed", "deposit.final", "deposit.reversed", "deposit.confirmed"]


async def accept(world: World, fork_hash: str) -> None:
    """What `chain accept-reorg` does."""
    record = await world.store.load_chain(world.chain)
    assert record is not None
    fork = BlockHash(bytes.fromhex(fork_hash[2:]))
    assert await commit_accept_reorg(world.desk, record, fork_hash=fork, now=world.now)


async def credited(world: World) -> dict[int, int]:
    """Newest credit by amount paid."""
    return {
        int(d["amount_base_units"]): int(d["credited_base_units"])
        for event in await world.told()
        if (d := event["data"].get("deposit"))
    }


class Silent:
    """An observer that counts how often conditions were judged, and a bell that remembers its rings."""

    def __init__(self) -> None:
        self.looks = 0
        self.rung: list[str] = []

    def follow_step(self, alias: str, outcome: str, seconds: float) -> None:
        """Nobody counts."""

    def moved(self, alias: str, *, applied: int, left: int, changes: int) -> None:
        """Nobody counts."""

    def heights(self, alias: str, *, head: int | None, tip: int, final: int | None, agreed: int) -> None:
        """Nobody counts."""

    def conditions(self, alias: str, in_force: Collection[str]) -> None:
        self.looks += 1

    def calls_per_day(self, alias: str, provider: str, count: int) -> None:
        """Nobody counts."""

    def waiting(self, alias: str, mempool: str, count: int) -> None:
        """Nobody counts."""

    def stood_aside(self, alias: str) -> None:
        """Nobody counts."""

    def surprised(self, alias: str, stage: str) -> None:
        """Nobody counts."""

    def repeated(self, alias: str, count: int) -> None:
        pass

    def held(self, alias: str, count: int) -> None:
        pass

    def failed(self, alias: str, kind: str) -> None:
        """Nobody counts."""

    def ring(self, kind: str, _detail: dict[str, object]) -> None:
        """The operator's bell."""
        self.rung.append(kind)


@asynccontextmanager
async def running(world: World) -> AsyncIterator[Silent]:
    """The chain's own loop, in place of steps; the world's clock stands until the test moves it."""
    silent = Silent()
    around = Surroundings(world.pool, "test", silent, silent.ring, lambda: world.now)
    world.restart()
    chain = FollowedChain(world.desk, world.source, world.store, list)
    loop = FollowLoop(around, chain, Turn(chain, holder="test"))
    async with asyncio.TaskGroup() as group:
        task = group.create_task(loop.run(world.follower))
        try:
            yield silent
        finally:
            around.stop.set()
            await task


async def until(world: World, holds: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
    """The log once this holds of it."""
    for _ in range(200):
        if holds(told := await world.told()):
            return told
        await asyncio.sleep(0.1)
    raise AssertionError(f"waited in vain: {await world.told_types()}")


async def test_case_054_frozen_finality_is_told_and_credit_waits_for_it(database_url: str) -> None:
    async with open_world(database_url, finality=FinalByTag(), rules=WHEN_FINAL, operators=1) as world:
        await world.watch(TILL)
        await pay(world, 5, then_blocks=3)
        assert await credited(world) == {5: 5}
        frozen = await world.node.call("eth_getBlockByNumber", "finalized", False)
        bend_tags(world, faults.constant(frozen), "finalized")
        await pay(world, 7, then_blocks=20)
        assert await credited(world) == {5: 5, 7: 0}, "nothing is confirmed on old finality"
        delayed = timedelta(seconds=world.settings.finality_delayed_after_s)
        async with running(world) as silent:
            await until(world, lambda _: silent.looks > 1)
            world.now += delayed + timedelta(seconds=1)
            await world.node.mine()
            told = await until(world, lambda told: told[-1]["type"].startswith("chain.finality"))
            assert told[-1]["type"] == "chain.finality_delayed"
            assert told[-1]["data"]["condition"] == "finality_delayed"
        async with running(world) as silent:
            await until(world, lambda _: silent.looks > 1)
            assert (await world.told())[-1]["type"] == "chain.finality_delayed", (
                "a process that starts anew has not seen finality recover"
            )
            world.proxies[0].heal()
            await world.node.mine()
            told = await until(world, lambda told: told[-1]["type"] == "chain.recovered")
            assert "chain.recovered" in silent.rung
        assert [e["type"] for e in told if e["data"].get("condition") == "finality_delayed"] == [
            "chain.finality_delayed",
            "chain.recovered",
        ]
        assert await credited(world) == {5: 5, 7: 7}


async def test_case_055_finality_that_is_null_or_runs_backwards_takes_nothing_back(
    database_url: str,
) -> None:
    async with open_world(database_url, finality=FinalByTag(), rules=WHEN_FINAL, operators=1) as world:
        await world.watch(TILL)
        old = await world.node.call("eth_getBlockByNumber", "finalized", False)
        await pay(world, 5, then_blocks=3)
        reached = await final_height(world)
        assert reached == await world.node.height() - 2
        answers = [faults.nothing, faults.constant(old), faults.failing(-39001, "finalized block not found")]
        for number in range(6):
            bend_tags(world, answers[number % 3], "finalized", "safe")
            if number == 3:
                world.restart()
            await pay(world, 100 + number, then_blocks=2)
            assert await final_height(world) == reached, "it never falls, and unknown is not zero"
            assert (await credited(world))[100 + number] == 0
            world.proxies[0].heal()
            await world.settle()
            reached = await world.node.height() - 2
            assert await final_height(world) == reached
            assert (await credited(world))[100 + number] == 100 + number
        types = await world.told_types()
        assert "deposit.reversed" not in types
        assert "chain.halted" not in types


async def test_case_055_a_finalized_block_of_another_branch_is_not_ours(database_url: str) -> None:
    async with open_world(database_url, finality=FinalByTag(), rules=WHEN_FINAL, operators=1) as world:
        await world.watch(TILL)
        reached = await final_height(world)
        foreign = await world.node.call("eth_getBlockByNumber", "latest", False)
        foreign = foreign | {"hash": "0x" + "09" * 32, "number": hex(int(foreign["number"], 16) + 1)}
        bend_tags(world, faults.constant(foreign), "finalized")
        await pay(world, 5, then_blocks=3)
        assert await final_height(world) == reached
        assert await credited(world) == {5: 0}

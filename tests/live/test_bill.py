"""What following a head costs, and that saving it hides no block: the service's loop over a real node that counts.

The figures of `bench/provider_bill.py` are of the whole program at the pace of
real chains; here are their bounds, at a pace that a test can wait for.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest

from chains.evm.facts import facts_of
from chains.evm.source import EvmSource
from chains.evm.verify.profiles import PROFILES
from chains.evm.verify.verifier import BlockVerifier
from chains.rpc.node_endpoint import NodeEndpoint
from chains.traits import FinalByTag
from indexer.follow.surroundings import FollowedChain, Surroundings
from indexer.move.desk import build_desk
from indexer.service import IndexerService
from tests.database.indexer.test_broken_chain import Bell
from tests.faultproxy.proxy import FaultProxy
from tests.live.world import World, open_world

pytestmark = pytest.mark.live

TILL = "0x00000000000000000000000000000000000b1115"
BLOCK_TIME_S = 0.6
WATCHDOG_S = 2 * BLOCK_TIME_S
SLACK_S = 1.0
"""For a machine that does other things as well."""


@dataclass(slots=True)
class Followed:
    """A chain that is followed by the service, and whoever is asked."""

    world: World
    source: EvmSource

    @property
    def first(self) -> FaultProxy:
        return self.world.proxies[0]

    def is_believed(self) -> bool:
        """Whether the timer is a watchdog only."""
        return self.source.are_hints_live

    def count_calls(self) -> int:
        return sum(proxy.calls.total() for proxy in self.world.proxies)

    async def mine(self) -> float:
        """A block; how long it took until it was ours."""
        loop = asyncio.get_running_loop()
        await self.world.node.mine()
        mined_s, height = loop.time(), await self.world.node.height()
        for _ in range(1000):
            if await self.world.pool.fetchval("select tip_height from chains") >= height:
                return loop.time() - mined_s
            await asyncio.sleep(0.02)
        raise AssertionError("the block was never followed")

    async def mine_at_pace(self, blocks: int) -> list[float]:
        """Blocks as the chain would have them."""
        took_s = []
        for _ in range(blocks):
            took_s.append(await self.mine())
            await asyncio.sleep(max(0.0, BLOCK_TIME_S - took_s[-1]))
        return took_s


@asynccontextmanager
async def open_followed(
    database_url: str, *, operators: int = 1, has_websocket: bool = True
) -> AsyncIterator[Followed]:
    async with open_world(database_url, operators=operators, finality=FinalByTag()) as world:
        traits = replace(world.settings.traits, block_time_s=BLOCK_TIME_S)
        settings = replace(world.settings, traits=traits, poll_interval_s=BLOCK_TIME_S / 4)
        endpoints = [
            NodeEndpoint(proxy.url, operator=f"operator-{number}")
            for number, proxy in enumerate(world.proxies)
        ]
        endpoints += [NodeEndpoint(world.proxies[0].ws_url)] if has_websocket else []
        verifier = BlockVerifier(PROFILES[facts_of(traits).verification_profile])
        async with EvmSource(traits, endpoints, verifier=verifier) as source:
            bell = Bell()
            around = Surroundings(world.pool, "test", bell, bell.ring, lambda: datetime.now(UTC))
            chain = FollowedChain(build_desk(settings, world.store), source, world.store, list)
            async with asyncio.TaskGroup() as group:
                group.create_task(IndexerService(around, [chain]).run())
                try:
                    yield Followed(world, source)
                finally:
                    around.stop.set()
                    source.wake()
        assert bell.rung == []


@pytest.mark.parametrize(
    ("has_websocket", "operators", "calls_max"),
    [(True, 1, 3.5), (False, 1, 5.0), (True, 2, 5.5), (False, 2, 7.0)],
)
async def test_a_block_at_the_head_costs_few_calls(
    database_url: str, has_websocket: bool, operators: int, calls_max: float
) -> None:
    async with open_followed(database_url, operators=operators, has_websocket=has_websocket) as followed:
        await followed.mine_at_pace(4)
        before = followed.count_calls()
        await followed.mine_at_pace(10)
        assert (followed.count_calls() - before) / 10 <= calls_max
        agreed = await followed.world.pool.fetchval("select tip_height - agreed_height from chains")
        assert agreed <= 1, "who is asked little is heard all the same"


async def test_finality_is_asked_for_as_soon_as_a_payment_waits_for_it(database_url: str) -> None:
    async with open_world(database_url, confirmations=1, operators=1, finality=FinalByTag()) as world:
        await world.watch(TILL)
        for _ in range(4):  # what was there at the start becomes final, and nothing waits any more
            await world.node.mine()
            await world.settle()
        asked = world.proxies[0].calls["eth_getBlockByNumber"]
        await world.node.mine()
        await world.settle()
        assert world.proxies[0].calls["eth_getBlockByNumber"] - asked == 2, "two looks, and no tag"
        await world.node.send(to=TILL, value=5)
        for _ in range(3):
            await world.node.mine()
            await world.settle()
        assert (await world.told_types())[-1] == "deposit.final"


async def test_a_silent_websocket_delays_one_block_by_the_watchdog_and_then_none(database_url: str) -> None:
    async with open_followed(database_url) as followed:
        await followed.mine_at_pace(5)
        assert followed.is_believed()
        followed.first.sockets.silent = True
        took_s = await followed.mine_at_pace(6)
        assert took_s[0] <= WATCHDOG_S + SLACK_S
        assert not followed.is_believed()
        assert max(took_s[3:]) <= BLOCK_TIME_S + SLACK_S
        followed.first.sockets.silent = False
        await followed.mine_at_pace(6)
        assert followed.is_believed(), "it has earned it again"


async def test_a_lying_websocket_delays_no_block_past_the_watchdog_and_costs_little(
    database_url: str,
) -> None:
    async with open_followed(database_url) as followed:
        await followed.mine_at_pace(5)
        followed.first.sockets.silent = True
        before = followed.count_calls()
        took_s: list[float] = []

        async def lie(numbers: Sequence[int]) -> None:
            for number in numbers:
                await followed.first.sockets.inject({"number": hex(number), "hash": f"0x{number:064x}"})
                await asyncio.sleep(0.02)

        async with asyncio.TaskGroup() as group:
            lying = group.create_task(lie(range(10_000)))
            took_s += await followed.mine_at_pace(8)
            lying.cancel()
        assert max(took_s) <= WATCHDOG_S + SLACK_S
        assert not followed.is_believed()
        assert (followed.count_calls() - before) / 8 <= 16, "a flood of hints is no flood of looks"

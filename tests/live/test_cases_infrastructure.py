"""Cases of providers, of our own crashes and of downtime (59, 60, 103 to 110).

Two nodes that parted ways are made by copying one node's whole state into
another; everything else is the fault proxy.  What one provider's answers turn
into is `tests/live_evm`; killed processes are `tests/processes`.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from chains.errors import ChainError, Inconsistent, Missing, WrongNetwork
from chains.port import Provider
from chains.rpc.node import IDENTITY_MAX_AGE_S
from chains.traits import FinalByTag
from indexer.follow.outcomes import Advanced, Halted, Rewound
from indexer.history.backfill import Covered, step_backfill
from indexer.move.notices import DISPUTED, Pulse, decide_conditions
from indexer.rows.store import PostgresFollowStore
from indexer.rows.work_store import PostgresBackfillStore
from migrations.handles import Connection
from relay.log import eventlog as relay_log
from tests.devnet.anvil import ACCOUNTS, AnvilNode, start_anvil
from tests.faultproxy import faults
from tests.live.world import World, mint_data, open_world

pytestmark = pytest.mark.live

TILL = "0x9858EfFD232B4033E47d90003D41EC34EcaEda94"
QUIET = Pulse(quiet_s=0.0, final_quiet_s=None, intervals_s=())


@asynccontextmanager
async def start_twin(node: AnvilNode) -> AsyncIterator[AnvilNode]:
    """Another node with every block of the first, from here on its own."""
    async with start_anvil() as twin:
        await twin.call("anvil_loadState", await node.call("anvil_dumpState"))
        assert await twin.block_hash(await twin.height()) == await node.block_hash(await node.height())
        yield twin


async def credited(world: World) -> dict[int, int]:
    """Newest credit by amount paid."""
    return {
        int(d["amount_base_units"]): int(d["credited_base_units"])
        for event in await world.told()
        if (d := event["data"].get("deposit"))
    }


async def steps(world: World, count: int) -> list[Any]:
    """So many steps in whatever weather."""
    return [await world.step_in_weather() for _ in range(count)]


async def conditions(world: World) -> frozenset[str]:
    """What the loop would say of the chain now."""
    record = await world.store.load_chain(world.chain)
    assert record is not None
    return decide_conditions(record, QUIET, world.settings)


async def test_case_059_operators_on_two_forks_stop_crediting_until_one_is_alone(database_url: str) -> None:
    async with open_world(database_url, confirmations=2, operators=2) as world:
        await world.watch(TILL)
        await world.node.send(to=TILL, value=5)
        await world.node.mine(3)
        await world.settle()
        assert await credited(world) == {5: 5}
        async with start_twin(world.node) as dead:
            world.proxies[1].upstream = dead.url
            await dead.send(sender=ACCOUNTS[1], to=TILL, value=9)
            await dead.mine(6)
            await world.node.send(sender=ACCOUNTS[2], to=TILL, value=7)
            await world.node.mine(5)
            await steps(world, 20)
            assert DISPUTED in await conditions(world)
            await world.node.mine(8)
            await dead.mine(8)
            await steps(world, 20)
            assert {paid: got for paid, got in (await credited(world)).items() if got} == {5: 5}, (
                "nothing above the fork is credited while two operators contradict each other"
            )
            world.proxies[1].upstream = world.node.url
            await world.node.mine()
            await steps(world, 20)
            assert DISPUTED not in await conditions(world)
            got = await credited(world)
            assert (got[5], got[7], got.get(9, 0)) == (5, 7, 0)


async def test_case_059_a_provider_stuck_on_a_dead_fork_is_outvoted_by_two(database_url: str) -> None:
    async with open_world(database_url, confirmations=2, operators=3) as world:
        await world.watch(TILL)
        await world.node.mine(2)
        await world.settle()
        async with start_twin(world.node) as dead:
            world.proxies[0].upstream = dead.url
            await dead.send(sender=ACCOUNTS[1], to=TILL, value=9)
            await dead.mine()
            await world.node.send(sender=ACCOUNTS[2], to=TILL, value=7)
            await world.node.mine()
            for _ in range(6):
                await dead.mine()
                await world.node.mine()
                await steps(world, 4)
            await steps(world, 12)
            got = await credited(world)
            assert (got[7], got.get(9, 0)) == (7, 0), "the majority's chain is credited, the dead one never"


class Crash(Exception):
    """The process is gone."""


async def test_case_060_a_crash_before_the_commit_tells_nothing_and_after_it_tells_once(
    database_url: str,
) -> None:
    async with open_world(database_url, confirmations=1) as world:
        await world.watch(TILL)
        sound = world.store
        for number in range(6):
            await world.node.send(to=TILL, value=100 + number)
            await world.node.mine()
            told_before = await world.told()
            tip_before = await sound.load_chain(world.chain)

            async def crash(conn: Connection, facts: Sequence[Any]) -> None:
                """Everything is written, and the process dies right before the commit."""
                await relay_log.append(conn, facts, now=world.now)
                raise Crash

            world.store = PostgresFollowStore(world.pool, crash)
            world.restart()
            with pytest.raises(Crash):
                await world.settle()
            assert await world.told() == told_before
            assert await sound.load_chain(world.chain) == tip_before, "events, deposits and tip are one"
            world.store = sound
            world.restart()
            await world.settle()
            # Right after the commit, before anybody was sent anything: what is to be sent is in the log.
            world.restart()
            await world.settle()
        told = await world.told()
        assert [event["sequence"] for event in told] == list(range(1, 7))
        assert len({event["id"] for event in told}) == 6
        assert await credited(world) == {100 + number: 100 + number for number in range(6)}


async def test_case_060_history_read_beside_new_blocks_tells_every_payment_once(
    database_url: str, rng: random.Random
) -> None:
    async with open_world(database_url, confirmations=1) as world:
        paid = list(range(1, 13))
        for value in paid[:6]:
            await world.node.send(to=TILL, value=value)
            await world.node.mine(rng.randint(1, 3))
        await world.settle()
        await world.watch(TILL, from_height=1)
        world.desk.settings = replace(world.settings, backfill_blocks_max=2)
        store = PostgresBackfillStore(world.pool, world.store)
        for value in paid[6:]:
            await world.node.send(to=TILL, value=value)
            await world.node.mine()
            provider = world.source.choose_provider()
            async with asyncio.TaskGroup() as group:
                for _ in range(2):
                    # Two readers of the same history, as when a lease passes from one process to another.
                    group.create_task(step_in_history(world, store, provider))
                group.create_task(world.step())
            if rng.random() < 0.3:
                await world.node.call("anvil_reorg", 1, [])
                await world.node.send(to=TILL, value=value)
                await world.node.mine()
                await world.settle()
        while await step_in_history(world, store, world.source.choose_provider()):
            pass
        await world.settle()
        standing = {value: got for value, got in (await credited(world)).items() if got}
        assert standing == {value: value for value in paid}
        versions: dict[str, list[int]] = {}
        for event in await world.told():
            deposit = event["data"]["deposit"]
            versions.setdefault(deposit["id"], []).append(deposit["version"])
        assert all(seen == list(range(1, len(seen) + 1)) for seen in versions.values()), "no version twice"


async def step_in_history(world: World, store: PostgresBackfillStore, provider: Provider) -> bool:
    """One chunk; False when there is none. Another reader may have been first."""
    try:
        outcome = await step_backfill(world.desk, store, provider, now=world.now)
    except Inconsistent:
        return True
    return isinstance(outcome, Covered)


async def test_case_103_a_chain_id_that_changes_while_running_stops_all_use(database_url: str) -> None:
    async with open_world(database_url, confirmations=1, operators=1) as world:
        await world.watch(TILL)
        await world.node.send(to=TILL, value=5)
        await world.node.mine()
        await world.node.call("anvil_setChainId", 1)
        world.now += timedelta(seconds=IDENTITY_MAX_AGE_S)
        outcomes = await steps(world, 4)
        assert any(isinstance(outcome, WrongNetwork) for outcome in outcomes)
        assert await world.told() == []
        await world.node.call("anvil_setChainId", 31337)
        await steps(world, 20)
        assert await credited(world) == {5: 5}, "and it is used again when it is ours again"


@pytest.mark.parametrize("lie", ["missing_log", "no_receipts", "no_transactions"])
async def test_case_105_a_payment_left_out_of_an_answer_is_not_lost(database_url: str, lie: str) -> None:
    method = "eth_getBlockByHash" if lie == "no_transactions" else "eth_getBlockReceipts"
    async with open_world(database_url, token=True, confirmations=1, operators=1) as world:
        await world.watch(TILL)
        world.proxies[0].bend(method, getattr(faults, lie))
        world.proxies[0].bend("eth_getTransactionReceipt", faults.nothing)
        await world.node.send(to=world.token, data=mint_data(TILL, 5))
        await world.node.mine()
        tip = await world.store.load_chain(world.chain)
        outcomes = await steps(world, 3)
        assert any(isinstance(outcome, Inconsistent | Missing) for outcome in outcomes)
        assert await world.store.load_chain(world.chain) == tip, "a block is not done that was not whole"
        world.proxies[0].heal()
        await steps(world, 20)
        assert await credited(world) == {5: 5}


async def test_case_107_a_load_balancer_of_two_nodes_neither_loses_nor_takes_back(
    database_url: str, rng: random.Random
) -> None:
    """One machine is five blocks behind; each exchange meets either, also within a step."""
    async with open_world(database_url, confirmations=1, operators=1) as world:
        await world.watch(TILL)
        (proxy,) = world.proxies
        await world.node.mine(2)
        paid: list[int] = []
        for _ in range(4):
            async with start_twin(world.node) as slow:
                for _ in range(5):
                    paid.append(rng.randint(1, 10**12))
                    await world.node.send(to=TILL, value=paid[-1])
                    await world.node.mine()

                def balance(_params: list[Any], url: str = slow.url) -> bool:
                    proxy.upstream = rng.choice([world.node.url, url])
                    return False

                for method in ("eth_getBlockByNumber", "eth_getBlockByHash", "eth_getBlockReceipts"):
                    proxy.bend(method, lambda _params, answer: answer, when=balance)
                outcomes = await steps(world, 12)
                assert not any(isinstance(outcome, Rewound | Halted) for outcome in outcomes)
                proxy.heal()
                proxy.upstream = world.node.url
        await steps(world, 20)
        assert await credited(world) == {value: value for value in paid}
        assert set(await world.told_types()) <= {"deposit.confirmed", "deposit.final"}


async def test_case_108_throttling_and_silent_caps_while_catching_up_lose_nothing(database_url: str) -> None:
    async with open_world(database_url, token=True, confirmations=1, operators=1) as world:
        await world.watch(TILL)
        (proxy,) = world.proxies
        for _ in range(30):
            for sender in ACCOUNTS[:3]:
                await world.node.send(sender=sender, to=world.token, data=mint_data(TILL, 1))
            await world.node.mine()
        proxy.next_exchange(
            faults.Status(429, headers={"retry-after": "1"}), faults.Status(413), faults.Truncate(honest=True)
        )
        proxy.bend("eth_getBlockReceipts", faults.short_receipts, times=3)
        proxy.bend("eth_getBlockReceipts", faults.failing(-32005, "limit exceeded"), times=2)
        proxy.bend("eth_getBlockReceipts", faults.unanswered, times=2)
        outcomes = await steps(world, 60)
        assert any(isinstance(outcome, ChainError) for outcome in outcomes)
        confirmed = [e for e in await world.told() if e["type"] == "deposit.confirmed"]
        assert len({event["data"]["deposit"]["id"] for event in confirmed}) == len(confirmed) == 90


async def test_case_110_a_thousand_blocks_of_downtime_are_caught_up_in_order(database_url: str) -> None:
    async with open_world(database_url, confirmations=2, finality=FinalByTag()) as world:
        await world.watch(TILL)
        await world.node.send(to=TILL, value=1)
        await world.node.mine(2)
        await world.settle()
        paid = [1]
        for number in range(2, 12):
            await world.node.send(to=TILL, value=number)
            await world.node.call("anvil_mine", hex(100))
            paid.append(number)
        world.restart()
        outcomes = await world.settle()
        advances = [outcome for outcome in outcomes if isinstance(outcome, Advanced)]
        assert sum(outcome.moved.applied_blocks_count for outcome in advances) == 1000
        assert max(outcome.moved.applied_blocks_count for outcome in advances) <= 64
        told = [event["data"]["deposit"] for event in await world.told()]
        assert await credited(world) == {value: value for value in paid}
        heights = [d["block"]["height"] for d in told if d["version"] == 1]
        assert heights == sorted(heights)
        assert len({d["id"] for d in told}) == 11
        assert not any(d["backfilled"] for d in told), "it was watched all the while"


async def test_case_110_a_reorganisation_during_downtime_is_found_however_far_the_head_is(
    database_url: str,
) -> None:
    async with open_world(database_url, confirmations=2) as world:
        await world.watch(TILL)
        await world.node.send(to=TILL, value=5)
        await world.node.mine(3)
        await world.settle()
        assert await credited(world) == {5: 5}
        await world.node.call("anvil_reorg", 3, [])
        await world.node.send(to=TILL, value=7)
        await world.node.call("anvil_mine", hex(500))
        world.restart()
        await world.settle()
        assert await credited(world) == {5: 0, 7: 7}
        assert await tip_height(world) == await world.node.height()


async def tip_height(world: World) -> int:
    """How far we followed."""
    record = await world.store.load_chain(world.chain)
    assert record is not None
    return record.tip.height

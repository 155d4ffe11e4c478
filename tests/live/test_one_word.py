"""A large deposit on a chain nobody can verify: told, credited only on more than one operator's word, and alone in that."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from chains.evm.facts import change_facts
from chains.evm.source import EvmSource
from chains.rpc.node_endpoint import NodeEndpoint
from chains.traits import ChainTraits
from indexer.follow.outcomes import Idle
from indexer.follow.step import Follower
from indexer.history.backfill import Covered, step_backfill
from indexer.move.halts import commit_trust
from indexer.move.reconcile import reconcile_policy
from indexer.rows.storage import MoveTransaction
from indexer.rows.store import PostgresMove
from indexer.rows.work_store import PostgresBackfillStore, load_unsettled_page
from indexer.rules.deposits import Deposit
from indexer.rules.identity import DepositId
from tests.faultproxy.faults import Answer
from tests.faultproxy.proxy import FaultProxy, start_proxy
from tests.live.world import World, mint_data, open_world

TILL = "0x9858EfFD232B4033E47d90003D41EC34EcaEda94"
OTHER = "0x00000000000000000000000000000000000A11CE"
LARGE, SMALL = 1_000 * 10**6 + 1, 1_000 * 10**6
ETHER = 10**18


def unverified(traits: ChainTraits) -> ChainTraits:
    """Nothing is recomputed, as on a chain whose hashes are not Ethereum's."""
    return change_facts(traits, verification_profile="agreement")


@asynccontextmanager
async def doubtful(database_url: str, **options: Any) -> AsyncIterator[World]:
    """One operator, and nothing that could be checked."""
    async with open_world(database_url, token=True, adapt=unverified, **options) as world:
        await world.watch(TILL)
        yield world


async def pay(world: World, amount: int, *, blocks: int = 14) -> None:
    """A payment in tokens, and enough blocks for finality."""
    await world.node.send(to=world.token, data=mint_data(TILL, amount))
    await world.node.mine(blocks)
    await world.settle()


async def states(world: World) -> dict[int, str]:
    """Where each amount stands."""
    rows = await world.pool.fetch("select amount_base_units, state from deposits")
    return {int(row["amount_base_units"]): row["state"] for row in rows}


async def vouch(world: World, until_height: int) -> bool:
    """The operator's word."""
    record = await world.store.load_chain(world.chain)
    assert record is not None
    return await commit_trust(world.desk, record, until_height=until_height, now=world.now)


async def load_page(move: MoveTransaction, *, after: DepositId, limit: int) -> list[Deposit]:
    assert isinstance(move, PostgresMove)
    return await load_unsettled_page(move.connection, move.record.chain, after=after, limit=limit)


async def test_one_large_payment_waits_and_no_other_with_it(database_url: str) -> None:
    async with doubtful(database_url) as world:
        await pay(world, LARGE)
        await pay(world, SMALL)
        await world.watch(OTHER)
        await world.node.send(to=OTHER, value=ETHER + 1)
        await world.node.send(to=OTHER, value=ETHER)
        await world.node.mine(14)
        await world.settle()
        waiting = {LARGE: "included", SMALL: "final", ETHER + 1: "included", ETHER: "final"}
        assert await states(world) == waiting
        record = await world.store.load_chain(world.chain)
        assert record is not None
        assert record.held_height is None, "the chain goes on"
        world.restart()
        await world.node.mine(2)
        await world.settle()
        assert await states(world) == waiting
        height = await world.pool.fetchval("select height from deposits where amount_base_units = $1", LARGE)
        assert await vouch(world, height)
        assert await states(world) == waiting | {LARGE: "final"}, "without another block"
        told = [(one["type"], one["data"]["deposit"]["amount_base_units"]) for one in await world.told()]
        assert [kind for kind, amount in told if amount == str(LARGE)] == [
            "deposit.included", "deposit.confirmed", "deposit.final",
        ]  # fmt: skip
        assert not await vouch(world, height)


async def test_what_is_vouched_for_ahead_waits_for_nothing_and_a_reorganisation_is_judged_anew(
    database_url: str,
) -> None:
    async with doubtful(database_url) as world:
        tip = await world.node.height()
        await vouch(world, tip + 1)
        snapshot = await world.node.call("evm_snapshot")
        await pay(world, LARGE, blocks=3)
        assert await states(world) == {LARGE: "confirmed"}
        await world.node.call("evm_revert", snapshot)
        await world.node.mine(2)
        await world.node.send(to=world.token, data=mint_data(TILL, LARGE))
        await world.node.mine(6)
        for _ in range(6):
            await world.settle()
        assert await states(world) == {LARGE: "included"}, "above what was vouched for"
        assert "deposit.reversed" in await world.told_types()


@pytest.mark.parametrize(
    ("limit", "state"), [(LARGE, "final"), (None, "final"), (LARGE - 1, "included"), (0, "included")]
)
async def test_a_raised_limit_counts_from_the_next_start_on(
    database_url: str, limit: int | None, state: str
) -> None:
    async with doubtful(database_url) as world:
        await pay(world, LARGE)
        await pay(world, SMALL)
        world.settings = replace(
            world.settings, hold_limits={world.settings.traits.assets[0].asset_id: limit}
        )
        epoch = world.desk.lease_epoch
        world.restart()
        world.desk.lease_epoch = epoch
        await reconcile_policy(world.desk, load_page, now=world.now)
        assert await states(world) == {LARGE: state, SMALL: "final"}, "a lowered one takes nothing back"


async def test_history_is_credited_on_one_word_as_little_as_the_head(database_url: str) -> None:
    async with open_world(database_url, token=True, adapt=unverified) as world:
        start = await world.node.height()
        for amount in (LARGE, SMALL):
            await world.node.send(to=world.token, data=mint_data(TILL, amount))
        await world.node.mine(14)
        await world.settle()
        await world.watch(TILL, from_height=start)
        await read_history(world)
        assert await states(world) == {LARGE: "included", SMALL: "final"}


async def read_history(world: World) -> None:
    """All that anybody wants of it."""
    store = PostgresBackfillStore(world.pool, world.store)
    provider = world.source.choose_provider()
    while isinstance(await step_backfill(world.desk, store, provider, now=world.now), Covered):
        pass


@asynccontextmanager
async def joined(world: World, first_url: str) -> AsyncIterator[FaultProxy]:
    """A second operator beside the first, from now on."""
    async with start_proxy(world.node.url) as proxy:
        endpoints = [NodeEndpoint(first_url, operator="first"), NodeEndpoint(proxy.url, operator="second")]
        async with EvmSource(world.settings.traits, endpoints, clock=lambda: world.clock_s[0]) as source:
            epoch = world.desk.lease_epoch
            world.restart()
            world.desk.lease_epoch = epoch
            world.source, world.follower = source, Follower(world.desk, source)
            yield proxy


async def settle_often(world: World) -> Sequence[int]:
    """A few looks; the heights at which operators differ."""
    differing: list[int] = []
    for _ in range(8):
        for outcome in await world.settle():
            if isinstance(outcome, Idle) and outcome.moved is not None:
                differing += outcome.moved.differing_heights
    return differing


async def test_a_second_operator_lifts_what_it_shows_too_without_holding_the_chain(database_url: str) -> None:
    async with doubtful(database_url, operators=1) as world:
        await pay(world, LARGE)
        await pay(world, LARGE + 1)
        async with joined(world, world.proxies[0].url):
            assert await settle_often(world) == []
            assert await states(world) == {LARGE: "final", LARGE + 1: "final"}


async def test_a_second_operator_that_shows_another_amount_lifts_nothing_and_keeps_no_other_waiting(
    database_url: str,
) -> None:
    async with doubtful(database_url, operators=1) as world:
        await pay(world, LARGE)
        await pay(world, LARGE + 1)
        height = await world.pool.fetchval("select min(height) from deposits")
        async with joined(world, world.proxies[0].url) as second:

            def shrink(_params: list[Any], answer: Answer) -> Answer:
                for receipt in answer["result"]:
                    for log in receipt["logs"]:
                        if int(receipt["blockNumber"], 16) == height:
                            log["data"] = f"0x{5:064x}"
                return answer

            second.bend("eth_getBlockReceipts", shrink)
            assert height in await settle_often(world)
            assert await states(world) == {LARGE: "included", LARGE + 1: "final"}
            record = await world.store.load_chain(world.chain)
            assert record is not None
            assert record.held_height is None


async def test_two_endpoints_of_the_operator_who_served_it_are_no_second_word(database_url: str) -> None:
    async with doubtful(database_url, operators=1) as world:
        await pay(world, LARGE)
        endpoints = [
            NodeEndpoint(world.proxies[0].url, operator="first"),
            NodeEndpoint(world.node.url, operator="first"),
        ]
        async with EvmSource(world.settings.traits, endpoints, clock=lambda: world.clock_s[0]) as source:
            world.source, world.follower = source, Follower(world.desk, source)
            await settle_often(world)
            assert await states(world) == {LARGE: "included"}

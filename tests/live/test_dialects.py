"""Every deposit arrives through a node of any dialect, or the step says why it does not.

The whole indexer on a real database, a real node behind fronts.  The dialects
one by one, at the source alone, are `tests/live_evm/test_dialects.py`.
"""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from chains.errors import ChainError, NoIdentity
from chains.evm.facts import facts_of
from chains.evm.source import EvmSource
from chains.evm.verify import PROFILES, BlockVerifier
from chains.model import BlockHash, BlockRef
from chains.rpc import batches
from chains.rpc.node_endpoint import NodeEndpoint
from tests.faultproxy.fronts import (
    Front,
    Metered,
    allowing,
    answering_the_first,
    barring,
    error,
    per_call,
    refusing,
    rewritten,
    say,
)
from tests.live.test_faults import Oracle, pay, prepare
from tests.live.world import World, open_world

RECEIPTS, BY_NUMBER = "eth_getBlockReceipts", "eth_getBlockByNumber"

DIALECTS: dict[str, Front] = {
    "receipts not whitelisted": refusing(RECEIPTS, error(-32001, "rpc method is not whitelisted")),
    "receipts forbidden with the whole batch": barring(RECEIPTS, error(-32052, "add-on required"), 403),
    "receipts not found": refusing(RECEIPTS, error(-32000, "failed to find transaction in block")),
    "receipts null": refusing(RECEIPTS, {"result": None}),
    "one error for a batch": allowing(2, lambda _: say([{"id": None} | error(-32000, "limit is 2")])),
    "the rest refused": answering_the_first(2, error(-32005, "batch limit exceeded")),
    "no ids": rewritten(lambda answer: answer | {"id": None}),
}


@pytest.mark.parametrize("name", DIALECTS)
async def test_every_deposit_arrives_through_a_node_of_this_dialect(
    database_url: str, rng: random.Random, name: str
) -> None:
    async with open_world(database_url, token=True, confirmations=2, operators=1) as world:
        world.proxies[0].front = DIALECTS[name]
        oracle = await prepare_in_weather(world)
        for _ in range(3):
            await pay(world, rng)
            await world.node.mine()
            await world.step_in_weather()
        for _ in range(6):
            await pay(world, rng)
            await world.node.mine()
        await world.node.mine(2)
        for _ in range(8):
            await world.step_in_weather()
        await oracle.assert_caught_up()
        await oracle.assert_no_false_credit()
        credited = [one for one in (await oracle.newest()).values() if int(one["credited_base_units"])]
        assert len(credited) == 9
        assert world.source.choose_provider().name, "it is not left to rest"
        assert "deposit.reversed" not in await world.told_types()


async def prepare_in_weather(world: World) -> Oracle:
    """A few steps may fail before a node's ways are learnt."""
    for _ in range(4):
        await world.step_in_weather()
    return await prepare(world)


async def test_twenty_calls_a_second_without_batches_lose_no_step(
    database_url: str, rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "PAUSE_S", 1.0)
    async with open_world(database_url, token=True, confirmations=2, operators=1) as world:
        oracle = await prepare(world)
        for _ in range(12):
            await pay(world, rng)
            await world.node.mine()
        world.proxies[0].front = Metered(
            20, lambda _: say(error(429, "too many requests") | {"id": None}, 429)
        )
        failed = 0
        for _ in range(6):
            failed += isinstance(await world.step_in_weather(), ChainError)
        await oracle.assert_caught_up()
        assert failed <= 3, "a head may be refused; a window of blocks is not lost to it"


async def test_a_hole_of_one_provider_is_filled_by_another(database_url: str, rng: random.Random) -> None:
    async with open_world(database_url, token=True, confirmations=2, operators=2) as world:
        oracle = await prepare(world)
        hole = hex(await world.node.height() + 2)
        world.proxies[0].front = per_call(
            lambda call: {"result": None} if call["params"][:1] == [hole] else None
        )
        for _ in range(5):
            await pay(world, rng)
            await world.node.mine()
        outcomes = [await world.step_in_weather() for _ in range(10)]
        said = [str(outcome) for outcome in outcomes if isinstance(outcome, ChainError)]
        assert any(f"block {int(hole, 16)}, though it claims the head" in one for one in said), said
        await oracle.assert_caught_up()


async def test_a_node_that_lost_its_genesis_is_followed_by_an_identity_block(
    database_url: str, rng: random.Random
) -> None:
    async with open_world(database_url, token=True, confirmations=2, operators=1) as world:
        oracle = await prepare(world)
        world.proxies[0].front = per_call(
            lambda call: error(4444, "pruned history unavailable") if call["params"][:1] == ["0x0"] else None
        )
        world.proxies[0].drop_connections()
        await pay(world, rng)
        await world.node.mine(3)
        refused = await world.step_in_weather()
        assert isinstance(refused, NoIdentity)
        assert "identity = {" in str(refused)
        record = await world.store.load_chain(world.chain)
        assert record is not None
        identity = BlockRef(1, BlockHash(bytes.fromhex((await world.node.block_hash(1))[2:])))
        traits = replace(world.source.traits, identity=identity)
        verifier = BlockVerifier(PROFILES[facts_of(traits).verification_profile])
        async with EvmSource(traits, [NodeEndpoint(world.proxies[0].url)], verifier=verifier) as source:
            source.pin_network(record.network_id)
            world.source = source
            world.restart()
            for _ in range(4):
                await world.step_in_weather()
            await oracle.assert_caught_up()

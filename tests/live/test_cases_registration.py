"""Cases of registering addresses: the race with a block, every chain, every spelling (110 to 113).

What the API says of the same is `tests/api/test_addresses.py`; here a payment
follows, on a real chain.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from chains.evm.address import parse_address
from chains.model import Asset, AssetId, ChainId
from chains.traits import ChainTraits
from indexer.history.backfill import Covered, step_backfill
from indexer.move.registration import RegistrationRequest, WatchedAddress, register
from indexer.rows.work_store import PostgresBackfillStore
from migrations.ids import new_id
from tests.devnet.anvil import ACCOUNTS
from tests.live.followed import SHOP
from tests.live.world import World, mint_data, open_world

pytestmark = pytest.mark.live

TILL = "0x9858EfFD232B4033E47d90003D41EC34EcaEda94"
ONE = 10**18
OTHER_CHAIN = ChainId("eip155:31338")


async def test_case_111_an_address_added_around_its_block_is_missed_by_nobody(
    database_url: str, rng: random.Random
) -> None:
    """Whatever the race gives, a transfer counts exactly if its block is above `watching_from`."""
    async with open_world(database_url, confirmations=1) as world:
        await world.watch(TILL)
        registered: dict[str, WatchedAddress] = {}
        heights: dict[str, int] = {}
        for round_number in range(12):
            late = [f"0x{rng.getrandbits(160):040x}" for _ in range(4)]
            for address in late:
                await world.node.send(to=address, value=rng.randint(1, 10**9))
            await world.node.mine()
            for address in late:
                heights[address] = await world.node.height()

            async def add(address: str) -> None:
                """At any moment of the step beside it."""
                await asyncio.sleep(rng.uniform(0, 0.02))
                registered[address] = await world.watch(address)

            async with asyncio.TaskGroup() as group:
                for address in late:
                    group.create_task(add(address))
                group.create_task(world.step())
            if round_number == 6:
                world.restart()
        await world.settle()
        told = {event["data"]["deposit"]["to"].lower() for event in await world.told()}
        counts = {
            address for address, one in registered.items() if heights[address] > one.watching_from.height
        }
        assert told == counts
        assert len(registered) == 48


async def test_case_111_an_address_added_a_moment_before_its_block_is_followed_is_not_missed(
    database_url: str,
) -> None:
    async with open_world(database_url, confirmations=1) as world:
        await world.watch(TILL)
        await world.settle()
        late = "0x" + "ab" * 20
        await world.node.send(to=late, value=5)
        await world.node.mine()
        watched = await world.watch(late)
        await world.settle()
        (told,) = await world.told()
        assert told["data"]["deposit"]["block"]["height"] == watched.watching_from.height + 1


async def test_case_111_an_address_added_a_moment_after_its_block_reads_it_on_request(
    database_url: str,
) -> None:
    async with open_world(database_url, confirmations=1) as world:
        late = "0x" + "ab" * 20
        await world.node.send(to=late, value=5)
        await world.node.mine()
        await world.settle()
        paid_at = await world.node.height()
        watched = await world.watch(late)
        assert watched.watching_from.height == paid_at, "the answer says from where it counts"
        await world.settle()
        assert await world.told() == []
        await world.watch(late, from_height=paid_at)
        await read_history(world)
        (told,) = await world.told()
        assert (told["data"]["deposit"]["backfilled"], told["type"]) == (True, "deposit.confirmed")


async def read_history(world: World) -> None:
    """Chunk by chunk, until nobody waits for any."""
    store = PostgresBackfillStore(world.pool, world.store)
    provider = world.source.choose_provider()
    while isinstance(await step_backfill(world.desk, store, provider, now=world.now), Covered):
        pass


def second_chain(traits: ChainTraits) -> ChainTraits:
    """The same chain under another number."""

    def renamed(asset: Asset) -> Asset:
        return replace(asset, asset_id=AssetId(asset.asset_id.replace("31337", "31338")))

    return replace(
        traits,
        chain=OTHER_CHAIN,
        alias="other",
        native=renamed(traits.native),
        assets=tuple(renamed(asset) for asset in traits.assets),
    )


async def test_case_112_a_payment_on_the_wrong_network_is_told_as_what_it_is(database_url: str) -> None:
    """The same address and the same token contract on two chains: two deposits that nobody can mix up."""
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(open_world(database_url, token=True, confirmations=1))
        second = await stack.enter_async_context(
            open_world(
                database_url,
                token=True,
                confirmations=1,
                adapt=second_chain,
                anvil=["--chain-id", "31338"],
            )
        )
        assert first.token == second.token
        requests = [
            RegistrationRequest(
                new_id(1_000 + number), SHOP, world.chain, parse_address(TILL), reference="order-17"
            )
            for number, world in enumerate((first, second))
        ]
        await register(first.pool, requests, now=first.now)
        await pay_both_ways(second)
        await first.settle()
        told = [event["data"]["deposit"] for event in await first.told()]
        assert [(d["chain"], d["asset"].split("/")[0]) for d in told] == [(OTHER_CHAIN, OTHER_CHAIN)] * 2
        assert {d["reference"] for d in told} == {"order-17"}
        await pay_both_ways(first)
        told = [event["data"]["deposit"] for event in await first.told()]
        assert sorted(d["chain"] for d in told) == [first.chain] * 2 + [OTHER_CHAIN] * 2
        assert len({d["id"] for d in told}) == 4


async def pay_both_ways(world: World) -> None:
    """Tokens and native coin to the till, followed."""
    await world.node.send(to=world.token, data=mint_data(TILL, 5))
    await world.node.send(to=TILL, value=ONE)
    await world.node.mine()
    await world.settle()


@pytest.mark.parametrize(
    "spelling", [TILL, TILL.lower(), "0x" + TILL[2:].upper()], ids=["checksummed", "lower", "upper"]
)
async def test_case_113_every_spelling_of_an_address_is_the_same_address(
    database_url: str, spelling: str
) -> None:
    async with open_world(database_url, token=True, confirmations=1) as world:
        first = await world.watch(TILL)
        assert (await world.watch(spelling)).id == first.id
        await world.node.send(sender=ACCOUNTS[1], to=spelling, value=5)
        await world.node.mine()
        await world.settle()
        (told,) = await world.told()
        assert told["data"]["deposit"]["to"] == TILL, "it is shown with its checksum"

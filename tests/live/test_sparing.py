"""No deposit is lost where receipts are not asked for: whoever registers when, whatever is listed later, whichever branch wins.

The follower's own steps over a real node and PostgreSQL. What may be spared is decided in
`tests/unit/chains/test_sparing.py`, what that asks of a node counted in `tests/live_evm/test_sparing.py` and here.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from chains.evm.facts import change_facts, facts_of
from chains.evm.source import EvmSource
from chains.evm.verify.profiles import PROFILES
from chains.evm.verify.verifier import BlockVerifier
from chains.rpc.node_endpoint import NodeEndpoint
from indexer.history.audit import audit_range
from indexer.history.backfill import Covered, step_backfill
from indexer.rows.work_store import PostgresBackfillStore, request_rescan
from indexer.views import load_coverage
from migrations.ids import new_id
from tests.devnet.compiled import load_contract
from tests.faultproxy.proxy import FaultProxy
from tests.live.world import World, list_tokens, mint_data, open_world

pytestmark = pytest.mark.live

TILL = "0x9858EfFD232B4033E47d90003D41EC34EcaEda94"
LATE = "0x00000000000000000000000000000000000b1a7e"
STRANGER = "0x00000000000000000000000000000000000057a4"
WHOLE = "eth_getBlockReceipts"


def proxy_of(world: World) -> FaultProxy:
    return world.proxies[0]


async def pay(world: World, to: str, *, token: str = "", native: bool = False) -> int:
    """A block with one payment; its height."""
    if native:
        await world.node.send(to=to, value=5)
    else:
        await world.node.send(to=token or world.token, data=mint_data(to, 1_000))
    await world.node.mine()
    return await world.node.height()


async def begin(world: World) -> None:
    """Somebody is watched, and a bloom was seen to hold."""
    await world.watch(TILL)
    await pay(world, STRANGER)
    await world.settle()


async def spared_heights(world: World) -> list[int]:
    rows = await world.pool.fetch(
        "select height from blocks where spared_version is not null order by height"
    )
    return [row["height"] for row in rows]


async def paid_heights(world: World) -> list[int]:
    rows = await world.pool.fetch("select height from deposits where height is not null order by height")
    return [row["height"] for row in rows]


async def read_history(world: World) -> None:
    store = PostgresBackfillStore(world.pool, world.store)
    provider = world.source.choose_provider().for_backfill()
    while isinstance(await step_backfill(world.desk, store, provider, now=world.now), Covered):
        pass


async def test_a_block_that_cannot_matter_costs_no_receipts_and_its_row_says_so(database_url: str) -> None:
    async with open_world(database_url, token=True, operators=1) as world:
        await begin(world)
        asked = proxy_of(world).calls[WHOLE]
        height = await pay(world, STRANGER)
        await world.settle()
        assert proxy_of(world).calls[WHOLE] == asked
        assert await spared_heights(world) == [height]
        row = await world.pool.fetchrow("select * from blocks where height = $1", height)
        version = await world.pool.fetchval("select max(watch_version) from addresses")
        assert row is not None
        assert (row["level"], row["spared_version"], row["log_count"]) == ("full", version, None)
        paid = await pay(world, TILL)
        await world.settle()
        assert proxy_of(world).calls[WHOLE] == asked + 1
        assert await paid_heights(world) == [paid]
        assert await spared_heights(world) == [height]
        (covered,) = await load_coverage(world.pool, world.chain, height_first=height, height_last=paid)
        assert (covered.level, covered.blocks_count, covered.spared_count) == ("full", 2, 1)


@pytest.mark.parametrize("native", [False, True])
async def test_an_address_registered_while_its_block_is_read_gets_its_deposit(
    database_url: str, native: bool
) -> None:
    async with open_world(database_url, token=True, operators=1) as world:
        await begin(world)
        paid = await pay(world, LATE, native=native)
        proxy_of(world).after("eth_getBlockByHash", lambda: world.watch(LATE))
        await world.settle()
        assert await paid_heights(world) == [paid]
        assert await spared_heights(world) == []


async def test_an_address_registered_meanwhile_that_is_not_paid_leaves_the_block_spared(
    database_url: str,
) -> None:
    async with open_world(database_url, token=True, operators=1) as world:
        await begin(world)
        height = await pay(world, STRANGER)
        proxy_of(world).after("eth_getBlockByHash", lambda: world.watch(LATE))
        await world.settle()
        assert await spared_heights(world) == [height]
        version = await world.pool.fetchval("select max(watch_version) from addresses")
        assert await world.pool.fetchval("select max(spared_version) from blocks") == version


async def test_after_a_restart_the_list_is_held_against_a_block_before_it_is_written(
    database_url: str,
) -> None:
    """In memory nobody is watched yet: what was spared for nobody is not written for somebody."""
    async with open_world(database_url, token=True, operators=1) as world:
        await begin(world)
        paid = await pay(world, TILL)
        world.restart()
        await world.settle()
        assert await paid_heights(world) == [paid]


async def test_catching_up_reads_the_blocks_that_matter_whole(database_url: str) -> None:
    async with open_world(database_url, token=True, operators=1) as world:
        await begin(world)
        heights = [await pay(world, to) for to in (STRANGER, TILL, STRANGER, STRANGER, TILL, STRANGER)]
        asked = proxy_of(world).calls[WHOLE]
        await world.settle()
        assert await paid_heights(world) == [heights[1], heights[4]]
        assert await spared_heights(world) == [heights[at] for at in (0, 2, 3, 5)]
        assert proxy_of(world).calls[WHOLE] == asked + 2


async def test_history_of_spared_blocks_is_read_whole_and_their_rows_lack_nothing_then(
    database_url: str,
) -> None:
    async with open_world(database_url, token=True, operators=1) as world:
        await begin(world)
        paid = await pay(world, LATE)
        await world.settle()
        assert await spared_heights(world) == [paid]
        await world.watch(LATE, from_height=paid)
        await read_history(world)
        assert await paid_heights(world) == [paid]
        assert await spared_heights(world) == []
        row = await world.pool.fetchrow(
            "select log_count, transfer_count from blocks where height = $1", paid
        )
        assert row is not None
        assert tuple(row) == (1, 1)


async def test_a_rescan_finds_what_a_token_moved_before_it_was_listed(database_url: str) -> None:
    creation = load_contract("DemoToken").creation("Late", "LATE", 6)
    async with open_world(database_url, token=True, operators=1) as world:
        later = await world.node.deploy(creation)
        await begin(world)
        paid = await pay(world, TILL, token=later)
        await world.settle()
        assert await spared_heights(world) == [paid], "nobody listed it"
        digest = await world.pool.fetchval("select spared_assets from blocks where height = $1", paid)
        traits = list_tokens(world.settings.traits, [later])
        world.settings = replace(world.settings, traits=traits)
        verifier = BlockVerifier(PROFILES[facts_of(traits).verification_profile])
        async with EvmSource(traits, [NodeEndpoint(proxy_of(world).url)], verifier=verifier) as source:
            world.source = source
            world.restart()
            tip = await world.node.height()
            await world.store.sync_assets(world.chain, [*traits.assets, traits.native], start_height=tip + 1)
            heights = []
            for to in (STRANGER, STRANGER, TILL):
                heights.append(await pay(world, to, token=later))
                await world.settle()
            assert await paid_heights(world) == [heights[2]]
            assert (await spared_heights(world))[-1] == heights[1]
            assert (
                await world.pool.fetchval("select spared_assets from blocks where height = $1", heights[1])
                != digest
            )
            rescan = new_id(int(world.now.timestamp() * 1000))
            await request_rescan(
                world.pool, world.chain, new_id=rescan, height_first=paid, height_last=tip, address=None, now=world.now
            )  # fmt: skip
            await read_history(world)
            assert await paid_heights(world) == [paid, heights[2]]


async def test_a_reorganisation_over_spared_blocks_finds_what_the_other_branch_pays(
    database_url: str,
) -> None:
    async with open_world(database_url, token=True, operators=1) as world:
        await begin(world)
        tx_hash = await world.node.send(to=world.token, data=mint_data(TILL, 1_000))
        await world.node.mine()
        raw = await world.node.raw_transaction(tx_hash)
        first = await world.node.height()
        for _ in range(3):
            await pay(world, STRANGER)
        await world.settle()
        assert await paid_heights(world) == [first]
        await world.node.call("anvil_reorg", 4, [[raw, 2]])
        await world.node.mine()
        for _ in range(6):
            await world.step()
        await world.settle()
        assert await paid_heights(world) == [first + 2]
        assert await world.node.height() == await world.pool.fetchval("select tip_height from chains")


async def test_an_audit_finds_nothing_wrong_with_spared_blocks(database_url: str) -> None:
    async with open_world(database_url, token=True, operators=1) as world:
        await begin(world)
        heights = [await pay(world, to) for to in (STRANGER, TILL, STRANGER)]
        await world.settle()
        assert await spared_heights(world) == [heights[0], heights[2]]
        chunks = [
            chunk
            async for chunk in audit_range(
                world.pool, world.desk, world.store, world.source, height_first=heights[0], height_last=heights[2]
            )
        ]  # fmt: skip
        assert [(chunk.blocks_count, chunk.deposits_count, chunk.differences) for chunk in chunks] == [
            (3, 1, ())
        ]


async def test_spared_blocks_are_read_again_once_where_a_block_shows_that_blooms_hold_no_more(
    database_url: str,
) -> None:
    async with open_world(database_url, token=True, operators=1) as world:
        await begin(world)
        heights = [await pay(world, STRANGER) for _ in range(3)]
        await world.settle()
        assert await spared_heights(world) == heights
        for _ in range(2):
            async with world.store.open_move(world.chain, lease_epoch=world.desk.lease_epoch) as move:
                await move.reread_spared(0, heights[-1], at=world.now)
        (rescan,) = await world.pool.fetch("select * from rescans")
        assert (rescan["height_first"], rescan["height_last"]) == (heights[0], heights[-1])
        await read_history(world)
        assert await spared_heights(world) == []
        async with world.store.open_move(world.chain, lease_epoch=world.desk.lease_epoch) as move:
            await move.reread_spared(0, heights[-1], at=world.now)
        assert await world.pool.fetchval("select count(*) from rescans where done_at is null") == 0


async def test_a_chain_that_is_told_to_reads_every_block_whole(database_url: str) -> None:
    async with open_world(
        database_url, token=True, operators=1, adapt=lambda traits: change_facts(traits, spare_receipts=False)
    ) as world:
        await begin(world)
        asked = proxy_of(world).calls[WHOLE]
        for _ in range(2):
            await pay(world, STRANGER)
            await world.settle()
        assert proxy_of(world).calls[WHOLE] == asked + 2
        assert await spared_heights(world) == []

"""A transaction that a real node holds canonical twice: one deposit, credited once, and nobody is silent about it.

Rebuilt by setting the payer's nonce back, as a test chain's operator, a bridge or a bug can. Which place counts is
decided in `indexer.rules.moves` and proved for every order of things by the simulation.
"""

from __future__ import annotations

import pytest

from chains.evm.address import parse_address
from indexer import views
from indexer.follow.outcomes import Advanced
from indexer.history.audit import audit_range
from tests.devnet.anvil import ACCOUNTS
from tests.live.followed import SHOP
from tests.live.test_cases_reorganisations import ONE, TILL, newest, pay_natively, told_briefly
from tests.live.world import World, open_world

pytestmark = pytest.mark.live


async def mine_again(world: World, raw: str) -> list[int]:
    """The same signed transaction in one more block; returns the heights that were noticed as repeats."""
    await world.node.call("anvil_setNonce", ACCOUNTS[1], "0x0")
    await world.node.call("eth_sendRawTransaction", raw)
    await world.node.mine()
    outcomes = await world.settle()
    return [
        repeat.occurrence.height
        for outcome in outcomes
        if isinstance(outcome, Advanced)
        for repeat in outcome.moved.repeats
    ]


@pytest.mark.parametrize(
    ("blocks_between", "states"), [(14, ["included", "confirmed", "final"]), (0, ["included"])]
)
async def test_a_second_occurrence_moves_nothing(
    database_url: str, blocks_between: int, states: list[str]
) -> None:
    async with open_world(database_url, confirmations=3) as world:
        await world.watch(TILL)
        tx_hash = await pay_natively(world, nonce="0x0")
        raw = await world.node.raw_transaction(tx_hash)
        for _ in range(blocks_between):
            await world.node.mine()
            await world.settle()
        first = (await newest(world)).popitem()[1]["block"]
        assert await mine_again(world, raw) == [await world.node.height()]
        assert [kind for kind, _, _ in await told_briefly(world)] == states
        await world.node.mine(20)
        await world.settle()
        told = await told_briefly(world)
        assert [kind for kind, _, _ in told] == ["included", "confirmed", "final"]
        ((_, standing),) = (await newest(world)).items()
        assert (standing["block"], standing["credited_base_units"]) == (first, str(ONE))


async def test_a_second_occurrence_is_kept_explained_and_no_difference_to_an_audit(database_url: str) -> None:
    async with open_world(database_url, confirmations=3) as world:
        await world.watch(TILL)
        raw = await world.node.raw_transaction(await pay_natively(world, nonce="0x0"))
        await world.node.mine(14)
        await world.settle()
        (again,) = await mine_again(world, raw)
        rows = await views.list_newest_deposits(world.pool, SHOP, world.chain, parse_address(TILL), limit=5)
        repeats = await views.load_repeats(world.pool, [row.deposit for row in rows])
        assert [[block.height for block in blocks] for blocks in repeats.values()] == [[again]]
        # The node itself has only the later receipt left, so its first block cannot be read again.
        audited = audit_range(
            world.pool,
            world.desk,
            world.store,
            world.source,
            height_first=again,
            height_last=again,
        )
        assert [chunk.differences async for chunk in audited] == [()]


async def test_a_place_that_leaves_takes_its_repeats_along_and_one_that_stays_keeps_the_deposit(
    database_url: str,
) -> None:
    async with open_world(database_url, confirmations=2) as world:
        await world.watch(TILL)
        raw = await world.node.raw_transaction(await pay_natively(world, nonce="0x0"))
        await world.node.mine(3)
        await world.settle()
        await mine_again(world, raw)
        await world.node.call("anvil_reorg", 1, [])
        await world.settle()
        assert [kind for kind, _, _ in await told_briefly(world)] == ["included", "confirmed"]
        assert await world.pool.fetchval("select count(*) from deposit_repeats") == 0
        await mine_again(world, raw)
        await world.node.call("anvil_reorg", 6, [])
        await world.settle()
        assert [kind for kind, _, _ in await told_briefly(world)] == ["included", "confirmed", "reversed"]

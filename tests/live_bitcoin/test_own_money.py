"""A merchant's own coins that move in a circle, over a real node: told, and never credited."""

from __future__ import annotations

from uuid import UUID

import pytest

from indexer.follow.mempools.look import Looked, MempoolLooker
from indexer.rules.identity import MerchantId
from indexer.rules.waiting import MempoolBoard
from tests.devnet.bitcoind import needs_bitcoind
from tests.live_bitcoin.world import BitcoinWorld, open_world, spell
from tests.unit.chains.bitcoin.making import Tx, output

pytestmark = [pytest.mark.live, needs_bitcoind]

OPEN = b"\x5f"
"""A script that anybody may spend, so that no wallet is needed."""

WATCHED = f"script:{OPEN.hex()}"
CHANGE = b"\x00\x14" + b"\x73" * 20
RIVAL = MerchantId(UUID(int=0x51DE))


async def funded(world: BitcoinWorld, amount: int = 90_000) -> Tx:
    """A payment to the watched script, not sent yet."""
    return await world.node.pay((OPEN, amount))


def spend(source: Tx, *outputs: tuple[bytes, int], place: int = 0) -> Tx:
    """What spends one output of another transaction."""
    outpoint = source.id + place.to_bytes(4, "little")
    return Tx(((outpoint, b""),), tuple(output(amount, script) for script, amount in outputs))


async def own(world: BitcoinWorld, tx: Tx, n: int = 0) -> tuple[str, bool, str]:
    """Of one deposit: its state, whether it is an own transfer, and its credit."""
    deposit = (await world.newest())[f"{tx.id[::-1].hex()}:{n}"]
    return deposit["state"], deposit["own_transfer"], deposit["credited_base_units"]


async def test_case_068_change_of_our_own_coins_is_never_credited(database_url: str) -> None:
    async with open_world(database_url, confirmations=1) as world:
        await world.watch(WATCHED)
        await world.watch(spell(CHANGE))
        funding = await funded(world)
        await world.node.mine(txs=[funding])
        await world.settle()
        assert await own(world, funding) == ("confirmed", False, "90000")
        spending = spend(funding, (b"\x52", 10_000), (CHANGE, 40_000), (OPEN, 30_000))
        await world.node.mine(txs=[spending])
        await world.settle()
        assert await own(world, spending, 1) == ("confirmed", True, "0")
        assert await own(world, spending, 2) == ("confirmed", True, "0")


async def test_case_068_what_is_paid_and_spent_in_one_block_is_known_there(database_url: str) -> None:
    async with open_world(database_url, confirmations=1) as world:
        await world.watch(WATCHED)
        await world.watch(spell(CHANGE))
        funding = await funded(world)
        first = spend(funding, (CHANGE, 70_000), (OPEN, 10_000))
        second = spend(first, (CHANGE, 5_000), place=1)
        await world.node.mine(txs=[funding, first, second])
        await world.settle()
        assert await own(world, funding) == ("confirmed", False, "90000")
        for tx in (first, second):
            assert await own(world, tx) == ("confirmed", True, "0")


async def test_case_068_coins_that_came_before_anybody_watched_are_a_strangers(database_url: str) -> None:
    async with open_world(database_url, confirmations=1) as world:
        funding = await funded(world)
        await world.node.mine(txs=[funding])
        await world.settle()
        await world.watch(WATCHED)
        await world.watch(spell(CHANGE))
        spending = spend(funding, (CHANGE, 70_000))
        await world.node.mine(txs=[spending])
        await world.settle()
        assert await own(world, spending) == ("confirmed", False, "70000")


async def test_case_068_another_merchants_coins_are_a_payment(database_url: str) -> None:
    async with open_world(database_url, confirmations=1) as world:
        await world.watch(WATCHED, merchant=RIVAL)
        await world.watch(spell(CHANGE))
        funding = await funded(world)
        spending = spend(funding, (CHANGE, 70_000))
        await world.node.mine(txs=[funding])
        await world.settle()
        await world.node.mine(txs=[spending])
        await world.settle()
        assert await own(world, spending) == ("confirmed", False, "70000")


async def test_case_068_our_own_coins_are_ours_wherever_the_chain_puts_them(database_url: str) -> None:
    async with open_world(database_url, confirmations=1) as world:
        await world.watch(WATCHED)
        await world.watch(spell(CHANGE))
        funding = await funded(world)
        spending = spend(funding, (CHANGE, 70_000))
        await world.node.mine(txs=[funding])
        await world.node.mine(txs=[spending])
        await world.settle()
        await world.node.leave(2)
        await world.node.mine(3)
        await world.settle()
        await world.settle()
        await world.settle()
        assert await own(world, spending) == ("orphaned", True, "0")
        await world.node.mine(txs=[funding, spending])
        await world.settle()
        assert await own(world, funding) == ("confirmed", False, "90000")
        assert await own(world, spending) == ("confirmed", True, "0")


async def test_case_068_what_waits_is_known_as_our_own_already(database_url: str) -> None:
    async with open_world(database_url, confirmations=1) as world:
        await world.watch(WATCHED)
        await world.watch(spell(CHANGE))
        await world.settle()
        (mempool,) = world.source.mempools
        looker = MempoolLooker(world.desk, mempool, MempoolBoard())
        funding = await funded(world)
        spending = spend(funding, (CHANGE, 70_000))
        for tx in (funding, spending):
            await world.node.call("sendrawtransaction", tx.raw.hex())
        outcome = await looker.step(world.now, is_whole=True)
        assert isinstance(outcome, Looked)
        assert await own(world, funding) == ("seen", False, "0")
        assert await own(world, spending) == ("seen", True, "0")

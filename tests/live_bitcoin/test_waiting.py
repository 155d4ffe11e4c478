"""Payments that wait in a real node's mempool, to a merchant's log: seen, replaced, forgotten, and never credited."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

import pytest

from chains.bitcoin.source import BitcoinSource
from chains.rpc.node_endpoint import NodeEndpoint
from indexer.follow.mempools.look import Looked, MempoolLooker
from indexer.rules.unconfirmed import EVICTED_AFTER
from indexer.rules.waiting import MempoolBoard
from tests.devnet.bitcoind import needs_bitcoind
from tests.live_bitcoin.world import TILL, BitcoinWorld, open_world, regtest_traits, spell, wait_until
from tests.unit.chains.bitcoin.making import Tx

pytestmark = [pytest.mark.live, needs_bitcoind]

OTHER = b"\x00\x20" + b"\x72" * 32
LOOK_EVERY = timedelta(minutes=1)


async def look(world: BitcoinWorld, looker: MempoolLooker) -> None:
    """Look at the whole mempool, as the program does beside following."""
    await world.settle()
    for _ in range(10):
        outcome = await looker.step(world.now, is_whole=True)
        assert isinstance(outcome, Looked), outcome
        if not outcome.is_more:
            return


def looker_of(world: BitcoinWorld) -> MempoolLooker:
    (mempool,) = world.source.mempools
    return MempoolLooker(world.desk, mempool, MempoolBoard())


async def send(world: BitcoinWorld, tx: Tx) -> str:
    assert await world.node.call("sendrawtransaction", tx.raw.hex()) == tx.id[::-1].hex()
    return tx.id[::-1].hex()


async def states(world: BitcoinWorld) -> list[str]:
    """What was told, in order; nothing that waits was ever credited."""
    told = await world.told_briefly()
    assert all(credit == "0" for state, credit, _ in told if state not in {"confirmed", "final"})
    return [state for state, _, _ in told]


async def test_case_063_a_payment_that_waits_is_seen_and_what_replaces_it_is_named(database_url: str) -> None:
    async with open_world(database_url) as world:
        await world.watch(spell(TILL))
        await world.settle()
        looker = looker_of(world)
        await send(world, await world.node.pay((TILL, 70_000)))
        await look(world, looker)
        assert await states(world) == ["seen"]
        (deposit,) = (await world.newest()).values()
        assert deposit["waiting"]["has_unconfirmed_parents"] is False
        rival = await send(world, await world.node.pay((OTHER, 70_000), fee=100_000, coin=world.node.spent))
        await look(world, looker)
        await world.node.mine(txs=[rival])
        await world.settle()
        assert await states(world) == ["seen", "dropped", "replaced"]
        (deposit,) = (await world.newest()).values()
        assert deposit["replaced_by"] == rival


async def test_case_063_a_payment_that_waited_is_the_same_deposit_in_its_block(database_url: str) -> None:
    async with open_world(database_url) as world:
        await world.watch(spell(TILL))
        await world.settle()
        tx = await send(world, await world.node.pay((TILL, 70_000)))
        await look(world, looker_of(world))
        await world.node.mine(txs=[tx])
        await world.node.mine(1)
        await world.settle()
        assert await states(world) in (["seen", "included", "confirmed"], ["seen", "confirmed"])
        assert len(await world.newest()) == 1


async def test_case_065_what_a_node_forgot_is_dropped_in_time_and_comes_back(database_url: str) -> None:
    async with open_world(database_url) as world:
        await world.watch(spell(TILL))
        await world.settle()
        looker = looker_of(world)
        tx = await world.node.pay((TILL, 70_000))
        await send(world, tx)
        await look(world, looker)
        await world.node.stop()
        await world.node.start()  # it keeps no mempool
        for _ in range(EVICTED_AFTER // LOOK_EVERY):
            await look(world, looker)
            world.now += LOOK_EVERY
        assert await states(world) == ["seen"], "a node that was restarted is no reason yet"
        await look(world, looker)
        assert await states(world) == ["seen", "dropped"]
        await send(world, tx)
        await look(world, looker)
        assert await states(world) == ["seen", "dropped", "seen"]


async def test_case_065_what_a_node_says_it_put_away_is_dropped_without_waiting(database_url: str) -> None:
    async with open_world(database_url) as world:
        await world.watch(spell(TILL))
        await world.settle()
        looker = looker_of(world)
        source = BitcoinSource(
            regtest_traits(),
            [
                NodeEndpoint(world.node.url, cookie_file=world.node.cookie_file),
                NodeEndpoint(world.node.zmq_url),
            ],
        )
        (pool,) = source.mempools
        async with source, asyncio.TaskGroup() as group, asyncio.timeout(30):
            listening = group.create_task(source.run_hints())
            await wait_until(lambda: source.would_hint)
            await send(world, await world.node.pay((TILL, 70_000)))
            await look(world, looker)
            await world.node.call("setmocktime", int(time.time()) + 15 * 24 * 3600)
            await send(world, await world.node.pay((OTHER, 50_000)))
            await wait_until(lambda: looker.note_left(pool.take_left()))
            listening.cancel()
        await look(world, looker)
        assert await states(world) == ["seen", "dropped"]


async def test_case_070_the_same_payment_under_another_id_takes_its_place(database_url: str) -> None:
    async with open_world(database_url) as world:
        await world.watch(spell(TILL))
        await world.settle()
        first = await world.node.pay((TILL, 70_000))
        await send(world, first)
        await look(world, looker_of(world))
        # The same coin and the same outputs, and an input's script of another form.
        (spent, _), *_ = first.inputs
        second = Tx(((spent, b"\x51"),), first.outputs)
        await world.node.mine(txs=[second])
        await world.settle()
        by_tx = {one["tx_hash"]: one for one in (await world.newest()).values()}
        assert by_tx[first.id[::-1].hex()]["replaced_by"] == second.id[::-1].hex()
        assert by_tx[second.id[::-1].hex()]["state"] == "included"


async def test_case_072_what_others_mean_by_an_output_is_not_read(database_url: str) -> None:
    omni = bytes.fromhex("6a146f6d6e69") + bytes(4) + (31).to_bytes(4, "big") + (10**10).to_bytes(8, "big")
    async with open_world(database_url) as world:
        await world.watch(spell(TILL))
        await world.settle()
        await world.node.mine(txs=[await world.node.pay((TILL, 546), (omni, 0))])
        await world.settle()
        (deposit,) = (await world.newest()).values()
        assert (deposit["amount_base_units"], deposit["asset"].rpartition("/")[2]) == ("546", "slip44:1")

"""What waits at a real node: read from its bytes, with what it spends and offers; replaced, mined, hinted at."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace

import pytest

from chains.bitcoin.nodes.mempool import BitcoinMempool
from chains.errors import Inconsistent, Unreachable
from chains.mempool import MempoolSource
from chains.model import ConflictKey, TransferKind, TxHash
from chains.rpc.node_endpoint import NodeEndpoint
from tests.devnet.bitcoind import BitcoinNode, needs_bitcoind, start_bitcoind
from tests.faultproxy.faults import constant
from tests.faultproxy.proxy import start_proxy
from tests.live_bitcoin.conftest import MakeSource
from tests.live_bitcoin.world import TILL, regtest_traits, wait_until
from tests.unit.chains.bitcoin.making import Tx, output

pytestmark = [pytest.mark.live, needs_bitcoind]


def pool_of(make_source: MakeSource, *asked: NodeEndpoint | BitcoinNode) -> MempoolSource:
    (pool,) = make_source(*asked).mempools
    return pool


async def send(node: BitcoinNode, tx: Tx) -> TxHash:
    return TxHash(bytes.fromhex(await node.call("sendrawtransaction", tx.raw.hex())))


async def ask_everything(pool: MempoolSource, tx_hash: TxHash, key: ConflictKey) -> None:
    await pool.fetch_waiting()
    await pool.fetch_tip()
    await pool.fetch_waiting_txs([tx_hash])
    await pool.fetch_spenders([key])


async def test_what_waits_is_told_with_what_it_pays_spends_and_offers(
    node: BitcoinNode, make_source: MakeSource
) -> None:
    pool = pool_of(make_source, node)
    assert await pool.fetch_waiting() == set()
    tx = await node.pay((TILL, 70_000), fee=5_000)
    tx_hash = await send(node, tx)
    assert await pool.fetch_waiting() == {tx_hash}
    (waiting,) = await pool.fetch_waiting_txs([TxHash(b"\x01" * 32), tx_hash])
    transfer = waiting.transfers[0]
    assert (waiting.tx_hash, transfer.kind, transfer.recipient) == (tx_hash, TransferKind.UTXO, TILL)
    assert (transfer.amount_base_units, transfer.n, transfer.position) == (70_000, 0, "")
    assert waiting.spends == transfer.conflict_keys == (tx.inputs[0][0],)
    assert waiting.fee_rate_per_kvb == 5_000 * 1_000 // len(tx.raw)
    assert (waiting.has_unconfirmed_parents, transfer.matures_after_blocks) == (False, 0)
    assert (await pool.fetch_tip()).hex() == await node.call("getbestblockhash")
    assert await pool.fetch_waiting_txs([]) == []


async def test_a_child_offers_what_it_and_its_parents_do(node: BitcoinNode, make_source: MakeSource) -> None:
    parent = await node.pay((b"\x51", 1_000_000), fee=1_000)
    parent_hash = await send(node, parent)
    child = Tx(((parent_hash[::-1] + bytes(4), b""),), (output(900_000, TILL),))
    child_hash = await send(node, child)
    (waiting,) = await pool_of(make_source, node).fetch_waiting_txs([child_hash])
    assert waiting.has_unconfirmed_parents
    assert waiting.fee_rate_per_kvb == 101_000 * 1_000 // (len(parent.raw) + len(child.raw))


async def test_case_063_who_replaced_a_payment_is_told_by_what_it_spends(
    node: BitcoinNode, make_source: MakeSource
) -> None:
    pool = pool_of(make_source, node)
    first = await node.pay((TILL, 70_000), fee=1_000)
    first_hash = await send(node, first)
    key = ConflictKey(first.inputs[0][0])
    assert await pool.fetch_spenders([key]) == {key: first_hash}
    rival = await node.pay((b"\x00\x14" + bytes(20), 70_000), fee=90_000, coin=node.spent)
    rival_hash = await send(node, rival)
    assert await pool.fetch_waiting() == {rival_hash}
    assert await pool.fetch_waiting_txs([first_hash]) == []
    nobody = ConflictKey(b"\x07" * 32 + (2**31 - 1).to_bytes(4, "little"))
    assert await pool.fetch_spenders([nobody, key]) == {key: rival_hash}
    assert await pool.fetch_spenders([]) == {}


@pytest.mark.parametrize("options", [(), ("-txindex=1",)])
async def test_what_a_block_holds_waits_no_more(options: Sequence[str], make_source: MakeSource) -> None:
    async with start_bitcoind(*options) as node:
        pool = pool_of(make_source, node)
        tx_hash = await send(node, await node.pay((TILL, 70_000)))
        await node.call("generateblock", "raw(51)#8lvh9jxk", [tx_hash.hex()])
        assert await pool.fetch_waiting() == set()
        assert await pool.fetch_waiting_txs([tx_hash]) == []


async def test_what_comes_in_is_hinted_at_and_a_lost_publisher_says_so(
    node: BitcoinNode, make_source: MakeSource
) -> None:
    source = make_source(node, NodeEndpoint(node.zmq_url))
    (pool,) = source.mempools
    async with asyncio.TaskGroup() as group:
        listening = group.create_task(source.run_hints())
        async with asyncio.timeout(20):
            await wait_until(lambda: source.would_hint)
            assert [one.are_hints_live for one in source.mempools] == [False]
            tx_hash = await send(node, await node.pay((TILL, 70_000)))
            assert await pool.wait_for_entered(10) == [tx_hash]
            assert await pool.fetch_waiting() == {tx_hash}
            assert pool.are_hints_live
            assert await pool.wait_for_entered(0.05) == []
            await node.kill()
            await wait_until(lambda: not source.would_hint)
        listening.cancel()
    assert [one.are_hints_live for one in source.mempools] == [False]
    with pytest.raises(Unreachable):
        await pool.fetch_waiting()


async def test_case_065_what_a_node_expires_or_replaces_is_published_as_put_away_and_what_it_mines_is_not(
    node: BitcoinNode, make_source: MakeSource
) -> None:
    source = make_source(node, NodeEndpoint(node.zmq_url))
    (pool,) = source.mempools
    left: set[TxHash] = set()

    def has_left(tx_hash: TxHash) -> bool:
        left.update(pool.take_left())
        return tx_hash in left

    async with asyncio.TaskGroup() as group:
        listening = group.create_task(source.run_hints())
        async with asyncio.timeout(30):
            await wait_until(lambda: source.would_hint)
            mined = await send(node, await node.pay((TILL, 70_000)))
            await node.mine(txs=[mined.hex()])
            replaced = await send(node, await node.pay((TILL, 70_000), fee=1_000))
            rival = await send(node, await node.pay((TILL, 60_000), fee=90_000, coin=node.spent))
            await wait_until(lambda: has_left(replaced))
            await node.call("setmocktime", int(time.time()) + 15 * 24 * 3600)
            await send(node, await node.pay((TILL, 50_000)))
            await wait_until(lambda: has_left(rival))
        listening.cancel()
    assert left == {replaced, rival}


async def test_a_node_that_tells_of_other_things_than_asked_is_blamed(
    node: BitcoinNode, make_source: MakeSource
) -> None:
    tx_hash = await send(node, await node.pay((TILL, 70_000)))
    other = await node.pay((TILL, 1))
    key = ConflictKey(other.inputs[0][0])
    async with start_proxy(node.login_url) as proxy:
        pool = pool_of(make_source, NodeEndpoint(proxy.url))
        for method, answer in (
            ("getrawmempool", ["nonsense"]),
            ("getrawmempool", {"txids": []}),
            ("getbestblockhash", "0x00"),
            ("gettxspendingprevout", []),
            ("gettxspendingprevout", [{"txid": "00" * 32, "vout": 0, "spendingtxid": "11" * 32}]),
            ("getrawtransaction", other.raw.hex()),
            ("getrawtransaction", "00"),
            ("getmempoolentry", {"vsize": 100, "ancestorsize": 1, "fees": {"base": -1, "ancestor": 0}}),
            ("getmempoolentry", {"vsize": 100, "ancestorsize": 1, "fees": {"base": 1e30, "ancestor": 0}}),
            ("getmempoolentry", []),
        ):
            proxy.heal()
            proxy.bend(method, constant(answer))
            with pytest.raises(Inconsistent):
                await ask_everything(pool, tx_hash, key)
        proxy.heal()
        proxy.bend("getmempoolentry", constant({"size": 100}))
        assert (await pool.fetch_waiting_txs([tx_hash]))[0].fee_rate_per_kvb is None


async def test_fees_are_rungs_that_fall_with_the_blocks_to_wait(
    node: BitcoinNode, make_source: MakeSource
) -> None:
    assert await pool_of(make_source, node).fetch_fee_rungs() == [], (
        "a node that has seen nothing knows nothing"
    )
    async with start_proxy(node.login_url) as proxy:
        pool = pool_of(make_source, NodeEndpoint(proxy.url))
        told = iter([(2, 0.0005), (3, 0.0005), (6, 0.00021), (6, 0.0002), (24, 0.00000001), (144, 0)])
        proxy.bend(
            "estimatesmartfee",
            lambda _params, _answer: {"result": _rung(*next(told))},
        )
        rungs = await pool.fetch_fee_rungs()
        assert [(one.blocks, one.fee_rate_per_kvb) for one in rungs] == [(2, 50_000), (6, 21_000), (24, 1)]


def _rung(blocks: int, rate: float) -> dict[str, float]:
    return {"blocks": blocks, "feerate": rate}


async def test_more_hints_than_anybody_reads_are_looked_for_in_the_whole(
    node: BitcoinNode, make_source: MakeSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chains.bitcoin.nodes.mempool.ENTERED_MAX", 2)
    provider = make_source(node, traits=replace(regtest_traits(), block_time_s=1.0)).choose_provider()
    pool = BitcoinMempool(provider.node, provider.reading)
    for number in range(3):
        pool.note_entered(bytes([number]) * 32, here=True)
    assert len(await pool.wait_for_entered(1)) == 2
    assert [pool.are_hints_live] == [False]
    await pool.fetch_waiting()
    assert pool.are_hints_live
    for number in (0, 0, 1, 2):
        pool.note_left(bytes([number]) * 32)
    assert [pool.are_hints_live] == [False]
    assert [len(pool.take_left()), len(pool.take_left())] == [2, 0]

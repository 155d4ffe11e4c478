"""What every MempoolSource must do, whatever nodes are behind it: the promises of `chains/mempool.py`.

Asked of the scripted mempool and of a real node alike.  What is special to a family's nodes is tested beside the family.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

import pytest

from chains.bitcoin.source import BitcoinSource
from chains.mempool import MempoolSource
from chains.model import Address, BlockHash, ConflictKey, TransferKind, TxHash
from chains.rpc.node_endpoint import NodeEndpoint
from chains.scripted import ScriptedChain, ScriptedTx
from chains.scripted.mempool import ScriptedMempool
from tests.devnet.bitcoind import HOW_TO_GET_ONE, BitcoinNode, find_bitcoind, start_bitcoind
from tests.devnet.local import local_traits
from tests.live_bitcoin.world import TILL, regtest_traits, wait_until
from tests.unit.chains.bitcoin.making import Tx

SCRIPT = Address(TILL)
SHOP = Address(b"\x11" * 20)
STRANGE = TxHash(b"\x07" * 32)


class Payers(Protocol):
    """Who sends payments to the shop; a payment is known by its hash."""

    pool: MempoolSource
    shop: Address
    kind: TransferKind

    async def send(self, amount_base_units: int) -> TxHash:
        """A payment of its own, which then waits."""
        ...

    async def bump(self, tx_hash: TxHash, amount_base_units: int) -> TxHash:
        """Another in its stead, which offers more and pays so much."""
        ...

    async def mine(self, *tx_hashes: TxHash) -> BlockHash:
        """A block with these."""
        ...

    async def leave(self) -> None:
        """The newest block leaves, and what it held waits again."""
        ...


@dataclass
class ScriptedPayers:
    """No node needed."""

    chain: ScriptedChain
    pool: MempoolSource
    shop: Address = SHOP
    kind: TransferKind = TransferKind.NATIVE
    sent: dict[TxHash, tuple[ScriptedTx, int]] = field(default_factory=dict)

    async def send(self, amount_base_units: int) -> TxHash:
        return self._send(amount_base_units, len(self.sent) + 1)

    async def bump(self, tx_hash: TxHash, amount_base_units: int) -> TxHash:
        return self._send(amount_base_units, self.sent[tx_hash][1])

    def _send(self, amount_base_units: int, nonce: int) -> TxHash:
        tx = self.chain.pay(self.shop, amount_base_units, sender=Address(b"\x22" * 20), nonce=nonce)
        self.sent[tx.tx_hash] = tx, nonce
        self.chain.broadcast(tx)
        return tx.tx_hash

    async def mine(self, *tx_hashes: TxHash) -> BlockHash:
        return self.chain.mine(*(self.sent[one][0] for one in tx_hashes)).hash

    async def leave(self) -> None:
        left = self.chain.canonical[-1].txs
        self.chain.reorg(1, ())
        for tx in left:
            self.chain.broadcast(tx)


@dataclass
class BitcoindPayers:
    """Needs bitcoind."""

    node: BitcoinNode
    pool: MempoolSource
    shop: Address = SCRIPT
    kind: TransferKind = TransferKind.UTXO
    sent: dict[TxHash, tuple[Tx, int, int]] = field(default_factory=dict)

    async def send(self, amount_base_units: int) -> TxHash:
        return await self._send(amount_base_units, 1_000, None)

    async def bump(self, tx_hash: TxHash, amount_base_units: int) -> TxHash:
        _, coin, fee = self.sent[tx_hash]
        return await self._send(amount_base_units, fee + 50_000, coin)

    async def _send(self, amount_base_units: int, fee: int, coin: int | None) -> TxHash:
        tx = await self.node.pay((TILL, amount_base_units), fee=fee, coin=coin)
        tx_hash = TxHash(bytes.fromhex(await self.node.call("sendrawtransaction", tx.raw.hex())))
        self.sent[tx_hash] = tx, self.node.spent if coin is None else coin, fee
        return tx_hash

    async def mine(self, *tx_hashes: TxHash) -> BlockHash:
        (block,) = await self.node.mine(txs=[self.sent[one][0] for one in tx_hashes])
        return BlockHash(bytes.fromhex(block))

    async def leave(self) -> None:
        await self.node.leave(1)


@asynccontextmanager
async def scripted_payers() -> AsyncIterator[Payers]:
    chain = ScriptedChain(local_traits())
    chain.mine_many(3)
    yield ScriptedPayers(chain, ScriptedMempool(chain))


@asynccontextmanager
async def bitcoind_payers() -> AsyncIterator[Payers]:
    async with start_bitcoind() as node:
        login = {"authorization": node.authorization()}
        endpoints = [NodeEndpoint(node.url, headers=login), NodeEndpoint(node.zmq_url)]
        async with BitcoinSource(regtest_traits(), endpoints) as source:
            (pool,) = source.mempools
            listening = asyncio.create_task(source.run_hints())
            try:
                async with asyncio.timeout(20):
                    await wait_until(lambda: source.would_hint)
                yield BitcoindPayers(node, pool)
            finally:
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)


@pytest.fixture(params=["scripted", "bitcoind"])
async def payers(request: pytest.FixtureRequest) -> AsyncIterator[Payers]:
    if request.param == "scripted":
        async with scripted_payers() as one:
            yield one
        return
    if find_bitcoind() is None:
        pytest.skip(HOW_TO_GET_ONE)
    async with bitcoind_payers() as one:
        yield one


async def key_of(payers: Payers, tx_hash: TxHash) -> ConflictKey:
    (waiting,) = await payers.pool.fetch_waiting_txs([tx_hash])
    assert waiting.spends
    return waiting.spends[0]


async def test_what_waits_is_listed_and_told_with_what_it_would_move(payers: Payers) -> None:
    assert await payers.pool.fetch_waiting() == set()
    sent = [await payers.send(70_000 + number) for number in range(3)]
    assert set(await payers.pool.fetch_waiting()) == set(sent)
    told = await payers.pool.fetch_waiting_txs(sent[::-1])
    assert [one.tx_hash for one in told] == sent[::-1], "in the order asked"
    paid = [[move for move in one.transfers if move.recipient == payers.shop] for one in told]
    assert [move.amount_base_units for moves in paid for move in moves] == [70_002, 70_001, 70_000]
    assert all(move.kind is payers.kind and move.position == "" for moves in paid for move in moves)
    for one in told:
        assert all(move.tx_hash == one.tx_hash and move.conflict_keys == one.spends for move in one.transfers)


async def test_what_does_not_wait_is_left_out_of_every_answer(payers: Payers) -> None:
    tx_hash = await payers.send(70_000)
    told = await payers.pool.fetch_waiting_txs([STRANGE, tx_hash, STRANGE])
    assert [one.tx_hash for one in told] == [tx_hash]
    key = await key_of(payers, tx_hash)
    strange = ConflictKey(bytes(len(key) - 1) + b"\x01")
    assert await payers.pool.fetch_spenders([strange, key]) == {key: tx_hash}
    assert await payers.pool.fetch_waiting_txs([]) == []
    assert await payers.pool.fetch_spenders([]) == {}


async def test_a_rival_takes_the_place_of_what_it_would_use_up_too(payers: Payers) -> None:
    first = await payers.send(70_000)
    key = await key_of(payers, first)
    rival = await payers.bump(first, 60_000)
    assert set(await payers.pool.fetch_waiting()) == {rival}
    assert await payers.pool.fetch_waiting_txs([first]) == []
    assert await payers.pool.fetch_spenders([key]) == {key: rival}


async def test_what_a_block_took_waits_no_more_and_again_when_the_block_leaves(payers: Payers) -> None:
    first, second = await payers.send(70_000), await payers.send(80_000)
    block = await payers.mine(first)
    assert await payers.pool.fetch_tip() == block
    assert set(await payers.pool.fetch_waiting()) == {second}
    assert [one.tx_hash for one in await payers.pool.fetch_waiting_txs([first, second])] == [second]
    await payers.leave()
    assert await payers.pool.fetch_tip() != block
    assert set(await payers.pool.fetch_waiting()) == {first, second}


async def test_what_comes_in_is_hinted_at_once(payers: Payers) -> None:
    await payers.pool.wait_for_entered(0.0)
    tx_hash = await payers.send(70_000)
    async with asyncio.timeout(20):
        entered: list[TxHash] = []
        while tx_hash not in entered:
            entered += await payers.pool.wait_for_entered(1.0)
    assert tx_hash not in await payers.pool.wait_for_entered(0.05)


async def test_a_wait_that_is_given_up_loses_no_hint(payers: Payers) -> None:
    await payers.pool.wait_for_entered(0.0)
    waiting = asyncio.ensure_future(payers.pool.wait_for_entered(30.0))
    await asyncio.sleep(0.05)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    tx_hash = await payers.send(70_000)
    async with asyncio.timeout(20):
        while tx_hash not in await payers.pool.wait_for_entered(1.0):
            pass


async def test_questions_at_once_do_not_take_each_others_answers(payers: Payers) -> None:
    sent = [await payers.send(70_000 + number) for number in range(5)]
    answers = await asyncio.gather(*(payers.pool.fetch_waiting_txs([one]) for one in sent * 4))
    assert [[one.tx_hash for one in answer] for answer in answers] == [[one] for one in sent * 4]


async def test_nothing_is_said_to_be_put_away_that_was_not(payers: Payers) -> None:
    tx_hash = await payers.send(70_000)
    await payers.mine(tx_hash)
    await payers.pool.wait_for_entered(0.2)
    assert list(payers.pool.take_left()) == []

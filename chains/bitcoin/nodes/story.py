"""One transaction of one node, for explaining and never for crediting.

A node without an index of transactions (`-txindex`) knows those that wait and
none that is in a block; it says so, and is not taken for one that knows all.
"""

from __future__ import annotations

from chains.bitcoin.nodes.answers import (
    HeaderInfo,
    TransactionInfo,
    is_unknown_transaction,
    read_answer,
    read_hash,
    read_height,
    read_transaction,
)
from chains.bitcoin.nodes.node import BitcoinNode
from chains.bitcoin.nodes.reading import Reading
from chains.bitcoin.value.outputs import list_movements
from chains.errors import ChainError, Refused
from chains.model import BlockRef, TransactionStory, TxHash
from chains.rpc.jsonrpc import Call
from chains.rpc.throttle import Priority


async def fetch_story(
    node: BitcoinNode, priority: Priority, reading: Reading, tx_hash: TxHash
) -> TransactionStory | None:
    """What the node tells of a transaction; None where it does not know it.

    Raises `Refused` where it knows none that is in a block, or not all yet.
    """
    (outcome,) = await node.ask([Call("getrawtransaction", (tx_hash.hex(), True))], priority)
    if is_unknown_transaction(outcome):
        assert isinstance(outcome, ChainError)
        if "-txindex" in outcome.detail or "being indexed" in outcome.detail:
            raise Refused(
                "the transaction does not wait in its mempool, and without a complete index (txindex=1) "
                "it knows none that is in a block"
            )
        return None
    told = read_answer(outcome, TransactionInfo, "transaction")
    transaction = read_transaction(reading.coin, told.hex, tx_hash)
    block = None if told.blockhash is None else await _fetch_place(node, priority, told.blockhash)
    if told.blockhash is not None and block is None:
        return None
    return TransactionStory(
        tx_hash=tx_hash,
        block=block,
        succeeded=None if block is None else True,
        movements=list_movements(reading.asset, transaction),
        served_by=node.name,
    )


async def _fetch_place(node: BitcoinNode, priority: Priority, text: str) -> BlockRef | None:
    """The canonical block of that hash; None where it has left the chain."""
    block_hash = read_hash(text, "a block")
    (outcome,) = await node.ask([Call("getblockheader", (block_hash.hex(), True))], priority)
    told = read_answer(outcome, HeaderInfo, "header")
    return BlockRef(read_height(told.height), block_hash) if told.confirmations > 0 else None

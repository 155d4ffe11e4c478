"""Why there is no proof of a deposit yet: whether the block and the transaction are there is asked all the same.

A block's hash commits to its transactions, so a header, a merkle branch and the
transaction's bytes would be one; nobody here writes that form.
"""

from __future__ import annotations

from chains.bitcoin.nodes.answers import HeaderInfo, read_answer
from chains.bitcoin.nodes.blocks import fetch_checked
from chains.bitcoin.nodes.node import BitcoinNode
from chains.bitcoin.nodes.reading import Reading
from chains.errors import Missing
from chains.model import BlockRef, TxHash, Unprovable, UnprovableReason
from chains.rpc.jsonrpc import Call
from chains.rpc.throttle import Lane


async def fetch_unprovable(
    node: BitcoinNode, lane: Lane, reading: Reading, block: BlockRef, tx_hash: TxHash
) -> Unprovable:
    """The reason; raises `Missing` for a block that is not canonical."""
    (outcome,) = await node.ask([Call("getblockheader", (block.hash.hex(), True))], lane)
    told = read_answer(outcome, HeaderInfo, "header")
    if told.confirmations < 1 or told.height != block.height:
        raise Missing(f"does not call the block {block.hash.hex()} canonical")
    raw = await fetch_checked(node, lane, reading, block)
    if all(one.shown_id != tx_hash for one in raw.transactions):
        return Unprovable(UnprovableReason.NOT_IN_BLOCK, "the block holds no such transaction")
    return Unprovable(UnprovableReason.NO_FORM, "proofs are not written for chains of Bitcoin's family yet")

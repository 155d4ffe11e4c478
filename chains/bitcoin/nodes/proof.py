"""What proves a transaction to somebody who knows only its block's hash, asked of one node.

The block is fetched and checked for this one question and kept nowhere; the
form is `verify.proof`.
"""

from __future__ import annotations

from typing import Final

from chains.bitcoin.nodes.answers import HeaderInfo, read_answer
from chains.bitcoin.nodes.blocks import fetch_checked, fetch_hashes, fetch_raw_headers
from chains.bitcoin.nodes.node import BitcoinNode
from chains.bitcoin.nodes.reading import Reading
from chains.bitcoin.verify.proof import build_proof
from chains.errors import Missing
from chains.model import BlockRef, TxHash
from chains.proofs import DepositProof, Unprovable
from chains.rpc.jsonrpc import Call
from chains.rpc.throttle import Priority

HEADERS_SHOWN_MAX: Final = 12
"""That follow the block: two hours of Bitcoin's work."""


async def fetch_deposit_proof(
    node: BitcoinNode, priority: Priority, reading: Reading, block: BlockRef, tx_hash: TxHash
) -> DepositProof | Unprovable:
    """The proof of one transaction of a canonical block; raises `Missing` where the node calls another canonical."""
    (outcome,) = await node.ask([Call("getblockheader", (block.hash.hex(), True))], priority)
    told = read_answer(outcome, HeaderInfo, "header")
    if told.confirmations < 1 or told.height != block.height:
        raise Missing(f"does not call the block {block.hash.hex()} canonical")
    data = await fetch_checked(node, priority, reading, block)
    heights = range(block.height + 1, block.height + min(told.confirmations, HEADERS_SHOWN_MAX + 1))
    hashes = await fetch_hashes(node, priority, heights) if heights else []
    following: list[bytes] = []
    before = block.hash[::-1]
    for header in await fetch_raw_headers(node, priority, reading, hashes):
        if header.parent_hash != before:
            break  # The chain changed its mind between two questions.
        following.append(header.raw)
        before = header.hash
    return build_proof(reading.coin, data, tx_hash, following)

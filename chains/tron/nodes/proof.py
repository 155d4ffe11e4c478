"""What proves a transaction to somebody who knows only its block's id, asked of one node.

The block is fetched and checked for this one question, its witness's signature
with it, and kept nowhere; the form is `verify.proof`.
"""

from __future__ import annotations

from functools import partial

from chains.errors import Inconsistent, Missing
from chains.model import BlockRef, TxHash
from chains.proofs import DepositProof, Unprovable, UnprovableReason
from chains.rpc.throttle import Priority
from chains.tron.nodes.node import TronNode
from chains.tron.nodes.reading import Reading
from chains.tron.nodes.schedule import fetch_schedule
from chains.tron.rows.blocks import read_header, read_transactions
from chains.tron.value.transfers import shows_itself
from chains.tron.verify.block import check_witness, encode_bodies
from chains.tron.verify.proof import build_proof


async def fetch_deposit_proof(
    node: TronNode, priority: Priority, reading: Reading, block: BlockRef, tx_hash: TxHash
) -> DepositProof | Unprovable:
    """The proof of one transaction of a canonical block.

    Raises `Missing` where the node calls another canonical, `Inconsistent` where rows or signature are not the block's.
    """
    canonical = await node.fetch_header(str(block.height), priority)
    if canonical is None or canonical.hash != block.hash:
        raise Missing(f"does not call the block {block.hash.hex()} canonical")
    told = await node.fetch_told(block.hash.hex(), priority, whole=True)
    if told is None:
        raise Missing(f"does not hold block {block.hash.hex()}")
    header, transactions = read_header(told.block), read_transactions(told.block)
    if header.header.hash != block.hash:
        raise Inconsistent(f"asked for block {block.hash.hex()}, told about {header.header.hash.hex()}")
    if not reading.is_checked:
        is_held = any(one.id == tx_hash for one in transactions)
        return (
            Unprovable(UnprovableReason.AGREEMENT_ONLY, "blocks of this chain are not checked here")
            if is_held
            else Unprovable(UnprovableReason.NOT_IN_BLOCK, "the block holds no such transaction")
        )
    bodies = encode_bodies(header, told.block, transactions, told.content)
    check_witness(header, await fetch_schedule(node, header, priority))
    return build_proof(header, transactions, bodies, partial(shows_itself, reading.assets), tx_hash)

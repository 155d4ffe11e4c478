"""Whole blocks from one node: asked for by hash as their bytes, checked, decoded.

A block is what its hash says, with the work that was due, or an error.  The
checks are `verify`, what moved is `value`; `provider` puts this behind the
port.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from chains.bitcoin.coins import Retargeting
from chains.bitcoin.nodes.answers import read_answer, read_block, read_bytes, read_hash, read_header
from chains.bitcoin.nodes.node import BitcoinNode
from chains.bitcoin.nodes.reading import Reading, place_header
from chains.bitcoin.rows.blocks import BlockHeader, RawBlock
from chains.bitcoin.value.outputs import UtxoTransfers
from chains.bitcoin.verify.block import check_block, check_due_bits, check_height
from chains.bitcoin.verify.work import Placed, compute_due_bits, list_headers_needed
from chains.errors import Inconsistent
from chains.model import Block, BlockHash, BlockRef, VerificationLevel, is_linked
from chains.rpc.jsonrpc import Call, expect_result
from chains.rpc.throttle import Priority

BATCH_BYTES_AIM = 8 * 1024 * 1024
"""Of text: large enough that a round trip is cheap beside it, small enough to hold a few."""

BATCH_BLOCKS_MAX = 32


async def fetch_hashes(node: BitcoinNode, priority: Priority, heights: Sequence[int]) -> list[BlockHash]:
    """The hashes of the blocks it calls canonical at these heights; `Missing` where it has none."""
    outcomes = await node.ask([Call("getblockhash", (height,)) for height in heights], priority, patient=True)
    return [
        read_hash(read_answer(outcome, str, "hash"), f"block {height}")
        for height, outcome in zip(heights, outcomes, strict=True)
    ]


async def fetch_raw_headers(
    node: BitcoinNode, priority: Priority, reading: Reading, hashes: Sequence[BlockHash]
) -> list[BlockHeader]:
    """Headers by their hashes, each with its work; those that are known are not asked for."""
    found = {one: known for one in hashes if (known := reading.known.find(one[::-1])) is not None}
    lacking = [one for one in dict.fromkeys(hashes) if one not in found]
    if lacking:
        calls = [Call("getblockheader", (one.hex(), False)) for one in lacking]
        for one, outcome in zip(lacking, await node.ask(calls, priority, patient=True), strict=True):
            header = read_header(reading.coin, outcome, one)
            reading.known.keep(header)
            found[one] = header
    return [found[one] for one in hashes]


async def fetch_by_ref(
    node: BitcoinNode, priority: Priority, reading: Reading, refs: Sequence[BlockRef]
) -> list[Block]:
    """These blocks, in the order asked, each proven to be of its hash and, where blocks say it, its height."""
    blocks: list[Block] = []
    while len(blocks) < len(refs):
        window = refs[len(blocks) : len(blocks) + _window_blocks(node)]
        calls = [Call("getblock", (ref.hash.hex(), 0)) for ref in window]
        outcomes = await node.ask(calls, priority, patient=True)
        for ref, outcome in zip(window, outcomes, strict=True):
            raw = read_block(reading.coin, outcome, ref.hash)
            node.note_size(memoryview(expect_result(outcome)).nbytes)
            blocks.append(await _check(node, priority, reading, ref, raw))
            await asyncio.sleep(0)
    return blocks


async def fetch_by_height(
    node: BitcoinNode, priority: Priority, reading: Reading, height_first: int, height_last: int
) -> list[Block]:
    """The node's canonical blocks at these heights, parent-linked.

    Heights name forks, so a reorganisation between two calls mixes them: what
    does not fit is asked for once more, then it is `Inconsistent`.
    """
    heights = range(height_first, height_last + 1)
    for _ in range(2):
        hashes = await fetch_hashes(node, priority, heights)
        refs = [BlockRef(height, one) for height, one in zip(heights, hashes, strict=True)]
        blocks = await fetch_by_ref(node, priority, reading, refs)
        if is_linked([block.header for block in blocks]):
            return blocks
    raise Inconsistent(f"blocks {height_first} to {height_last} are not of one chain")


async def fetch_checked(node: BitcoinNode, priority: Priority, reading: Reading, ref: BlockRef) -> bytes:
    """One block as its bytes, after the checks that every block goes through."""
    (outcome,) = await node.ask([Call("getblock", (ref.hash.hex(), 0))], priority, patient=True)
    await _check(node, priority, reading, ref, read_block(reading.coin, outcome, ref.hash))
    return read_bytes(outcome, f"block {ref.hash.hex()}")


async def _check(
    node: BitcoinNode, priority: Priority, reading: Reading, ref: BlockRef, raw: RawBlock
) -> Block:
    """Raise `Inconsistent` unless the block may be believed; what moved in it."""
    check_block(reading.coin, raw, ref.hash)
    check_height(reading.coin, raw, ref.height)
    await _check_due_bits(node, priority, reading, raw.header, ref.height)
    reading.known.keep(raw.header)
    return Block(
        header=place_header(raw.header, ref.height),
        tx_count=len(raw.transactions),
        log_count=0,
        unlisted_transfer_count=0,
        level=VerificationLevel.FULL,
        served_by=node.name,
        transfers=UtxoTransfers(reading.coin, reading.asset, raw.transactions),
    )


async def _check_due_bits(
    node: BitcoinNode, priority: Priority, reading: Reading, header: BlockHeader, height: int
) -> None:
    """The target that follows from the headers before it; by their hashes but for the first of a period.

    Which header began the period is the node's word: a false one would have to
    carry work of its own, and moves the target by a factor of four at most.
    """
    needed = list_headers_needed(reading.coin, height)
    if not needed:
        return
    (before,) = await fetch_raw_headers(node, priority, reading, [BlockHash(header.parent_hash[::-1])])
    begin = None
    if len(needed) > 1:
        hashes = (
            [BlockHash(before.parent_hash[::-1])]
            if reading.coin.retargeting is Retargeting.EACH_BLOCK
            else await fetch_hashes(node, priority, needed[1:])
        )
        (begin,) = await fetch_raw_headers(node, priority, reading, hashes)
    placed_begin = None if begin is None else _place(begin, needed[1])
    check_due_bits(header, compute_due_bits(reading.coin, _place(before, needed[0]), placed_begin))


def _place(header: BlockHeader, height: int) -> Placed:
    return Placed(height, header.time_s, header.bits)


def _window_blocks(node: BitcoinNode) -> int:
    return max(1, min(BATCH_BLOCKS_MAX, int(BATCH_BYTES_AIM / max(1024.0, node.block_bytes_usual))))

"""Whole blocks from one node: asked for together, checked, decoded.

A block is complete, proven to be complete enough (`sparing`), or an error.
Asking is `window`, the checks are `consistency` and the verifier; `provider`
puts this behind the port.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from msgspec import Raw

from chains.errors import Inconsistent
from chains.evm.facts import change_facts
from chains.evm.nodes.node import Abilities, EvmNode
from chains.evm.nodes.reading import Reading
from chains.evm.nodes.window import Rows, fetch_rows, readable
from chains.evm.rows.consistency import check_block
from chains.evm.rows.structs import RawBlock, RawReceipts, Verdict, compute_header, encode_word
from chains.evm.value.decode import EvmTransfers, decode_transfers
from chains.evm.value.ledger import open_ledger
from chains.evm.value.sparing import VOUCHED_BLOCKS, EvmSpared
from chains.evm.value.traces import decode_trace
from chains.evm.verify.profiles import Check
from chains.model import Block, BlockHash, Doubt, Sought, VerificationLevel, is_linked
from chains.rpc.throttle import Priority

BATCH_BYTES_AIM = 8 * 1024 * 1024
"""Large enough that a round trip is cheap beside it, small enough to hold a few."""

BATCH_BLOCKS_MAX = 32

TRANSFERS = "transfers"
"""What is in doubt where a block moved something that could not be counted."""

CHANGED_BLOOM = Doubt(Check.LOGS_BLOOM.value, "rule-changed")
"""Receipts that are proven give another bloom than their block's."""


async def fetch_by_hash(
    node: EvmNode,
    priority: Priority,
    reading: Reading,
    hashes: Sequence[BlockHash],
    sought: Sought | None = None,
) -> list[Block]:
    """These blocks, in the order asked; raises `Missing` where one is not held."""
    blocks: list[Block] = []
    while len(blocks) < len(hashes):
        window = hashes[len(blocks) : len(blocks) + _window_blocks(node.abilities)]
        texts = [encode_word(block_hash) for block_hash in window]
        found = await fetch_rows(node, priority, reading, texts, sought)
        for text, rows in zip(texts, found, strict=True):
            blocks.append(_read_block(node, reading, text, rows))
            await asyncio.sleep(0)
    return blocks


async def fetch_by_height(
    node: EvmNode,
    priority: Priority,
    reading: Reading,
    height_first: int,
    height_last: int,
    sought: Sought | None = None,
) -> list[Block]:
    """The node's canonical blocks at these heights, parent-linked.

    Heights name forks, so a reorganisation between two calls mixes them: what
    does not fit is asked for once more, then it is `Inconsistent`.
    """
    blocks = await _fetch_heights(node, priority, reading, height_first, height_last, sought)
    if not is_linked([block.header for block in blocks]):
        blocks = await _fetch_heights(node, priority, reading, height_first, height_last, sought)
    if not is_linked([block.header for block in blocks]):
        raise Inconsistent(f"blocks {height_first} to {height_last} are not of one chain")
    return blocks


async def _fetch_heights(
    node: EvmNode,
    priority: Priority,
    reading: Reading,
    height_first: int,
    height_last: int,
    sought: Sought | None,
) -> list[Block]:
    blocks: list[Block] = []
    height = height_first
    while height <= height_last:
        window = range(height, min(height + _window_blocks(node.abilities), height_last + 1))
        texts = [hex(one) for one in window]
        found = await fetch_rows(node, priority, reading, texts, sought)
        for text, rows in zip(texts, found, strict=True):
            header = compute_header(rows.block)
            if header.height != int(text, 16):
                raise Inconsistent(f"answered height {text} with block {header.height}")
            if _is_mixed(rows):
                blocks += await fetch_by_hash(node, priority, reading, [header.hash])
            else:
                blocks.append(_read_block(node, reading, None, rows))
            await asyncio.sleep(0)
        height = window.stop
    return blocks


async def fetch_checked_rows(
    node: EvmNode, priority: Priority, reading: Reading, block_hash: BlockHash
) -> tuple[RawBlock, RawReceipts]:
    """One block's rows with their JSON, after the checks that every block goes through."""
    text = encode_word(block_hash)
    (rows,) = await fetch_rows(
        node, priority, replace(reading, traits=change_facts(reading.traits, traces=False)), [text]
    )
    _check_rows(reading, text, rows)
    return rows.block, rows.receipts


def _read_block(node: EvmNode, reading: Reading, asked_hash: str | None, rows: Rows) -> Block:
    """Check the rows of one block, then say what moved in it."""
    block, receipts = rows.block, rows.receipts
    if rows.spared is not None:
        return _read_spared(node, reading, block, rows.spared)
    verdict = _check_rows(reading, asked_hash, rows)
    block.raw, block.receipts_raw = Raw(), ()
    trace = None if rows.trace is None else decode_trace(rows.trace, block, receipts)
    inner_moves = () if trace is None else trace.moves
    decoded = decode_transfers(
        reading.assets,
        block,
        receipts,
        inner_moves,
        reading.types,
        was_hashed=verdict.level is VerificationLevel.FULL,
    )
    return Block(
        header=compute_header(block),
        tx_count=len(block.transactions),
        log_count=decoded.log_count,
        unlisted_transfer_count=decoded.unlisted_transfer_count,
        level=verdict.level,
        served_by=node.name,
        transfers=decoded.transfers,
        ledger=open_ledger(reading.completeness, block, receipts, decoded.native_moves, trace),
        doubts=(*verdict.doubts, *(Doubt(TRANSFERS, reason) for reason in decoded.unread)),
        hold=verdict.hold,
        unspares_blocks=VOUCHED_BLOCKS if CHANGED_BLOOM in verdict.doubts else 0,
    )


def _read_spared(node: EvmNode, reading: Reading, block: RawBlock, spared: EvmSpared) -> Block:
    """A block of which the rest is proven not to matter: no transfers, and everything that its transactions say."""
    block.raw = Raw()
    return Block(
        header=compute_header(block),
        tx_count=len(block.transactions),
        log_count=0,
        unlisted_transfer_count=0,
        level=VerificationLevel.FULL,
        served_by=node.name,
        transfers=EvmTransfers(reading.assets, block.transactions, [], []),
        spared=spared,
    )


def _check_rows(reading: Reading, asked_hash: str | None, rows: Rows) -> Verdict:
    block, receipts = rows.block, rows.receipts
    check_block(reading.rules, asked_hash, block, receipts)
    with readable(block):
        verdict = reading.verifier(block, receipts)
    if rows.teaches and reading.sparing is not None:
        reading.sparing.note_verdict(block, verdict)
    return verdict


def _is_mixed(rows: Rows) -> bool:
    """Whether receipts asked for by height belong to another fork's block."""
    return any(receipt.block_hash != rows.block.hash for receipt in rows.receipts[:1])


def _window_blocks(abilities: Abilities) -> int:
    if abilities.receipts.broken_by is not None:
        return 1
    return max(1, min(BATCH_BLOCKS_MAX, int(BATCH_BYTES_AIM / abilities.block_bytes_usual)))

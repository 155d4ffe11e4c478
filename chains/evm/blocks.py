"""Whole blocks from one node: asked for together, checked, decoded.

One batch asks for a window of blocks with their receipts (and traces, where
the chain has a source of them).  A block is complete or an error, never a part
of itself.  The checks are `consistency` and the verifier; `provider` puts this
behind the port.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from msgspec import Raw

from chains.errors import Inconsistent, Missing, Refused
from chains.evm.consistency import ConsistencyRules, check_block, rules_of_profile
from chains.evm.decode import AssetIndex, compute_asset_index, decode_transfers
from chains.evm.ledger import Completeness, compute_completeness, open_ledger
from chains.evm.natives import BELIEVED_TYPES, TypeRules
from chains.evm.node import Abilities, EvmNode, ReceiptsForm
from chains.evm.rows import (
    HASH_TEXT_LENGTH,
    BlockDecoder,
    RawBlock,
    RawReceipts,
    Verdict,
    Verifier,
    compute_header,
    decode_block,
    decode_receipt,
    decode_receipts,
    encode_word,
    is_quantity,
)
from chains.evm.traces import TRACE_METHOD, TRACE_OPTIONS, decode_trace
from chains.evm.verify.profiles import PROFILES
from chains.model import Block, BlockHash, Doubt, VerificationLevel, is_linked
from chains.rpc.jsonrpc import Call, Outcome, expect_result, is_null
from chains.rpc.refusals import UnknownMethod
from chains.rpc.throttle import Lane
from chains.traits import ChainTraits

BATCH_BYTES_AIM = 8 * 1024 * 1024
"""Large enough that a round trip is cheap beside it, small enough to hold a few."""

BATCH_BLOCKS_MAX = 32

TRANSFERS = "transfers"
"""What is in doubt where a block moved something that could not be counted."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How the answers of one chain are read; shared by its providers."""

    traits: ChainTraits
    assets: AssetIndex
    rules: ConsistencyRules
    verifier: Verifier
    completeness: Completeness
    rows: BlockDecoder
    types: TypeRules


@dataclass(frozen=True, slots=True)
class _Rows:
    """The raw answers about one block; `trace` None where none was asked for."""

    block: RawBlock
    receipts: RawReceipts
    trace: Raw | None


def believe_consistent(_block: RawBlock, _receipts: RawReceipts) -> Verdict:
    """The verifier of chains whose hashes and roots nobody recomputes here."""
    return Verdict(VerificationLevel.CONSISTENT)


def compute_reading(traits: ChainTraits, verifier: Verifier = believe_consistent) -> Reading:
    """How a chain's answers are read, from its traits."""
    profile = PROFILES[traits.verification_profile]
    return Reading(
        traits=traits,
        assets=compute_asset_index(traits),
        rules=rules_of_profile(traits.verification_profile),
        verifier=verifier,
        completeness=compute_completeness(traits),
        rows=profile.decoder,
        types=TypeRules(profile.still_types, profile.mints) if profile.is_tried else BELIEVED_TYPES,
    )


async def fetch_by_hash(
    node: EvmNode, lane: Lane, reading: Reading, hashes: Sequence[BlockHash]
) -> list[Block]:
    """These blocks, in the order asked; raises `Missing` where one is not held."""
    blocks: list[Block] = []
    while len(blocks) < len(hashes):
        window = hashes[len(blocks) : len(blocks) + _window_blocks(node.abilities)]
        texts = [encode_word(block_hash) for block_hash in window]
        for text, rows in zip(texts, await _fetch_rows(node, lane, reading, texts), strict=True):
            blocks.append(_read_block(node, reading, text, rows))
            await asyncio.sleep(0)
    return blocks


async def fetch_by_height(
    node: EvmNode, lane: Lane, reading: Reading, height_first: int, height_last: int
) -> list[Block]:
    """The node's canonical blocks at these heights, parent-linked.

    Heights name forks, so a reorganisation between two calls mixes them: what
    does not fit is asked for once more, then it is `Inconsistent`.
    """
    blocks = await _fetch_heights(node, lane, reading, height_first, height_last)
    if not is_linked([block.header for block in blocks]):
        blocks = await _fetch_heights(node, lane, reading, height_first, height_last)
    if not is_linked([block.header for block in blocks]):
        raise Inconsistent(f"blocks {height_first} to {height_last} are not of one chain")
    return blocks


async def _fetch_heights(
    node: EvmNode, lane: Lane, reading: Reading, height_first: int, height_last: int
) -> list[Block]:
    blocks: list[Block] = []
    height = height_first
    while height <= height_last:
        window = range(height, min(height + _window_blocks(node.abilities), height_last + 1))
        texts = [hex(one) for one in window]
        for text, rows in zip(texts, await _fetch_rows(node, lane, reading, texts), strict=True):
            if not is_quantity(rows.block.number, int(text, 16)):
                raise Inconsistent(f"answered height {text} with {rows.block.number[:20]!r}")
            if _is_mixed(rows):
                blocks += await fetch_by_hash(node, lane, reading, [compute_header(rows.block).hash])
            else:
                blocks.append(_read_block(node, reading, None, rows))
            await asyncio.sleep(0)
        height = window.stop
    return blocks


async def _fetch_rows(node: EvmNode, lane: Lane, reading: Reading, references: Sequence[str]) -> list[_Rows]:
    """The raw rows of blocks named by hash or by height, learning the node's ways."""
    rows: list[_Rows] | None = None
    while rows is None:
        try:
            if node.abilities.receipts is ReceiptsForm.BY_TRANSACTION:
                rows = await _fetch_rows_by_transaction(node, lane, reading, references)
            else:
                rows = await _fetch_rows_by_block(node, lane, reading, references)
        except _OtherReceiptsForm as other:
            node.abilities.receipts = other.form
    if not reading.traits.traces or all(one.trace is not None for one in rows):
        return rows
    traces = await _fetch_traces(node, lane, [one.block for one in rows])
    return [_Rows(one.block, one.receipts, trace) for one, trace in zip(rows, traces, strict=True)]


class _OtherReceiptsForm(Exception):
    """The node gives receipts another way."""

    def __init__(self, form: ReceiptsForm) -> None:
        super().__init__(form)
        self.form = form


async def _fetch_rows_by_block(
    node: EvmNode, lane: Lane, reading: Reading, references: Sequence[str]
) -> list[_Rows]:
    """One batch: for each block itself, its receipts and, by hash, its trace."""
    by_hash = len(references[0]) == HASH_TEXT_LENGTH
    form = node.abilities.receipts
    as_object = by_hash and form is ReceiptsForm.BY_OBJECT
    calls: list[Call] = []
    for reference in references:
        receipts_of = {"blockHash": reference} if as_object else reference
        calls += [_block_call(reference), Call("eth_getBlockReceipts", (receipts_of,))]
        if reading.traits.traces and by_hash:
            calls.append(_trace_call(reference))
    outcomes = await node.ask(calls, lane)
    width = len(calls) // len(references)
    rows: list[_Rows] = []
    for position, reference in enumerate(references):
        block, receipts, *trace = outcomes[position * width : (position + 1) * width]
        raw_block = _expect(block, "block", reference)
        _check_receipts_form(receipts, form, by_hash=by_hash)
        raw_receipts = _expect(receipts, "receipts of block", reference)
        raw_trace = _expect(trace[0], "trace of block", reference) if trace else None
        _note_size(node.abilities, raw_block, raw_receipts)
        decoded = decode_block(raw_block, reading.rows)
        decoded.receipts_raw = (raw_receipts,)
        rows.append(_Rows(decoded, decode_receipts(raw_receipts), raw_trace))
    return rows


async def _fetch_rows_by_transaction(
    node: EvmNode, lane: Lane, reading: Reading, references: Sequence[str]
) -> list[_Rows]:
    """For nodes without `eth_getBlockReceipts`: the blocks, then each receipt."""
    outcomes = await node.ask([_block_call(reference) for reference in references], lane)
    blocks = [
        decode_block(_expect(outcome, "block", reference), reading.rows)
        for outcome, reference in zip(outcomes, references, strict=True)
    ]
    hashes = [transaction.hash for block in blocks for transaction in block.transactions]
    calls = [Call("eth_getTransactionReceipt", (text,)) for text in hashes]
    answers = zip(hashes, await node.ask(calls, lane) if calls else (), strict=True)
    raw_receipts = [_expect(answer, "receipt of", text) for text, answer in answers]
    rows: list[_Rows] = []
    for block in blocks:
        count = len(block.transactions)
        block.receipts_raw = tuple(raw_receipts[:count])
        rows.append(_Rows(block, [decode_receipt(raw) for raw in block.receipts_raw], None))
        raw_receipts = raw_receipts[count:]
    return rows


async def _fetch_traces(node: EvmNode, lane: Lane, blocks: Sequence[RawBlock]) -> list[Raw]:
    outcomes = await node.ask([_trace_call(block.hash) for block in blocks], lane)
    return [
        _expect(outcome, "trace of block", block.hash)
        for outcome, block in zip(outcomes, blocks, strict=True)
    ]


def _check_receipts_form(outcome: Outcome, form: ReceiptsForm, *, by_hash: bool) -> None:
    """Turn a refusal of the way receipts were asked for into the next way to ask."""
    if isinstance(outcome, UnknownMethod):
        raise _OtherReceiptsForm(ReceiptsForm.BY_TRANSACTION)
    if type(outcome) is Refused and "-32602" in outcome.detail and by_hash:
        if form is ReceiptsForm.BY_HASH:
            raise _OtherReceiptsForm(ReceiptsForm.BY_OBJECT)
        raise _OtherReceiptsForm(ReceiptsForm.BY_TRANSACTION)


def _read_block(node: EvmNode, reading: Reading, asked_hash: str | None, rows: _Rows) -> Block:
    """Check the rows of one block, then say what moved in it."""
    block, receipts = rows.block, rows.receipts
    check_block(reading.rules, asked_hash, block, receipts)
    try:
        verdict = reading.verifier(block, receipts)
    except (ValueError, KeyError, IndexError, TypeError, msgspec.MsgspecError) as error:
        raise Inconsistent(f"block {block.hash} cannot be verified: {error}") from error
    block.raw, block.receipts_raw = Raw(), ()
    trace = None if rows.trace is None else decode_trace(rows.trace, block, receipts)
    inner_moves = () if trace is None else trace.moves
    decoded = decode_transfers(reading.assets, block, receipts, inner_moves, reading.types)
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
    )


def _is_mixed(rows: _Rows) -> bool:
    """Whether receipts asked for by height belong to another fork's block."""
    return any(receipt.block_hash != rows.block.hash for receipt in rows.receipts[:1])


def _block_call(reference: str) -> Call:
    by_hash = len(reference) == HASH_TEXT_LENGTH
    return Call("eth_getBlockByHash" if by_hash else "eth_getBlockByNumber", (reference, True))


def _trace_call(block_hash: str) -> Call:
    return Call(TRACE_METHOD, (block_hash, TRACE_OPTIONS))


def _expect(outcome: Outcome, what: str, reference: str) -> Raw:
    raw = expect_result(outcome)
    if is_null(raw):
        raise Missing(f"does not hold the {what} {reference}")
    return raw


def _window_blocks(abilities: Abilities) -> int:
    return max(1, min(BATCH_BLOCKS_MAX, int(BATCH_BYTES_AIM / abilities.block_bytes_usual)))


def _note_size(abilities: Abilities, *answers: Raw) -> None:
    # Quick to believe in larger blocks, slow to believe in smaller ones.
    size_bytes = max(1024, sum(memoryview(answer).nbytes for answer in answers))
    weight = 0.5 if size_bytes > abilities.block_bytes_usual else 0.05
    abilities.block_bytes_usual += weight * (size_bytes - abilities.block_bytes_usual)

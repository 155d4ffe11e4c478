"""Whole blocks from one node: asked for together, checked, decoded.

One batch asks for a window of blocks with their receipts (and traces, where
the chain has a source of them).  A block is complete or an error, never a part
of itself.  The checks are `consistency` and the verifier; `provider` puts this
behind the port.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec
from msgspec import Raw

from chains.errors import ChainError, Inconsistent, Missing, Throttled, Unreachable
from chains.evm.consistency import ConsistencyRules, check_block, rules_of_profile
from chains.evm.decode import AssetIndex, compute_asset_index, decode_transfers
from chains.evm.facts import change_facts, facts_of
from chains.evm.ledger import Completeness, compute_completeness, open_ledger
from chains.evm.natives import BELIEVED_TYPES, TypeRules
from chains.evm.node import Abilities, EvmNode
from chains.evm.receipts import (
    ReceiptsForm,
    fetch_one_by_one,
    is_form_refused,
    is_without_receipts,
    read_receipts,
    receipts_call,
)
from chains.evm.rows import (
    HASH_TEXT_LENGTH,
    BlockDecoder,
    RawBlock,
    RawReceipts,
    Verdict,
    Verifier,
    compute_header,
    decode_block,
    encode_word,
)
from chains.evm.traces import TRACE_METHOD, TRACE_OPTIONS, decode_trace
from chains.evm.verify.profiles import PROFILES
from chains.model import Block, BlockHash, Doubt, VerificationLevel, is_linked
from chains.rpc.jsonrpc import Call, Outcome, expect_result, is_null
from chains.rpc.throttle import Lane
from chains.traits import ChainTraits

BATCH_BYTES_AIM = 8 * 1024 * 1024
"""Large enough that a round trip is cheap beside it, small enough to hold a few."""

BATCH_BLOCKS_MAX = 32
EMPTY_LIST = Raw(b"[]")

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


@dataclass(slots=True)
class _Draft:
    """The answers about one block while they are completed; None where something was not asked for yet."""

    block: RawBlock
    receipts: RawReceipts | ChainError | None
    trace: Outcome | None

    def finish(self) -> _Rows:
        """The complete answers."""
        assert isinstance(self.receipts, list), "receipts are complete, or were raised for"
        assert not isinstance(self.trace, ChainError), "a refused trace was raised for"
        return _Rows(self.block, self.receipts, self.trace)


def believe_consistent(_block: RawBlock, _receipts: RawReceipts) -> Verdict:
    """The verifier of chains whose hashes and roots nobody recomputes here."""
    return Verdict(VerificationLevel.CONSISTENT)


def compute_reading(traits: ChainTraits, verifier: Verifier = believe_consistent) -> Reading:
    """How a chain's answers are read, from its traits."""
    profile = PROFILES[facts_of(traits).verification_profile]
    return Reading(
        traits=traits,
        assets=compute_asset_index(traits),
        rules=rules_of_profile(profile.name),
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
            header = compute_header(rows.block)
            if header.height != int(text, 16):
                raise Inconsistent(f"answered height {text} with block {header.height}")
            if _is_mixed(rows):
                blocks += await fetch_by_hash(node, lane, reading, [header.hash])
            else:
                blocks.append(_read_block(node, reading, None, rows))
            await asyncio.sleep(0)
        height = window.stop
    return blocks


async def fetch_checked_rows(
    node: EvmNode, lane: Lane, reading: Reading, block_hash: BlockHash
) -> tuple[RawBlock, RawReceipts]:
    """One block's rows with their JSON, after the checks that every block goes through."""
    text = encode_word(block_hash)
    (rows,) = await _fetch_rows(
        node, lane, replace(reading, traits=change_facts(reading.traits, traces=False)), [text]
    )
    _check_rows(reading, text, rows)
    return rows.block, rows.receipts


async def _fetch_rows(node: EvmNode, lane: Lane, reading: Reading, references: Sequence[str]) -> list[_Rows]:
    """The raw rows of blocks named by hash or by height: one batch, and what it left open."""
    by_hash = len(references[0]) == HASH_TEXT_LENGTH
    form = node.abilities.receipts.choose_form()
    calls: list[Call] = []
    for reference in references:
        calls.append(_block_call(reference))
        if form is not ReceiptsForm.BY_TRANSACTION:
            calls.append(receipts_call(form, reference, by_hash=by_hash))
        if facts_of(reading.traits).traces and by_hash:
            calls.append(_trace_call(reference))
    try:
        outcomes = await node.ask(calls, lane, patient=True)
    except (Unreachable, Throttled) as error:
        if form is not ReceiptsForm.BY_TRANSACTION:
            node.abilities.receipts.note_broken(error)
        raise
    width = len(calls) // len(references)
    drafts: list[_Draft] = []
    for position, reference in enumerate(references):
        raw_block, *others = outcomes[position * width : (position + 1) * width]
        block = decode_block(_expect(raw_block, describe_block(node, reference)), reading.rows)
        receipts: RawReceipts | ChainError | None = None
        if form is not ReceiptsForm.BY_TRANSACTION:
            receipts = read_receipts(others.pop(0), block)
        drafts.append(_Draft(block, receipts, others[0] if others else None))
    await _complete_receipts(
        node, lane, reading, drafts, may_reshape=by_hash and form is ReceiptsForm.BY_HASH
    )
    await _complete_traces(node, lane, reading, drafts)
    rows = [draft.finish() for draft in drafts]
    for one in rows:
        _note_size(node.abilities, one)
    return rows


async def _complete_receipts(
    node: EvmNode, lane: Lane, reading: Reading, drafts: Sequence[_Draft], *, may_reshape: bool
) -> None:
    """Receipts that were refused while their block is there, by another way of the same node."""
    way = node.abilities.receipts
    for draft in drafts:
        if not isinstance(draft.receipts, list) and is_without_receipts(reading.rules, draft.block):
            draft.receipts, draft.block.receipts_raw = [], (EMPTY_LIST,)
    lacking = [draft for draft in drafts if not isinstance(draft.receipts, list)]
    refusals = [draft.receipts for draft in lacking if isinstance(draft.receipts, ChainError)]
    if any(isinstance(draft.receipts, list) and draft.receipts for draft in drafts):
        way.note_given()
    if not lacking:
        return
    if may_reshape and any(is_form_refused(refusal) for refusal in refusals):
        calls = [receipts_call(ReceiptsForm.BY_OBJECT, draft.block.hash, by_hash=True) for draft in lacking]
        for draft, outcome in zip(lacking, await node.ask(calls, lane, patient=True), strict=True):
            draft.receipts = read_receipts(outcome, draft.block)
        if all(isinstance(draft.receipts, list) for draft in lacking):
            way.form = ReceiptsForm.BY_OBJECT
            return
    found = await fetch_one_by_one(node, lane, reading.rules, [draft.block for draft in lacking])
    for draft, receipts in zip(lacking, found, strict=True):
        draft.receipts = receipts
        way.note_block_by_transaction()
    if refusals:
        way.note_refused(refusals[0])
    elif way.broken_by is not None:
        way.note_refused(way.broken_by)
        way.note_block_by_transaction()


async def _complete_traces(node: EvmNode, lane: Lane, reading: Reading, drafts: Sequence[_Draft]) -> None:
    """The traces of blocks in which something ran; nothing moved in the others, whether traced or not."""
    if not facts_of(reading.traits).traces:
        return
    for draft in drafts:
        if not draft.block.transactions and not _is_answered(draft.trace):
            draft.trace = EMPTY_LIST
    untraced = [draft for draft in drafts if draft.trace is None]
    if untraced:
        calls = [_trace_call(draft.block.hash) for draft in untraced]
        for draft, outcome in zip(untraced, await node.ask(calls, lane, patient=True), strict=True):
            draft.trace = outcome
    for draft in drafts:
        assert draft.trace is not None, "every block with transactions was asked for"
        draft.trace = _expect(draft.trace, f"trace of block {draft.block.hash}")


def _is_answered(outcome: Outcome | None) -> bool:
    return isinstance(outcome, Raw) and not is_null(outcome)


def _read_block(node: EvmNode, reading: Reading, asked_hash: str | None, rows: _Rows) -> Block:
    """Check the rows of one block, then say what moved in it."""
    block, receipts = rows.block, rows.receipts
    verdict = _check_rows(reading, asked_hash, rows)
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


def describe_block(node: EvmNode, reference: str) -> str:
    """A block that is not held: at a height below the node's own head that is a hole, not lag."""
    if len(reference) == HASH_TEXT_LENGTH or int(reference, 16) > node.head_height:
        return f"block {reference}"
    return f"block {int(reference, 16)}, though it claims the head {node.head_height}"


def _check_rows(reading: Reading, asked_hash: str | None, rows: _Rows) -> Verdict:
    block, receipts = rows.block, rows.receipts
    check_block(reading.rules, asked_hash, block, receipts)
    try:
        return reading.verifier(block, receipts)
    except (ValueError, KeyError, IndexError, TypeError, msgspec.MsgspecError) as error:
        raise Inconsistent(f"block {block.hash} cannot be verified: {error}") from error


def _is_mixed(rows: _Rows) -> bool:
    """Whether receipts asked for by height belong to another fork's block."""
    return any(receipt.block_hash != rows.block.hash for receipt in rows.receipts[:1])


def _block_call(reference: str) -> Call:
    by_hash = len(reference) == HASH_TEXT_LENGTH
    return Call("eth_getBlockByHash" if by_hash else "eth_getBlockByNumber", (reference, True))


def _trace_call(block_hash: str) -> Call:
    return Call(TRACE_METHOD, (block_hash, TRACE_OPTIONS))


def _expect(outcome: Outcome, what: str) -> Raw:
    raw = expect_result(outcome)
    if is_null(raw):
        raise Missing(f"does not hold the {what}")
    return raw


def _window_blocks(abilities: Abilities) -> int:
    if abilities.receipts.broken_by is not None:
        return 1
    return max(1, min(BATCH_BLOCKS_MAX, int(BATCH_BYTES_AIM / abilities.block_bytes_usual)))


def _note_size(abilities: Abilities, rows: _Rows) -> None:
    # Quick to believe in larger blocks, slow to believe in smaller ones.
    answers = [rows.block.raw, *rows.block.receipts_raw]
    if rows.trace is not None:
        answers.append(rows.trace)
    size_bytes = max(1024, sum(memoryview(answer).nbytes for answer in answers))
    weight = 0.5 if size_bytes > abilities.block_bytes_usual else 0.05
    abilities.block_bytes_usual += weight * (size_bytes - abilities.block_bytes_usual)

"""The raw answers about a window of blocks from one node: asked for together, completed, or proven complete enough.

One batch asks for the blocks with their receipts (and traces, where the chain
has a source of them); where few have lately needed theirs, for the blocks
first.  How receipts can be had is `receipts`, when they cannot matter is
`sparing`; what the rows say, and whether they may be believed, is `blocks`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import msgspec
from msgspec import Raw

from chains.errors import ChainError, Inconsistent, Missing, Throttled, Unreachable
from chains.evm.facts import facts_of
from chains.evm.nodes.node import Abilities, EvmNode
from chains.evm.nodes.reading import Reading
from chains.evm.nodes.receipts import (
    ReceiptsForm,
    fetch_one_by_one,
    is_form_refused,
    is_without_receipts,
    read_receipts,
    receipts_call,
)
from chains.evm.rows.consistency import check_without_receipts
from chains.evm.rows.structs import HASH_TEXT_LENGTH, RawBlock, RawReceipts, decode_block, parse_quantity
from chains.evm.value.sparing import EvmSpared, is_proven, read_spared
from chains.evm.value.traces import TRACE_METHOD, TRACE_OPTIONS
from chains.model import Sought
from chains.rpc.jsonrpc import Call, Reply, expect_result, is_null
from chains.rpc.throttle import Priority

EMPTY_LIST = Raw(b"[]")

SPARED_SHARE_MIN = 0.25
"""Where fewer of a node's blocks go without, receipts are asked for along with their block: a second exchange costs time."""


@dataclass(frozen=True, slots=True)
class Rows:
    """The raw answers about one block; `trace` None where none was asked for.

    Where it is `spared`, there are no receipts.  `teaches`: it was asked for
    where blocks may be spared, and shows whether blooms still hold there.
    """

    block: RawBlock
    receipts: RawReceipts
    trace: Raw | None
    spared: EvmSpared | None = None
    teaches: bool = False


@dataclass(slots=True)
class _Draft:
    """The answers about one block while they are completed; None where something was not asked for yet."""

    block: RawBlock
    receipts: RawReceipts | ChainError | None
    trace: Reply | None
    spared: EvmSpared | None = None

    def finish(self, *, teaches: bool) -> Rows:
        """The complete answers."""
        if self.spared is not None:
            return Rows(self.block, [], None, self.spared)
        assert isinstance(self.receipts, list), "receipts are complete, or were raised for"
        assert not isinstance(self.trace, ChainError), "a refused trace was raised for"
        return Rows(self.block, self.receipts, self.trace, teaches=teaches)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked first about some blocks; `asks_along`: their receipts with them."""

    calls: Sequence[Call]
    form: ReceiptsForm
    asks_along: bool


def plan_rows(node: EvmNode, reading: Reading, references: Sequence[str], sought: Sought | None) -> Plan:
    """One batch for blocks named by hash or by height."""
    by_hash = len(references[0]) == HASH_TEXT_LENGTH
    form = node.abilities.receipts.choose_form()
    asks_along = form is not ReceiptsForm.BY_TRANSACTION and not _spares_many(node, reading, sought)
    calls: list[Call] = []
    for reference in references:
        calls.append(_block_call(reference))
        if asks_along:
            calls.append(receipts_call(form, reference, by_hash=by_hash))
        if facts_of(reading.traits).traces and by_hash:
            calls.append(_trace_call(reference))
    return Plan(calls, form, asks_along)


async def fetch_rows(
    node: EvmNode,
    priority: Priority,
    reading: Reading,
    references: Sequence[str],
    sought: Sought | None = None,
) -> list[Rows]:
    """The raw rows of blocks named by hash or by height: one batch, and what it left open."""
    by_hash = len(references[0]) == HASH_TEXT_LENGTH
    plan = plan_rows(node, reading, references, sought)
    calls, form, asks_along = plan.calls, plan.form, plan.asks_along
    outcomes = node.ahead.take(calls) or await _ask(node, priority, calls, for_receipts=asks_along)
    width = len(calls) // len(references)
    drafts: list[_Draft] = []
    for position, reference in enumerate(references):
        raw_block, *others = outcomes[position * width : (position + 1) * width]
        block = decode_block(_expect(raw_block, describe_block(node, reference)), reading.rows)
        receipts = read_receipts(others.pop(0), block) if asks_along else None
        draft = _Draft(block, receipts, others[0] if others else None)
        if not isinstance(receipts, list):
            # Before anything rests on it, or is asked for by the hash that it shows.
            check_without_receipts(reading.rules, reference if by_hash else None, block)
        if sought is not None:
            draft.spared = _spare(node, reading, draft, sought)
        drafts.append(draft)
    lacking = [draft for draft in drafts if draft.spared is None]
    if not asks_along and form is not ReceiptsForm.BY_TRANSACTION:
        await _ask_receipts(node, priority, reading, form, lacking)
    by_hash = by_hash or not asks_along
    await _complete_receipts(
        node, priority, reading, lacking, may_reshape=by_hash and form is ReceiptsForm.BY_HASH
    )
    await _complete_traces(node, priority, reading, drafts)
    rows = [draft.finish(teaches=sought is not None) for draft in drafts]
    for one in rows:
        if one.spared is None:
            _note_size(node.abilities, one)
    return rows


def _spares_many(node: EvmNode, reading: Reading, sought: Sought | None) -> bool:
    """Whether enough blocks go without receipts for their asking to wait until it is known."""
    return (
        sought is not None
        and reading.sparing is not None
        and reading.sparing.is_vouched
        and node.abilities.spared_share >= SPARED_SHARE_MIN
    )


def _spare(node: EvmNode, reading: Reading, draft: _Draft, sought: Sought) -> EvmSpared | None:
    """What stands in for a block's receipts, where they were not answered along with it and provably cannot matter."""
    block, sparing = draft.block, reading.sparing
    if sparing is None or not block.transactions:
        return None
    spared = read_spared(sparing.rules, block, sought)
    node.abilities.note_spared(is_spared=spared is not None)
    if spared is None or isinstance(draft.receipts, list):
        return None
    if not sparing.may_spare(parse_quantity(block.number)):
        return None
    with readable(block):
        return spared if is_proven(sparing.rules, block) else None


async def _ask_receipts(
    node: EvmNode, priority: Priority, reading: Reading, form: ReceiptsForm, drafts: Sequence[_Draft]
) -> None:
    """All receipts of these blocks, by the hashes that they were shown under."""
    asked = [draft for draft in drafts if not is_without_receipts(reading.rules, draft.block)]
    calls = [receipts_call(form, draft.block.hash, by_hash=True) for draft in asked]
    outcomes = await _ask(node, priority, calls, for_receipts=True) if calls else []
    for draft, outcome in zip(asked, outcomes, strict=True):
        draft.receipts = read_receipts(outcome, draft.block)


async def _ask(
    node: EvmNode, priority: Priority, calls: Sequence[Call], *, for_receipts: bool
) -> list[Reply]:
    """The outcomes; an exchange that broke with whole blocks' receipts in it may have broken for them."""
    try:
        return await node.ask(calls, priority, patient=True)
    except (Unreachable, Throttled) as error:
        if for_receipts:
            node.abilities.receipts.note_broken(error)
        raise


async def _complete_receipts(
    node: EvmNode, priority: Priority, reading: Reading, drafts: Sequence[_Draft], *, may_reshape: bool
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
        for draft, outcome in zip(lacking, await node.ask(calls, priority, patient=True), strict=True):
            draft.receipts = read_receipts(outcome, draft.block)
        if all(isinstance(draft.receipts, list) for draft in lacking):
            way.form = ReceiptsForm.BY_OBJECT
            return
    found = await fetch_one_by_one(node, priority, reading.rules, [draft.block for draft in lacking])
    for draft, receipts in zip(lacking, found, strict=True):
        draft.receipts = receipts
        way.note_block_by_transaction()
    if refusals:
        way.note_refused(refusals[0])
    elif way.broken_by is not None:
        way.note_refused(way.broken_by)
        way.note_block_by_transaction()


async def _complete_traces(
    node: EvmNode, priority: Priority, reading: Reading, drafts: Sequence[_Draft]
) -> None:
    """The traces of blocks in which something ran; nothing moved in the others, whether traced or not."""
    if not facts_of(reading.traits).traces:
        return
    for draft in drafts:
        if not draft.block.transactions and not _is_answered(draft.trace):
            draft.trace = EMPTY_LIST
    untraced = [draft for draft in drafts if draft.trace is None]
    if untraced:
        calls = [_trace_call(draft.block.hash) for draft in untraced]
        for draft, outcome in zip(untraced, await node.ask(calls, priority, patient=True), strict=True):
            draft.trace = outcome
    for draft in drafts:
        assert draft.trace is not None, "every block with transactions was asked for"
        draft.trace = _expect(draft.trace, f"trace of block {draft.block.hash}")


def _is_answered(outcome: Reply | None) -> bool:
    return isinstance(outcome, Raw) and not is_null(outcome)


def describe_block(node: EvmNode, reference: str) -> str:
    """A block that is not held: at a height below the node's own head that is a hole, not lag."""
    if len(reference) == HASH_TEXT_LENGTH or int(reference, 16) > node.head_height:
        return f"block {reference}"
    return f"block {int(reference, 16)}, though it claims the head {node.head_height}"


@contextmanager
def readable(block: RawBlock) -> Iterator[None]:
    """Values that cannot be hashed are their provider's fault."""
    try:
        yield
    except (ValueError, KeyError, IndexError, TypeError, msgspec.MsgspecError) as error:
        raise Inconsistent(f"block {block.hash} cannot be verified: {error}") from error


def _block_call(reference: str) -> Call:
    by_hash = len(reference) == HASH_TEXT_LENGTH
    return Call("eth_getBlockByHash" if by_hash else "eth_getBlockByNumber", (reference, True))


def _trace_call(block_hash: str) -> Call:
    return Call(TRACE_METHOD, (block_hash, TRACE_OPTIONS))


def _expect(outcome: Reply, what: str) -> Raw:
    raw = expect_result(outcome)
    if is_null(raw):
        raise Missing(f"does not hold the {what}")
    return raw


def _note_size(abilities: Abilities, rows: Rows) -> None:
    # Quick to believe in larger blocks, slow to believe in smaller ones.
    answers = [rows.block.raw, *rows.block.receipts_raw]
    if rows.trace is not None:
        answers.append(rows.trace)
    size_bytes = max(1024, sum(memoryview(answer).nbytes for answer in answers))
    weight = 0.5 if size_bytes > abilities.block_bytes_usual else 0.05
    abilities.block_bytes_usual += weight * (size_bytes - abilities.block_bytes_usual)

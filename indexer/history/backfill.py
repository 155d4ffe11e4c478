"""Reading history: addresses and assets whose start was lowered, and rescans.

Chunks go down from what is covered towards what is wanted, and each chunk
lowers the effective starts in the transaction that records what it found, so
Law 2 holds at every moment.  Inside our chain a chunk must show the hashes we
hold; below its start each chunk must link to the lowest block we hold, and
extends the canonical chain downwards, to right above the parent of its lowest
block: what lies between has none.  Deposits that no hash proves need a
second operator; blocks that are in doubt are read again by `step_doubts`, and
`doubts` judges.  Following the head comes first: this has its own loop in
`service` and its own share of a provider's budget.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from chains.errors import ChainError, Inconsistent
from chains.model import Block, is_linked
from chains.port import ChainSource, Provider
from indexer.history.chunk import decide_history, lacks_witness, mark_doubts, sight
from indexer.history.second_reading import Reading, fetch_tellers, fetch_witnesses
from indexer.move.balance_check import HOLD_TRIES, HeldBlocks
from indexer.move.commit import ChainDesk, facts_of, refresh_watched
from indexer.rows.storage import BackfillStore, BackfillTransaction, ChainRecord
from indexer.rules.balances import are_covered
from indexer.rules.deposits import Change
from indexer.rules.doubts import Findings
from indexer.rules.matching import find_hits
from indexer.rules.moves import Repeat
from indexer.rules.plan import Decided

DOUBT_RETRY_S = 30.0
"""How long a block in doubt waits after it was asked about."""


@dataclass(frozen=True, slots=True)
class NothingPending:
    """All history that anybody asked for has been read."""


@dataclass(frozen=True, slots=True)
class Covered:
    """One chunk was read and recorded."""

    height_first: int
    height_last: int
    changes: tuple[Change, ...]
    repeats: tuple[Repeat, ...] = ()
    findings: Findings = field(default_factory=Findings)


BackfillOutcome = NothingPending | Covered


async def step_backfill(
    desk: ChainDesk,
    store: BackfillStore,
    provider: Provider,
    *,
    now: datetime,
    source: ChainSource | None = None,
) -> BackfillOutcome:
    """One chunk of history; raises `ChainError` where the provider's answer cannot be used.

    `source` has the other operators; None where there is only this provider.
    """
    chain = desk.settings.traits.chain
    record = await store.load_chain(chain)
    if record is None or record.is_halted or record.agreed_height < record.start_height:
        # What lies under blocks that operators agree on is agreed on with them; until then it is one voice's.
        return NothingPending()
    wanted = await store.load_backfill_range(chain, tip_height=record.tip.height)
    if wanted is None:
        return NothingPending()
    wanted = (wanted[0], min(wanted[1], record.tip.height))
    if wanted[0] > wanted[1]:
        return NothingPending()
    if wanted[1] < record.start_height - 1:
        # Another process reads history of this chain, and our record is older than the range: look again.
        return NothingPending()
    first, last = choose_chunk(wanted, record.start_height, desk.settings.backfill_blocks_max)
    reading = Reading(provider, (first, last), await provider.fetch_blocks(first, last), source)
    return await _take(desk, store, reading, record, now=now)


async def step_doubts(
    desk: ChainDesk, store: BackfillStore, source: ChainSource, *, now: datetime
) -> BackfillOutcome:
    """Ask everybody about the blocks that are in doubt for longest, and take what a majority tells."""
    record = await store.load_chain(desk.settings.traits.chain)
    if record is None or record.is_halted:
        return NothingPending()
    next_at = now + timedelta(seconds=DOUBT_RETRY_S)
    heights = await store.take_due_doubts(
        record.chain, now=now, next_at=next_at, blocks_max=desk.settings.backfill_blocks_max
    )
    if not heights:
        return NothingPending()
    tellers = await fetch_tellers(source, heights[0], heights[-1])
    found = Covered(heights[0], heights[-1], ())
    for provider, blocks in tellers:
        # Whoever tells what most tell has the rows that count; which one that is shows under the lock.
        witnesses = [(other, told) for other, told in tellers if other is not provider]
        span = (heights[0], heights[-1])
        reading = Reading(provider, span, blocks, source, witnesses, is_again=True, is_heard=True)
        try:
            outcome = await _take(desk, store, reading, record, now=now)
        except ChainError as error:
            source.report_failure(provider, error)
            continue
        if isinstance(outcome, NothingPending):
            break
        found.findings.add(outcome.findings)
        changes, repeats = found.changes + outcome.changes, found.repeats + outcome.repeats
        found = replace(found, changes=changes, repeats=repeats)
        if not found.findings.doubted:
            break
    for provider, _ in tellers:
        if provider.operator in found.findings.liars:
            lie = Inconsistent("tells of deposits otherwise than most operators", provider=provider.name)
            source.report_failure(provider, lie)
    return found


async def _take(
    desk: ChainDesk, store: BackfillStore, reading: Reading, record: ChainRecord, *, now: datetime
) -> BackfillOutcome:
    """Hold what was read against balances, hear a witness where it takes one, and record it."""
    for _ in range(HOLD_TRIES):
        held = await desk.balances.hold(reading.provider, reading.blocks, desk.watched)
        if reading.source is not None and lacks_witness(
            reading, held.blocks, trusted_height=record.trusted_height
        ):
            reading = replace(
                reading, witnesses=await fetch_witnesses(reading.source, reading), is_heard=True
            )
        outcome = await _record(desk, store, reading, held, now=now)
        if outcome is not None:
            return outcome
    return NothingPending()


async def _record(
    desk: ChainDesk, store: BackfillStore, reading: Reading, held: HeldBlocks, *, now: datetime
) -> BackfillOutcome | None:
    """Write one chunk; None where the watch list grew by an address for which nobody was asked yet."""
    blocks, chain = held.blocks, desk.settings.traits.chain
    searched_version = desk.watched.version
    hits = find_hits(blocks, desk.watched)
    async with store.open_backfill(chain, lease_epoch=desk.lease_epoch) as move:
        record = move.record
        if record.is_halted:  # since it was asked for: nothing is credited until an operator decides
            return NothingPending()
        first, last = await _anchor(move, reading, desk.settings.traits.skipped_heights_max)
        if await refresh_watched(desk, move, searched_version):
            hits = find_hits(blocks, desk.watched)
        if held.recipients is not None and not are_covered(held.recipients, hits):
            return None
        if lacks_witness(reading, blocks, trusted_height=record.trusted_height):
            return None
        if not reading.is_again:
            await move.cover(first, last, at=now)
            await move.fill_spared(blocks)
        seen = await sight(desk, move, reading, blocks, hits)
        history = await decide_history(move, reading, blocks, seen, now=now)
        await mark_doubts(move, reading, blocks, history, now=now)
        repeats = await _write(desk, move, record, blocks, history.decided, now=now)
    return Covered(first, last, history.decided.changes, tuple(repeats), history.findings)


def choose_chunk(wanted: tuple[int, int], start_height: int, blocks_max: int) -> tuple[int, int]:
    """The highest part of `wanted` that one step reads; never across our chain's start.

    Both are (first, last) heights, ends included.
    """
    first, last = wanted
    assert first <= last
    low = max(first, last - blocks_max + 1)
    if last >= start_height:
        return max(low, start_height), last
    assert last == start_height - 1, "what is wanted below our chain begins right under it"
    return low, last


async def _anchor(move: BackfillTransaction, reading: Reading, skipped_heights_max: int) -> tuple[int, int]:
    """Which heights are covered by a reading: all it was asked for, and below our start down to its lowest parent.

    Raises `Inconsistent` unless its blocks are all those we hold there, or
    hang by their hashes on the lowest one we hold.
    """
    name, (first, last) = reading.provider.name, reading.heights
    headers, start_height = [block.header for block in reading.blocks], move.record.start_height
    if not is_linked(headers, skipped_heights_max=skipped_heights_max):
        raise Inconsistent("blocks by number do not link", provider=name)
    if last >= start_height:
        ours = await move.load_hashes(range(first, last + 1))
        if ours != {header.height: header.hash for header in headers}:
            raise Inconsistent("history differs from our canonical blocks", provider=name)
        return first, last
    if last != start_height - 1:
        raise Inconsistent("our chain grew downwards meanwhile", provider=name)
    if not headers or (last, await move.load_parent_hash(start_height)) != (
        headers[-1].height,
        headers[-1].hash,
    ):
        raise Inconsistent("history does not link to our lowest block", provider=name)
    if headers[0].parent.height >= first:
        raise Inconsistent("history leaves out a block that its lowest one stands on", provider=name)
    return headers[0].parent.height + 1, last


async def _write(
    desk: ChainDesk,
    move: BackfillTransaction,
    record: ChainRecord,
    blocks: Sequence[Block],
    decided: Decided,
    *,
    now: datetime,
) -> list[Repeat]:
    if blocks and blocks[0].header.height < record.start_height:
        await move.insert_blocks(blocks, at=now, watch_version=desk.watched.version)
        await move.write_chain(replace(record, start_height=blocks[0].header.parent.height + 1))
    if rows := decided.rows():
        await move.write_deposits(rows)
    unknown = await move.insert_repeats(decided.repeats, at=now) if decided.repeats else []
    facts = await facts_of(desk, move, decided.changes, tip_height=record.tip.height)
    if facts:
        await move.publish(facts)
    return unknown

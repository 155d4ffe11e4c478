"""Reading history: addresses and assets whose start was lowered, and rescans.

Chunks go down from what is covered towards what is wanted, and each chunk
lowers the effective starts in the transaction that records what it found, so
Law 2 holds at every moment.  Inside our chain a chunk must show the hashes we
hold; below its start each chunk must link to the lowest block we hold, and
extends the canonical chain downwards.  Following the head comes first: this
has its own loop in `service` and its own share of a provider's budget.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from chains.errors import Inconsistent, Refused
from chains.model import Block, is_linked
from chains.port import Provider
from indexer.balance_check import HOLD_TRIES, HeldBlocks
from indexer.balances import are_covered
from indexer.commit import (
    ChainDesk,
    facts_of,
    known_registrations,
    refresh_watched,
    view_of,
)
from indexer.deposits import Change
from indexer.identity import DepositId
from indexer.matching import Hit, find_hits, group_by_address, match_hits, parties, possible_ids
from indexer.moves import Repeat, decide_move, find_lifted, find_repeats
from indexer.plan import Decided
from indexer.storage import BackfillStore, BackfillTransaction, ChainRecord, TouchQuery
from indexer.witness import is_held

NO_HEIGHT = -1
"""A height below every block: nothing matures at it."""


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


BackfillOutcome = NothingPending | Covered


async def step_backfill(
    desk: ChainDesk, store: BackfillStore, provider: Provider, *, now: datetime
) -> BackfillOutcome:
    """One chunk of history; raises `ChainError` where the provider's answer cannot be used."""
    chain = desk.settings.traits.chain
    record = await store.load_chain(chain)
    if record is None or record.is_halted or record.agreed_height < record.start_height:
        # What lies under blocks that operators agree on is agreed on with them; until then it is one voice's.
        return NothingPending()
    wanted = await store.load_backfill_range(chain)
    if wanted is None:
        return NothingPending()
    wanted = (wanted[0], min(wanted[1], record.tip.height))
    if wanted[0] > wanted[1]:
        return NothingPending()
    if wanted[1] < record.start_height - 1:
        # Another process reads history of this chain, and our record is older than the range: look again.
        return NothingPending()
    first, last = choose_chunk(wanted, record.start_height, desk.settings.backfill_blocks_max)
    blocks = await provider.fetch_blocks(first, last)
    for _ in range(HOLD_TRIES):
        held = await desk.balances.hold(provider, blocks, desk.watched)
        outcome = await _record(desk, store, provider, held, now=now)
        if outcome is not None:
            return outcome
    return NothingPending()


async def _record(
    desk: ChainDesk, store: BackfillStore, provider: Provider, held: HeldBlocks, *, now: datetime
) -> BackfillOutcome | None:
    """Write one chunk; None where the watch list grew by an address whose balance was not asked."""
    blocks, chain = held.blocks, desk.settings.traits.chain
    first, last = blocks[0].header.height, blocks[-1].header.height
    searched_version = desk.watched.version
    hits = find_hits(blocks, desk.watched)
    async with store.open_backfill(chain, lease_epoch=desk.lease_epoch) as move:
        record = move.record
        if record.is_halted:  # since it was asked for: nothing is credited until an operator decides
            return NothingPending()
        await _assert_anchored(move, blocks, provider)
        if await refresh_watched(desk, move, searched_version):
            hits = find_hits(blocks, desk.watched)
        if held.recipients is not None and not are_covered(held.recipients, hits):
            return None
        _refuse_doubtful(record, blocks, hits)
        await move.cover(first, last, at=now)
        decided = Decided()
        if hits:
            # History is read from one provider, however many are configured.
            rules = desk.rules(await move.load_listed_assets(), doubted_above=record.trusted_height)
            registrations = group_by_address(await move.load_registrations(parties(hits)))
            touched = await move.load_touched(_only(possible_ids(hits, registrations, rules)))
            sightings = match_hits(hits, registrations, known_registrations(touched), rules)
            changes = decide_move(touched, sightings, (), view_of(record), now=now, backfilled=True)
            decided = Decided(
                tuple(changes),
                tuple(find_repeats(touched, sightings)),
                tuple(find_lifted((), touched, sightings, changes)),
            )
        repeats = await _write(desk, move, record, blocks, decided, now=now)
    return Covered(first, last, decided.changes, tuple(repeats))


def _refuse_doubtful(record: ChainRecord, blocks: Sequence[Block], hits: Sequence[Hit]) -> None:
    """Raise `Refused` where deposits would rest on rules we do not know: history waits for our operator's word."""
    paid = {hit.header.height for hit in hits}
    for block in blocks:
        height = block.header.height
        if (
            height in paid
            and is_held(block, is_paid=True, are_several=False)
            and height > record.trusted_height
        ):
            reasons = ", ".join(f"{doubt.check} {doubt.reason}" for doubt in block.doubts)
            raise Refused(f"block {height} cannot be checked ({reasons}): see `chainbell chain trust`")


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


async def _assert_anchored(move: BackfillTransaction, blocks: Sequence[Block], provider: Provider) -> None:
    """Every block is the one we hold, or hangs by its hash on the lowest one we hold."""
    headers = [block.header for block in blocks]
    if not is_linked(headers):
        raise Inconsistent("blocks by number do not link", provider=provider.name)
    last = headers[-1]
    if last.height < move.record.start_height:
        if last.height != move.record.start_height - 1:
            raise Inconsistent("our chain grew downwards meanwhile", provider=provider.name)
        if await move.load_parent_hash(move.record.start_height) != last.hash:
            raise Inconsistent("history does not link to our lowest block", provider=provider.name)
        return
    ours = await move.load_hashes({header.height for header in headers})
    if any(ours.get(header.height) != header.hash for header in headers):
        raise Inconsistent("history differs from our canonical blocks", provider=provider.name)


def _only(ids: set[DepositId]) -> TouchQuery:
    return TouchQuery(
        ids=ids,
        displaced_above=None,
        tip_height=NO_HEIGHT,
        final_height=None,
        safe_height=None,
        agreed_height=NO_HEIGHT,
        heights_fell=False,
    )


async def _write(
    desk: ChainDesk,
    move: BackfillTransaction,
    record: ChainRecord,
    blocks: Sequence[Block],
    decided: Decided,
    *,
    now: datetime,
) -> list[Repeat]:
    lowest = blocks[0].header
    if lowest.height < record.start_height:
        await move.insert_blocks(blocks, at=now)
        await move.write_chain(replace(record, start_height=lowest.height))
    if rows := decided.rows():
        await move.write_deposits(rows)
    unknown = await move.insert_repeats(decided.repeats, at=now) if decided.repeats else []
    facts = await facts_of(desk, move, decided.changes, tip_height=record.tip.height)
    if facts:
        await move.publish(facts)
    return unknown

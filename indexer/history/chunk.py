"""What a chunk of history means for deposits, under the chain's lock: the rows that count, and those in doubt.

It reads and decides; the transaction is `backfill`'s, who is believed is
`doubts`, the life of a deposit is `moves`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from chains.model import Block, Hold, VerificationLevel
from indexer.history.second_reading import Reading
from indexer.move.commit import ChainDesk, known_registrations
from indexer.move.judging import deposits_in, load_view
from indexer.move.payers import load_payers
from indexer.rows.storage import BackfillTransaction, TouchQuery
from indexer.rules.deposits import Deposit, Sighting
from indexer.rules.doubts import (
    Findings,
    Testimony,
    Verdict,
    changes_nothing,
    find_displaced,
    find_doubtful,
    may_be_recorded,
    stories_of,
    stories_recorded,
    weigh_testimony,
)
from indexer.rules.identity import DepositId
from indexer.rules.matching import Hit, find_hits, group_by_address, match_hits, parties, possible_ids
from indexer.rules.moves import NOTHING_TOUCHED, Touched, decide_move, find_lifted, find_repeats
from indexer.rules.plan import Decided
from indexer.rules.witness import is_held

NO_HEIGHT = -1
"""A height below every block: nothing matures at it."""


@dataclass(frozen=True, slots=True)
class Seen:
    """The deposits in a chunk as each operator tells them, and what is recorded of them."""

    sightings: Sequence[Sighting]
    by_operator: Mapping[str, Sequence[Sighting]]
    touched: Touched


@dataclass(frozen=True, slots=True)
class History:
    """What is to be written of one chunk; `marks` are the blocks in doubt before, `told_anew` lose their old rows."""

    decided: Decided
    marks: Mapping[int, str]
    told_anew: frozenset[int]
    findings: Findings


def lacks_witness(reading: Reading, blocks: Sequence[Block], *, trusted_height: int) -> bool:
    """Whether no hash proves what some block shows and leaves out, and others have not been asked."""
    if reading.is_heard or not reading.are_several:
        return False
    return any(is_held(one, are_several=True) and one.header.height > trusted_height for one in blocks)


async def sight(
    desk: ChainDesk, move: BackfillTransaction, reading: Reading, blocks: Sequence[Block], hits: Sequence[Hit]
) -> Seen:
    """Match everybody's rows alike; a witness that tells of other blocks tells nothing of these."""
    headers = [block.header for block in blocks]
    hits_of = {reading.provider.operator: hits} | {
        other.operator: find_hits(told, desk.watched)
        for other, told in reading.witnesses
        if other.operator != reading.provider.operator and [block.header for block in told] == headers
    }
    hits_of = {one: await load_payers(move, of_one, desk.read_spent) for one, of_one in hits_of.items()}
    everything = [hit for of_one in hits_of.values() for hit in of_one]
    if not everything:
        return Seen((), dict.fromkeys(hits_of, ()), NOTHING_TOUCHED)
    # With several operators what no hash proves is in doubt until two tell it, however large.
    doubted_above = None if reading.are_several else move.record.trusted_height
    payable, starts = await move.load_payable(parties(everything))
    rules, registrations = desk.rules(starts, doubted_above=doubted_above), group_by_address(payable)
    touched = await move.load_touched(_only(possible_ids(everything, registrations, rules)))
    known = known_registrations(touched)
    told = {one: match_hits(of_one, registrations, known, rules) for one, of_one in hits_of.items()}
    return Seen(told[reading.provider.operator], told, touched)


async def decide_history(
    move: BackfillTransaction, reading: Reading, blocks: Sequence[Block], seen: Seen, *, now: datetime
) -> History:
    """Judge the blocks in doubt, and find what becomes of every deposit."""
    marks = await move.doubts.load([block.header.height for block in blocks])
    known = seen.touched.by_id
    doubtful = set(marks) if reading.is_again else _find_doubtful(move, reading, blocks, seen) | marks.keys()
    standing: Sequence[Deposit] = ()
    if doubtful:
        standing = await move.load_standing(blocks[0].header.height, blocks[-1].header.height)
    verdict = weigh_testimony(doubtful, _testify(reading, blocks, seen, marks, standing))
    alone = _find_told_alone(reading, marks, verdict)
    told_anew = frozenset((verdict.believed & marks.keys()) | alone)
    taken = [
        one
        for one in seen.sightings
        if ((height := one.header.height) not in doubtful and not reading.is_again)
        or height in verdict.believed | alone
        or (height in verdict.doubted and not reading.is_again and may_be_recorded(one, known))
    ]
    ids = {one.deposit_id for one in taken}
    touched = Touched(
        by_id={one: deposit for one, deposit in known.items() if one in ids},
        displaced=find_displaced(standing, told_anew),
        maturing=[one for one in standing if one.occurrence and one.occurrence.height in verdict.upheld],
        off_chain=(),
    )
    view = await load_view(move, move.record, deposits_in(touched), [one.header.height for one in taken])
    settled = verdict.believed | verdict.upheld
    view = replace(view, doubted_heights=(view.doubted_heights - settled) | verdict.doubted)
    changes = decide_move(touched, taken, (), view, now=now, backfilled=True)
    replaced = {height for height in told_anew if _is_replaced(height, standing, seen)}
    findings = Findings(verdict.doubted, settled, verdict.differing, replaced, verdict.liars)
    decided = Decided(
        tuple(changes),
        tuple(find_repeats(touched, taken)),
        tuple(find_lifted((), touched, taken, changes)),
    )
    return History(decided, marks, told_anew, findings)


async def mark_doubts(
    move: BackfillTransaction, reading: Reading, blocks: Sequence[Block], history: History, *, now: datetime
) -> None:
    """Write which blocks are in doubt from now on, and who told what is recorded of the others."""
    doubted, marks = history.findings.doubted, history.marks
    gone = (history.findings.settled | history.told_anew) & marks.keys()
    if gone:
        await move.doubts.delete(gone)
    if doubted - (marks.keys() - gone):
        served_by = dict.fromkeys(sorted(doubted - (marks.keys() - gone)), reading.provider.name)
        await move.doubts.insert(served_by, due_at=now)
    if history.told_anew:
        await move.doubts.change_servers(
            [block for block in blocks if block.header.height in history.told_anew]
        )


def _find_doubtful(
    move: BackfillTransaction, reading: Reading, blocks: Sequence[Block], seen: Seen
) -> set[int]:
    """Blocks in which somebody shows a deposit that no hash proves and that is not recorded just so."""
    news = {
        one.header.height
        for told in seen.by_operator.values()
        for one in told
        if not changes_nothing(one, seen.touched.by_id)
    }
    trusted_height = move.record.trusted_height
    return find_doubtful(blocks, news, trusted_height=trusted_height, are_several=reading.are_several)


def _testify(
    reading: Reading,
    blocks: Sequence[Block],
    seen: Seen,
    marks: Mapping[int, str],
    standing: Sequence[Deposit],
) -> Testimony:
    return Testimony(
        reader=reading.provider.operator,
        told={operator: stories_of(told) for operator, told in seen.by_operator.items()},
        recorder={height: reading.operator_of(host) or host for height, host in marks.items()},
        recorded=stories_recorded(standing),
        proven={
            block.header.height
            for block in blocks
            if block.level is VerificationLevel.FULL and block.hold is not Hold.CHAIN
        },
    )


def _find_told_alone(reading: Reading, marks: Mapping[int, str], verdict: Verdict) -> set[int]:
    """Where whoever told what is recorded was taken out of the configuration, the one who is left tells it anew.

    What it tells is in doubt as well: it is credited on our operator's word.
    """
    if reading.are_several or reading.is_again or reading.source is None:
        return set()
    return {height for height in verdict.doubted & marks.keys() if reading.operator_of(marks[height]) is None}


def _is_replaced(height: int, standing: Sequence[Deposit], seen: Seen) -> bool:
    return stories_recorded(standing).get(height) != stories_of(seen.sightings).get(height)


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

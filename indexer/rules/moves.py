"""One move of the canonical chain, and its net change for every deposit it touches.

Pure.  A move leaves some blocks and applies others; a transaction found again
in another block of the same move is not orphaned in between, and one that two
canonical blocks hold counts once.  The acting side is `follow` (and
`backfill`), which loads what `Touched` names and writes what `decide_move`
returns in one database transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from chains.model import Address, Block, BlockHash, TxHash, VerificationLevel
from indexer.rules.deposits import (
    ON_CHAIN,
    Change,
    Deposit,
    DepositState,
    Occurrence,
    Sighting,
    decide_found,
    decide_lost,
    decide_matured,
    occurrence_of,
    rests_on_one_word,
    senders_of,
)
from indexer.rules.identity import DepositId
from indexer.rules.policy import ChainView


@dataclass(frozen=True, slots=True)
class Repeat:
    """A canonical block that holds a deposit's transaction beside the one where the deposit stands.

    `level` is how far that block was verified, where it was looked up.
    """

    deposit_id: DepositId
    occurrence: Occurrence
    senders: tuple[Address, ...]
    amount_base_units: int
    level: VerificationLevel = VerificationLevel.CONSISTENT
    memo: bytes | None = None


@dataclass(frozen=True, slots=True)
class Rival:
    """A canonical transaction that used up what a deposit's own would have used, and the height of its block."""

    tx_hash: TxHash
    height: int


@dataclass(frozen=True, slots=True)
class Touched:
    """The recorded deposits a move may change.

    `by_id`: those whose identity is sighted in the applied blocks.
    `displaced`: those that stand in blocks which leave.  `maturing`: those
    whose policy or finality may be decided anew by the heights.
    `off_chain`: those that wait and whose key an applied block used up, and
    those that were replaced by what leaves.
    A deposit may appear in several.  `repeats`: where else displaced ones
    stand, in blocks that stay.
    """

    by_id: Mapping[DepositId, Deposit]
    displaced: Sequence[Deposit]
    maturing: Sequence[Deposit]
    off_chain: Sequence[Deposit]
    repeats: Sequence[Repeat] = ()


NOTHING_TOUCHED = Touched({}, (), (), ())
_MATURING = ON_CHAIN - {DepositState.FINAL}


def decide_move(
    touched: Touched,
    sightings: Sequence[Sighting],
    blocks: Sequence[Block],
    view: ChainView,
    *,
    now: datetime,
    backfilled: bool = False,
) -> list[Change]:
    """Every change of one move, in the order in which it is told.

    Losses come first, then what stands in the applied blocks in chain order,
    then what only matured, so that a merchant's sum never counts a
    replacement beside what it replaced.
    """
    sightings = choose_places(touched, sightings)
    sighted = {sighting.deposit_id for sighting in sightings}
    known = _unique(touched)
    gone = {d.id for d in touched.displaced} - sighted
    losses: list[Change] = []
    for deposit in sorted(known.values(), key=_place):
        if deposit.id in sighted or (deposit.id not in gone and deposit.state in ON_CHAIN):
            continue
        rival = find_replacement(deposit, blocks)
        losses += decide_lost(
            deposit,
            replaced_by=None if rival is None else rival.tx_hash,
            replaced_height=None if rival is None else rival.height,
            now=now,
        )
    found: list[Change] = []
    for sighting in sightings:
        found += decide_found(known.get(sighting.deposit_id), sighting, view, now=now, backfilled=backfilled)
    matured: list[Change] = []
    for deposit in sorted(known.values(), key=_place):
        if deposit.id in sighted or deposit.id in gone or deposit.state not in _MATURING:
            continue
        matured += decide_matured(deposit, view, now=now)
    return losses + found + matured


def choose_places(touched: Touched, sightings: Sequence[Sighting]) -> list[Sighting]:
    """Of each deposit at most one sighting, in chain order: the one where it stands from now on.

    That is the lowest block that holds it, so that a rewind which takes its
    place takes every repeat of it too.  What is final, and does not leave,
    stays where it is.
    """
    standing = _standing(touched)
    lowest: dict[DepositId, Sighting] = {}
    for sighting in sightings:
        known = lowest.get(sighting.deposit_id)
        if known is None or sighting.header.height < known.header.height:
            lowest[sighting.deposit_id] = sighting
    return [
        sighting
        for sighting in lowest.values()
        if (stays := standing.get(sighting.deposit_id)) is None
        or (stays.state is not DepositState.FINAL and sighting.header.height <= _height(stays))
    ]


def find_repeats(touched: Touched, sightings: Sequence[Sighting]) -> list[Repeat]:
    """Every place of a deposit in the applied blocks, and the one it gives up, where it does not stand now."""
    standing = _standing(touched)
    places = {one.id: _block_hash(one) for one in standing.values()}
    places |= {one.deposit_id: one.header.hash for one in choose_places(touched, sightings)}
    given_up = [one for one in standing.values() if places[one.id] != _block_hash(one)]
    return [
        Repeat(one.id, one.occurrence, one.senders, one.amount_base_units, memo=one.memo)
        for one in given_up
        if one.occurrence is not None
    ] + [
        Repeat(
            one.deposit_id,
            occurrence_of(one),
            senders_of(one.transfer),
            one.transfer.amount_base_units,
            memo=one.transfer.memo,
        )
        for one in sightings
        if one.header.hash != places[one.deposit_id]
    ]


def _standing(touched: Touched) -> dict[DepositId, Deposit]:
    """The known deposits that stand in blocks which stay."""
    gone = {deposit.id for deposit in touched.displaced}
    known = _unique(touched)
    return {one.id: one for one in known.values() if one.state in ON_CHAIN and one.id not in gone}


def _height(deposit: Deposit) -> int:
    assert deposit.occurrence is not None
    return deposit.occurrence.height


def _block_hash(deposit: Deposit) -> BlockHash:
    assert deposit.occurrence is not None
    return deposit.occurrence.block_hash


def find_replacement(deposit: Deposit, blocks: Iterable[Block]) -> Rival | None:
    """The transaction in `blocks` that used up what the deposit's own would have used."""
    for block in blocks:
        for key in deposit.conflict_keys:
            spender = block.transfers.spent_by(key)
            if spender is not None and spender != deposit.tx_hash:
                return Rival(spender, block.header.height)
    return None


def find_rivals_moved(
    touched: Touched, blocks: Sequence[Block], *, fork_height: int | None, changes: Iterable[Change]
) -> list[Deposit]:
    """Replaced deposits of which a rival stands elsewhere now, or nowhere: no version, no event.

    They stay replaced as long as nothing else is known of them; where no rival
    is left, what they would use up is there again.
    """
    changed = {change.deposit.id for change in changes}
    moved: list[Deposit] = []
    for deposit in touched.off_chain:
        if deposit.state is not DepositState.REPLACED or deposit.id in changed:
            continue
        rival, height = find_replacement(deposit, blocks), deposit.replaced_height
        if height is not None and fork_height is not None and height > fork_height:
            height = None
        if rival is not None:
            height = rival.height
        if height != deposit.replaced_height:
            moved.append(replace(deposit, replaced_height=height))
    return moved


def lift(touched: Touched, vouched: Iterable[Deposit]) -> Touched:
    """What is touched, after another operator showed these deposits: they mature like all others."""
    lifted = [replace(one, on_one_word=False) for one in vouched if one.on_one_word]
    return replace(touched, maturing=[*touched.maturing, *lifted]) if lifted else touched


def find_lifted(
    vouched: Iterable[Deposit], touched: Touched, sightings: Sequence[Sighting], changes: Iterable[Change]
) -> list[Deposit]:
    """Rows of which nothing changed but that they rest on more than one word now: no version, no event.

    `vouched` are recorded deposits that another operator showed.
    """
    changed = {change.deposit.id for change in changes}
    known = _unique(touched)
    covered = [
        before
        for sighting in choose_places(touched, sightings)
        if (before := known.get(sighting.deposit_id)) is not None and not rests_on_one_word(before, sighting)
    ]
    return [
        replace(one, on_one_word=False)
        for one in (*vouched, *covered)
        if one.on_one_word and one.id not in changed
    ]


def last_versions(changes: Iterable[Change]) -> list[Deposit]:
    """The rows to record: of each deposit the last version only."""
    rows = {change.deposit.id: change.deposit for change in changes}
    return [rows[deposit_id] for deposit_id in sorted(rows)]


def _unique(touched: Touched) -> dict[DepositId, Deposit]:
    known: dict[DepositId, Deposit] = {}
    for group in (touched.off_chain, touched.maturing, touched.displaced, touched.by_id.values()):
        for deposit in group:
            known[deposit.id] = deposit
    return known


def _place(deposit: Deposit) -> tuple[int, str, bytes]:
    at = deposit.occurrence
    if at is None:
        return (-1, "", deposit.id.bytes)
    return (at.height, at.position, deposit.id.bytes)

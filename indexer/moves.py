"""One move of the canonical chain, and its net change for every deposit it touches.

Pure.  A move leaves some blocks and applies others; a transaction found again
in another block of the same move is not orphaned in between.  The acting side
is `follow` (and `backfill`), which loads what `Touched` names and writes what
`decide_move` returns in one database transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from chains.model import Block, TxHash
from indexer.deposits import ON_CHAIN, Change, Deposit, Sighting, decide_found, decide_lost, decide_matured
from indexer.identity import DepositId
from indexer.policy import ChainView


@dataclass(frozen=True, slots=True)
class Touched:
    """The recorded deposits a move may change.

    `by_id`: those whose identity is sighted in the applied blocks.
    `displaced`: those that stand in blocks which leave.  `maturing`: those
    whose policy or finality may be decided anew by the heights.
    `off_chain`: orphaned ones, which a canonical transaction may replace.
    A deposit may appear in several.
    """

    by_id: Mapping[DepositId, Deposit]
    displaced: Sequence[Deposit]
    maturing: Sequence[Deposit]
    off_chain: Sequence[Deposit]


NOTHING_TOUCHED = Touched({}, (), (), ())


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
    sighted = {sighting.deposit_id for sighting in sightings}
    known = _unique(touched)
    gone = {d.id for d in touched.displaced} - sighted
    losses: list[Change] = []
    for deposit in sorted(known.values(), key=_place):
        if deposit.id in sighted or (deposit.id not in gone and deposit.state in ON_CHAIN):
            continue
        losses += decide_lost(deposit, replaced_by=find_replacement(deposit, blocks), now=now)
    found: list[Change] = []
    for sighting in sightings:
        found += decide_found(known.get(sighting.deposit_id), sighting, view, now=now, backfilled=backfilled)
    matured: list[Change] = []
    for deposit in sorted(known.values(), key=_place):
        if deposit.id in sighted or deposit.id in gone or deposit.state not in ON_CHAIN:
            continue
        matured += decide_matured(deposit, view, now=now)
    return losses + found + matured


def find_replacement(deposit: Deposit, blocks: Iterable[Block]) -> TxHash | None:
    """The transaction in `blocks` that used up what the deposit's own would have used."""
    for block in blocks:
        for key in deposit.conflict_keys:
            spender = block.transfers.spent_by(key)
            if spender is not None and spender != deposit.tx_hash:
                return spender
    return None


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


def _place(deposit: Deposit) -> tuple[int, int, int, bytes]:
    at = deposit.occurrence
    if at is None:
        return (-1, 0, 0, deposit.id.bytes)
    return (at.height, at.tx_index, -1 if at.log_index is None else at.log_index, deposit.id.bytes)

"""One look at a mempool as one database transaction: what waits is told as seen, what is gone as dropped.

Fenced like a move (the lease's epoch, the chain's lock), and worth nothing once our tip is another than when the
mempool was read: what a block has used up meanwhile must not be told as waiting.  No look credits anything, and none
touches what a block holds.  What is told is decided in `unconfirmed`; reading is `follow.mempools.look`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from chains.mempool import FeeRung, WaitingTx
from chains.model import BlockHash, BlockRef, Header, TxHash
from indexer.move.commit import ChainDesk, facts_of, refresh_watched
from indexer.move.payers import load_payers
from indexer.rows.storage import MoveTransaction
from indexer.rules.deposits import Change, Deposit, DepositState, Sighting
from indexer.rules.identity import DepositId
from indexer.rules.matching import Hit, group_by_address, match_hits, parties, possible_ids
from indexer.rules.moves import last_versions
from indexer.rules.plan import Superseded
from indexer.rules.unconfirmed import Wait, compute_standing, decide_dropped, decide_seen, stand_among
from indexer.rules.watchset import WatchSet

NO_BLOCK = BlockHash(b"")


@dataclass(frozen=True, slots=True)
class Told:
    """A look was written; `later` are transactions that pay somebody who is watched and whose deposit they are not yet."""

    changes: Sequence[Change] = ()
    later: Collection[TxHash] = ()


@dataclass(frozen=True, slots=True)
class MempoolLook:
    """What a look found, while our tip was `tip`.

    `txs` were read; `waits` are transactions that do not wait any more, or
    whose time is up; `seen` those of deposits told as seen, whose outlook is
    said anew by `rungs`.  Unless `may_begin` no deposit is begun: as many wait
    as are kept.
    """

    tip: BlockRef
    txs: Sequence[WaitingTx] = ()
    waits: Mapping[TxHash, Wait] = field(default_factory=dict)
    seen: Sequence[TxHash] = ()
    rungs: Sequence[FeeRung] = ()
    may_begin: bool = True


def find_waiting_hits(look: MempoolLook, watched: WatchSet) -> list[Hit]:
    """Every transfer of the look to an address that may be watched, as if the next block held it."""
    header = Header(look.tip.height + 1, NO_BLOCK, look.tip, 0)
    transfers = [transfer for tx in look.txs for transfer in tx.transfers]
    indexes = watched.hits([transfer.recipient for transfer in transfers])
    return [Hit(header, transfers[index]) for index in indexes]


async def commit_look(desk: ChainDesk, look: MempoolLook, *, now: datetime) -> Told | Superseded:
    """Write what a look means; raises `LeaseLost` and `DatabaseAway` from the store."""
    async with desk.store.open_move(desk.settings.traits.chain, lease_epoch=desk.lease_epoch) as move:
        if move.record.tip != look.tip or move.record.is_halted:
            return Superseded()
        await refresh_watched(desk, move, desk.watched.version)
        hits = find_waiting_hits(look, desk.watched)
        hashes = {hit.transfer.tx_hash for hit in hits} | look.waits.keys() | set(look.seen)
        known = {one.id: one for one in await move.load_of_txs(hashes)}
        sightings, possible = await _match(desk, move, hits, known)
        changes = _decide(look, sightings, known, now)
        changed = {change.deposit.id for change in changes}
        restood = [one for one in _stand_anew(look, known) if one.id not in changed]
        if rows := [*last_versions(changes), *restood]:
            await move.write_deposits(rows)
        facts = await facts_of(desk, move, changes, tip_height=look.tip.height)
        if facts:
            await move.publish(facts)
    judged = known.keys() | changed
    if look.may_begin:
        judged |= {one.deposit_id for one in sightings}
    return Told(changes, {tx_hash for deposit_id, tx_hash in possible.items() if deposit_id not in judged})


async def complete_watched(desk: ChainDesk) -> None:
    """Bring the watch set up to date without a move: blocks may be minutes apart, and payers quick."""
    async with desk.store.open_move(desk.settings.traits.chain, lease_epoch=desk.lease_epoch) as move:
        await refresh_watched(desk, move, desk.watched.version)


async def _match(
    desk: ChainDesk, move: MoveTransaction, hits: Sequence[Hit], known: Mapping[DepositId, Deposit]
) -> tuple[list[Sighting], Mapping[DepositId, TxHash]]:
    """The deposits that these transfers are, each once; and all that they are or may become, by whom they pay."""
    if not hits:
        return [], {}
    hits = await load_payers(move, hits, desk.read_spent)
    payable, starts = await move.load_payable(parties(hits))
    existing = {one.id: one.address_id for one in known.values()}
    rules, registrations = desk.rules(starts), group_by_address(payable)
    sightings = match_hits(hits, registrations, existing, rules)
    # Who was deleted lately counts again where blocks leave.
    lowest = move.record.tip.height - desk.settings.traits.reorg_window_blocks
    lasting = group_by_address(
        [one for one in payable if one.watching_until is None or one.watching_until >= lowest]
    )
    possible = {
        deposit_id: hit.transfer.tx_hash for hit in hits for deposit_id in possible_ids([hit], lasting, rules)
    }
    return list({one.deposit_id: one for one in reversed(sightings)}.values())[::-1], possible


def _decide(
    look: MempoolLook, sightings: Sequence[Sighting], known: Mapping[DepositId, Deposit], now: datetime
) -> list[Change]:
    """Losses first, so that a merchant's sum never counts a replacement beside what it replaced."""
    txs = {tx.tx_hash: tx for tx in look.txs}
    changes: list[Change] = []
    for deposit in sorted(known.values(), key=lambda one: one.id):
        if (wait := look.waits.get(deposit.tx_hash)) is not None:
            changes += decide_dropped(deposit, replace(wait, spent_by=_spent_by(deposit)), now=now)
    for sighting in sightings:
        before = known.get(sighting.deposit_id)
        if before is None and not look.may_begin:
            continue
        changes += decide_seen(
            before,
            sighting,
            spent_by=None if before is None else _spent_by(before),
            now=now,
            fees=compute_standing(txs[sighting.transfer.tx_hash], look.rungs),
        )
    return changes


def _spent_by(deposit: Deposit) -> TxHash | None:
    """The canonical transaction that took its place, while its block is ours."""
    return None if deposit.replaced_height is None else deposit.replaced_by


def _stand_anew(look: MempoolLook, known: Mapping[DepositId, Deposit]) -> list[Deposit]:
    """Deposits that are expected sooner or later than they were: no version and no event, as with confirmations."""
    anew = [
        replace(one, fees=stand_among(one.fees, look.rungs))
        for one in known.values()
        if one.state is DepositState.SEEN and one.fees is not None and one.tx_hash in set(look.seen)
    ]
    return [
        one for one in anew if one.fees is not None and one.fees.expected_blocks != _expected(known[one.id])
    ]


def _expected(deposit: Deposit) -> int | None:
    return None if deposit.fees is None else deposit.fees.expected_blocks

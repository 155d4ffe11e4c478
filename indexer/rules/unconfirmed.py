"""Deposits that no block holds yet: when one is told as seen, and when it is dropped.  Never a credit.

Pure.  A mempool is one node's opinion, so it decides between `seen` and
`dropped` only; whatever a canonical block says, of the transaction itself or of
a rival that used up the same, goes before it.  What becomes of a deposit in a
block is `deposits`; reading a mempool is `chains.mempool`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from chains.mempool import FeeRung, WaitingTx
from chains.model import TxHash
from indexer.rules.deposits import (
    ON_CHAIN,
    Change,
    Deposit,
    DepositState,
    FeeStanding,
    Sighting,
    begin_deposit,
    change_state,
    is_worth_telling,
)

EVICTED_AFTER = timedelta(minutes=20)
"""How long a transaction may be missing without a rival: nodes restart, and payers send it again."""

UNDECIDED = frozenset({DepositState.SEEN, DepositState.ORPHANED, DepositState.REPLACED})
"""States that a transaction's absence can end; one whose block left is waited for like one that never had any."""


@dataclass(frozen=True, slots=True)
class Wait:
    """What is known of a transaction that no canonical block holds.

    `waits`: the mempool held it at the last look that succeeded.  `rival`: a
    transaction that waits in its stead and would use up the same.  `spent_by`:
    the canonical transaction that did.  `missing_since`: the first look of
    those in a row that did not show it; None where the last one did, or none
    succeeded.  `put_away`: a node said that it took it out, beside not showing it.
    """

    waits: bool
    missing_since: datetime | None = None
    rival: TxHash | None = None
    spent_by: TxHash | None = None
    put_away: bool = False


def decide_seen(
    before: Deposit | None,
    sighting: Sighting,
    *,
    spent_by: TxHash | None,
    now: datetime,
    fees: FeeStanding | None = None,
) -> list[Change]:
    """What becomes of a deposit whose transaction waits in a mempool.

    The header of `sighting` is the lowest that may still hold it, for where
    addresses and assets start; it is no place.  With `spent_by`, the canonical
    transaction that used up what this one would, it can not be mined: a mempool
    that shows it is behind.  A deposit that a block holds stays as it is.  One
    below the minimum is recorded when a block holds it: what costs its payer
    nothing must not fill our tables.
    """
    if spent_by is not None:
        return [] if before is None else _replaced(before, spent_by, now)
    if before is None:
        if not is_worth_telling(sighting):
            return []
        begun = begin_deposit(sighting, now=now, backfilled=False)
        return [change_state(None, replace(begun, fees=fees), DepositState.SEEN, now)]
    if before.state in ON_CHAIN or before.state is DepositState.SEEN:
        return []
    return [change_state(before, replace(before, replaced_by=None, fees=fees), DepositState.SEEN, now)]


def decide_dropped(before: Deposit, wait: Wait, *, now: datetime) -> list[Change]:
    """What becomes of a deposit that no block holds, from what is known of its transaction.

    A canonical rival replaces it.  Else it is dropped, at once where a rival
    waits in its stead or a node said that it put it away, and after
    `EVICTED_AFTER` where it is only gone: a node that does not answer, or has
    just started, is no reason.
    """
    if before.state in ON_CHAIN:
        return []
    if wait.spent_by is not None:
        return _replaced(before, wait.spent_by, now)
    if wait.waits or wait.missing_since is None or before.state not in UNDECIDED:
        return []
    is_explained = wait.rival is not None or wait.put_away
    if not is_explained and now - wait.missing_since < EVICTED_AFTER:
        return []
    return [change_state(before, replace(before, replaced_by=None), DepositState.DROPPED, now)]


def _replaced(before: Deposit, spent_by: TxHash, now: datetime) -> list[Change]:
    if before.state in ON_CHAIN or before.state is DepositState.REPLACED:
        return []
    replaced = replace(before, replaced_by=spent_by)
    return [change_state(before, replaced, DepositState.REPLACED, now)]


AMOUNT_BASE_UNITS_END = 10**78
KEY_BYTES_MAX = 255
N_MAX = 2**31 - 1


def is_readable(tx: WaitingTx) -> bool:
    """Whether a transaction as a node tells it can be judged and recorded; no node is trusted to make sense."""
    places = {(one.kind, one.asset, one.recipient, one.n) for one in tx.transfers}
    return len(places) == len(tx.transfers) and all(
        one.tx_hash == tx.tx_hash
        and 0 < one.amount_base_units < AMOUNT_BASE_UNITS_END
        and 0 <= one.n <= N_MAX
        and all(0 < len(part) <= KEY_BYTES_MAX for part in (*one.conflict_keys, *one.senders))
        for one in tx.transfers
    )


FEE_RATE_MAX = 2**62
"""What anybody may offer or want, and a database can hold."""

RUNGS_MAX = 64
RUNG_BLOCKS_MAX = 100_000


def accept_rungs(rungs: Sequence[FeeRung]) -> tuple[FeeRung, ...]:
    """A node's rungs as far as they are some: more blocks and no higher rates from one to the next."""
    kept: list[FeeRung] = []
    for one in rungs[:RUNGS_MAX]:
        is_next = not kept or (
            one.blocks > kept[-1].blocks and one.fee_rate_per_kvb <= kept[-1].fee_rate_per_kvb
        )
        if is_next and 0 < one.blocks <= RUNG_BLOCKS_MAX and 0 <= one.fee_rate_per_kvb <= FEE_RATE_MAX:
            kept.append(one)
    return tuple(kept)


def compute_standing(tx: WaitingTx, rungs: Sequence[FeeRung]) -> FeeStanding:
    """What a waiting transaction offers, beside what the next blocks want."""
    offered = None if tx.fee_rate_per_kvb is None else min(max(tx.fee_rate_per_kvb, 0), FEE_RATE_MAX)
    return stand_among(FeeStanding(offered, tx.has_unconfirmed_parents), rungs)


def stand_among(fees: FeeStanding, rungs: Sequence[FeeRung]) -> FeeStanding:
    """The same offer beside what the next blocks want now; unchanged where that is not known."""
    if not rungs:
        return fees
    offered = fees.fee_rate_per_kvb
    reached = (one.blocks for one in rungs if offered is not None and offered >= one.fee_rate_per_kvb)
    return replace(
        fees,
        fee_rate_wanted_per_kvb=min(rungs[0].fee_rate_per_kvb, FEE_RATE_MAX),
        expected_blocks=min(reached, default=None),
    )


def is_dear(rungs: Sequence[FeeRung], *, factor: float, was_congested: bool) -> bool | None:
    """Whether the next block wants so many times what is enough in the long run; None where that is not known.

    What has begun lasts until half of that, so that it is not told again and
    again.
    """
    if not rungs:
        return None
    wanted, enough = rungs[0].fee_rate_per_kvb, max(rungs[-1].fee_rate_per_kvb, 1)
    return wanted > enough * (factor / 2 if was_congested else factor)

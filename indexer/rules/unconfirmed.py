"""Deposits that no block holds yet: when one is told as seen, and when it is dropped.  Never a credit.

Pure.  A mempool is one node's opinion, so it decides between `seen` and
`dropped` only; whatever a canonical block says, of the transaction itself or of
a rival that used up the same, goes before it.  What becomes of a deposit in a
block is `deposits`; reading a mempool is `chains.mempool`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from chains.model import TxHash
from indexer.rules.deposits import (
    ON_CHAIN,
    Change,
    Deposit,
    DepositState,
    Sighting,
    begin_deposit,
    change_state,
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
    succeeded.
    """

    waits: bool
    missing_since: datetime | None = None
    rival: TxHash | None = None
    spent_by: TxHash | None = None


def decide_seen(
    before: Deposit | None, sighting: Sighting, *, spent_by: TxHash | None, now: datetime
) -> list[Change]:
    """What becomes of a deposit whose transaction waits in a mempool.

    The header of `sighting` is the lowest that may still hold it, for where
    addresses and assets start; it is no place.  With `spent_by`, the canonical
    transaction that used up what this one would, it can not be mined: a mempool
    that shows it is behind.  A deposit that a block holds stays as it is.
    """
    if spent_by is not None:
        return [] if before is None else _replaced(before, spent_by, now)
    if before is None:
        return [
            change_state(None, begin_deposit(sighting, now=now, backfilled=False), DepositState.SEEN, now)
        ]
    if before.state in ON_CHAIN or before.state is DepositState.SEEN:
        return []
    return [change_state(before, replace(before, replaced_by=None), DepositState.SEEN, now)]


def decide_dropped(before: Deposit, wait: Wait, *, now: datetime) -> list[Change]:
    """What becomes of a deposit that no block holds, from what is known of its transaction.

    A canonical rival replaces it.  Else it is dropped, at once where a rival
    waits in its stead and after `EVICTED_AFTER` where it is only gone: a node
    that does not answer, or has just started, is no reason.
    """
    if before.state in ON_CHAIN:
        return []
    if wait.spent_by is not None:
        return _replaced(before, wait.spent_by, now)
    if wait.waits or wait.missing_since is None or before.state not in UNDECIDED:
        return []
    if wait.rival is None and now - wait.missing_since < EVICTED_AFTER:
        return []
    return [change_state(before, replace(before, replaced_by=None), DepositState.DROPPED, now)]


def _replaced(before: Deposit, spent_by: TxHash, now: datetime) -> list[Change]:
    if before.state in ON_CHAIN or before.state is DepositState.REPLACED:
        return []
    return [change_state(before, replace(before, replaced_by=spent_by), DepositState.REPLACED, now)]

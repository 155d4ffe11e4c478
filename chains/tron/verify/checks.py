"""Which checks there are, and how they stand: stable words for `/v1/chains`.  Pure data.

What a header does not commit to is said here as well: the logs of contracts,
and what contracts sent on.  Running the checks is `block`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from chains.family import Verification
from chains.model import Doubt
from chains.port import CheckState


class Check(StrEnum):
    """One thing that is recomputed from a block, or that nothing commits to."""

    BLOCK_ID = "block-id"
    TRANSACTION_IDS = "transaction-ids"
    TRANSACTIONS_ROOT = "transactions-root"
    WITNESS_SIGNATURE = "witness-signature"
    WITNESS_SCHEDULE = "witness-schedule"
    LOGS = "logs"
    INTERNAL_TRANSFERS = "internal-transfers"


ENFORCED: Final = "enforced"
ABSENT: Final = "absent"

WITNESSED: Final = "witnessed"
AGREEMENT: Final = "agreement"

_BY_HEADER: Final = frozenset(
    {
        Check.BLOCK_ID,
        Check.TRANSACTION_IDS,
        Check.TRANSACTIONS_ROOT,
        Check.WITNESS_SIGNATURE,
        Check.WITNESS_SCHEDULE,
    }
)
_ALWAYS: Final = frozenset({Check.BLOCK_ID, Check.TRANSACTION_IDS})
"""Without these nothing says which block it is."""

UNCOMMITTED_LOGS: Final = Doubt(Check.LOGS.value, "not-in-header")
UNSHOWN_TRANSFERS: Final = Doubt(Check.INTERNAL_TRANSFERS.value, "not-shown")
UNWRITABLE_RESULT: Final = Doubt(Check.TRANSACTIONS_ROOT.value, "unknown-field")
OLDER_SCHEDULE: Final = Doubt(Check.WITNESS_SCHEDULE.value, "older-period")
UNTOLD_SCHEDULE: Final = Doubt(Check.WITNESS_SCHEDULE.value, "not-told")


def describe(profile: str, *, shows_internal_since: int | None = None) -> tuple[CheckState, ...]:
    """Every check of a profile, with what was learnt of its nodes."""
    enforced = _BY_HEADER if profile == WITNESSED else _ALWAYS
    states = [
        CheckState(check.value, ENFORCED if check in enforced else ABSENT, None)
        for check in Check
        if check is not Check.INTERNAL_TRANSFERS
    ]
    shown = "shown" if shows_internal_since is not None else "not-shown"
    return (*states, CheckState(Check.INTERNAL_TRANSFERS.value, shown, shows_internal_since))


def describe_profile(profile: str) -> Verification:
    """The checks before anything was learnt; blocks without contract calls can be proven."""
    return Verification(profile, describe(profile), may_prove=profile == WITNESSED)

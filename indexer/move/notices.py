"""What merchants are told about a chain itself: stalled, congested, disputed, finality late.

`decide_conditions` is pure; `commit_conditions` writes what changed and tells
it in one transaction.  Halts are told by `halts`, since they change what is
followed.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from chains.mempool import FeeRung
from indexer.move.commit import ChainDesk
from indexer.rows.storage import ChainRecord
from indexer.rules.events import chain_fact
from indexer.rules.unconfirmed import is_dear
from indexer.settings import FollowSettings

STALLED = "stalled"
CONGESTED = "congested"
FINALITY_DELAYED = "finality_delayed"
DISPUTED = "disputed"

INTERVALS_MIN = 20
"""Fewer observed block intervals say nothing about congestion."""


@dataclass(frozen=True, slots=True)
class Pulse:
    """What is measured of a chain: seconds since it moved, since finality moved, and its recent pace.

    `intervals_s` are the block-time differences of recent blocks, newest
    last; `final_quiet_s` is None where finality is counted by depth.  `fee_rungs`
    are what the next blocks want, where a mempool tells; `has_mempool` says
    whether one should.
    """

    quiet_s: float
    final_quiet_s: float | None
    intervals_s: tuple[float, ...]
    fee_rungs: Sequence[FeeRung] = ()
    has_mempool: bool = False


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing to tell: its event, and the condition that ended where it is `recovered`."""

    event: str
    condition: str


def decide_conditions(record: ChainRecord, pulse: Pulse, settings: FollowSettings) -> frozenset[str]:
    """The conditions in force now; one that too little is known about stays as it was."""
    conditions: set[str] = set()
    if pulse.quiet_s > settings.stalled_after_s:
        conditions.add(STALLED)
    if pulse.final_quiet_s is not None and pulse.final_quiet_s > settings.finality_delayed_after_s:
        conditions.add(FINALITY_DELAYED)
    if record.disputed_fork_height is not None:
        conditions.add(DISPUTED)
    was_congested = CONGESTED in record.conditions
    signs = (_is_slow(pulse, settings), _is_dear(pulse, settings, was_congested=was_congested))
    if any(signs) or (was_congested and None in signs):
        conditions.add(CONGESTED)
    return frozenset(conditions)


def _is_slow(pulse: Pulse, settings: FollowSettings) -> bool | None:
    """Whether blocks come far apart; None where too few have been seen."""
    recent = pulse.intervals_s[-INTERVALS_MIN:]
    if len(recent) < INTERVALS_MIN:
        return None
    return sum(recent) / len(recent) > settings.congested_factor * settings.traits.block_time_s


def _is_dear(pulse: Pulse, settings: FollowSettings, *, was_congested: bool) -> bool | None:
    """Whether the next block wants many times what is enough later; None where a mempool should tell, and does not."""
    if not pulse.has_mempool:
        return False
    return is_dear(pulse.fee_rungs, factor=settings.congested_factor, was_congested=was_congested)


def list_notices(before: Collection[str], after: Collection[str]) -> list[Notice]:
    """What changed between two sets of conditions, beginnings first."""
    begun = [Notice(condition, condition) for condition in sorted(set(after) - set(before))]
    ended = [Notice("recovered", condition) for condition in sorted(set(before) - set(after))]
    return begun + ended


async def commit_conditions(
    desk: ChainDesk,
    record: ChainRecord,
    conditions: frozenset[str],
    detail: dict[str, object],
    *,
    now: datetime,
) -> list[Notice]:
    """Write the conditions in force and tell every watching merchant what changed."""
    if conditions == record.conditions:
        return []
    async with desk.store.open_move(record.chain, lease_epoch=desk.lease_epoch) as move:
        notices = list_notices(move.record.conditions, conditions)
        version = move.record.notice_version
        await move.write_chain(
            replace(move.record, conditions=conditions, notice_version=version + len(notices))
        )
        merchants = await move.load_watching_merchants()
        facts = [
            chain_fact(
                merchant,
                desk.naming,
                version=version + 1 + offset,
                notice=notice.event,
                detail={"condition": notice.condition, "tip_height": move.record.tip.height, **detail},
                at=now,
            )
            for offset, notice in enumerate(notices)
            for merchant in merchants
        ]
        if facts:
            await move.publish(facts)
    return notices

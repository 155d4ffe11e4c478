"""What retention may do to the oldest day of the log, and whom it must warn first.

Lives here, pure: the arithmetic of days, and the fate of one day given who still needs it. A day goes when it is older
than `retention_days` and nobody needs it; with `retention_max_days`, also from under endpoints that were warned a week
before. Does not live here: reading and writing any of it (`prune`), taking a partition out (`0002_relay.sql`).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from uuid import UUID

WARNED_BEFORE = timedelta(days=7)
"""How long before its first loss an endpoint is warned, and how often again."""


class Fate(StrEnum):
    """What may become of the oldest day now."""

    YOUNG = "young"  # retention keeps it anyway
    FREE = "free"  # nobody needs it
    HELD = "held"  # somebody needs it
    LOST = "lost"  # somebody needs it, and has for too long


@dataclass(frozen=True, slots=True)
class Need:
    """The oldest event an endpoint has still to be given; `kind` is cursor, delivery or replay, `enabled` the merchant."""

    endpoint_id: UUID
    merchant_id: UUID
    kind: str
    sequence: int
    day: date
    state: str
    state_since: datetime
    warned_since: datetime | None
    enabled: bool


def first_day_kept(now: datetime, kept_days: int) -> date:
    """The first day that holds something younger than `kept_days`."""
    return (now.astimezone(UTC) - timedelta(days=kept_days)).date()


def decide_fate(
    day: date,
    needs: Collection[Need],
    *,
    retention_days: int | None,
    retention_max_days: int | None,
    now: datetime,
) -> Fate:
    """The fate of `day`, given the needs of all endpoints; None for days keeps for ever."""
    if retention_days is None or day >= first_day_kept(now, retention_days):
        return Fate.YOUNG
    needing = [need for need in needs if need.day <= day]
    if not needing:
        return Fate.FREE
    if retention_max_days is None or day >= first_day_kept(now, retention_max_days):
        return Fate.HELD
    warned = all(
        need.warned_since is not None and need.warned_since <= now - WARNED_BEFORE for need in needing
    )
    return Fate.LOST if warned else Fate.HELD


def first_day_unwarned(now: datetime, *, retention_days: int, retention_max_days: int | None) -> date:
    """Who needs something before this day is warned: of its loss a week ahead, or that it holds up retention."""
    if retention_max_days is None:
        return first_day_kept(now, retention_days)
    return first_day_kept(now + WARNED_BEFORE, retention_max_days)


def lost_at(need: Need, *, retention_max_days: int | None) -> datetime | None:
    """When the need's first day may be dropped although it is needed; None: never, it is held for as long as it takes.

    For an endpoint that was not warned yet, at the earliest.
    """
    if retention_max_days is None:
        return None
    over = datetime.combine(need.day, time(), UTC) + timedelta(days=1 + retention_max_days)
    return over if need.warned_since is None else max(over, need.warned_since + WARNED_BEFORE)

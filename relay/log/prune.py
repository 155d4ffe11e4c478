"""Forgetting what retention allows: old attempts, and whole days of the log, of which the hashes stay.

Lives here: one bounded step, and nothing that a kill -9 between two of its transactions leaves half done. A day goes in
four: its leaves are written, then it is taken out of the log (with what becomes of endpoints that needed it), then its
table is dropped. Does not live here: whether a day may go (`retention`), how long things are kept (`settings`).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from uuid import UUID

import structlog

from migrations.handles import Connection
from migrations.ids import encode_id
from migrations.queries import load_queries
from relay.alerting import OnAlert, no_alert
from relay.log import eventlog as log
from relay.log.bodies import endpoint_fact, format_time
from relay.log.losses import Loss, lose_day
from relay.log.retention import WARNED_BEFORE, Fate, Need, decide_fate, first_day_unwarned, lost_at
from relay.settings import RelaySettings

QUERIES = load_queries("relay", "prune.sql")

ATTEMPTS_BATCH = 2_000
LEAVES_BATCH = 5_000
LONG_READ_S = 10.0
NOBODY = UUID(int=0)

_log = structlog.get_logger()


class Pruned(StrEnum):
    """What one step came to."""

    MORE = "more"  # something was forgotten; there may be more
    DONE = "done"  # nothing is left to forget
    BUSY = "busy"  # somebody is in the way; soon again


@dataclass(frozen=True, slots=True)
class LogDay:
    """One day's partition. Not `attached`: it was taken out of the log and is about to be dropped. Not `told`: empty."""

    day: date
    size_bytes: int
    attached: bool
    told: bool


@dataclass(frozen=True, slots=True)
class LongReader:
    """Somebody whose open transaction keeps days from being taken out."""

    pid: int
    application_name: str
    state: str | None
    since: datetime


class _NotNow(Exception):
    """Undo this transaction: the day can not go now."""


async def step_prune(
    conn: Connection, settings: RelaySettings, *, now: datetime, on_alert: OnAlert = no_alert
) -> Pruned:
    """Forget one batch of attempts or one day; `on_alert` hears what an endpoint loses, or is about to."""
    deleted: int = await conn.fetchval(
        QUERIES.delete_old_attempts, now - timedelta(days=settings.attempts_kept_days), ATTEMPTS_BATCH
    )
    if deleted == ATTEMPTS_BATCH or await conn.fetchval(QUERIES.drop_retired_partition):
        return Pruned.MORE
    if settings.retention_days is None:
        return Pruned.DONE
    needs = await load_needs(conn)
    await _warn(conn, needs, settings, settings.retention_days, now, on_alert)
    day: date | None = await conn.fetchval(QUERIES.load_oldest_day)
    if day is None:
        return Pruned.DONE
    match _fate(day, needs, settings, now):
        case Fate.YOUNG | Fate.HELD:
            return Pruned.DONE
        case Fate.FREE | Fate.LOST:
            await _keep_leaves(conn, day)
            return await _retire(conn, day, settings, now, on_alert)


async def load_needs(conn: Connection) -> list[Need]:
    """What every endpoint has still to be given, oldest day first."""
    return [Need(*row) for row in await conn.fetch(QUERIES.load_needs)]


async def load_log_days(conn: Connection) -> list[LogDay]:
    """The days there are partitions of, oldest first."""
    return [LogDay(*row) for row in await conn.fetch(QUERIES.load_partitions)]


async def load_long_readers(conn: Connection) -> list[LongReader]:
    """Whose transactions have the log open for longer than any step of ours."""
    return [LongReader(*row) for row in await conn.fetch(QUERIES.load_long_readers, LONG_READ_S)]


def _fate(day: date, needs: Sequence[Need], settings: RelaySettings, now: datetime) -> Fate:
    return decide_fate(
        day,
        needs,
        retention_days=settings.retention_days,
        retention_max_days=settings.retention_max_days,
        now=now,
    )


async def _keep_leaves(conn: Connection, day: date) -> None:
    """Write the leaves of a day. It is past: nothing is added to it, and writing them again changes nothing."""
    place = (NOBODY, 0)
    while row := await conn.fetchrow(QUERIES.keep_event_leaves, day, *place, LEAVES_BATCH):
        place = (row["merchant_id"], row["sequence"])


async def _retire(
    conn: Connection, day: date, settings: RelaySettings, now: datetime, on_alert: OnAlert
) -> Pruned:
    """Take a day out of the log together with what becomes of those who needed it, or change nothing."""
    losses: list[Loss] = []
    with suppress(_NotNow):
        async with conn.transaction():
            if not await conn.fetchval(QUERIES.take_retention):
                raise _NotNow
            await conn.execute(QUERIES.limit_waits)
            # Nobody begins to need it from here on, so what is decided now stays true.
            if _fate(day, await load_needs(conn), settings, now) not in {Fate.FREE, Fate.LOST}:
                raise _NotNow
            losses = await lose_day(conn, day, now=now)
            outcome: str = await conn.fetchval(QUERIES.retire_events_partition, day)
            if outcome != "retired":
                _log.info("events-day-not-retired", day=day.isoformat(), reason=outcome)
                raise _NotNow
        for loss in losses:
            detail = {
                "endpoint_id": encode_id("end", loss.endpoint_id),
                "first_sequence": loss.first_sequence,
                "last_sequence": loss.last_sequence,
                "reason": loss.reason,
            }
            on_alert("events-lost", detail)
        _log.info("events-day-retired", day=day.isoformat())
        return Pruned.MORE
    return Pruned.BUSY


async def _warn(
    conn: Connection,
    needs: Sequence[Need],
    settings: RelaySettings,
    retention_days: int,
    now: datetime,
    on_alert: OnAlert,
) -> None:
    before = first_day_unwarned(
        now, retention_days=retention_days, retention_max_days=settings.retention_max_days
    )
    oldest: dict[UUID, Need] = {}
    for need in needs:
        if need.day < before:
            oldest.setdefault(need.endpoint_id, need)
    async with conn.transaction():
        await conn.execute(QUERIES.clear_warnings, list(oldest))
        rows = await conn.fetch(QUERIES.mark_warned_endpoints, list(oldest), now, now - WARNED_BEFORE)
        facts, alerts = [], []
        for row in rows:
            need = oldest[row["endpoint_id"]]
            warned = replace(need, warned_since=row["warned_since"])
            lost = lost_at(warned, retention_max_days=settings.retention_max_days)
            retention = {
                "oldest_sequence": need.sequence,
                "lost_at": None if lost is None else format_time(lost),
            }
            alerts.append({"endpoint_id": encode_id("end", need.endpoint_id), **retention})
            facts.append(
                endpoint_fact(
                    row["merchant_id"],
                    row["endpoint_id"],
                    version=row["version"],
                    event_type="endpoint.retention_warning",
                    state=row["state"],
                    reason=_warning(lost),
                    at=now,
                    more={"retention": retention},
                )
            )
        await log.append(conn, facts, now=now)
    for detail in alerts:
        on_alert("retention-warning", detail)


def _warning(lost: datetime | None) -> str:
    if lost is None:
        return "events older than the retention have not been delivered; they are kept until they are"
    return f"events have not been delivered; from {lost.date()} on they are dropped, day by day"

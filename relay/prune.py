"""Forgetting what retention allows: old attempts, and whole months of the log, of which the hashes stay.

Lives here: one bounded step. A month that some endpoint has still to be given is kept, however old; its merchant is
told once a week (`endpoint.retention_warning`). Does not live here: how long things are kept (`settings`).
"""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog

from migrations.handles import Connection
from migrations.queries import load_queries
from relay import log
from relay.bodies import endpoint_fact
from relay.settings import RelaySettings

QUERIES = load_queries("relay", "prune.sql")

ATTEMPTS_BATCH = 2_000
WARN_EVERY = timedelta(days=7)

_log = structlog.get_logger()


async def step_prune(conn: Connection, settings: RelaySettings, *, now: datetime) -> bool:
    """Forget one batch; True if there may be more."""
    kept_since = now - timedelta(days=settings.attempts_kept_days)
    deleted: int = await conn.fetchval(QUERIES.delete_old_attempts, kept_since, ATTEMPTS_BATCH)
    if deleted == ATTEMPTS_BATCH:
        return True
    if settings.events_kept_days is None:
        return False
    before = now - timedelta(days=settings.events_kept_days)
    async with conn.transaction():
        dropped: str | None = await conn.fetchval(QUERIES.retire_events_partition, before)
        if dropped is None:
            await _warn(conn, before, now)
            return False
    _log.info("events-partition-dropped", partition=dropped)
    return True


async def _warn(conn: Connection, before: datetime, now: datetime) -> None:
    rows = await conn.fetch(QUERIES.mark_warned_endpoints, before, now, now - WARN_EVERY)
    facts = [
        endpoint_fact(
            row["merchant_id"],
            row["endpoint_id"],
            version=row["version"],
            event_type="endpoint.retention_warning",
            state=row["state"],
            reason="events older than the retention have not been delivered; they are kept until they are",
            at=now,
        )
        for row in rows
    ]
    await log.append(conn, facts, now=now)

"""Lets retention forget all that may go, past what the database itself puts in its way for a moment."""

from __future__ import annotations

import asyncio
from datetime import datetime

from migrations.handles import Connection
from relay.alerting import OnAlert, no_alert
from relay.log.prune import Pruned, step_prune
from relay.settings import RelaySettings


async def prune(
    conn: Connection,
    settings: RelaySettings,
    now: datetime,
    *,
    patience_s: float = 15.0,
    on_alert: OnAlert = no_alert,
) -> Pruned:
    """Prune until nothing may go; BUSY when somebody was in the way for all of `patience_s` (an autovacuum is not)."""
    loop = asyncio.get_running_loop()
    ends = loop.time() + patience_s
    while (pruned := await step_prune(conn, settings, now=now, on_alert=on_alert)) is not Pruned.DONE:
        if pruned is Pruned.BUSY:
            if loop.time() >= ends:
                break
            await asyncio.sleep(0.05)
    return pruned

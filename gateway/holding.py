"""What the relay is told when a merchant is disabled or enabled: deliveries wait, or go on.

Lives here: the one call from the gateway's merchants into the relay's tables, so that both change in one transaction.
Does not live here: either table (`store`, relay's own).
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from migrations.handles import Connection
from relay.desk.endpoints import set_merchant_enabled


async def hold_deliveries(conn: Connection, merchant_id: UUID, disabled: bool, now: datetime) -> None:  # noqa: FBT001
    """Hold (True) or release (False), inside the caller's transaction."""
    await set_merchant_enabled(conn, merchant_id, not disabled, now=now)

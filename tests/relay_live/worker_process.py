"""A relay in a process of its own, to be killed: `python -m tests.relay_live.worker_process DSN SETTLE_DELAY_S [LEASE_S]`.

Lives here: nothing but starting one, and a header that tells a receiver which process sent. Does not live here: the
settings, which are the shop's.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from prometheus_client import CollectorRegistry

from migrations.connect import open_pool
from relay.alerting import no_alert
from relay.keys.secretbox import SecretBox
from relay.model import Outcome
from relay.out.egress import Egress
from relay.service import RelayService
from relay.settings import RelaySettings
from tests.relay_live.shop import SETTINGS

SENDER = {"x-sender": str(os.getpid())}


class TellingEgress(Egress):
    """Says who sends."""

    async def post(
        self, url: str, headers: Mapping[str, str], body: bytes, *, now: datetime, owner: UUID | None = None
    ) -> Outcome:
        """As always, with one header more."""
        return await super().post(url, {**headers, **SENDER}, body, now=now, owner=owner)


async def main(dsn: str, settings: RelaySettings) -> None:
    """Work until killed."""
    pool = await open_pool(dsn, size=4, application_name="worker")
    egress = TellingEgress(
        timeout_s=settings.attempt_timeout_s,
        allow_private_networks=settings.allow_private_networks,
        allowed_ports=settings.allowed_ports,
    )
    service = RelayService(
        pool,
        SecretBox([bytes(32)]),
        settings,
        registry=CollectorRegistry(),
        on_alert=no_alert,
        egress=egress,
    )
    await service.run()


if __name__ == "__main__":
    _, dsn, settle_delay_s, *rest = sys.argv
    lease_s = float(rest[0]) if rest else SETTINGS.lease_s
    asyncio.run(main(dsn, replace(SETTINGS, settle_delay_s=float(settle_delay_s), lease_s=lease_s)))

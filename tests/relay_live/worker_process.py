"""A relay in a process of its own, to be killed: `python -m tests.relay_live.worker_process DSN SETTLE_DELAY_S`.

Lives here: nothing but starting one. Does not live here: the settings, which are the shop's.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace

from prometheus_client import CollectorRegistry

from migrations.connect import open_pool
from relay.alerting import no_alert
from relay.secretbox import SecretBox
from relay.service import RelayService
from tests.relay_live.shop import SETTINGS


async def main(dsn: str, settle_delay_s: float) -> None:
    pool = await open_pool(dsn, size=4, application_name="worker")
    settings = replace(SETTINGS, settle_delay_s=settle_delay_s)
    service = RelayService(
        pool, SecretBox([bytes(32)]), settings, registry=CollectorRegistry(), on_alert=no_alert
    )
    await service.run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], float(sys.argv[2])))

"""One merchant's side of a live test: publishes facts, makes endpoints, runs relays on a real database.

Lives here: `Shop` and its settings, quick enough for a test. Does not live here: strangers' servers (`receiver.py`,
`hostile.py`), the database (tests/conftest.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from prometheus_client import CollectorRegistry

from migrations.handles import Pool
from relay.desk import endpoints
from relay.desk.endpoints import Endpoint
from relay.desk.terms import EndpointTerms, Rules
from relay.keys.secretbox import SecretBox
from relay.log import eventlog as log
from relay.log.bodies import Published, RelayFact
from relay.out.egress import Egress
from relay.service import RelayService
from relay.settings import RelaySettings, RetrySettings
from tests.relay_live.receiver import Receiver

MERCHANT = UUID(int=77)
RULES = Rules(
    event_types={"deposit.included", "deposit.confirmed", "deposit.final", "deposit.reversed"},
    allow_private_networks=True,
)
SETTINGS = RelaySettings(
    allow_private_networks=True,
    attempt_timeout_s=3.0,
    retry=RetrySettings(schedule_s=(1, 1, 1), jitter=0.0, retry_after_min_s=1, probe_schedule_s=(1,)),
    lease_s=3.0,
    stop_timeout_s=5.0,
)


@dataclass
class Shop:
    """One merchant with a database; publishes facts, makes endpoints, runs relays."""

    pool: Pool
    box: SecretBox
    settings: RelaySettings = SETTINGS
    alerts: list[tuple[str, Mapping[str, object]]] = field(default_factory=list)
    versions: dict[str, int] = field(default_factory=dict)
    name_servers: Sequence[str] = ()
    proxy_url: str = ""

    def alert(self, kind: str, detail: Mapping[str, object]) -> None:
        self.alerts.append((kind, detail))

    async def publish(
        self,
        *objects: str,
        type_: str = "deposit.included",
        merchant: UUID = MERCHANT,
        now: datetime | None = None,
    ) -> list[Published]:
        facts = []
        now = now or datetime.now(UTC)
        for object_id in objects:
            self.versions[object_id] = self.versions.get(object_id, 0) + 1
            facts.append(
                RelayFact(
                    merchant,
                    object_id,
                    self.versions[object_id],
                    type_,
                    {"deposit": {"id": object_id}},
                    now,
                )
            )
        async with self.pool.acquire() as conn, conn.transaction():
            return await log.append(conn, facts, now=now)

    async def endpoint(
        self, receiver: Receiver | str, *, merchant: UUID = MERCHANT, **terms: Any
    ) -> Endpoint:
        url = terms.pop("url", receiver if isinstance(receiver, str) else receiver.url)
        rules = terms.pop("rules", RULES)
        from_sequence = terms.pop("from_sequence", None)
        async with self.pool.acquire() as conn, conn.transaction():
            made, secret = await endpoints.create_endpoint(
                conn,
                self.box,
                merchant,
                EndpointTerms(url=url, **terms),
                rules=rules,
                from_sequence=from_sequence,
                now=datetime.now(UTC),
            )
        if isinstance(receiver, Receiver):
            receiver.secrets.append(secret)
            receiver.public_keys.append(made.public_key)
        return made

    def service(self, **changes: Any) -> RelayService:
        return RelayService(
            self.pool,
            self.box,
            replace(self.settings, **changes),
            registry=CollectorRegistry(),
            on_alert=self.alert,
            egress=self._egress(),
        )

    def _egress(self) -> Egress | None:
        if not self.name_servers and not self.proxy_url:
            return None
        return Egress(
            timeout_s=self.settings.attempt_timeout_s,
            allow_private_networks=True,
            name_servers=self.name_servers,
            proxy_url=self.proxy_url,
        )

    @asynccontextmanager
    async def relay(self, **changes: Any) -> AsyncIterator[RelayService]:
        service = self.service(**changes)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(service.run())
            yield service
            service.stop()
            await task

    async def fetch(self, query: str, *args: object) -> list[Any]:
        async with self.pool.acquire() as conn:
            return list(await conn.fetch(query, *args))

    async def until_row(self, condition: str, endpoint: Endpoint, timeout_s: float = 10.0) -> None:
        """Wait until the endpoint's row meets a condition."""
        query = f"select from endpoints where endpoint_id = $1 and {condition}"
        async with asyncio.timeout(timeout_s):
            while not await self.fetch(query, endpoint.endpoint_id):  # noqa: ASYNC110  # a row tells nobody
                await asyncio.sleep(0.02)

    async def settled(self, endpoint: Endpoint, sequence: int, timeout_s: float = 10.0) -> None:
        """Wait until the endpoint's cursor is at `sequence` and no row is left."""
        async with asyncio.timeout(timeout_s):
            while True:
                rows = await self.fetch(
                    """select c.sequence, (select count(*) from delivery_exceptions x
                    where x.endpoint_id = c.endpoint_id) as rows
                    from endpoint_cursors c where c.endpoint_id = $1""",
                    endpoint.endpoint_id,
                )
                if rows[0]["sequence"] >= sequence and rows[0]["rows"] == 0:
                    return
                await asyncio.sleep(0.02)

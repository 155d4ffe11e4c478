"""The request budget of a provider, counted over all processes that ask it.

Lives here: `SharedProviderBudget`, what `chains.rpc.throttle` spends after its own budget, and `SharedBudgets`, which
makes one for each endpoint. All processes together keep to `requests_per_s`, a refusal told to one slows all, and calls
for the head run further ahead than backfill. While Redis is away each process keeps to its share of the configured
rate, by the number of processes last seen; what a provider then refuses, each learns by itself.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from hashlib import blake2b
from uuid import uuid4

from chains.rpc.node_endpoint import NodeEndpoint
from chains.rpc.throttle import Priority
from gateway.redis.connection import RedisAway, RedisConnection, Script
from gateway.redis.metrics import Use

AHEAD_S = {Priority.HEAD: 1.0, Priority.BACKFILL: 0.3}
"""How much of the budget each may take in advance: what lies between is the head's, whatever a backfill wants."""
WAIT_S_MAX = 1.0
"""Asked again at least so often: others may have left, and Redis may have gone."""
KEY_BYTES = 16


class SharedProviderBudget:
    """Implements `chains.rpc.throttle.SharedBudget` for one endpoint."""

    def __init__(
        self,
        script: Script,
        key: str,
        requests_per_s: float | None,
        process: str,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._script = script
        self._key = key
        self._ceiling = requests_per_s
        self._process = process
        self._clock = clock
        self._refused = False
        self._processes_count = 1
        self._paid_at_s = 0.0

    async def spend(self, priority: Priority, calls_count: int) -> None:
        """As `SharedBudget.spend`."""
        wait_s = await self._try_spending(priority, calls_count)
        while wait_s > 0:
            await asyncio.sleep(min(wait_s, WAIT_S_MAX))
            wait_s = await self._try_spending(priority, calls_count)

    def record_throttled(self) -> None:
        """As `SharedBudget.record_throttled`: the others hear it when this process asks next."""
        self._refused = True

    async def _try_spending(self, priority: Priority, calls_count: int) -> float:
        """Take these calls; or take nothing, and return how many seconds to wait."""
        refused, self._refused = self._refused, False
        try:
            wait_us, self._processes_count = await self._script.ask(
                Use.BUDGETS,
                self._key,
                calls_count,
                self._ceiling or 0,
                round(AHEAD_S[priority] * 1_000_000),
                int(refused),
                self._process,
            )
        except RedisAway:
            return self._try_own_share(priority, calls_count)
        return wait_us / 1_000_000

    def _try_own_share(self, priority: Priority, calls_count: int) -> float:
        if self._ceiling is None:
            return 0.0
        now_s = self._clock()
        debt_s = max(0.0, self._paid_at_s - now_s)
        if debt_s > AHEAD_S[priority]:
            return debt_s - AHEAD_S[priority]
        self._paid_at_s = now_s + debt_s + calls_count * self._processes_count / self._ceiling
        return 0.0


class SharedBudgets:
    """Makes the budget of each endpoint; a URL can carry a key, so Redis sees its digest only."""

    def __init__(self, connection: RedisConnection) -> None:
        self._connection = connection
        self._script = Script(connection, "spend_budget")
        self._process = uuid4().hex

    def share(self, endpoint: NodeEndpoint) -> SharedProviderBudget:
        """What `EvmSource` takes as `share_budget`."""
        digest = blake2b(
            endpoint.url.encode(), digest_size=KEY_BYTES, key=self._connection.derive(b"budgets", KEY_BYTES)
        )
        key = self._connection.name("budget", digest.hexdigest())
        return SharedProviderBudget(self._script, key, endpoint.requests_per_s, self._process)

"""What processes share, with Redis or without: made once by the composition root, and run beside everything else.

Lives here: `Shared`, the four helpers, and `run`, their loops in one TaskGroup. Without a URL each is its equal
inside one process, and `run` returns at once. Nothing here is waited for: a start or a stop never depends on Redis.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import CollectorRegistry

from chains.rpc.node_endpoint import NodeEndpoint
from chains.rpc.throttle import SharedBudget
from gateway.ratelimits import LocalRateLimits, RateLimits
from gateway.redis.budgets import SharedBudgets
from gateway.redis.cache import SharedStatusCache
from gateway.redis.connection import RedisConnection
from gateway.redis.metrics import RedisMetrics
from gateway.redis.ratelimits import SharedRateLimits
from gateway.redis.wakes import SharedWakes
from gateway.statuscache import LocalStatusCache, StatusCache
from gateway.wakes import LocalWakes, Wakes


@dataclass(frozen=True, slots=True)
class Shared:
    """The helpers of one process. `share_budget` is None where there is nobody to share with."""

    limits: RateLimits
    wakes: Wakes
    cache: StatusCache
    share_budget: Callable[[NodeEndpoint], SharedBudget] | None = None
    connection: RedisConnection | None = None
    loops: tuple[Callable[[], Coroutine[Any, Any, None]], ...] = field(default=())

    async def run(self) -> None:
        """Keep the connection and carry wake-ups until cancelled; without Redis, return at once."""
        if self.connection is None:
            return
        try:
            async with asyncio.TaskGroup() as group:
                for loop in self.loops:
                    group.create_task(loop(), name=f"redis-{loop.__name__}")
        finally:
            await self.connection.close()


def build_shared(url: str, secret: bytes, registry: CollectorRegistry) -> Shared:
    """The helpers of this process; connects to nothing yet.

    `secret` is the installation's encryption key: names and seals are derived from it, so that two installations on one
    Redis never meet. Raises ValueError for a URL that can not be used.
    """
    limits, wakes, cache = LocalRateLimits(), LocalWakes(), LocalStatusCache()
    if not url:
        return Shared(limits, wakes, cache)
    connection = RedisConnection(url, secret, RedisMetrics(registry))
    shared_wakes = SharedWakes(connection, wakes)
    return Shared(
        SharedRateLimits(connection, limits),
        shared_wakes,
        SharedStatusCache(connection, cache),
        SharedBudgets(connection).share,
        connection,
        (connection.run, shared_wakes.run_telling, shared_wakes.run_listening),
    )

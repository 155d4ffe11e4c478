"""One count of what callers spend, for all gateways behind a load balancer.

Lives here: `SharedRateLimits`. Its script decides atomically, by the formula of `gateway.ratelimits` and the server's
clock. This process counts too and is asked first: a flood at one gateway never reaches Redis, and when Redis is away
the count goes on where it stood, per process. A flushed Redis forgives what was spent; nothing else depends on it.
"""

from __future__ import annotations

from gateway.ratelimits import LocalRateLimits, RateLimit, Verdict, describe_spending
from gateway.redis.connection import RedisAway, RedisConnection, Script
from gateway.redis.metrics import Use


class SharedRateLimits:
    """Implements `gateway.ratelimits.RateLimits`."""

    def __init__(self, connection: RedisConnection, local: LocalRateLimits) -> None:
        self._connection = connection
        self._local = local
        self._script = Script(connection, "spend_limit")

    async def spend(self, subject: str, limit: RateLimit) -> Verdict:
        """As `RateLimits.spend`; `subject` is an id or an address, never a key's secret."""
        own = self._local.spend_now(subject, limit)
        if not own.allowed:
            return own
        key = self._connection.name("limit", limit.name, subject)
        cost_us = round(limit.interval_us)
        try:
            allowed, debt_us = await self._script.ask(Use.RATE_LIMITS, key, limit.period_us, cost_us)
        except RedisAway:
            return own
        if not allowed:
            self._local.give_back(subject, limit)
        return describe_spending(allowed == 1, debt_us, limit)

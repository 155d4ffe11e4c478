"""What the operator sees of Redis: whether it answers, what failed, and how often a process went on without it.

Lives here: the metrics of this folder. They exist only where a URL of Redis is configured, so that an alert on
`chainbell_redis_up` is silent elsewhere. Does not live here: serving `/metrics`.
"""

from __future__ import annotations

from enum import StrEnum
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge


class Use(StrEnum):
    """What Redis is asked for."""

    PROBE = "probe"
    BUDGETS = "budgets"
    RATE_LIMITS = "rate_limits"
    WAKES = "wakes"
    CACHE = "cache"


class RedisMetrics:
    """The metrics of one process's Redis."""

    def __init__(self, registry: CollectorRegistry) -> None:
        counter = partial(Counter, registry=registry)
        gauge = partial(Gauge, registry=registry)
        self.up = gauge("chainbell_redis_up", "1 while Redis answers, else 0.")
        self.errors = counter(
            "chainbell_redis_errors_total",
            "Questions to Redis that failed or took too long, and messages that could not be read.",
            ["use", "kind"],
        )
        self.fallbacks = counter(
            "chainbell_redis_fallbacks_total",
            "Questions that were answered inside this process because Redis was away.",
            ["use"],
        )
        self.lookups = counter(
            "chainbell_redis_cache_lookups_total",
            "Looks into the shared cache: hit, miss, or an entry refused because its seal was not ours.",
            ["result"],
        )
        self.up.set(0)
        for use in Use:
            self.fallbacks.labels(use)

"""Every metric the program has, read from the very registries it serves, with the labels of each.

Not here: what alerts and boards ask for (`promql.py`). `up` and `ALERTS` are Prometheus' own.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from gateway.process.metrics import ApiMetrics, ChainMetrics, HouseMetrics, build_registry
from gateway.redis.metrics import RedisMetrics
from relay.metrics import RelayMetrics

PROMETHEUS_OWN = {"up": frozenset[str]()}
TARGET_LABELS = frozenset({"job", "instance"})
SUFFIXES = {
    "counter": ("_total", "_created"),
    "histogram": ("_bucket", "_sum", "_count", "_created"),
    "summary": ("_sum", "_count", "_created"),
    "gauge": ("",),
    "info": ("_info",),
}


@functools.cache
def known_metrics() -> Mapping[str, frozenset[str]]:
    """Sample name → its labels, without those that Prometheus adds for every target."""
    registry = build_registry()
    for group in (ChainMetrics, ApiMetrics, HouseMetrics, RelayMetrics, RedisMetrics):
        group(registry)
    known = dict(PROMETHEUS_OWN)
    for family in registry.collect():
        labels = _labels_of(registry, family.name)
        for suffix in SUFFIXES.get(family.type, ("",)):
            extra = {"le"} if suffix == "_bucket" else set()
            known[family.name + suffix] = labels | extra
    return known


def _labels_of(registry: CollectorRegistry, name: str) -> frozenset[str]:
    for collector in registry._collector_to_names:
        if isinstance(collector, MetricWrapperBase) and collector._name == name:
            return frozenset(collector._labelnames)
    return frozenset()

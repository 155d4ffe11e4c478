"""What operators see in numbers: one registry a process, exposed at /metrics.

Lives here: the numbers of chains and of the API; `ChainMetrics` is the indexer's `Observer`. Does not live here: the
relay's numbers (relay.metrics), alert rules (`deploy/`). Labels are aliases, outcomes and operations: a few dozen values.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from indexer.move.notices import CONGESTED, DISPUTED, FINALITY_DELAYED, STALLED

HEIGHTS = ("head", "tip", "final", "agreed")
CONDITIONS = ("halted", DISPUTED, STALLED, FINALITY_DELAYED, CONGESTED)
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


def build_registry() -> CollectorRegistry:
    """A registry of its own, with the numbers of the process."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


class ChainMetrics:
    """`indexer.follow.surroundings.Observer` in Prometheus' form."""

    def __init__(self, registry: CollectorRegistry) -> None:
        counter = partial(Counter, registry=registry)
        gauge = partial(Gauge, registry=registry)
        histogram = partial(Histogram, registry=registry)
        self._steps = histogram(
            "chainbell_follow_step_seconds",
            "Steps of following, by what came of them",
            ["chain", "outcome"],
            buckets=SECONDS,
        )
        self._applied = counter("chainbell_blocks_applied_total", "Blocks that became canonical", ["chain"])
        self._left = counter("chainbell_blocks_left_total", "Blocks that left the chain in reorgs", ["chain"])
        self._changes = counter("chainbell_deposit_changes_total", "Changes of deposits", ["chain"])
        self._failures = counter(
            "chainbell_follow_failures_total", "Steps that failed, by kind", ["chain", "kind"]
        )
        self._surprises = counter(
            "chainbell_chain_surprises_total",
            "Rounds that ended with what nobody expected, by stage",
            ["chain", "stage"],
        )
        self._repeats = counter(
            "chainbell_deposits_repeated_total",
            "Deposits that stand in a second canonical block, which counts for nothing",
            ["chain"],
        )
        self._held = counter(
            "chainbell_deposits_held_total",
            "Large deposits that came to wait for a second operator or for our word",
            ["chain"],
        )
        self._heights = gauge("chainbell_chain_height", "Heights: head, tip, final, agreed", ["chain", "of"])
        self._lag = gauge("chainbell_chain_lag_blocks", "Head less tip", ["chain"])
        self._conditions = gauge(
            "chainbell_chain_condition",
            "1 while it holds: halted, disputed, stalled, finality_delayed, congested",
            ["chain", "condition"],
        )
        self._calls = gauge(
            "chainbell_provider_calls_per_day",
            "Calls at the pace of the last 24 hours, retries included",
            ["chain", "provider"],
        )
        self._mempools: set[tuple[str, str]] = set()
        self._waiting = gauge(
            "chainbell_mempool_transactions",
            "Transactions that wait in a node's mempool, as far as it is followed",
            ["chain", "mempool"],
        )

    def follow_step(self, alias: str, outcome: str, seconds: float) -> None:
        """One step of following ended with this outcome."""
        self._steps.labels(alias, outcome).observe(seconds)

    def moved(self, alias: str, *, applied: int, left: int, changes: int) -> None:
        """One move was committed."""
        self._applied.labels(alias).inc(applied)
        self._left.labels(alias).inc(left)
        self._changes.labels(alias).inc(changes)

    def heights(self, alias: str, *, head: int | None, tip: int, final: int | None, agreed: int) -> None:
        """Where the chain stands."""
        self._heights.labels(alias, "tip").set(tip)
        self._heights.labels(alias, "agreed").set(agreed)
        if head is not None:
            self._heights.labels(alias, "head").set(head)
            self._lag.labels(alias).set(max(0, head - tip))
        if final is not None:
            self._heights.labels(alias, "final").set(final)

    def conditions(self, alias: str, in_force: Collection[str]) -> None:
        """What holds of the chain now."""
        for condition in CONDITIONS:
            self._conditions.labels(alias, condition).set(condition in in_force)

    def calls_per_day(self, alias: str, provider: str, count: int) -> None:
        """What a provider is asked."""
        self._calls.labels(alias, provider).set(count)

    def waiting(self, alias: str, mempool: str, count: int) -> None:
        """So many transactions wait in a node's mempool."""
        self._mempools.add((alias, mempool))
        self._waiting.labels(alias, mempool).set(count)

    def stood_aside(self, alias: str) -> None:
        """Another process follows the chain: a gauge that stood still here would contradict its own."""
        shown = [(self._heights, (alias, of)) for of in HEIGHTS] + [(self._lag, (alias,))]
        shown += [(self._conditions, (alias, condition)) for condition in CONDITIONS]
        shown += [(self._waiting, labels) for labels in self._mempools if labels[0] == alias]
        for gauge, labels in shown:
            with suppress(KeyError):  # nothing was measured yet
                gauge.remove(*labels)

    def failed(self, alias: str, kind: str) -> None:
        """One step failed with this kind of weather."""
        self._failures.labels(alias, kind).inc()

    def surprised(self, alias: str, stage: str) -> None:
        """One round of this stage ended with what nobody expected."""
        self._surprises.labels(alias, stage).inc()

    def repeated(self, alias: str, count: int) -> None:
        """So many deposits turned out to stand in a second canonical block."""
        self._repeats.labels(alias).inc(count)

    def held(self, alias: str, count: int) -> None:
        """So many deposits came to wait for a second word."""
        self._held.labels(alias).inc(count)


class HouseMetrics:
    """The machine below the process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        gauge = partial(Gauge, registry=registry)
        self.disk_free = gauge("chainbell_disk_free_bytes", "Bytes left where the data directory is")


class ApiMetrics:
    """Calls of the API."""

    def __init__(self, registry: CollectorRegistry) -> None:
        histogram = partial(Histogram, registry=registry)
        self._calls = histogram(
            "chainbell_http_request_seconds",
            "Calls of the API, by operation and status",
            ["operation", "status"],
            buckets=SECONDS,
        )

    def note_call(self, operation: str, status: int, seconds: float) -> None:
        """One call was answered."""
        self._calls.labels(operation, str(status)).observe(seconds)

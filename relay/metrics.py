"""What operators see of the relay, in Prometheus' form.

Lives here: names, and the few places that count. Gauges about queues are set by whoever measures (`service`). Does not
live here: exposing them over HTTP (the gateway), alert rules (`deploy/`).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from relay.lanes.lane import Lane
from relay.model import EndpointState, Outcome, OutcomeKind

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0)


class RelayMetrics:
    """One worker's numbers; give each process's registry once."""

    def __init__(self, registry: CollectorRegistry) -> None:
        counter = partial(Counter, registry=registry)
        gauge = partial(Gauge, registry=registry)
        histogram = partial(Histogram, registry=registry)
        self.attempts = counter(
            "chainbell_relay_attempts_total", "HTTP tries, by what became of them", ["outcome"]
        )
        self._attempts_by_kind = {kind: self.attempts.labels(kind.value) for kind in OutcomeKind}
        self.attempt_seconds = histogram(
            "chainbell_relay_attempt_seconds", "Duration of one try", buckets=_SECONDS
        )
        self.exhausted = counter("chainbell_relay_exhausted_total", "Deliveries that ran out of tries")
        self.in_flight = gauge("chainbell_relay_in_flight", "Tries under way")
        self.waiting_for_host = gauge(
            "chainbell_relay_waiting_for_host", "Endpoints whose host is given all it may get"
        )
        self.lag = gauge(
            "chainbell_relay_queue_lag",
            "Events behind the cursors of this worker's endpoints, by state of the endpoint",
            ["state"],
        )
        self.troubled = gauge("chainbell_relay_failing_objects", "Objects whose oldest delivery fails")
        self.endpoints = gauge("chainbell_relay_endpoints", "This worker's endpoints by state", ["state"])
        self.shards = gauge("chainbell_relay_shards", "Shards this worker holds")
        self.settle_failures = counter(
            "chainbell_relay_settle_failures_total", "Settles that must be repeated"
        )

    def note_attempt(self, outcome: Outcome) -> None:
        """Count one finished attempt."""
        self._attempts_by_kind[outcome.kind].inc()
        self.attempt_seconds.observe(outcome.duration_ms / 1000)

    def measure(self, lanes: Iterable[tuple[Lane, int]]) -> None:
        """Set the gauges that tell of all lanes; each comes with the head of its log."""
        troubled = 0
        states = dict.fromkeys(EndpointState, 0)
        lags = dict.fromkeys(EndpointState, 0)
        for lane, head in lanes:
            # Whoever may not be sent to (a merchant disabled, an endpoint unproven) is not behind: it waits.
            state = lane.state if lane.config.enabled else EndpointState.PAUSED
            lags[state] += max(0, head - lane.window.cursor)
            troubled += lane.troubles.failing_objects
            states[lane.state] += 1
        self.troubled.set(troubled)
        for state in EndpointState:
            self.endpoints.labels(state).set(states[state])
            self.lag.labels(state).set(lags[state])

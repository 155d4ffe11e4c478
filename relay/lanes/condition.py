"""Whether an endpoint is well: active, failing and probed, or paused; and what of that the merchant is told.

Lives here, pure: the moves between the three states and when a failing endpoint is probed. Does not live here: counting
failing objects (`troubles`), writing the state and its event (`store`), resuming by hand (`endpoints`).
"""

from __future__ import annotations

from datetime import datetime, timedelta

from relay.lanes.schedule import compute_probe_wait_s
from relay.model import EndpointState, Transition
from relay.settings import RetrySettings

RECOVERED = "endpoint.recovered"


class Condition:
    """One endpoint's state. Each method that changes it returns the transition to write, or None."""

    __slots__ = ("_probes_failed", "_settings", "probe_at", "state")

    def __init__(self, state: EndpointState, settings: RetrySettings) -> None:
        self.state = state
        self.probe_at: datetime | None = None  # None: at once
        self._probes_failed = 0
        self._settings = settings

    def fail(self, now: datetime, chance: float) -> Transition | None:
        """Too many objects fail: the cursor freezes and probes begin."""
        if self.state is not EndpointState.ACTIVE:
            return None
        self.state = EndpointState.FAILING
        self._probes_failed = 0
        self._wait(now, chance, 0)
        return Transition(
            sources=(EndpointState.ACTIVE,),
            target=EndpointState.FAILING,
            event_type="endpoint.failing",
            reason="too many deliveries fail",
        )

    def recover(self) -> Transition:
        """A probe went through."""
        self.state = EndpointState.ACTIVE
        return Transition(
            sources=(EndpointState.FAILING,),
            target=EndpointState.ACTIVE,
            event_type=RECOVERED,
            reason="a delivery succeeded",
        )

    def pause(self) -> Transition | None:
        """The endpoint answered 410: it wants no more until somebody resumes it."""
        if self.state is EndpointState.PAUSED:
            return None
        self.state = EndpointState.PAUSED
        return Transition(
            sources=(EndpointState.ACTIVE, EndpointState.FAILING),
            target=EndpointState.PAUSED,
            event_type="endpoint.paused",
            reason="the endpoint answered 410 Gone",
        )

    def fail_probe(self, now: datetime, chance: float, retry_after_s: int | None) -> None:
        """A probe failed: the next one later, and not before what a Retry-After asks."""
        self._probes_failed += 1
        asked_s = 0 if retry_after_s is None else min(retry_after_s, self._settings.retry_after_max_s)
        self._wait(now, chance, asked_s)

    def probe_at_once(self) -> None:
        """Forget how often probes failed: somebody says that it is well again."""
        self._probes_failed = 0
        self.probe_at = None

    def _wait(self, now: datetime, chance: float, at_least_s: int) -> None:
        wait_s = compute_probe_wait_s(self._probes_failed, chance=chance, settings=self._settings)
        self.probe_at = now + timedelta(seconds=max(wait_s, at_least_s))

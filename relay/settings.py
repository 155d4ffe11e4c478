"""What this room can be told, with its defaults (CONTRACT 4, `[relay]`; the rest are bounds with reasons).

Lives here: frozen settings. Does not live here: reading a configuration file (the gateway's `config.file`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from relay.out.addresses import HTTPS_PORT

RETRY_SCHEDULE_S = (5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400)
"""Standard Webhooks' example: ten attempts over about 75 hours."""


@dataclass(frozen=True, slots=True)
class RetrySettings:
    """When a failed delivery is tried again, and when an endpoint counts as sick."""

    schedule_s: tuple[int, ...] = RETRY_SCHEDULE_S
    jitter: float = 0.2  # of each wait, in either direction
    retry_after_min_s: int = 5
    retry_after_max_s: int = 86_400
    hurry_s: int = 300  # the longest wait of what stands before a reversal
    failing_objects_max: int = 1_000
    probe_schedule_s: tuple[int, ...] = (10, 30, 60, 120, 300)  # the last one repeats


@dataclass(frozen=True, slots=True)
class LaneSettings:
    """How one endpoint is fed."""

    window_events_max: int = 512
    """Events between the written cursor and what was read: what a crash can repeat."""
    read_ahead_min: int = 8  # few, so that many lanes take turns; a quick endpoint's pace asks for more
    slow_after_s: float = 1.0  # an attempt this old becomes a row, and the cursor passes it
    in_flight_start: int = 4
    due_rows_max: int = 256
    throttle_rest_max_s: int = 60  # the longest rest of a whole endpoint after one 429
    detained_rest_max_s: int = 30  # and after our own proxy failed


@dataclass(frozen=True, slots=True)
class WitnessSettings:
    """A witness: where `add-checkpoint` is, without that word, and the name and key it signs with."""

    url: str
    name: str
    public_key: bytes


@dataclass(frozen=True, slots=True)
class RelaySettings:
    """The room's settings; the three that CONTRACT names come first."""

    allow_private_networks: bool = False
    allowed_ports: frozenset[int] = frozenset({HTTPS_PORT})  # any, where private networks are allowed
    attempt_timeout_s: float = 15.0
    retry: RetrySettings = RetrySettings()
    lane: LaneSettings = LaneSettings()
    in_flight_max: int = 1_000  # over all endpoints of one worker: sockets and memory
    verify_endpoints: bool = True
    proxy_url: str = field(default="", repr=False)  # may hold a password
    witnesses: tuple[WitnessSettings, ...] = ()
    host_in_flight_max: int = 100  # to one host, over all endpoints of one worker
    endpoint_share: float = 0.1  # of in_flight_max, for any one endpoint
    poll_interval_s: float = 0.2  # the fallback of LISTEN
    refresh_interval_s: float = 1.0  # the fallback of notices about changed endpoints
    quiet_interval_s: float = 300.0  # of both fallbacks towards the database, while its notices are heard
    settle_delay_s: float = 0.01  # how long what somebody waits for is gathered before it is written together
    cursor_delay_s: float = 0.1  # and cursors that only follow what was delivered: a crash repeats so much
    read_interval_s: float = 0.01  # between reads of logs: what comes in quick succession is read together
    lease_s: float = 15.0
    stop_timeout_s: float = 8.0  # of the 10 s a stop may take
    attempts_kept_days: int = 90
    retention_days: int | None = None  # of the log, for whoever has been given it; None: for ever
    retention_max_days: int | None = None  # of the log, for whoever has not; None: for as long as it takes

    @property
    def asks_for_proof(self) -> bool:
        """Endpoints must echo a challenge before they get events; never where private networks are allowed."""
        return self.verify_endpoints and not self.allow_private_networks

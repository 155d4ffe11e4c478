"""A lane whose writing had to wait: what became due meanwhile is tried all the same."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from relay.lanes.lane import Lane
from relay.model import EndpointState, LaneConfig, LanePosition, LogEvent, Outcome, OutcomeKind
from relay.settings import RelaySettings

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CONFIG = LaneConfig(
    endpoint_id=UUID(int=1),
    merchant_id=UUID(int=2),
    shard=1,
    epoch=1,
    state=EndpointState.ACTIVE,
    enabled=True,
    max_in_flight=4,
    rate_per_s=None,
    wakes=0,
)


def event(sequence: int) -> LogEvent:
    return LogEvent(UUID(int=100 + sequence), sequence, "dep_a", sequence, "deposit.included", NOW, b"{}")


def test_a_retry_that_came_due_before_it_was_written_is_not_forgotten() -> None:
    lane = Lane(CONFIG, LanePosition(0, 0, 1, 0, {}, None), RelaySettings())
    lane.offer_events([event(1)], NOW)
    (send,) = lane.start(NOW, 4)
    lane.finish(send.sequence, Outcome(OutcomeKind.BROKEN, 5, 500), NOW, 0.5)
    assert lane.collect() is not None
    lane.refused()
    # The database is away for longer than the retry waits; then it answers a read, and has no row yet.
    later = NOW + timedelta(seconds=60)
    assert lane.wants_rows(later)
    lane.offer_rows((), None)
    assert lane.collect() is not None
    lane.committed(later)
    assert lane.wants_rows(later)

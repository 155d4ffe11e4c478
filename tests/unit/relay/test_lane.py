"""One endpoint's lane, in single moves: order, cursor, rows, probing, pausing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from relay.lanes.lane import Lane
from relay.lanes.schedule import REVERSAL
from relay.model import (
    Blocked,
    DueRow,
    EndpointState,
    ExceptionRow,
    LaneConfig,
    LanePosition,
    LogEvent,
    Outcome,
    OutcomeKind,
    RowState,
    Send,
    Settlement,
)
from relay.settings import LaneSettings, RelaySettings, RetrySettings

NOW = datetime(2026, 11, 20, tzinfo=UTC)
ENDPOINT, MERCHANT = UUID(int=64), UUID(int=2)
SETTINGS = RelaySettings(
    retry=RetrySettings(schedule_s=(5, 300), failing_objects_max=2, jitter=0),
    lane=LaneSettings(in_flight_start=8),
)
OK = Outcome(OutcomeKind.DELIVERED, 3, 200)
BROKEN = Outcome(OutcomeKind.BROKEN, 3, 500, excerpt=b"sorry")
GONE = Outcome(OutcomeKind.GONE, 3, 410)


def config(**changes: object) -> LaneConfig:
    values: dict[str, object] = {
        "endpoint_id": ENDPOINT, "merchant_id": MERCHANT, "shard": 0, "epoch": 7, "state": EndpointState.ACTIVE,
        "enabled": True, "max_in_flight": 32, "rate_per_s": None, "wakes": 0,
    }  # fmt: skip
    return LaneConfig(**values | changes)  # type: ignore[arg-type]  # a test's shorthand


def lane(settings: RelaySettings = SETTINGS, **changes: object) -> Lane:
    return Lane(config(**changes), LanePosition(0, 0, 1, 0, {}, None), settings)


def events(*objects: str | None, start: int = 1, type_: str = "deposit.included") -> list[LogEvent]:
    """One event per object, None for one that the filter does not match."""
    return [
        LogEvent(UUID(int=n), n, name or "x", n, type_, NOW, None if name is None else b"%d" % n)
        for n, name in enumerate(objects, start=start)
    ]


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def sequences(sends: list[Send]) -> list[int]:
    return [send.sequence for send in sends]


def settle(one: Lane, now: datetime = NOW) -> Settlement:
    settlement = one.collect()
    assert settlement is not None
    one.committed(now)
    return settlement


def row_of(settlement: Settlement, sequence: int) -> ExceptionRow:
    return next(row for row in settlement.rows if row.sequence == sequence)


def test_different_objects_go_at_once_and_versions_of_one_go_in_turn() -> None:
    it = lane()
    it.offer_events(events("a", "b", "a", "c"), NOW)
    assert sequences(it.start(NOW, 10)) == [1, 2, 4]
    it.finish(1, OK, NOW, 0.5)
    assert sequences(it.start(NOW, 10)) == [3]


def test_the_cursor_follows_only_what_is_settled_without_a_hole() -> None:
    it = lane()
    it.offer_events(events("a", "b", None, "c"), NOW)
    it.start(NOW, 10)
    it.finish(2, OK, NOW, 0.5)
    it.finish(4, OK, NOW, 0.5)
    assert settle(it).cursor == 0
    it.finish(1, OK, NOW, 0.5)
    settlement = settle(it)
    assert (settlement.cursor, settlement.matched) == (4, 4)
    assert it.collect() is None


def test_unmatched_events_move_the_cursor_and_not_the_matched_sequence() -> None:
    it = lane()
    it.offer_events(events(None, None, None), NOW)
    settlement = settle(it)
    assert (settlement.cursor, settlement.matched) == (3, 0)
    it.offer_events(events("a", start=4), NOW)
    assert it.start(NOW, 1)[0].prev_sequence == 0


def test_each_send_names_the_matching_sequence_before_it() -> None:
    it = lane()
    it.offer_events(events("a", None, "b", "c"), NOW)
    assert [send.prev_sequence for send in it.start(NOW, 10)] == [0, 1, 3]


def test_a_failure_gets_a_row_and_so_does_what_stands_behind_it() -> None:
    it = lane()
    it.offer_events(events("a", "a", "b"), NOW)
    it.start(NOW, 10)
    it.finish(1, BROKEN, NOW, 0.5)
    it.finish(3, OK, NOW, 0.5)
    settlement = settle(it)
    assert settlement.cursor == 3
    failed, waiting = row_of(settlement, 1), row_of(settlement, 2)
    assert (failed.state, failed.failures, failed.attempts, failed.retry_at) == (
        RowState.RETRYING,
        1,
        1,
        at(5),
    )
    assert (waiting.state, waiting.retry_at) == (RowState.WAITING, None)
    assert it.window.unsent == 0
    assert [(one.number, one.status_code, one.excerpt) for one in settlement.attempts] == [(1, 500, b"sorry")]
    it.offer_events(events("a", start=4), NOW)
    assert it.start(NOW, 10) == []
    assert row_of(settle(it), 4).state is RowState.WAITING


def test_a_slow_attempt_is_parked_and_the_cursor_passes_it() -> None:
    it = lane()
    it.offer_events(events("a", "b", "a"), NOW)
    it.start(NOW, 10)
    it.finish(2, OK, at(0.1), 0.5)
    it.park(at(0.9))
    assert settle(it).cursor == 0
    it.park(at(1.0))
    settlement = settle(it)
    assert settlement.cursor == 3
    assert row_of(settlement, 1).state is RowState.SENDING
    assert row_of(settlement, 1).retry_at == at(SETTINGS.attempt_timeout_s + 5)
    it.finish(1, OK, at(2), 0.5)
    settlement = settle(it)
    assert settlement.closed == (1,)
    assert [freed.object_id for freed in settlement.freed] == ["a"]


def test_what_is_read_ahead_and_in_flight_is_bounded() -> None:
    settings = RelaySettings(lane=LaneSettings(window_events_max=10, read_ahead_min=4, in_flight_start=2))
    it = lane(settings)
    assert it.wants_events(100) == 4
    it.offer_events(events(*"abcd"), NOW)
    assert it.wants_events(100) == 0
    assert len(it.start(NOW, 100)) == 2
    it.offer_events(events(*"efghij", start=5), NOW)
    assert it.wants_events(100) == 0
    assert it.wants_events(10) == 0


def test_what_was_answered_and_is_not_yet_written_counts_as_read_ahead() -> None:
    """A crash repeats it, whether the answer came or not."""
    settings = RelaySettings(lane=LaneSettings(window_events_max=6, read_ahead_min=4, in_flight_start=4))
    it = lane(settings)
    it.offer_events(events(*"abcd"), NOW)
    for send in it.start(NOW, 4):
        it.finish(send.sequence, OK, NOW, 0.5)
    assert it.wants_events(100) == 2
    it.offer_events(events(*"ef", start=5), NOW)
    for send in it.start(NOW, 4):
        it.finish(send.sequence, OK, NOW, 0.5)
    assert it.collect() is not None
    it.refused()
    assert it.wants_events(100) == 0
    assert settle(it).cursor == 6
    assert it.wants_events(100) == 6


def test_more_failing_objects_than_allowed_make_the_endpoint_failing_and_freeze_it() -> None:
    it = lane()
    it.offer_events(events(*"abcde"), NOW)
    it.start(NOW, 3)
    for sequence in (1, 2, 3):
        assert it.state is EndpointState.ACTIVE
        it.finish(sequence, BROKEN, NOW, 0.5)
    assert it.state is EndpointState.FAILING
    settlement = settle(it)
    assert settlement.transition is not None
    assert settlement.transition.event_type == "endpoint.failing"
    assert settlement.cursor == 3
    assert it.start(NOW, 10) == []
    assert it.wants_events(100) == it.wants_rows(at(1000)) == 0


def failing_lane() -> Lane:
    it = lane()
    it.offer_events(events(*"abcde"), NOW)
    it.start(NOW, 3)
    for sequence in (1, 2, 3):
        it.finish(sequence, BROKEN, NOW, 0.5)
    settle(it)
    return it


def due(sequence: int, object_id: str, **changes: object) -> DueRow:
    values: dict[str, object] = {
        "sequence": sequence, "event_id": UUID(int=sequence), "object_id": object_id, "version": sequence,
        "type": "deposit.included", "event_at": NOW, "prev_sequence": 0, "state": RowState.RETRYING, "failures": 1,
        "attempts": 1, "retry_at": NOW, "free": False, "replay": False, "created_at": NOW,
    }  # fmt: skip
    return DueRow(ExceptionRow(**values | changes), b"body")  # type: ignore[arg-type]  # a test's shorthand


def test_a_failing_endpoint_is_probed_with_its_oldest_delivery_at_no_cost() -> None:
    it = failing_lane()
    assert not it.wants_probe(at(9.9))
    assert it.opens_at(NOW) == at(10)
    assert it.wants_probe(at(10))
    assert sequences(it.offer_probe(due(1, "a"), at(10))) == [1]
    assert not it.wants_probe(at(11))
    it.finish(1, BROKEN, at(11), 0.5)
    settlement = settle(it)
    assert settlement.rows == ()
    assert settlement.attempts == ()
    assert it.opens_at(at(11)) == at(41)


def test_a_probe_that_goes_through_brings_the_endpoint_back_with_a_slow_start() -> None:
    it = failing_lane()
    it.offer_probe(due(1, "a"), at(10))
    it.finish(1, OK, at(11), 0.5)
    assert it.state is EndpointState.ACTIVE
    settlement = settle(it, at(11))
    assert settlement.closed == (1,)
    assert settlement.free_all
    assert settlement.transition is not None
    assert settlement.transition.event_type == "endpoint.recovered"
    assert it.wants_rows(at(11)) > 0
    assert len(it.start(at(11), 10)) == 1


def test_410_pauses_without_cost_and_resuming_frees_what_waited() -> None:
    it = lane()
    it.offer_events(events("a", "b"), NOW)
    it.start(NOW, 1)
    it.finish(1, GONE, NOW, 0.5)
    settlement = settle(it)
    assert settlement.transition is not None
    assert (settlement.transition.target, settlement.transition.event_type) == ("paused", "endpoint.paused")
    assert row_of(settlement, 1).failures == 0
    assert it.start(at(999), 10) == []
    it.reconfigure(config(wakes=1))
    settlement = settle(it, at(1000))
    assert (settlement.wakes, settlement.free_all) == (1, True)
    assert it.wants_rows(at(1000)) > 0


@pytest.mark.parametrize("is_being_written", [False, True])
def test_a_pause_that_the_database_did_not_take_yet_does_not_undo_a_resume(
    is_being_written: bool,
) -> None:  # a parameter
    it = lane()
    it.offer_events(events("a", "b"), NOW)
    it.start(NOW, 1)
    it.finish(1, GONE, NOW, 0.5)
    if is_being_written:
        before = it.collect()
        assert before is not None
        assert (before.transition is not None, before.wakes_seen) == (True, 0)
    it.reconfigure(config(wakes=1))
    if is_being_written:
        it.refused()
    settlement = settle(it, at(1))
    assert (settlement.transition, settlement.wakes_seen) == (None, 1)
    assert it.state is EndpointState.ACTIVE


@pytest.mark.parametrize(
    "kind, limit",
    [
        (OutcomeKind.TIMEOUT, 4),
        (OutcomeKind.BROKEN, 4),
        (OutcomeKind.THROTTLED, 4),
        (OutcomeKind.UNREACHABLE, 4),
        (OutcomeKind.REFUSED, 8),
        (OutcomeKind.INTERRUPTED, 8),
    ],
)
def test_what_says_too_much_halves_what_may_be_in_flight_and_a_plain_no_does_not(
    kind: OutcomeKind, limit: int
) -> None:
    it = lane(RelaySettings(lane=LaneSettings(in_flight_start=8)))
    it.offer_events(events("z", *"abcdefghijkl"), NOW)
    it.start(NOW, 1)
    it.finish(1, Outcome(kind, 1), at(0.1), 0.5)
    assert len(it.start(at(5), 100)) == limit


def test_what_the_merchant_allows_in_flight_and_a_second_is_kept() -> None:
    few = lane(max_in_flight=2)
    few.offer_events(events(*"abcd"), NOW)
    assert sequences(few.start(NOW, 100)) == [1, 2]
    few.reconfigure(config(max_in_flight=3))
    few.finish(1, OK, NOW, 0.5)
    assert sequences(few.start(NOW, 100)) == [3, 4]
    slow = lane(rate_per_s=2)
    slow.offer_events(events(*"abcd"), NOW)
    assert sequences(slow.start(NOW, 100)) == [1]
    assert slow.start(at(0.4), 100) == []
    assert slow.opens_at(at(0.4)) == at(0.5)
    assert sequences(slow.start(at(0.5), 100)) == [2]


def test_a_429_rests_the_endpoint_and_not_only_the_delivery() -> None:
    it = lane()
    it.offer_events(events("a", "b"), NOW)
    it.start(NOW, 1)
    it.finish(1, Outcome(OutcomeKind.THROTTLED, 1, 429, retry_after_s=20), NOW, 0.5)
    assert row_of(settle(it), 1).retry_at == at(20)
    assert it.start(at(19), 10) == []
    assert it.opens_at(at(19)) == at(20)
    assert sequences(it.start(at(20), 10)) == [2]


def test_a_disabled_merchant_is_sent_nothing_and_loses_nothing() -> None:
    it = lane()
    it.offer_events(events("a", "b"), NOW)
    it.reconfigure(config(enabled=False))
    assert it.start(NOW, 10) == []
    it.reconfigure(config(wakes=1))
    assert sequences(it.start(NOW, 10)) == [1, 2]


def test_a_waiting_reversal_hurries_what_stands_before_it() -> None:
    settings = RelaySettings(retry=RetrySettings(schedule_s=(3600, 3600), jitter=0))
    it = lane(settings)
    it.offer_events(events("a"), NOW)
    it.start(NOW, 1)
    it.finish(1, BROKEN, NOW, 0.5)
    assert row_of(settle(it), 1).retry_at == at(3600)
    it.offer_events(events("a", start=2, type_=REVERSAL), at(10))
    (hurry,) = settle(it).hurries
    assert (hurry.object_id, hurry.before_sequence, hurry.retry_at) == ("a", 2, at(310))
    assert it.wants_rows(at(310)) > 0
    it.offer_rows([due(1, "a")], None)
    it.start(at(310), 1)
    it.finish(1, BROKEN, at(310), 0.5)
    assert row_of(settle(it), 1).retry_at == at(610)


def test_an_exhausted_delivery_keeps_its_row_and_lets_the_next_version_go() -> None:
    it = lane()
    it.offer_events(events("a", "a"), NOW)
    it.start(NOW, 1)
    it.finish(1, BROKEN, NOW, 0.5)
    settle(it)
    it.offer_rows([due(1, "a", failures=2, attempts=2)], None)
    it.start(at(600), 1)
    it.finish(1, BROKEN, at(600), 0.5)
    settlement = settle(it)
    row = row_of(settlement, 1)
    assert (row.state, row.failures, row.attempts, row.retry_at) == (RowState.EXHAUSTED, 3, 3, None)
    assert [freed.object_id for freed in settlement.freed] == ["a"]
    assert it.troubles.failing_objects == 0


def test_an_interrupted_attempt_costs_nothing_and_goes_again_first() -> None:
    it = lane()
    it.offer_events(events("a", "b"), NOW)
    it.start(NOW, 1)
    it.finish(1, Outcome(OutcomeKind.INTERRUPTED, 0), NOW, 0.5)
    assert it.collect() is None
    assert sequences(it.start(NOW, 1)) == [1]


def test_what_our_own_proxy_did_not_send_costs_nothing_and_waits_a_moment() -> None:
    it = lane()
    it.offer_events(events("a", "b"), NOW)
    it.start(NOW, 1)
    it.finish(1, Outcome(OutcomeKind.UNSENT, 0), at(1), 0.5)
    assert it.collect() is None
    assert it.start(at(1), 1) == []
    assert it.opens_at(at(1)) == at(2)
    assert sequences(it.start(at(2), 5)) == [1]  # one, to see whether the way is open
    it.finish(1, OK, at(2), 0.5)
    assert sequences(it.start(at(2), 5)) == [2]


def test_a_settlement_that_was_refused_is_written_again_with_what_came_since() -> None:
    it = lane()
    it.offer_events(events("a", "b"), NOW)
    it.start(NOW, 10)
    it.finish(1, BROKEN, NOW, 0.5)
    first = it.collect()
    assert first is not None
    it.finish(2, BROKEN, NOW, 0.5)
    it.refused()
    second = settle(it)
    assert [row.sequence for row in second.rows] == [1, 2]
    assert second.attempts[: len(first.attempts)] == first.attempts
    assert second.cursor == 2


def test_a_failing_row_and_its_success_in_one_settlement_leave_nothing_behind() -> None:
    it = lane()
    it.offer_events(events("a"), NOW)
    it.start(NOW, 1)
    it.park(at(2))
    it.finish(1, OK, at(3), 0.5)
    settlement = settle(it)
    assert settlement.rows == ()
    assert settlement.closed == (1,)
    assert [one.number for one in settlement.attempts] == [1]


def test_due_rows_and_new_events_take_turns() -> None:
    it = lane()
    it.troubles.look_again()
    it.offer_events(events("a", "b", "c"), NOW)
    it.offer_rows([due(100 + n, f"old{n}", replay=True) for n in range(3)], None)
    assert sequences(it.start(NOW, 6)) == [100, 1, 101, 2, 102, 3]


def test_a_log_read_with_a_hole_is_a_broken_invariant() -> None:
    with pytest.raises(AssertionError, match="without holes"):
        lane().offer_events(events("a", start=2), NOW)


def test_a_version_told_before_a_crash_does_not_wait_behind_a_later_one() -> None:
    # 2 was told by a row that is gone, 3 is tried now, and the cursor had not passed either when the worker died.
    position = LanePosition(1, 1, 1, 0, {"a": Blocked(1, first_sequence=3)}, None, rowed=frozenset({3}))
    it = Lane(config(), position, SETTINGS)
    it.offer_events(events("a", "a", "a", start=2), NOW)
    assert not it.start(NOW, 10)
    settlement = settle(it)
    assert [row.sequence for row in settlement.rows] == [4], "only what comes after the row waits behind it"
    assert settlement.cursor == 4


def test_an_event_that_has_a_row_already_is_not_sent_a_second_time() -> None:
    it = Lane(config(), LanePosition(0, 0, 1, 0, {}, None, rowed=frozenset({2})), SETTINGS)
    it.offer_events(events("a", "b", "c"), NOW)
    sends = it.start(NOW, 10)
    assert sequences(sends) == [1, 3]
    assert sends[1].prev_sequence == 2


def test_a_replay_and_the_stream_never_have_one_object_in_flight_together() -> None:
    it = lane()
    it.troubles.look_again()
    it.offer_rows([due(100, "a", replay=True)], None)
    assert sequences(it.start(NOW, 10)) == [100]
    it.offer_events(events("a", "b"), NOW)
    assert sequences(it.start(NOW, 10)) == [2]
    it.finish(100, OK, NOW, 0.5)
    assert sequences(it.start(NOW, 10)) == [1]
    it.offer_rows([due(101, "a", replay=True), due(102, "c", replay=True)], None)
    assert sequences(it.start(NOW, 10)) == [102]
    it.finish(1, OK, NOW, 0.5)
    assert sequences(it.start(NOW, 10)) == [101]


def test_a_row_that_is_being_sent_or_not_yet_written_is_not_taken_again() -> None:
    it = lane()
    it.offer_events(events("a"), NOW)
    it.start(NOW, 1)
    it.park(at(2))
    it.offer_rows([due(1, "a")], None)
    assert it.start(at(3), 10) == []
    it.finish(1, BROKEN, at(3), 0.5)
    it.offer_rows([due(1, "a")], None)
    assert it.start(at(3), 10) == []

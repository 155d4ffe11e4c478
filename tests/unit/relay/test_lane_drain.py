"""An outage that is drained of the latest only, as the lane sees it: rows that say so, the header, order, a slow start."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

from relay.lanes.lane import Lane
from relay.model import (
    Blocked,
    Covers,
    DueRow,
    EndpointState,
    ExceptionRow,
    LaneConfig,
    LanePosition,
    LogEvent,
    Outcome,
    OutcomeKind,
    RowState,
)
from relay.settings import LaneSettings, RelaySettings

NOW = datetime(2026, 11, 20, tzinfo=UTC)
OK, BROKEN = Outcome(OutcomeKind.DELIVERED, 3, 200), Outcome(OutcomeKind.BROKEN, 3, 500)
CONFIG = LaneConfig(UUID(int=64), UUID(int=2), 0, 7, EndpointState.ACTIVE, True, 32, None, 0)
START = LanePosition(0, 0, 1, 0, {}, None)
SETTINGS = RelaySettings(lane=LaneSettings(in_flight_start=8))


def lane(position: LanePosition = START) -> Lane:
    return Lane(CONFIG, position, SETTINGS)


def event(
    sequence: int, name: str, *, covered_by: int | None = None, covers: Covers | None = None
) -> LogEvent:
    body = None if covered_by is not None else b"%d" % sequence
    return LogEvent(
        UUID(int=sequence), sequence, name, sequence, "deposit.included", NOW, body, covered_by, covers
    )


def test_what_is_covered_gets_a_row_that_says_by_what_and_is_not_sent() -> None:
    it = lane()
    it.offer_events([event(1, "a", covered_by=3), event(2, "b"), event(3, "a")], NOW)
    sends = it.start(NOW, 10)
    assert [(one.sequence, one.covers) for one in sends] == [(2, None), (3, Covers(1, 1))]
    settlement = it.collect()
    assert settlement is not None
    (row,) = settlement.rows
    assert (row.sequence, row.state, row.covered_by, row.retry_at) == (1, RowState.COVERED, 3, None)
    assert settlement.cursor == 1, "the cursor passes what is covered, and nothing that is under way"


def test_the_covers_of_several_reads_and_of_the_store_come_together() -> None:
    it = lane()
    it.offer_events([event(1, "b"), event(2, "a", covered_by=9)], NOW)
    it.offer_events([event(3, "a", covered_by=9), *(event(n, "b") for n in range(4, 9))], NOW)
    it.collect()
    it.committed(NOW)
    it.offer_events([event(9, "a", covers=Covers(2, 3))], NOW)
    assert it.start(NOW, 10)[-1].covers == Covers(2, 3)
    other = lane()
    other.offer_events([event(1, "a", covered_by=2), event(2, "a", covers=Covers(1, 1))], NOW)
    assert other.start(NOW, 1)[0].covers == Covers(1, 1)


def test_what_is_covered_is_not_the_sequence_before() -> None:
    it = lane()
    it.offer_events([event(1, "b"), event(2, "a", covered_by=4), event(3, "c"), event(4, "a")], NOW)
    assert [(one.sequence, one.prev_sequence) for one in it.start(NOW, 10)] == [(1, 0), (3, 1), (4, 3)]
    for sequence in (1, 3, 4):
        it.finish(sequence, OK, NOW, 0.5)
    settlement = it.collect()
    assert settlement is not None
    assert (settlement.cursor, settlement.matched) == (4, 4)


def test_what_covers_waits_behind_a_row_like_any_version_and_says_later_what_it_covers() -> None:
    it = lane(replace(START, cursor=1, matched=1, blocked={"a": Blocked(1, first_sequence=1)}))
    it.offer_events([event(2, "a", covered_by=3), event(3, "a")], NOW)
    assert it.start(NOW, 10) == []
    settlement = it.collect()
    assert settlement is not None
    assert [(one.sequence, one.state) for one in settlement.rows] == [
        (2, RowState.COVERED), (3, RowState.WAITING)
    ]  # fmt: skip
    it.committed(NOW)
    due = replace(settlement.rows[1], state=RowState.RETRYING, retry_at=NOW)
    it.offer_rows([DueRow(due, b"3", Covers(2, 2))], None)
    assert it.start(NOW, 1)[0].covers == Covers(2, 2)


def test_a_covered_event_whose_row_is_written_already_gets_no_second_one() -> None:
    it = lane(replace(START, rowed=frozenset({1})))
    it.offer_events([event(1, "a", covered_by=2), event(2, "a", covers=Covers(1, 1))], NOW)
    settlement = it.collect()
    assert settlement is not None
    assert (settlement.cursor, settlement.rows) == (1, ())


def test_what_was_told_before_a_crash_is_not_called_covered() -> None:
    # 2 was told by a row that is gone, 3 has one, and the cursor had not passed either when the worker died.
    it = lane(LanePosition(1, 1, 1, 0, {"a": Blocked(1, first_sequence=3)}, None, rowed=frozenset({3})))
    it.offer_events([event(2, "a", covered_by=4), event(3, "a", covered_by=4), event(4, "a")], NOW)
    settlement = it.collect()
    assert settlement is not None
    assert [(one.sequence, one.state) for one in settlement.rows] == [(4, RowState.WAITING)]


def test_a_drain_that_begins_again_after_a_crash_begins_slowly() -> None:
    it = lane(replace(START, drain_sequence=START.cursor + 1))
    it.offer_events([event(n, name) for n, name in enumerate("abcdef", start=1)], NOW)
    assert len(it.start(NOW, 10)) == 1
    it.finish(1, OK, NOW, 0.5)
    assert len(it.start(NOW, 10)) == 2


def test_what_failed_keeps_what_it_covers() -> None:
    it = lane()
    it.offer_events([event(1, "a", covered_by=2), event(2, "a")], NOW)
    it.start(NOW, 10)
    it.finish(2, BROKEN, NOW, 0.5)
    settlement = it.collect()
    assert settlement is not None
    rows: dict[int, ExceptionRow] = {one.sequence: one for one in settlement.rows}
    assert (settlement.cursor, rows[1].covered_by, rows[2].state) == (2, 2, RowState.RETRYING)

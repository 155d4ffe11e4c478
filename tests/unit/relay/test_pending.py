"""Unwritten changes and those whose writing failed, as one."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from relay.lanes.pending import Pending
from relay.model import EndpointState, ExceptionRow, Freed, Hurry, LastContact, RowState, Transition

NOW = datetime(2026, 11, 20, tzinfo=UTC)
LATER = datetime(2026, 11, 21, tzinfo=UTC)


def row(sequence: int, state: RowState = RowState.WAITING) -> ExceptionRow:
    return ExceptionRow(
        sequence, UUID(int=1), "dep_a", 1, "a.b", NOW, 0, state, 0, 0, None, False, False, NOW
    )


def test_nothing_pending_is_false_and_anything_is_true() -> None:
    assert not Pending()
    for pending in (
        Pending(closed={1}),
        Pending(rows={1: row(1)}),
        Pending(freed={Freed("dep_a", replay=False): None}),
        Pending(health=LastContact(success_at=NOW)),
        Pending(wakes=0),
        Pending(free_all=True),
    ):
        assert pending


def test_a_row_that_was_closed_since_does_not_come_back() -> None:
    failed = Pending(rows={5: row(5, RowState.SENDING), 6: row(6)})
    newer = Pending()
    newer.close(5)
    both = failed.followed_by(newer)
    assert (set(both.rows), both.closed) == ({6}, {5})


def test_the_later_word_on_a_row_wins() -> None:
    failed, newer = Pending(rows={5: row(5)}), Pending()
    newer.put(row(5, RowState.EXHAUSTED))
    assert failed.followed_by(newer).rows[5].state is RowState.EXHAUSTED


def test_a_row_put_after_being_closed_stands() -> None:
    pending = Pending()
    pending.close(5)
    pending.put(row(5))
    assert pending.speaks_of(5)
    assert (set(pending.rows), pending.closed) == ({5}, {5})


def test_what_only_one_of_them_says_is_kept() -> None:
    failing = Transition((EndpointState.ACTIVE,), EndpointState.FAILING, "endpoint.failing", "why")
    failed = Pending(
        closed={1},
        freed={Freed("dep_a", replay=False): None},
        hurries={"dep_a": Hurry("dep_a", 9, NOW)},
        health=LastContact(success_at=NOW, failure_at=NOW, failure="timeout"),
        transition=failing,
        wakes=3,
        free_all=True,
    )
    both = failed.followed_by(Pending(health=LastContact(success_at=LATER)))
    assert (both.closed, both.freed, both.hurries) == (failed.closed, failed.freed, failed.hurries)
    assert (both.transition, both.wakes, both.free_all) == (failing, 3, True)
    assert both.health == LastContact(success_at=LATER, failure_at=NOW, failure="timeout")
    assert Pending(wakes=3).followed_by(Pending(wakes=4)).wakes == 4

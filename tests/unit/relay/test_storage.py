"""When a worker looks for due rows again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from relay.workers.storage import ROWS_GATHERED, DueRows

NOW = datetime(2026, 11, 20, tzinfo=UTC)


@pytest.mark.parametrize(
    ("due_in_s", "looks_in_s"),
    [(0.0, 0.0), (-1.0, -1.0), (0.01, ROWS_GATHERED.total_seconds()), (5.0, 5.0)],
    ids=["more are due already", "and were before", "in a moment: with its neighbours", "later"],
)
def test_what_comes_due_in_a_moment_is_read_together(due_in_s: float, looks_in_s: float) -> None:
    due = DueRows((), NOW + timedelta(seconds=due_in_s))
    assert due.look_again_at(NOW) == NOW + timedelta(seconds=looks_in_s)


def test_without_a_next_row_nobody_looks() -> None:
    assert DueRows((), None).look_again_at(NOW) is None

"""What the tables would refuse of an endpoint's rows, and what a stuck row looks like, for the store in memory.

Lives here: the checks. Does not live here: the rows and what changes them (`memory`), the laws (`test_dispatch_machine.py`).
"""

from __future__ import annotations

from collections.abc import Collection

from relay.model import ExceptionRow, RowState

HEADS = frozenset({RowState.SENDING, RowState.RETRYING})


def check_heads(rows: Collection[ExceptionRow]) -> None:
    heads = [(row.object_id, row.replay) for row in rows if row.state in HEADS]
    assert len(heads) == len(set(heads)), "two heads of one object"


def check_constraints(rows: Collection[ExceptionRow], *, cursor: int, matched: int) -> None:
    """What the tables would refuse, and what a stuck row looks like."""
    check_heads(rows)
    assert 0 <= matched <= cursor
    heads = {(row.object_id, row.replay) for row in rows if row.state in HEADS}
    for row in rows:
        assert (row.retry_at is not None) == (row.state in HEADS), row
        assert not row.free or row.state is RowState.RETRYING, row
        assert (row.covered_by is not None) == (row.state is RowState.COVERED), row
        assert 0 <= row.prev_sequence < row.sequence, row
        if row.state is RowState.WAITING:
            assert (row.object_id, row.replay) in heads, f"nothing will ever move {row}"
            first = min(
                one.sequence
                for one in rows
                if one.object_id == row.object_id and one.replay == row.replay and one.state in HEADS
            )
            assert first < row.sequence or row.replay, f"{row} overtook its head"

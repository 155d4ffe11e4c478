"""The short drain once more, told slowly: which event stands for one that an outage left superseded.

Lives here: the rule of `covering_sequences` read event by event over a whole log, and what the end of an outage does to the
rows of the store in memory. Does not live here: the store itself (`memory`), the laws (`test_dispatch_machine.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import date

from relay.log.bodies import Published
from relay.model import Covers, ExceptionRow, RowState

TAKES_BACK = frozenset({"deposit.reversed", "deposit.amended"})
STRETCH_VERSIONS = 256
STRETCH_DAYS = 100
STRETCHES_BEGAN = date(2000, 1, 1)
OVER = frozenset({RowState.EXHAUSTED, RowState.COVERED})
"""States of rows that are not tried any more, unless somebody asks; they hold up nobody."""


def stretch_of(event: Published) -> tuple[int, int]:
    """The stretches of its object's versions and of days that an event is in."""
    days = (event.created_at.date() - STRETCHES_BEGAN).days
    return event.version // STRETCH_VERSIONS, days // STRETCH_DAYS


def find_covering(
    event: Published, log: Sequence[Published], event_types: Collection[str] | None, told_by: int
) -> Published | None:
    """Walk from `event` to the end of the outage, and stop where credit is taken back."""
    if event.type in TAKES_BACK:
        return None
    newest = None
    for later in log[event.sequence : told_by]:
        if later.object_id != event.object_id:
            continue
        if later.type in TAKES_BACK or stretch_of(later) != stretch_of(event):
            break
        if event_types is None or later.type in event_types:
            newest = later
    return newest


def cover_rows(
    rows: dict[int, ExceptionRow],
    log: Sequence[Published],
    event_types: Collection[str] | None,
    *,
    cursor: int,
    told_by: int,
) -> set[str]:
    """Cover what is superseded by something still to come; returns the objects that lost rows."""

    def is_to_come(sequence: int) -> bool:
        row = rows.get(sequence)
        return sequence > cursor or (
            row is not None and row.state in {RowState.RETRYING, RowState.WAITING} and not row.replay
        )

    covered = {}
    for sequence, row in rows.items():
        tried = row.state in {RowState.RETRYING, RowState.WAITING}
        replaceable = row.covered_by is not None and is_to_come(row.covered_by)
        if row.replay or not (tried or replaceable):
            continue
        newest = find_covering(log[sequence - 1], log, event_types, told_by)
        if newest is not None and is_to_come(newest.sequence):
            covered[sequence] = newest.sequence
    for sequence, newest_sequence in covered.items():
        rows[sequence] = replace(
            rows[sequence], state=RowState.COVERED, covered_by=newest_sequence, retry_at=None, free=False
        )
    return {rows[sequence].object_id for sequence in covered}


def begin_terms(rows: dict[int, ExceptionRow], *, cursor: int) -> set[str]:
    """Forget what lies ahead of the cursor, give back what that was to stand for; returns the objects of the latter.

    Where something later of its object has a row, it is not given back: it would come after what was tried.
    """
    for row in list(rows.values()):
        if row.sequence > cursor and row.state is not RowState.EXHAUSTED and not row.replay:
            del rows[row.sequence]
    freed: set[str] = set()
    for row in [row for row in rows.values() if row.covered_by is not None and row.covered_by > cursor]:
        assert row.covered_by is not None
        mine = [one for one in rows.values() if one.object_id == row.object_id and not one.replay]
        later = [
            one.sequence for one in mine if one.sequence > row.sequence and one.state is not RowState.COVERED
        ]
        before = [sequence for sequence in later if sequence < row.covered_by]
        if before:
            rows[row.sequence] = replace(row, covered_by=max(before))
        elif not later:
            freed.add(row.object_id)
            rows[row.sequence] = replace(row, state=RowState.WAITING, covered_by=None)
    return freed


def find_covers(rows: Collection[ExceptionRow], sequence: int) -> Covers | None:
    """What the rows say that this event stands for."""
    covered = [row.sequence for row in rows if row.covered_by == sequence]
    return Covers(min(covered), max(covered)) if covered else None

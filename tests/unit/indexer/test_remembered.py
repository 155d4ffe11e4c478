"""A chain's remembered row is never older than what its own store wrote, and never believed for long."""

from __future__ import annotations

import random
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from indexer.rows.remembered import RememberedChain
from indexer.rows.storage import ChainRecord
from tests.unit.indexer.making import chain_record

FIRST = chain_record()
LATER = replace(FIRST, move_count=1)


def test_nothing_is_remembered_without_a_lease() -> None:
    remembered = RememberedChain()
    remembered.note_read(remembered.begin_reading(), FIRST)
    assert remembered.recall(0.0) is None


def test_a_row_is_believed_until_the_lease_was_to_be_renewed() -> None:
    remembered = RememberedChain()
    remembered.note_read(remembered.begin_reading(), FIRST, good_until_s=10.0)
    assert remembered.recall(9.9) is FIRST
    assert remembered.recall(10.0) is None
    remembered.forget()
    assert remembered.recall(0.0) is None


def test_what_was_read_while_a_move_began_or_ended_is_not_kept() -> None:
    for begins_first in (True, False):
        remembered = RememberedChain(good_until_s=10.0)
        move = remembered.begin_move() if begins_first else None
        reading = remembered.begin_reading()
        move = remembered.begin_move() if move is None else move
        remembered.end_move(move, LATER)
        remembered.note_read(reading, FIRST)
        assert remembered.recall(0.0) is LATER


def test_a_move_whose_end_is_not_known_leaves_nothing_to_remember() -> None:
    remembered = RememberedChain()
    remembered.note_read(remembered.begin_reading(), FIRST, good_until_s=10.0)
    remembered.end_move(remembered.begin_move(), None)
    assert remembered.recall(0.0) is None


@given(st.integers(0, 2**32))
def test_whatever_runs_beside_whatever_the_newest_row_or_none_is_recalled(seed: int) -> None:
    """Moves take the row one after another, as under the chain's lock; what tells of them comes in any order."""
    rng, remembered = random.Random(seed), RememberedChain(good_until_s=10.0)
    row = FIRST
    begun: list[int] = []
    told: list[tuple[int, ChainRecord]] = []
    read: list[tuple[int, ChainRecord | None]] = []
    for _ in range(40):
        match rng.randrange(5):
            case 0:
                begun.append(remembered.begin_move())
            case 1 if begun:
                row = replace(row, move_count=row.move_count + 1)
                told.append((begun.pop(rng.randrange(len(begun))), row))
            case 2 if told:
                remembered.end_move(*told.pop(rng.randrange(len(told))))
            case 3:
                read.append((remembered.begin_reading(), row))
            case 4 if read:
                remembered.note_read(*read.pop(rng.randrange(len(read))))
            case _:
                continue
        assert remembered.recall(0.0) in (row, None)

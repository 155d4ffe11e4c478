"""Placing a head and finding a fork, against a tree in which the answer is plain to see."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chains.model import BlockRef, Header
from indexer.rules.canonical import (
    Behind,
    CatchUp,
    Extend,
    Known,
    SearchFork,
    decide_head,
    extends_tip,
    find_common_ancestor,
    search_windows,
)
from tests.unit.indexer.making import block_hash

LENGTH = 12


def chain(fork: int, length: int, name: str) -> list[Header]:
    """Heights 0..length; blocks above `fork` belong to the branch called `name`."""
    names = [f"trunk{height}" if height <= fork else f"{name}{height}" for height in range(length + 1)]
    parents = ["nothing", *names]
    return [
        Header(height, block_hash(own), BlockRef(height - 1, block_hash(parent)), height)
        for height, (own, parent) in enumerate(zip(names, parents, strict=False))
    ]


branches = st.tuples(st.integers(0, LENGTH), st.integers(1, LENGTH), st.integers(0, LENGTH + 6))


@given(branches, st.integers(0, LENGTH), st.integers(1, 5))
def test_a_head_is_placed_as_the_tree_says(
    shape: tuple[int, int, int], start: int, step_heights_max: int
) -> None:
    fork, our_length, their_length = shape
    fork, start = min(fork, our_length, their_length), min(start, our_length)
    ours, theirs = chain(fork, our_length, "ours"), chain(fork, their_length, "theirs")
    tip, head = ours[-1], theirs[-1]
    held = {header.height: header.hash for header in ours if header.height >= start}
    decision = decide_head(
        BlockRef(tip.height, tip.hash),
        head,
        start_height=start,
        ours_at_head_height=held.get(head.height),
        step_heights_max=step_heights_max,
    )
    if head.hash == tip.hash:
        assert decision == Known()
    elif head.height < start:
        assert decision == Behind()
    elif head.height <= tip.height:
        is_our_past = their_length == fork
        assert decision == (Behind() if is_our_past else SearchFork(head.height - 1))
    elif head.height == tip.height + 1:
        assert decision == (Extend() if fork == our_length else SearchFork(tip.height))
    else:
        assert isinstance(decision, CatchUp)
        assert decision.height_first == tip.height + 1
        assert decision.height_last == min(head.height, tip.height + step_heights_max)


@given(branches, st.integers(0, LENGTH), st.integers(0, LENGTH))
def test_the_common_ancestor_is_the_highest_block_both_hold(
    shape: tuple[int, int, int], low: int, high: int
) -> None:
    fork, our_length, their_length = shape
    fork = min(fork, our_length, their_length)
    ours, theirs = chain(fork, our_length, "ours"), chain(fork, their_length, "theirs")
    asked = theirs[low : high + 1]
    held = {header.height: header.hash for header in ours if header.height >= low - 1}
    found = find_common_ancestor(held, asked)
    heights = [height for height in range(max(low - 1, 0), high + 1) if height <= fork] if asked else []
    expected = max((height for height in heights if height <= asked[-1].height), default=None)
    assert found == (None if expected is None else BlockRef(expected, ours[expected].hash))


@given(st.integers(-1, 5000), st.integers(0, 5000))
def test_windows_cover_every_height_once_from_the_top_down(height_last: int, height_floor: int) -> None:
    windows = search_windows(height_last, height_floor)
    covered = [height for low, high in windows for height in range(high, low - 1, -1)]
    assert covered == list(range(height_last, height_floor - 1, -1))


@given(branches, st.integers(0, LENGTH), st.data())
def test_only_a_linked_run_right_above_the_tip_extends_it(
    shape: tuple[int, int, int], skipped: int, data: st.DataObject
) -> None:
    fork, our_length, their_length = shape
    fork = min(fork, our_length, their_length)
    ours, theirs = chain(fork, our_length, "ours"), chain(fork, their_length, "theirs")
    tip = BlockRef(ours[-1].height, ours[-1].hash)
    run = theirs[our_length + 1 + skipped :]
    if len(run) > 1 and data.draw(st.booleans()):
        del run[data.draw(st.integers(1, len(run) - 1))]
    is_contiguous = [header.height for header in run] == list(
        range(our_length + 1, our_length + 1 + len(run))
    )
    assert extends_tip(tip, run) == (bool(run) and fork == our_length and is_contiguous)

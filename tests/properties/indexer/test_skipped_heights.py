"""Placing heads and finding forks on trees in which not every height has a block."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from chains.model import BEFORE_FIRST, BlockRef, Header, is_linked, is_placed
from indexer.rules.canonical import (
    Behind,
    CatchUp,
    Extend,
    Known,
    SearchFork,
    decide_head,
    extends_tip,
    find_common_ancestor,
)
from tests.unit.indexer.making import block_hash

SKIPPED_MAX = 3
gaps = st.lists(st.integers(0, SKIPPED_MAX), min_size=1, max_size=8)


def grow(parent: BlockRef, skipped: Sequence[int], name: str) -> list[Header]:
    """A branch on `parent`, each block that many heights further than the next one."""
    branch: list[Header] = []
    for number, gap in enumerate(skipped):
        height = parent.height + 1 + gap
        branch.append(Header(height, block_hash(f"{name}{number}"), parent, height))
        parent = branch[-1].ref
    return branch


NOTHING = BlockRef(BEFORE_FIRST, block_hash("nothing"))
trees = st.tuples(gaps, st.lists(st.integers(0, SKIPPED_MAX), max_size=6), gaps)


@given(trees, st.integers(1, 5))
def test_a_head_is_placed_by_its_parent(tree: tuple[list[int], list[int], list[int]], step: int) -> None:
    trunk = grow(NOTHING, tree[0], "trunk")
    ours, theirs = (
        trunk + grow(trunk[-1].ref, tree[1], "ours"),
        trunk + grow(trunk[-1].ref, tree[2], "theirs"),
    )
    tip, head, held = ours[-1], theirs[-1], {header.height: header.hash for header in ours}
    decision = decide_head(
        tip.ref, head, start_height=0, ours_at_head_height=held.get(head.height), step_heights_max=step
    )
    if head.parent == tip.ref:
        assert decision == Extend()
    elif head.parent.height > tip.height:
        assert decision == CatchUp(tip.height + 1, min(head.height, tip.height + step))
    else:
        assert decision == SearchFork(head.parent.height)
    for known in ours:
        expected = Known() if known == tip else Behind()
        place = decide_head(
            tip.ref, known, start_height=0, ours_at_head_height=held[known.height], step_heights_max=step
        )
        assert place == expected


@given(trees, st.integers(-1, 40), st.integers(0, 40))
def test_the_fork_is_the_highest_block_that_both_hold(
    tree: tuple[list[int], list[int], list[int]], low: int, high: int
) -> None:
    trunk = grow(NOTHING, tree[0], "trunk")
    ours, theirs = (
        trunk + grow(trunk[-1].ref, tree[1], "ours"),
        trunk + grow(trunk[-1].ref, tree[2], "theirs"),
    )
    asked = [header for header in theirs if low <= header.height <= high]
    found = find_common_ancestor({header.height: header.hash for header in ours}, asked)
    named = [header.ref for header in asked] + [header.parent for header in asked[:1]]
    both = [ref for ref in named if ref in {header.ref for header in trunk}]
    assert found == max(both, key=lambda ref: ref.height, default=None)


@given(gaps, gaps, st.data())
def test_a_run_with_a_block_left_out_extends_nothing(
    below: list[int], skipped: list[int], data: st.DataObject
) -> None:
    tip = grow(NOTHING, below, "ours")[-1].ref
    run = grow(tip, skipped, "next")
    assert extends_tip(tip, run, skipped_heights_max=SKIPPED_MAX)
    assert extends_tip(tip, run) == (not any(skipped)), "dense heights leave nothing out"
    left_out = data.draw(st.integers(0, len(run) - 1))
    is_last = left_out == len(run) - 1
    del run[left_out]
    assert extends_tip(tip, run, skipped_heights_max=SKIPPED_MAX) == (is_last and bool(run))


@given(st.integers(-3, 50), st.integers(-3, 50), st.integers(0, SKIPPED_MAX))
def test_a_parent_lies_below_and_not_too_far(height: int, parent: int, skipped_max: int) -> None:
    header = Header(height, block_hash("b"), BlockRef(parent, block_hash("a")), 0)
    is_near = parent < height <= parent + 1 + skipped_max and parent >= BEFORE_FIRST
    assert is_placed(header, skipped_heights_max=skipped_max) == is_near
    assert is_linked([header], skipped_heights_max=skipped_max) == is_near


def test_two_blocks_of_one_height_and_a_circle_never_link() -> None:
    first = Header(4, block_hash("x"), BlockRef(3, block_hash("a")), 0)
    second = Header(4, block_hash("y"), BlockRef(3, block_hash("b")), 0)
    on_itself = Header(4, block_hash("x"), BlockRef(4, block_hash("x")), 0)
    circle = [
        Header(5, block_hash("p"), BlockRef(6, block_hash("q")), 0),
        Header(6, block_hash("q"), BlockRef(5, block_hash("p")), 0),
    ]
    for run in ([first, second], [on_itself], [on_itself, on_itself], circle, circle[::-1]):
        assert not is_linked(run, skipped_heights_max=SKIPPED_MAX)

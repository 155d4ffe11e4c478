"""Which finality tags are asked for: promptly where something waits, seldom where they stand still, never not at all."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chains.model import BlockHash, BlockRef, Header, HeadReport
from indexer.follow.tags import IDLE_MAX_S, TagPace, TagWatch, Wanted
from indexer.rules.policy import ConfirmedBy, ConfirmRule, Requirement
from tests.unit.indexer.test_notices import SETTINGS


def follow_tag(block_time_s: float, epoch_blocks: int, *, blocks: int, waits: bool) -> tuple[float, float]:
    """Questions a block, and the longest that a move went unseen, with one look a block."""
    pace = TagPace(block_time_s)
    asked, late_blocks, seen = 0, 0, -1
    for number in range(blocks):
        now_s, height = number * block_time_s, number // epoch_blocks * epoch_blocks
        if pace.is_due(now_s, waits=waits, recorded_height=seen):
            asked += 1
            pace.note_answer(now_s, height)
            seen = height
        if number > 4 * epoch_blocks:
            late_blocks = max(late_blocks, number - height if seen != height else 0)
    return asked / blocks, late_blocks * block_time_s


def test_a_tag_that_moves_once_an_epoch_costs_a_fifth_of_a_call_a_block_and_is_seen_at_once() -> None:
    asked, late_s = follow_tag(12.0, 32, blocks=64 * 32, waits=True)
    assert asked <= 0.2
    assert late_s <= 24.0


def test_a_tag_that_moves_with_every_block_is_asked_for_with_every_block_while_something_waits() -> None:
    assert follow_tag(0.45, 1, blocks=500, waits=True) == (1.0, 0.0)
    asked, _ = follow_tag(0.45, 1, blocks=500, waits=False)
    assert asked <= 0.05


@pytest.mark.parametrize("block_time_s", [0.25, 2.0, 12.0, 600.0])
def test_finality_is_asked_for_where_nothing_waits_too(block_time_s: float) -> None:
    pace = TagPace(block_time_s)
    pace.note_answer(0.0, 5)
    assert not pace.is_due(1.0, waits=False, recorded_height=5)
    assert pace.is_due(IDLE_MAX_S, waits=False, recorded_height=5)


def test_what_could_not_be_used_yet_is_asked_for_again() -> None:
    pace = TagPace(12.0)
    for now_s, height in ((0.0, 1), (300.0, 1), (312.0, 2)):
        pace.note_answer(now_s, height)
    assert not pace.is_due(324.0, waits=True, recorded_height=2)
    assert pace.is_due(324.0, waits=True, recorded_height=1), "as while catching up"


def test_a_clock_that_was_set_back_hides_no_finality() -> None:
    pace = TagPace(12.0)
    pace.note_answer(10_000.0, 1)
    assert pace.is_due(5.0, waits=False, recorded_height=1)


def test_a_tag_that_nobody_knows_is_asked_for_again() -> None:
    pace = TagPace(12.0)
    pace.note_answer(0.0, None)
    assert pace.is_due(12.0, waits=True, recorded_height=None)


def report(height: int | None) -> HeadReport:
    header = Header(100, BlockHash(b"h"), BlockRef(99, BlockHash(b"p")), 0)
    tag = None if height is None else replace(header, height=height)
    return HeadReport(header, tag, tag)


def test_what_was_there_at_the_start_is_waited_for_until_the_tags_have_passed_it() -> None:
    watch = TagWatch(SETTINGS)

    def choose(now_s: float, tag_height: int) -> Wanted:
        heights = {"safe_height": tag_height, "final_height": tag_height}
        return watch.choose(now_s, tip_height=100, **heights)

    assert choose(0.0, 90) == Wanted(safe=True, final=True)
    watch.note_answer(0.0, Wanted(safe=True, final=True), report(90))
    assert choose(1.0, 90) == Wanted(safe=False, final=True), "no rule waits for safe"
    assert choose(1.0, 100) == Wanted(safe=False, final=False), "nothing lies above it"


def test_safe_is_waited_for_where_a_rule_says_so() -> None:
    rules = (ConfirmRule(Requirement(ConfirmedBy.SAFE)),)
    watch = TagWatch(replace(SETTINGS, confirm_rules=rules))
    watch.note_answer(0.0, Wanted(safe=True, final=True), report(90))
    assert watch.choose(1.0, tip_height=100, safe_height=90, final_height=100) == Wanted(
        safe=True, final=False
    )

"""How far the chain is final and safe: only forward, only on our own hashes, only as far as operators agree."""

from __future__ import annotations

import pytest

from chains.model import BlockHash, BlockRef, Header, HeadReport
from chains.traits import FinalAtDepth, FinalByTag, FinalityRule
from indexer.rules.finality import NO_TAGS, TagReport, compute_final_height, compute_safe_height, read_tags
from tests.unit.indexer.making import block_hash, header

TIP = BlockRef(20, block_hash("b20"))


def ours(height: int) -> BlockHash | None:
    return block_hash(f"b{height}") if 5 <= height <= 20 else None


def final_height(
    rule: FinalityRule,
    *,
    previous: int | None = None,
    tag: Header | None = None,
    ceiling: int = 20,
    theirs: bool = False,
) -> int | None:
    return compute_final_height(
        previous=previous,
        tip=TIP,
        start_height=5,
        rule=rule,
        tags=TagReport(None, tag, tip_is_theirs=theirs),
        hash_at=ours,
        ceiling=ceiling,
    )


@pytest.mark.parametrize(("confirmations", "height"), [(1, 20), (12, 9), (16, 5), (17, None)])
def test_depth_counts_the_block_itself_and_stops_at_our_start(confirmations: int, height: int | None) -> None:
    assert final_height(FinalAtDepth(confirmations)) == height


def test_depth_counts_only_blocks_that_operators_agree_on() -> None:
    assert final_height(FinalAtDepth(4), ceiling=15) == 12


def test_a_tag_counts_where_its_hash_is_ours() -> None:
    assert final_height(FinalByTag(), tag=header(12)) == 12
    assert final_height(FinalByTag(), tag=header(12, "another branch")) is None
    assert final_height(FinalByTag(), tag=header(4)) is None


def test_a_tag_never_reaches_beyond_what_operators_agree_on() -> None:
    assert final_height(FinalByTag(), tag=header(12), ceiling=10) == 10


def test_an_unknown_tag_is_unknown_and_not_zero() -> None:
    assert final_height(FinalByTag(), tag=None) is None
    assert final_height(FinalByTag(), tag=None, previous=9) == 9


@pytest.mark.parametrize("rule", [FinalAtDepth(15), FinalByTag()])
def test_finality_never_moves_backward(rule: FinalityRule) -> None:
    assert final_height(rule, previous=11, tag=header(8)) == 11
    assert final_height(rule, previous=11, tag=header(8), ceiling=6) == 11


def test_a_tag_above_our_tip_reaches_the_tip_only_while_the_tip_is_its_provider_s() -> None:
    ahead = header(30)
    assert final_height(FinalByTag(), tag=ahead, theirs=True) == 20
    assert final_height(FinalByTag(), tag=ahead, theirs=False) is None


def test_safe_may_fall_and_stands_where_nothing_usable_is_said() -> None:
    def safe(tag: Header | None, *, previous: int | None, fork: int | None = None) -> int | None:
        return compute_safe_height(
            previous=previous,
            fork_height=fork,
            tip=TIP,
            tags=TagReport(tag, None, tip_is_theirs=False),
            hash_at=ours,
        )

    assert safe(header(15), previous=None) == 15
    assert safe(header(11), previous=15) == 11
    assert safe(None, previous=15) == 15
    assert safe(header(15, "another branch"), previous=12) == 12
    assert safe(None, previous=15, fork=13) == 13
    assert safe(None, previous=None, fork=13) is None


def test_no_tags_say_nothing_at_all() -> None:
    assert NO_TAGS.final is None
    assert NO_TAGS.safe is None


@pytest.mark.parametrize("boast", [11, 10**9, 2**63])
def test_a_tag_above_the_head_it_came_with_is_unknown(boast: int) -> None:
    head = header(10)
    report = HeadReport(head, safe=header(boast, "s"), final=header(boast, "f"))
    assert read_tags(report, tip_is_theirs=True) == TagReport(None, None, tip_is_theirs=True)
    assert read_tags(HeadReport(head, head, head), tip_is_theirs=True).final == head

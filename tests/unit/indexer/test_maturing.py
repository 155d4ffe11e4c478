"""What a look could raise without a new block: a chain that stands still writes nothing, whatever its tags are."""

from __future__ import annotations

import pytest

from chains.model import HeadReport
from indexer.rules.maturing import may_mature
from tests.unit.indexer.making import chain_record, header

START = 5
TIP = 20


def ripens(
    *, safe: int | None = None, final: int | None = None, safe_before: int | None, final_before: int | None
) -> bool:
    record = chain_record(
        TIP,
        start_height=0 if final_before == 0 else START,
        final_height=final_before,
        safe_height=safe_before,
    )
    tags = (None if height is None else header(height) for height in (safe, final))
    return may_mature(record, HeadReport(header(TIP), *tags), None, is_settled=True)


@pytest.mark.parametrize("height", [0, START - 1])
def test_a_tag_below_our_start_is_no_block_of_ours_and_writes_nothing(height: int) -> None:
    assert not ripens(final=height, safe_before=None, final_before=None)
    assert not ripens(safe=height, safe_before=None, final_before=None)


def test_the_first_tag_on_a_block_of_ours_is_written() -> None:
    assert ripens(final=START, safe_before=None, final_before=None)
    assert ripens(safe=START, safe_before=None, final_before=None)


@pytest.mark.parametrize("height", [0, 12])
def test_what_is_written_is_not_written_again(height: int) -> None:
    assert not ripens(final=height, safe=12, safe_before=12, final_before=height)


def test_finality_moves_forward_and_safe_may_fall() -> None:
    assert ripens(final=13, safe_before=None, final_before=12)
    assert not ripens(final=11, safe_before=None, final_before=12)
    assert ripens(safe=11, safe_before=12, final_before=12)

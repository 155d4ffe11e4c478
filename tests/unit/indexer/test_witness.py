"""Where held credit begins, what lifts it, and what a witness must show."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from chains.model import Block, BlockHash, BlockRef, Header, Hold, ListedTransfers, VerificationLevel
from indexer.rules.witness import decide_held, is_held


def block(height: int, hold: Hold = Hold.NONE) -> Block:
    header = Header(
        height, BlockHash(bytes([height]) * 32), BlockRef(height - 1, BlockHash(bytes(32))), height
    )
    return Block(header, 0, 0, 0, VerificationLevel.PARTIAL, "node", ListedTransfers(), hold=hold)


def waits(block: Block) -> bool:
    return is_held(block, are_several=False)


def held(held_height: int | None = None, *blocks: Block, tip: int = 20, **others: Any) -> int | None:
    known: dict[str, Any] = {"fork_height": None, "settled_height": None, "trusted_height": -1}
    known |= {"are_several": False} | others
    return decide_held(held_height, tip_height=tip, blocks=blocks, **known)


def test_a_novelty_holds_everything_and_a_known_gap_where_somebody_can_be_asked() -> None:
    gap, novelty = block(6, Hold.HITS), block(7, Hold.CHAIN)
    proven = replace(block(5), level=VerificationLevel.FULL)
    assert held(None, proven, gap, novelty, are_several=True) == 6
    assert held(None, proven, gap, novelty) == 7, (
        "one operator is trusted with what its chain commits to nowhere"
    )
    assert held(None, proven, gap) is None
    assert [waits(block(5, hold)) for hold in Hold] == [False, False, True]


def test_where_a_second_operator_is_there_to_ask_rows_no_hash_covers_rest_on_both() -> None:
    proven = replace(block(5), level=VerificationLevel.FULL)
    assert held(None, block(5), are_several=True) == 5
    assert held(None, proven, are_several=True) is None


def test_later_blocks_do_not_move_where_credit_waits() -> None:
    assert held(5, block(6)) == 5
    assert held(5, block(6, Hold.CHAIN)) == 5


def test_a_witness_lifts_what_it_showed_and_what_lies_above_waits_for_it() -> None:
    assert held(5, settled_height=9) == 10
    assert held(5, settled_height=20) is None
    assert held(5, settled_height=4) == 5


def test_an_operators_word_lifts_and_holds_nothing_up_to_it() -> None:
    assert held(5, trusted_height=9) == 10
    assert held(5, trusted_height=10**9) is None
    assert held(None, block(8, Hold.CHAIN), trusted_height=8) is None
    assert held(None, block(8, Hold.CHAIN), trusted_height=7) == 8


def test_a_block_that_left_holds_nothing() -> None:
    assert held(7, fork_height=6) is None
    assert held(7, fork_height=7) == 7
    assert held(7, block(7, Hold.CHAIN), fork_height=6) == 7


@given(
    st.none() | st.integers(0, 20), st.none() | st.integers(-1, 25), st.integers(-1, 25), st.integers(0, 20)
)
def test_nothing_is_lifted_above_what_was_shown_or_vouched_for(
    before: int | None, settled: int | None, trusted: int, tip: int
) -> None:
    after = held(before, tip=tip, settled_height=settled, trusted_height=trusted)
    if before is None:
        assert after is None
    elif after is None:
        assert max(trusted, -1 if settled is None else settled) >= tip or before > tip
    else:
        assert before <= after <= tip
        assert after == before or after - 1 in {settled, trusted}

"""Rows that contradict each other are never believed, whoever sent them.

Each test bends one thing of a sound block; recomputed hashes and roots are
tested beside `chains/evm/verify`.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from chains.errors import Inconsistent
from chains.evm.rows.consistency import STRICT, check_block, rules_of_profile
from tests.unit.chains.rows import BLOCK_HASH, EMPTY_ROOT, BlockRows, transfer

OTHER_HASH = "0x" + "dd" * 32


def sound() -> BlockRows:
    rows = BlockRows()
    rows.add(transfer(1), transfer(2))
    rows.add()
    rows.add(transfer(3))
    return rows


def check(rows: BlockRows, profile: str = "full", asked: str | None = BLOCK_HASH) -> None:
    check_block(rules_of_profile(profile), asked, rows.block(), rows.rows())


def test_a_sound_block_passes_by_hash_and_by_height() -> None:
    check(sound())
    check(sound(), asked=None)


def test_an_empty_block_passes() -> None:
    check(BlockRows())


BENT: dict[str, Callable[[BlockRows], object]] = {
    "a transaction of another block": lambda rows: rows.transactions[1].update(blockHash=OTHER_HASH),
    "a transaction of another height": lambda rows: rows.transactions[1].update(blockNumber="0x8"),
    "a transaction out of its place": lambda rows: rows.transactions[1].update(transactionIndex="0x0"),
    "a receipt of another block": lambda rows: rows.receipts[1].update(blockHash=OTHER_HASH),
    "a receipt of another height": lambda rows: rows.receipts[1].update(blockNumber="0x8"),
    "a receipt of another transaction": lambda rows: rows.receipts[1].update(transactionHash=OTHER_HASH),
    "a receipt out of its place": lambda rows: rows.receipts[1].update(transactionIndex="0x2"),
    "receipts in another order": lambda rows: rows.receipts.reverse(),
    "a receipt missing": lambda rows: rows.receipts.pop(),
    "no receipts": lambda rows: rows.receipts.clear(),
    "a receipt too many": lambda rows: rows.receipts.append(rows.receipts[0]),
    "a log of another block": lambda rows: rows.receipts[0]["logs"][0].update(blockHash=OTHER_HASH),
    "a log of another height": lambda rows: rows.receipts[0]["logs"][0].update(blockNumber="0x8"),
    "a log of another transaction": lambda rows: rows.receipts[0]["logs"][0].update(
        transactionHash=OTHER_HASH
    ),
    "a log of another place": lambda rows: rows.receipts[0]["logs"][0].update(transactionIndex="0x1"),
    "a log missing in the middle": lambda rows: rows.receipts[0]["logs"].pop(0),
    "a log twice": lambda rows: rows.receipts[0]["logs"].append(rows.receipts[0]["logs"][0]),
    "a log index of words": lambda rows: rows.receipts[0]["logs"][0].update(logIndex="first"),
    "a removed log": lambda rows: rows.receipts[0]["logs"][0].update(removed=True),
}


@pytest.mark.parametrize("bend", BENT.values(), ids=BENT.keys())
def test_case_048_rows_of_two_forks_are_never_mixed(bend: Callable[[BlockRows], object]) -> None:
    rows = sound()
    bend(rows)
    with pytest.raises(Inconsistent):
        check(rows)


def test_another_block_than_the_asked_one_is_refused() -> None:
    with pytest.raises(Inconsistent, match="asked for"):
        check(sound(), asked=OTHER_HASH)


def test_case_105_transactions_under_an_empty_root_are_a_contradiction() -> None:
    rows = sound()
    block = rows.block()
    block.transactions_root = EMPTY_ROOT
    with pytest.raises(Inconsistent, match="root"):
        check_block(STRICT, None, block, rows.rows())


def test_case_105_no_transactions_under_a_full_root_are_a_contradiction() -> None:
    block = BlockRows().block()
    block.transactions_root = OTHER_HASH
    with pytest.raises(Inconsistent, match="root"):
        check_block(STRICT, None, block, [])


def test_case_033_polygon_may_add_one_receipt_and_no_more() -> None:
    rows = sound()
    del rows.transactions[2]
    check(rows, "polygon")
    with pytest.raises(Inconsistent):
        check(rows, "full")
    del rows.transactions[1]
    with pytest.raises(Inconsistent):
        check(rows, "polygon")


def test_case_033_the_logs_of_a_state_sync_may_be_counted_apart() -> None:
    rows = sound()
    del rows.transactions[2]
    rows.receipts[2]["logs"][0]["logIndex"] = "0x9"
    check(rows, "polygon")
    rows.receipts[0]["logs"][1]["logIndex"] = "0x5"
    with pytest.raises(Inconsistent):
        check(rows, "polygon")


def test_hidden_transactions_may_leave_gaps_between_logs_but_never_repeat_one() -> None:
    rows = sound()
    rows.receipts[2]["logs"][0]["logIndex"] = "0x9"
    check(rows, "hyperliquid")
    rows.receipts[2]["logs"][0]["logIndex"] = "0x1"
    with pytest.raises(Inconsistent):
        check(rows, "hyperliquid")

"""Targets, work and which bits are due, by figures that the reference programs publish."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chains.bitcoin.coins import COINS
from chains.bitcoin.verify.work import (
    Placed,
    compact_target,
    compute_due_bits,
    compute_work,
    expand_bits,
    list_headers_needed,
)

BITCOIN, LITECOIN, DOGECOIN = COINS["bitcoin"], COINS["litecoin"], COINS["dogecoin"]


@pytest.mark.parametrize(
    ("bits", "target"),
    [
        (0x00123456, None),
        (0x01003456, None),
        (0x01123456, 0x12),
        (0x02008000, 0x80),
        (0x04923456, None),
        (0x04123456, 0x12345600),
        (0x05009234, 0x92340000),
        (0x20123456, 0x123456 << 232),
        (0xFF123456, None),
    ],
)
def test_compact_bits_spell_one_target_or_none(bits: int, target: int | None) -> None:
    assert expand_bits(bits) == target


@given(st.integers(1, 2**256 - 1))
def test_a_target_keeps_its_leading_digits(target: int) -> None:
    kept = expand_bits(compact_target(target))
    assert kept is not None
    assert kept <= target < kept + (1 << max(0, target.bit_length() - 15))


def test_work_is_what_the_first_block_stands_for() -> None:
    assert compute_work(0x1D00FFFF) == 0x100010001
    assert compute_work(0) is None


@pytest.mark.parametrize(
    ("begin_s", "height", "time_s", "bits", "due"),
    [
        (1261130161, 32255, 1262152739, 0x1D00FFFF, 0x1D00D86A),
        (1231006505, 2015, 1233061996, 0x1D00FFFF, 0x1D00FFFF),
        (1279008237, 68543, 1279297671, 0x1C05A3F4, 0x1C0168FD),
        (1263163443, 46367, 1269211443, 0x1C387F6F, 0x1D00E1FD),
    ],
    ids=["usual", "limit", "four-times-harder", "four-times-easier"],
)
def test_a_period_of_bitcoin_ends_in_the_bits_that_were_due(
    begin_s: int, height: int, time_s: int, bits: int, due: int
) -> None:
    assert list_headers_needed(BITCOIN, height + 1) == (height, height - 2015)
    begin = Placed(height - 2015, begin_s, bits)
    assert compute_due_bits(BITCOIN, Placed(height, time_s, bits), begin) == due


def test_between_two_periods_bits_stay() -> None:
    assert list_headers_needed(BITCOIN, 2017) == (2016,)
    assert compute_due_bits(BITCOIN, Placed(2016, 1, 0x1C05A3F4), None) == 0x1C05A3F4


def test_litecoin_counts_one_block_more_but_for_its_first_period() -> None:
    assert list_headers_needed(LITECOIN, 2016) == (2015, 0)
    assert list_headers_needed(LITECOIN, 4032) == (4031, 2015)


@pytest.mark.parametrize(
    ("spent_s", "factor"), [(60, 1.0), (0, 0.883), (-3600, 0.75), (3600, 1.5), (120, 1.117)]
)
def test_dogecoin_looks_at_one_block_and_is_dampened(spent_s: int, factor: float) -> None:
    assert list_headers_needed(DOGECOIN, 145_000) == (144_999, 144_998)
    assert list_headers_needed(DOGECOIN, 144_999) == ()
    before, begin = Placed(200_000, 10_000 + spent_s, 0x1B267EEB), Placed(199_999, 10_000, 0x1B267EEB)
    due, last = expand_bits(compute_due_bits(DOGECOIN, before, begin)), expand_bits(0x1B267EEB)
    assert due is not None
    assert last is not None
    assert due / last == pytest.approx(factor, abs=0.001)


def test_nothing_is_due_where_the_rules_need_more_than_headers() -> None:
    assert list_headers_needed(COINS["bitcoin-testnet4"], 2016) == ()
    assert list_headers_needed(BITCOIN, 0) == ()

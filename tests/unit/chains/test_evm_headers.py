"""What a provider may claim of a block's place: anything it likes, and what no chain can have reached is its fault."""

from __future__ import annotations

import json

import pytest
from msgspec import Raw

from chains.errors import Inconsistent
from chains.evm.rows.structs import HEIGHT_MAX, TIME_MAX_S, decode_header


def header_of(number: int, timestamp: int) -> Raw:
    """A header as a node writes it."""
    row = {"number": hex(number), "timestamp": hex(timestamp), "hash": "0x" + "11" * 32}
    return Raw(json.dumps(row | {"parentHash": "0x" + "22" * 32}).encode())


def test_a_height_and_a_time_that_a_chain_can_reach_are_read() -> None:
    header = decode_header(header_of(HEIGHT_MAX, TIME_MAX_S))
    assert (header.height, header.time_s) == (HEIGHT_MAX, TIME_MAX_S)


@pytest.mark.parametrize(
    ("number", "timestamp"), [(HEIGHT_MAX + 1, 0), (2**255, 0), (1, TIME_MAX_S + 1), (1, 2**64)]
)
def test_a_height_or_a_time_that_no_database_holds_blames_the_provider(number: int, timestamp: int) -> None:
    with pytest.raises(Inconsistent):
        decode_header(header_of(number, timestamp))

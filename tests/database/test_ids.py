"""The spelling of object ids."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrations.ids import decode_id, encode_id, new_id


@given(st.uuids())
def test_every_id_reads_back_in_either_case(value: UUID) -> None:
    text = encode_id("dep", value)
    assert len(text) == len("dep_") + 26
    assert text == text.lower()
    assert decode_id("dep", text) == decode_id("dep", text.upper()) == value


def test_ids_are_spelled_as_ulids_are() -> None:
    assert encode_id("x", UUID(int=0)) == "x_" + "0" * 26
    assert encode_id("x", UUID(int=(1 << 128) - 1)) == "x_7" + "z" * 25
    # From the ULID specification's own example, 01ARZ3NDEKTSV4RRFFQ69G5FAV.
    assert encode_id("mer", UUID("01563e3a-b5d3-d676-4c61-efb99302bd5b")) == "mer_01arz3ndektsv4rrffq69g5fav"


@given(st.uuids(), st.uuids())
def test_text_sorts_as_the_numbers_do(one: UUID, other: UUID) -> None:
    assert (encode_id("a", one) < encode_id("a", other)) == (one.int < other.int)


@pytest.mark.parametrize(
    "text",
    [
        "dep_" + "0" * 25,
        "dep_" + "0" * 27,
        "dep_8" + "0" * 25,  # 129 bits
        "dep_" + "0" * 25 + "l",
        "dep_" + "0" * 25 + "u",
        "dep-" + "0" * 26,
        "end_" + "0" * 26,
        "dep_" + "0" * 25 + "\u212a",  # the Kelvin sign, whose lower case is a k
        "dep_" + "0" * 25 + "\n",
        "",
        "dep_",
    ],
)
def test_what_is_not_an_id_of_that_kind_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        decode_id("dep", text)


def test_new_ids_are_of_version_7_and_carry_their_millisecond() -> None:
    now_ms = 1_763_650_000_123
    value = new_id(now_ms)
    assert value.version == 7
    assert value.variant == "specified in RFC 4122"
    assert value.int >> 80 == now_ms
    assert new_id(now_ms) != value

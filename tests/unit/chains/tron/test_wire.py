"""The protobuf reader: what java-tron's takes is taken, what promises more than is there is refused."""

from __future__ import annotations

import time
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from chains.tron.rows.blocks import RawTransaction, read_transaction
from chains.tron.rows.messages import RESULT, Unwritable, encode_message
from chains.tron.rows.wire import (
    Malformed,
    encode_bytes,
    encode_number,
    encode_varint,
    last_bytes,
    last_number,
    read_fields,
)
from chains.tron.value.contracts import read_asked
from tests.devnet import tron_chain as made

FIELD = st.one_of(
    st.tuples(st.integers(1, 1 << 28), st.just(0), st.integers(0, (1 << 64) - 1)),
    st.tuples(st.integers(1, 1 << 28), st.just(2), st.binary(max_size=40)),
)


@given(st.lists(FIELD, max_size=20))
def test_what_is_written_is_read(fields: list[tuple[int, int, int | bytes]]) -> None:
    data = b"".join(
        encode_number(at, value) if isinstance(value, int) else encode_bytes(at, value)
        for at, _, value in fields
    )
    assert read_fields(data) == fields


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_malformed(data: bytes) -> None:
    try:
        fields = read_fields(data)
    except Malformed:
        return
    assert sum(len(value) for _, _, value in fields if isinstance(value, bytes)) <= len(data)


@pytest.mark.parametrize(
    "data",
    [
        b"\x0a\x05abc",  # fewer bytes than promised
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",  # 2^64 - 1 of them
        b"\x08" + b"\xff" * 10 + b"\x01",  # a number of eleven bytes
        b"\x08\x80",
        b"\x00\x01",  # field 0
        b"\x0b\x08\x01",  # a group without end
        b"\x0b\x14",  # one that ends as another
        b"\x0c",
        b"\x0d\x01\x02",
        b"\x0f",
        b"\x0b" * 101 + b"\x0c" * 101,
    ],
)
def test_what_is_malformed_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        read_fields(data)


def test_what_javas_parser_takes_is_taken() -> None:
    assert read_fields(b"\x08\x81\x80\x00") == [(1, 0, 1)]  # a number longer than it must be
    assert read_fields(b"\x0b\x08\x07\x0c\x10\x05") == [(2, 0, 5)]  # a group is passed over
    assert read_fields(b"\x0b" * 100 + b"\x0c" * 100) == []
    assert read_fields(b"\x0d\x01\x02\x03\x04\x09" + bytes(8)) == [
        (1, 5, b"\x01\x02\x03\x04"),
        (1, 1, bytes(8)),
    ]
    fields = read_fields(made.number(1, 5) + made.text(1, b"no number") + made.number(1, 6))
    assert last_number(fields, 1) == 6
    assert last_bytes(fields, 1) == b"no number"


def test_numbers_are_signed() -> None:
    assert last_number(read_fields(encode_number(3, -7)), 3) == -7
    assert encode_varint(-1) == b"\xff" * 9 + b"\x01"
    assert last_number(read_fields(b"\x18" + b"\xff" * 9 + b"\x7f"), 3) == -1


def test_a_result_is_written_as_java_writes_it() -> None:
    said = {
        "9": [5, "0a0b", {"1": [2]}],
        "contractRet": "SUCCESS",
        "fee": "9007199254740993",
        "ret": "FAILED",
        "assetIssueID": "é",
        "8": [1],
        "cancel_unfreezeV2_amount": [{"key": "ENERGY", "value": 1}],
    }
    expected = (
        made.number(1, 9007199254740993) + made.number(2, 1) + made.number(3, 1) + made.text(14, "é".encode())
        + made.text(28, made.text(1, b"ENERGY") + made.number(2, 1))
        + made.number(8, 1) + made.number(9, 5) + made.text(9, b"\x0a\x0b") + b"\x4b" + made.number(1, 2) + b"\x4c"
    )  # fmt: skip
    assert encode_message(RESULT, said) == expected
    assert encode_message(RESULT, {"contractRet": "UNKNOWN_ENUM_VALUE_contractResult_99"}) == made.number(
        3, 99
    )
    assert encode_message(RESULT, {"contractRet": "DEFAULT", "fee": 0, "orderId": ""}) == b""


@pytest.mark.parametrize(
    "said",
    [
        {"newField": 1},
        {"contractRet": "MAYBE"},
        {"fee": 1.5},
        {"fee": True},
        {"fee": 1 << 70},
        {"orderId": "0x00"},
        {"orderId": "abc"},
        {"9": 5},
        {"9": [None]},
        {"orderDetails": [5]},
    ],
)
def test_what_has_no_known_bytes_is_not_guessed(said: dict[str, object]) -> None:
    with pytest.raises(Unwritable):
        encode_message(RESULT, said)


def test_a_transaction_is_read_in_one_pass_however_many_pieces_it_comes_in() -> None:
    count = 400_000
    results = [Raw(b'{"contractRet":"SUCCESS"}')] * count
    told = RawTransaction(sha256(b"").hexdigest(), "", [], results)
    pieces = encode_bytes(11, encode_bytes(2, b"abcdefgh") * count)
    began = time.thread_time()
    transaction, asked = read_transaction(told), read_asked(pieces)
    assert time.thread_time() - began < 3, "it grows with the square of the pieces"
    assert transaction.tail == made.text(5, made.number(3, 1)) * count
    assert asked.parameter == b"abcdefgh" * count

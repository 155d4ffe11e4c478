"""Reading a stranger's answer: the status stands, however odd the rest and however it is cut into packets."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.out.answer import EXCERPT_BYTES_MAX, HEAD_BYTES_MAX, AnswerReader

Told = tuple[int | None, bytes, bool]


def read(*packets: bytes, ended: bool = True) -> AnswerReader:
    reader = AnswerReader()
    for packet in packets:
        reader.feed(packet)
    if ended:
        reader.end()
    return reader


def told(reader: AnswerReader) -> Told:
    return reader.status, reader.excerpt, reader.reusable


CLEAN: list[tuple[bytes, Told]] = [
    (b"HTTP/1.1 204 No Content\r\n\r\n", (204, b"", True)),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", (200, b"ok", True)),
    (b"HTTP/1.1 200 OK\r\ncontent-length:2\r\nConnection: Keep-Alive\r\n\r\nok", (200, b"ok", True)),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n1;x=y\r\n!\r\n0\r\n\r\n", (200, b"ok!", True)),
    (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n", (201, b"", True)),
    (b"HTTP/1.1 503 No\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n", (503, b"", True)),
]  # fmt: skip


@pytest.mark.parametrize("answer, expected", CLEAN)
def test_a_clean_answer_leaves_a_connection_that_may_be_used_again(answer: bytes, expected: Told) -> None:
    reader = read(answer, ended=False)
    assert reader.finished
    assert told(reader) == expected


@pytest.mark.parametrize("answer, expected", CLEAN)
def test_where_packets_begin_changes_nothing(answer: bytes, expected: Told) -> None:
    for at in range(1, len(answer)):
        assert told(read(answer[:at], answer[at:], ended=False)) == expected
    assert told(read(*(answer[at : at + 1] for at in range(len(answer))), ended=False)) == expected


@pytest.mark.parametrize("answer, expected", CLEAN)
@pytest.mark.parametrize("more", [b"x", b"\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"])
def test_anything_behind_an_answer_makes_the_connection_unfit(
    answer: bytes, expected: Told, more: bytes
) -> None:
    for reader in (read(answer + more, ended=False), read(answer, more, ended=False)):
        assert reader.status == expected[0]
        assert reader.overlong
        assert not reader.reusable


@pytest.mark.parametrize(
    "answer",
    [
        b"", b"HTTP", b"HTTP/1.1 20", b"HTTP/1.1 2000 OK\r\n\r\n", b"HTTP/1.1 200OK\r\n\r\n", b"HTTP/1.1 099 x\r\n\r\n",
        b"HTTP/1.1 +20 x\r\n\r\n", b"<html>", b"SSH-2.0-x\r\n", b"HTTP/1.1\r\n200 OK\r\n\r\n", b"ICY 200 OK\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early\r\nHTTP/1.1 200 OK\r\n", b"\x15\x03\x01\x00\x02\x02\x46",
        b"HTTP/1.1 -200 OK\r\n\r\n", b"HTTP/1.1 \xd9\xa2\xd9\xa0\xd9\xa0 OK\r\n\r\n", b"\r\n\r\n\r\n",
    ],
)  # fmt: skip
def test_what_is_no_status_is_none(answer: bytes) -> None:
    reader = read(answer)
    assert (reader.status, reader.reusable) == (None, False)


@given(st.lists(st.binary(max_size=300), max_size=8))
def test_no_bytes_are_too_strange(packets: list[bytes]) -> None:
    reader = read(b"HTTP/1.1 200 OK\r\n", *packets)
    assert reader.status == 200
    assert reader.finished
    assert len(reader.excerpt) <= EXCERPT_BYTES_MAX


@given(st.lists(st.binary(max_size=300), max_size=8))
def test_strange_chunks_are_read_alike_however_they_are_cut(packets: list[bytes]) -> None:
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"
    whole, cut = read(head + b"".join(packets)), read(head, *packets)
    assert told(whole) == told(cut)


@pytest.mark.parametrize(
    "head, piece",
    [
        (b"", b"\r\n"),
        (b"", b"HTTP/1.1 102 P\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\n", b"a: b\r\n"),
        (b"HTTP/1.1 200 OK\r\nx: ", b"a"),
        (b"HTTP/1.1 200 ", b"a"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"1\r\na\r\n"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"0"),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"z"),
    ],
)
def test_time_and_memory_are_bounded_also_byte_by_byte(head: bytes, piece: bytes) -> None:
    reader = read(head, ended=False)
    flood = piece * (2_000_000 // len(piece))
    started = time.process_time()
    for at in range(0, len(flood), 7):
        if reader.finished:
            break
        reader.feed(flood[at : at + 7])
    assert reader.finished
    assert time.process_time() - started < 2
    assert len(reader._head) <= HEAD_BYTES_MAX

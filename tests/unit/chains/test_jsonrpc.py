"""Whatever a node writes, each call gets exactly one outcome.

Bytes in, outcomes out; sending them is tested on a real node
(`tests/live_evm/test_weather.py`).
"""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chains.errors import ChainError, Inconsistent, Missing, Refused, Throttled, Unreachable
from chains.rpc.jsonrpc import Call, decode_batch, encode_batch, is_null
from chains.rpc.refusals import NoBatches, TooLarge, UnknownMethod, classify_error

CALLS = [Call("one"), Call("two", ("0x1", True)), Call("three", ({"a": 1},))]


def outcomes(*answers: Any) -> list[Any]:
    found = decode_batch(json.dumps(list(answers)).encode(), CALLS)
    return [one if isinstance(one, ChainError) else json.loads(bytes(one)) for one in found]


def test_a_batch_numbers_its_calls_in_order() -> None:
    assert json.loads(encode_batch(CALLS)) == [
        {"jsonrpc": "2.0", "id": 1, "method": "one", "params": []},
        {"jsonrpc": "2.0", "id": 2, "method": "two", "params": ["0x1", True]},
        {"jsonrpc": "2.0", "id": 3, "method": "three", "params": [{"a": 1}]},
    ]


def test_a_single_call_is_no_batch() -> None:
    assert json.loads(encode_batch(CALLS[:1])) == {"jsonrpc": "2.0", "id": 1, "method": "one", "params": []}


def test_answers_are_paired_by_id_not_by_place() -> None:
    assert outcomes({"id": 3, "result": "c"}, {"id": 1, "result": "a"}, {"id": 2, "result": None}) == [
        "a",
        None,
        "c",
    ]


def test_ids_written_as_text_are_ids() -> None:
    assert outcomes({"id": "1", "result": 1}, {"id": "2", "result": 2}, {"id": "3", "result": 3}) == [1, 2, 3]


def test_a_call_left_out_is_unreachable_and_spoils_no_other() -> None:
    first, second, third = outcomes({"id": 1, "result": 1}, {"id": 3, "result": 3})
    assert (first, third) == (1, 3)
    assert isinstance(second, Unreachable)


def test_the_same_answer_twice_is_one_answer() -> None:
    answers = [{"id": n, "result": n} for n in (1, 2, 3, 2)]
    assert outcomes(*answers) == [1, 2, 3]


def test_two_different_answers_to_one_call_are_a_contradiction() -> None:
    first, second, third = outcomes(*({"id": n, "result": n} for n in (1, 2, 3)), {"id": 2, "result": 9})
    assert (first, third) == (1, 3)
    assert isinstance(second, Inconsistent)


@pytest.mark.parametrize("stranger", [{"id": 9, "result": 1}, {"id": None}, {}, {"id": {"a": 1}}, {"id": -1}])
def test_answers_nobody_asked_for_are_passed_over(stranger: dict[str, Any]) -> None:
    assert outcomes(stranger, *({"id": n, "result": n} for n in (1, 2, 3))) == [1, 2, 3]


@pytest.mark.parametrize(
    "empty", [{}, {"error": None}, {"result": None, "error": {"code": -32601, "message": "m"}}]
)
def test_an_answer_is_its_error_or_its_result_or_nothing(empty: dict[str, Any]) -> None:
    first, *_ = outcomes({"id": 1} | empty, {"id": 2, "result": 2}, {"id": 3, "result": 3})
    assert isinstance(first, UnknownMethod if empty.get("error") else Unreachable)


def test_an_error_that_is_a_text_is_read_as_its_message() -> None:
    first, *_ = outcomes(
        {"id": 1, "error": "rate limit exceeded"}, {"id": 2, "result": 2}, {"id": 3, "result": 3}
    )
    assert isinstance(first, Throttled)


def test_null_is_a_result() -> None:
    (one,) = decode_batch(b'{"id":1,"result":null}', CALLS[:1])
    assert isinstance(one, msgspec.Raw)
    assert is_null(one)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"invalid request"}}', Refused),
        (b'{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"batch too large"}}', TooLarge),
        (b'{"jsonrpc":"2.0","id":null,"error":{"code":-32005,"message":"slow down"}}', Throttled),
        (b'{"jsonrpc":"2.0","id":1,"result":"0x1"}', NoBatches),
        (b"", Unreachable),
        (b"null", Unreachable),
        (b'"text"', Unreachable),
        (b"[1,2]", Unreachable),
        (b'[{"id":1,"result":"cut of', Unreachable),
        (b"[" * 50_000, Unreachable),
    ],
)
def test_one_object_for_a_batch_speaks_for_all_of_it(body: bytes, kind: type[ChainError]) -> None:
    with pytest.raises(kind) as caught:
        decode_batch(body, CALLS)
    assert type(caught.value) is kind


@given(st.binary(max_size=200))
def test_no_bytes_break_the_pairing(body: bytes) -> None:
    try:
        found = decode_batch(body, CALLS)
    except ChainError:
        return
    assert len(found) == len(CALLS)


WORDINGS: list[tuple[int, str, type[ChainError]]] = [
    (-32601, "Method not found", UnknownMethod),
    (-32601, "the method eth_getBlockReceipts does not exist/is not available", UnknownMethod),
    (-32000, "Unsupported method: debug_traceBlockByHash", UnknownMethod),
    (-32004, "This request method is not supported", UnknownMethod),
    (-32000, "header not found", Missing),
    (-32000, "unknown block", Missing),
    (-5, "Block not found", Missing),
    (-8, "Block height out of range", Missing),
    (-1, "Block not available (pruned data)", Refused),
    (-28, "Verifying blocks…", Unreachable),
    (0, "Work queue depth exceeded", Throttled),
    (-32001, "Resource not found", Missing),
    (-32000, "block 0x01 not found", Missing),
    (-39001, "Unknown block", Missing),
    (-32602, "block range extends beyond current head block", Missing),
    (-32000, "One of the blocks specified in filter cannot be found.", Missing),
    (-32000, "missing trie node 0000 (path ) <nil>", Refused),
    (4444, "pruned history unavailable", Refused),
    (-32000, "required historical state unavailable (reexec=128)", Refused),
    (-32602, "invalid argument 0: hex string without 0x prefix", Refused),
    (-32005, "daily request count exceeded, request rate limited", Throttled),
    (-32005, "query returned more than 10000 results", TooLarge),
    (429, "Your app has exceeded its compute units per second capacity", Throttled),
    (-32000, "Too Many Requests", Throttled),
    (-32029, "Too many", Throttled),
    (-32603, "Internal error", Unreachable),
    (-32000, "execution timeout", Unreachable),
    (-32000, "request timed out", Unreachable),
    (-32000, "no available backends", Unreachable),
    (-32000, "response size exceeded", TooLarge),
    (-32600, "batch is disabled", NoBatches),
    (-32600, "batch size 200 exceeds the limit of 100", TooLarge),
    (-32000, "invalid API key", Refused),
    (-32007, "50/second request limit reached - reduce calls per second or upgrade your account", Throttled),
    (-32005, "You've exceeded the RPS limit available on the current plan", Throttled),
    (0, "you've reached the limit of 30 req/sec", Throttled),
    (31, "Batch of more than 3 requests are not allowed on free tier, to use paid tier", TooLarge),
    (30, "Request timeout on the free tier, please upgrade your tier to the paid one", Unreachable),
    (-32001, "rpc method is not whitelisted", UnknownMethod),
    (-32000, "debug_traceBlockByHash is not available on the Free tier - upgrade to Growth", Refused),
    (-32000, "Archive requests are not supported on your plan", Refused),
    (-32600, "Number of requests in batch exceeds limit", TooLarge),
    (3, "execution reverted", Refused),
]


@pytest.mark.parametrize(("code", "message", "kind"), WORDINGS)
def test_case_109_errors_are_told_apart_by_code_and_wording(
    code: int, message: str, kind: type[ChainError]
) -> None:
    assert type(classify_error("m", code, message)) is kind


def test_a_strangers_message_is_cut_and_put_on_one_line() -> None:
    error = classify_error("m", 1, "a\n\x1b\tb" + "x" * 5000)
    assert len(error.detail) < 300
    assert "\n" not in error.detail

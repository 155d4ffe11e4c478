"""JSON-RPC 2.0 as bytes: builds batches, pairs answers by id, reads refusals.

Sans I/O.  Nodes answer out of order, twice, not at all, or with one object
where an array was due; here all of it becomes one outcome a call.  What an
error object means is `chains.rpc.refusals`, sending is `chains.rpc.transport`,
and what results mean is the family's.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import msgspec
from msgspec import Raw, Struct

from chains.errors import ChainError, Inconsistent, Refused, Unreachable
from chains.rpc.refusals import NoBatches, classify_error

Params = Sequence[object]

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Call:
    """One method with its parameters."""

    method: str
    params: Params = ()


Outcome = Raw | ChainError
"""What came of one call: the JSON of its result, or why there is none."""


class _Request(Struct, gc=False):
    id: int
    method: str
    params: Params
    jsonrpc: str = "2.0"


class _Answer(Struct, gc=False):
    """Each member raw: one odd answer must not spoil its neighbours'."""

    id: Raw = Raw()
    result: Raw = Raw()
    error: Raw = Raw()


class _Error(Struct, gc=False):
    code: int = 0
    message: str = ""


_ANSWERS = msgspec.json.Decoder(list[_Answer])
_ONE_ANSWER = msgspec.json.Decoder(_Answer)
_ERROR = msgspec.json.Decoder(_Error)
_ENCODER = msgspec.json.Encoder()

NESTING_MAX = 3_000
"""Two levels a call frame, 1,024 frames, and what is around them."""


def encode_batch(calls: Sequence[Call]) -> bytes:
    """The request body; ids count from 1 in the order of `calls`.

    A single call is sent as a plain object: every node takes that.
    """
    requests = [
        _Request(id=number, method=call.method, params=call.params) for number, call in enumerate(calls, 1)
    ]
    return _ENCODER.encode(requests[0] if len(requests) == 1 else requests)


def decode_batch(body: bytes, calls: Sequence[Call]) -> list[Outcome]:
    """One outcome a call, in the order of `calls`.

    Raises `Unreachable` when the body is not JSON-RPC at all, and what the
    error means when one error object answers a whole batch.
    """
    answers = _decode_answers(body, batched=len(calls) > 1)
    by_id: dict[int, _Answer] = {}
    twice: set[int] = set()
    for answer in answers:
        number = _read_id(answer.id)
        if number is None:
            continue
        earlier = by_id.setdefault(number, answer)
        if earlier is not answer and _body_of(earlier) != _body_of(answer):
            twice.add(number)
    outcomes: list[Outcome] = []
    for number, call in enumerate(calls, 1):
        if number in twice:
            outcomes.append(Inconsistent(f"{call.method} was answered twice, differently"))
        elif number not in by_id:
            outcomes.append(Unreachable(f"{call.method} was left without an answer"))
        else:
            outcomes.append(_read_outcome(call, by_id[number]))
    return outcomes


def decode_nested(decoder: msgspec.json.Decoder[_T], data: bytes | Raw) -> _T:
    """Decode JSON nested as deep as the EVM's 1,024 calls make a trace.

    A decoder in C stops at the interpreter's recursion limit, which a deposit
    must not be able to reach on purpose; beyond ours it stays an error.
    """
    try:
        return decoder.decode(data)
    except RecursionError:
        limit = sys.getrecursionlimit()
    sys.setrecursionlimit(limit + NESTING_MAX)
    try:
        return decoder.decode(data)
    finally:
        sys.setrecursionlimit(limit)


def expect_result(outcome: Outcome) -> Raw:
    """The result, or the error raised."""
    if isinstance(outcome, ChainError):
        raise outcome
    return outcome


def _decode_answers(body: bytes, *, batched: bool) -> list[_Answer]:
    opening = body[:64].lstrip()[:1]
    try:
        if opening == b"[":
            return decode_nested(_ANSWERS, body)
        if opening == b"{":
            answer = decode_nested(_ONE_ANSWER, body)
            if batched:
                _raise_for_whole_batch(answer)
            return [answer]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise Unreachable("an answer that is not JSON-RPC, or was cut") from None
    raise Unreachable("an answer that is not JSON")


def _raise_for_whole_batch(answer: _Answer) -> None:
    """One object for a batch: its error, else the sign that batches are unknown."""
    if _is_given(answer.error):
        error = _read_error("batch", answer.error)
        if type(error) is Refused:
            raise NoBatches(error.detail)
        raise error
    if _is_given(answer.result):
        raise NoBatches("a batch was answered with one object")
    raise Unreachable("an answer that is not JSON-RPC")


def _read_outcome(call: Call, answer: _Answer) -> Outcome:
    if _is_given(answer.error):
        return _read_error(call.method, answer.error)
    if memoryview(answer.result).nbytes == 0:
        return Unreachable(f"{call.method}: neither result nor error")
    return answer.result


def _read_error(method: str, raw: Raw) -> ChainError:
    try:
        error = _ERROR.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        # Some gateways put a bare string where the object belongs.
        return classify_error(method, 0, bytes(raw).decode("utf-8", "replace").strip('"'))
    return classify_error(method, error.code, error.message)


def _read_id(raw: Raw) -> int | None:
    text = bytes(raw).strip(b'"')
    return int(text) if text.isdigit() and len(text) < 10 else None


def is_null(raw: Raw) -> bool:
    """Whether a result is JSON's null; never copies a large one."""
    return memoryview(raw).nbytes == 4 and bytes(raw) == b"null"


def _is_given(raw: Raw) -> bool:
    return memoryview(raw).nbytes > 0 and not is_null(raw)


def _body_of(answer: _Answer) -> tuple[bytes, bytes]:
    return bytes(answer.result), bytes(answer.error)

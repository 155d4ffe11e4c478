"""JSON-RPC 2.0 as bytes: builds batches, pairs answers by id, reads refusals.

Sans I/O.  Nodes answer out of order, twice, not at all, without ids, or with
one object where an array was due; here all of it becomes one outcome a call.
What an error object means is `chains.rpc.refusals`, sending is
`chains.rpc.transport`, and what results mean is the family's.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import msgspec
from msgspec import Raw, Struct

from chains.errors import ChainError, Inconsistent, Refused, Throttled, Unreachable
from chains.rpc.refusals import (
    DETAIL_LENGTH_MAX,
    NoBatches,
    TooLarge,
    Unanswered,
    UnknownMethod,
    classify_error,
    classify_text,
    read_http_status,
)

Params = Sequence[object]

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Call:
    """One method with its parameters."""

    method: str
    params: Params = ()


Reply = Raw | ChainError
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
    """Raw too: codes come as texts, and the words sometimes stand in `data`."""

    code: Raw = Raw()
    message: Raw = Raw()
    data: Raw = Raw()


_ANSWERS = msgspec.json.Decoder(list[_Answer])
_ONE_ANSWER = msgspec.json.Decoder(_Answer)
_ERROR = msgspec.json.Decoder(_Error)
_ENCODER = msgspec.json.Encoder()

NESTING_MAX = 3_000
"""Two levels a call frame, 1,024 frames, and what is around them."""

ID_LENGTH_MAX = 10
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
EMPTY_ERRORS = frozenset((b"null", b'""', b"false", b"0", b"[]", b"{}"))
"""What some write for "no error" beside a result."""


def encode_batch(calls: Sequence[Call], id_first: int = 1) -> bytes:
    """The request body; ids count from `id_first` in the order of `calls`.

    A single call is sent as a plain object: every node takes that.
    """
    requests = [
        _Request(id=number, method=call.method, params=call.params)
        for number, call in enumerate(calls, id_first)
    ]
    return _ENCODER.encode(requests[0] if len(requests) == 1 else requests)


def read_status(status: int, content: bytes) -> ChainError | None:
    """Many nodes answer 400, 403 or 500 beside a JSON-RPC error that says more."""
    start = content[:4096].lstrip()
    is_rpc_error = start[:1] in (b"{", b"[") and (
        b'"jsonrpc"' in start or (b'"error"' in start and b'"code"' in start and b'"message"' in start)
    )
    return None if is_rpc_error else read_http_status(status, content)


def decode_batch(body: bytes, calls: Sequence[Call], id_first: int = 1) -> list[Reply]:
    """One outcome a call, in the order of `calls`.

    Raises `Unreachable` when the body is not JSON-RPC at all, and what the
    error means when one error speaks for a whole batch.  An answer with the id
    of another request is nobody's: it may belong to a call given up before.
    """
    answers = _decode_answers(body, batched=len(calls) > 1)
    if len(calls) == 1:
        return [_read_single(calls[0], answers, id_first)]
    by_id, strays, twice = _pair(answers)
    numbers = range(id_first, id_first + len(calls))
    if strays and not any(number in by_id for number in numbers):
        _raise_for_strays(strays)
    spoken = next((_read_error("batch", one.error) for one in strays if _is_given(one.error)), None)
    outcomes: list[Reply] = []
    for number, call in zip(numbers, calls, strict=True):
        if number in twice:
            outcomes.append(Inconsistent(f"{call.method} was answered twice, differently"))
        elif number in by_id:
            outcomes.append(_read_outcome(call, by_id[number]))
        else:
            detail = "was left without an answer" if spoken is None else f"was left out: {spoken.detail}"
            outcomes.append(Unanswered(f"{call.method} {detail}"))
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


def expect_result(outcome: Reply) -> Raw:
    """The result, or the error raised."""
    if isinstance(outcome, ChainError):
        raise outcome
    return outcome


def _decode_answers(body: bytes, *, batched: bool) -> list[_Answer]:
    body = body.removeprefix(BYTE_ORDER_MARK)
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
    # A text where JSON was due may still say what the matter is.
    raise classify_text("an answer that is not JSON", body[: 4 * DETAIL_LENGTH_MAX], Unreachable)


def _pair(answers: Sequence[_Answer]) -> tuple[dict[int, _Answer], list[_Answer], set[int]]:
    """Answers by id, those without a readable one, and the ids answered twice and differently."""
    by_id: dict[int, _Answer] = {}
    strays: list[_Answer] = []
    twice: set[int] = set()
    for answer in answers:
        number = _read_id(answer.id)
        if number is None:
            strays.append(answer)
            continue
        earlier = by_id.setdefault(number, answer)
        if earlier is not answer and _body_of(earlier) != _body_of(answer):
            twice.add(number)
    return by_id, strays, twice


def _read_single(call: Call, answers: Sequence[_Answer], number: int) -> Reply:
    """One call's answer: by its id, or, where none is given, because nothing else was asked."""
    mine = [answer for answer in answers if _read_id(answer.id) in (number, None)]
    if not mine:
        return Unanswered(f"{call.method}: the answer is to another call")
    if any(_body_of(answer) != _body_of(mine[0]) for answer in mine):
        return Inconsistent(f"{call.method} was answered twice, differently")
    return _read_outcome(call, mine[0])


def _raise_for_whole_batch(answer: _Answer) -> None:
    """One object for a batch: its error, else the sign that batches are unknown."""
    if _is_given(answer.error):
        error = _read_error("batch", answer.error)
        if isinstance(error, Throttled | Unreachable | TooLarge):
            raise error
        # A method, a block or a batch may be meant; what it is shows when they are asked for apart.
        raise error if isinstance(error, NoBatches | UnknownMethod) else Refused(error.detail)
    if _is_given(answer.result):
        raise NoBatches("a batch was answered with one object")
    raise Unreachable("an answer that is not JSON-RPC")


def _raise_for_strays(strays: Sequence[_Answer]) -> None:
    """No answer of a batch has the id of a call: an error speaks for all, results can not be told apart."""
    for answer in strays:
        if _is_given(answer.error):
            _raise_for_whole_batch(answer)
    if any(memoryview(answer.result).nbytes > 0 for answer in strays):
        raise NoBatches("a batch was answered without ids")


def _read_outcome(call: Call, answer: _Answer) -> Reply:
    has_result = memoryview(answer.result).nbytes > 0
    if _is_given(answer.error):
        excuses = has_result and not is_null(answer.result) and bytes(answer.error) in EMPTY_ERRORS
        return answer.result if excuses else _read_error(call.method, answer.error)
    if not has_result:
        return Unreachable(f"{call.method}: neither result nor error")
    return answer.result


def _read_error(method: str, raw: Raw) -> ChainError:
    try:
        error = _ERROR.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        # Some gateways put a bare string where the object belongs.
        return classify_error(method, 0, _read_words(raw))
    words = [_read_words(error.message)]
    if bytes(memoryview(error.data)[:1]) == b'"':
        words.append(_read_words(error.data))
    return classify_error(method, _read_code(error.code), ": ".join(word for word in words if word))


def _read_words(raw: Raw) -> str:
    """A text of a stranger, or the beginning of whatever stands in its place."""
    start = bytes(memoryview(raw)[: 4 * DETAIL_LENGTH_MAX]).decode("utf-8", "replace")
    return "" if start == "null" else start.strip('"')


def _read_code(raw: Raw) -> int:
    text = bytes(memoryview(raw)[:20]).strip(b'"').removesuffix(b".0")
    return int(text) if text.removeprefix(b"-").isdigit() else 0


def _read_id(raw: Raw) -> int | None:
    text = bytes(memoryview(raw)[: ID_LENGTH_MAX + 4]).strip(b'"').removesuffix(b".0")
    return int(text) if text.isdigit() and len(text) <= ID_LENGTH_MAX else None


def is_null(raw: Raw) -> bool:
    """Whether a result is JSON's null; never copies a large one."""
    return memoryview(raw).nbytes == 4 and bytes(raw) == b"null"


def _is_given(raw: Raw) -> bool:
    return memoryview(raw).nbytes > 0 and not is_null(raw)


def _body_of(answer: _Answer) -> tuple[bytes, bytes]:
    return bytes(answer.result), bytes(answer.error)

"""Bytes and query strings to typed values, and what is wrong with them to JSON pointers.

Lives here, pure: strict decoding by msgspec (unknown members are refused) and the bounds that types do not say: depth of
nesting, text that a database can not hold. Does not live here: the types (`shapes`), reading bytes off a socket (`app`).
"""

from __future__ import annotations

import re
import types
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any

import msgspec

from gateway.http.edge.problem import Flaw, Problem, unprocessable

DEPTH_MAX = 32
COMPLAINT_CHARACTERS_MAX = 300
SHOWN_MAX = 40
"""Characters of a wrong value that are told back."""
_NO_BRACKET = bytes(set(range(256)) - set(b"[]{}"))
_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,29})(\.[0-9]{1,9})?", re.ASCII)
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]")
_MEMBER = re.compile(r"(?:unknown field|missing required field) `([^`]*)`")
# Possessive, and the end of the body ends a string, too: each byte is looked at once, whatever stands there.
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)


def decode_body(body: bytes, shape: Any) -> Any:
    """A body as its type; Problem 400 for what is not JSON, 422 for JSON of another form."""
    try:
        # To its end first: a wrong type at its beginning would be told before what is no JSON at all.
        msgspec.json.decode(body, type=msgspec.Raw)
        body.decode()
        value = _decoder(shape).decode(body)
    except msgspec.ValidationError as error:
        raise flawed(error) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Problem(400, f"the body is not JSON: {error}") from None
    if b"\\u0000" in body:
        _check_text(value)
    return value


def members_of(shape: Any) -> tuple[Any, ...]:
    """The types of a union of objects, or the one type."""
    return shape.__args__ if isinstance(shape, types.UnionType) else (shape,)


def may_be_left_out(shape: Any) -> bool:
    """Whether an empty object says everything a body must, so that no body does, too."""
    fields = msgspec.structs.fields(shape) if isinstance(shape, type) else ()
    return isinstance(shape, type) and not any(field.required for field in fields)


def choose_shape(shape: Any, body: bytes) -> Any:
    """Of several shapes, the last whose required members are all there; the first where that is none."""
    first, *others = members_of(shape)
    if not others:
        return first
    try:
        given = msgspec.json.decode(body, type=dict[str, msgspec.Raw]).keys()
    except (msgspec.DecodeError, UnicodeDecodeError):
        return first
    for other in reversed(others):
        if {field.encode_name for field in msgspec.structs.fields(other) if field.required} <= given:
            return other
    return first


def in_utc(pointer: str, at: datetime) -> datetime:
    """A time of a request in UTC; Problem 422 for one that lies outside what can be said there."""
    try:
        return at.astimezone(UTC)
    except OverflowError:
        raise unprocessable(pointer, "this time lies outside the years 1 to 9999 in UTC") from None


@cache
def _decoder(shape: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(shape)


def decode_query(pairs: Sequence[tuple[str, str]], shape: Any) -> Any:
    """A query string as its type; Problem 422, also for a parameter that is given twice or not known.

    Each value is read as what its parameter is when it is given: nothing in a query string means that a filter is off.
    """
    values: dict[str, Any] = {}
    fields = _parameters_of(shape)
    for raw_name, text in pairs:
        name = raw_name.encode("utf-8", "replace").decode()  # it is told back
        pointer = f"/query/{_escape(name)}"
        if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
            raise unprocessable(pointer, f"{name} is not text")
        if name in values:
            raise unprocessable(pointer, f"{name} is given twice")
        if name not in fields:
            known = ", ".join(fields) or "none"
            raise unprocessable(pointer, f"there is no such parameter; there are: {known}")
        values[name] = _decode_parameter(pointer, text, fields[name])
    try:
        return msgspec.convert(values, shape)
    except msgspec.ValidationError as error:
        raise flawed(error, "/query") from None


def _decode_parameter(pointer: str, text: str, kind: Any) -> Any:
    """One value. Only a number, and nothing else, is read from digits: a year alone is no time."""
    is_number = isinstance(kind, msgspec.inspect.IntType | msgspec.inspect.FloatType)
    if is_number and not _NUMBER.fullmatch(text):
        raise unprocessable(pointer, f"{text[:SHOWN_MAX]!r} is not a number in plain digits")
    try:
        return msgspec.json.decode(text) if is_number else text
    except msgspec.DecodeError:
        raise unprocessable(pointer, "this number is out of range") from None


@cache
def _parameters_of(shape: Any) -> Mapping[str, Any]:
    """What the query type `shape` takes, each as msgspec describes it when it is given."""
    described = msgspec.inspect.type_info(shape)
    assert isinstance(described, msgspec.inspect.StructType), "a query is an object"
    return {field.encode_name: _given(field.type) for field in described.fields}


def _given(kind: Any) -> Any:
    """The one type of an optional parameter."""
    match kind:
        case msgspec.inspect.Metadata():
            return _given(kind.type)
        case msgspec.inspect.UnionType():
            (one,) = [each for each in kind.types if not isinstance(each, msgspec.inspect.NoneType)]
            return _given(one)
        case _:
            return kind


def flawed(error: msgspec.ValidationError, prefix: str = "") -> Problem:
    """422 from msgspec's complaint, with a pointer in front of it."""
    what, said, at = str(error).rpartition(" - at `")
    if not said:  # of the whole body; the sentence stands behind what was not found
        what, at = at, "$`"
    what, pointer = _shorten(what), prefix + _pointer(at.removesuffix("`"))
    member = _MEMBER.search(what)
    if member is not None:
        pointer += "/" + _escape(member[1])
    detail = what.replace("`", "'")
    return Problem(422, f"{pointer or 'the body'}: {detail}", flaws=[Flaw(pointer, detail)])


def _shorten(text: str) -> str:
    """A complaint quotes what was sent, which may be as long as a body."""
    return text if len(text) <= COMPLAINT_CHARACTERS_MAX else text[:COMPLAINT_CHARACTERS_MAX] + "…"


def _pointer(at: str) -> str:
    """`$.items[3].address` as `/items/3/address`."""
    steps = _STEP.findall(at)
    return "".join("/" + _escape(name or index) for name, index in steps if index != "...")


def _escape(part: str) -> str:
    return part.replace("~", "~0").replace("/", "~1")


def check_depth(body: bytes) -> None:
    """Problem 400 for nesting that costs a decoder its stack; nothing of ours nests so deep."""
    if body.count(b"[") + body.count(b"{") <= DEPTH_MAX:
        return
    left = _STRING.sub(b"", body).translate(None, delete=_NO_BRACKET)
    for _ in range(DEPTH_MAX):
        left = left.replace(b"[]", b"").replace(b"{}", b"")
    if left:
        raise Problem(400, f"the body is not JSON, or nests deeper than {DEPTH_MAX} levels")


def _check_text(value: Any) -> None:
    """PostgreSQL holds every character but NUL."""
    steps = _find_nul(value)
    if steps is not None:
        pointer = "".join(f"/{_escape(step)}" for step in reversed(steps))
        raise unprocessable(pointer, "a text has no NUL character")


def _find_nul(value: Any) -> list[str] | None:
    """The steps to a text with a NUL, the last one first."""
    children: Iterable[tuple[Any, Any]]
    match value:
        case str():
            return [] if "\0" in value else None
        case msgspec.Struct():
            return _find_nul(msgspec.structs.asdict(value))
        case Mapping():
            if any("\0" in name for name in value if isinstance(name, str)):
                return []
            children = value.items()
        case list() | tuple():
            children = enumerate(value)
        case _:
            return None
    for step, child in children:
        steps = _find_nul(child)
        if steps is not None:
            steps.append(str(step))
            return steps
    return None

"""What all of the API's JSON is made of: strict bodies and open objects, pages, refusals, and texts within bounds.

Lives here, pure: what several of the modules beside this one use. Does not live here: any one resource's own types.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, TypeVar

from msgspec import UNSET, Meta, Struct, UnsetType, convert, to_builtins

LIST_LIMIT_MAX = 500

HEIGHT_MAX = 2**53 - 1

Limit = Annotated[int, Meta(ge=1, le=LIST_LIMIT_MAX, description="How many items, at most.")]

Cursor = Annotated[str, Meta(max_length=200, description="`next` of the page before.")]

Height = Annotated[int, Meta(ge=0, le=HEIGHT_MAX)]

Time = Annotated[datetime, Meta(tz=True, description="RFC 3339.")]

Chain = Annotated[str, Meta(min_length=1, max_length=120, description="An alias or a CAIP-2 id.")]

AddressText = Annotated[str, Meta(min_length=1, max_length=200)]


class Strict(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Something taken in: members that are not known are refused."""


class Given(Struct, frozen=True, kw_only=True):
    """Something given out: members may be added to it later."""


Shape = TypeVar("Shape", bound=Given)


def shown(shape: type[Shape], row: object, **said: object) -> Shape:
    """An object for the outside: each member is what is `said`, else what `row` has under its name; times become texts."""
    return convert({**to_builtins(row), **to_builtins(said)}, shape)


class Nothing(Strict, frozen=True):
    """No body, or an empty object."""


class PageQuery(Strict, frozen=True):
    """What every list takes."""

    limit: Limit = 50
    after: Cursor | None = None


class ErrorObject(Given, frozen=True):
    """One thing wrong: a JSON pointer into the body (or /query/…, /path/…) and a sentence."""

    pointer: str
    detail: str


class ProblemObject(Given, frozen=True):
    """A refusal, as RFC 9457 has it."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[ErrorObject]
    request_id: str
    oldest_sequence: int | UnsetType = UNSET
    head_sequence: int | UnsetType = UNSET
    log_epoch: int | UnsetType = UNSET

"""Reads a table of the file by its shape, and names every mistake where it stands.

Lives here, pure: `"$NAME"` from the environment, and types, bounds and required keys of a shape held against what stands
there, each value by msgspec and each complaint in our words. Does not live here: which keys there are (`shapes`). Nothing
here puts a value into a message: values may be secrets.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from types import UnionType
from typing import Annotated, Any, ClassVar, Literal, TypeGuard, TypeVar, Union, get_args, get_origin

import msgspec
from msgspec import UNSET, Meta, Struct, structs

T = TypeVar("T")
S = TypeVar("S", bound="Table")
K = TypeVar("K", bound=Struct)
Empty = Literal[""]
"""Beside another type: the key may be left empty."""

_VARIABLE = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_KINDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number with a fraction",
    str: "a string",
    list: "a list",
    dict: "a table",
}


class ConfigInvalid(Exception):
    """The configuration can not be used; `flaws` are sentences that name a key each."""

    def __init__(self, flaws: Sequence[str], *, source: str = "") -> None:
        shown = [f"{source}: {flaw}" if source else flaw for flaw in flaws]
        super().__init__("\n".join(shown))
        self.flaws = tuple(flaws)


@dataclass(frozen=True, slots=True)
class Reading:
    """One run over a file: the environment that `"$NAME"` means, and all complaints."""

    environment: Mapping[str, str]
    flaws: list[str] = field(default_factory=list)

    def complain(self, key: str, sentence: str) -> None:
        """One complaint about one key."""
        self.flaws.append(f"{key}: {sentence}")

    def is_wrong(self, key: str) -> bool:
        """Whether there is a complaint about this key or about a part of what stands there."""
        return any(flaw.startswith((f"{key}:", f"{key}.", f"{key}[")) for flaw in self.flaws)


@dataclass(frozen=True, slots=True)
class Parsed:
    """In an annotation: how a value of the type `taken` becomes the field's. None and ValueError refuse it; what is wanted
    stands here, else in the error.
    """

    parse: Callable[[Any], Any]
    said: str = ""
    taken: Any = str


class Table(Struct, frozen=True, kw_only=True):
    """What a shape is made of: its own fields are the keys, each with what holds where the file is silent or wrong; one
    without has to be given. Beside them stand the name of the table, where complaints go, and what the file says of the
    keys in `leaves`: who reads those shows in the others (`read_rest`).
    """

    leaves: ClassVar[frozenset[str]] = frozenset()

    key: str = ""
    reading: Reading = Reading({})
    rest: Mapping[str, Any] = {}

    def complain(self, name: str, sentence: str) -> None:
        """Add a flaw about one key, or about the table where `name` is empty; what is wrong by itself is let be."""
        key = _join(self.key, name) if name else self.key
        if not self.reading.is_wrong(key):
            self.reading.complain(key, sentence)

    def parse(self, name: str, parse: Callable[[str], T]) -> T | None:
        """A key that is read by what other keys say; None, with a flaw, where that is not possible."""
        try:
            return parse(getattr(self, name))
        except ValueError as error:
            self.complain(name, str(error))
            return None

    def read_rest(self, shape: type[K]) -> K:
        """The keys that were left, by the shape that turned out to be theirs."""
        fields = fields_of(shape)
        for name in self.rest:
            if name not in fields:
                self.complain(name, "unknown key")
        return shape(**_read_keys(shape, self.rest, self.key, self.reading))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"


@cache
def fields_of(shape: type[Struct]) -> dict[str, structs.FieldInfo]:
    """The keys of a shape."""
    return {one.name: one for one in structs.fields(shape) if one.name not in Table.__struct_fields__}


def read_table(shape: type[S], values: Mapping[str, Any], key: str, reading: Reading) -> S:
    """What stands in a table; what is wrong is complained of, and a key that has to be given is empty for reading on."""
    names = fields_of(shape).keys() | shape.leaves
    for name in values:
        if name not in names:
            reading.complain(_join(key, name), f"unknown key{meant(name, sorted(names))}")
    rest = {name: value for name, value in values.items() if name in shape.leaves}
    return shape(key=key, reading=reading, rest=rest, **_read_keys(shape, values, key, reading))


def _read_keys(shape: type[Struct], values: Mapping[str, Any], key: str, reading: Reading) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, one in fields_of(shape).items():
        own_key = _join(key, name)
        value = _read(one.type, values.get(name, UNSET), own_key, reading)
        if value is UNSET and _is_table(one.type):
            value = read_table(one.type, {}, own_key, reading)
        elif value is UNSET and one.required:
            value = get_args(one.type)[0]() if get_origin(one.type) is Annotated else one.type()
            if name not in values:
                reading.complain(own_key, "must be given")
        if value is not UNSET:
            found[name] = value
    return found


def _read(kind: Any, value: Any, key: str, reading: Reading) -> Any:
    """A value as one of the types that `kind` allows, the first of which is told as wanted; UNSET where it is none."""
    arms = get_args(kind) if get_origin(kind) in {Union, UnionType} else (kind,)
    if isinstance(value, str) and (named := _VARIABLE.fullmatch(value)):
        value = reading.environment.get(named[1], UNSET)
        if value is UNSET:
            reading.complain(key, f"the environment variable {named[1]} is not set")
    if value is UNSET or (value == "" and Empty in arms):
        return value
    for arm in arms:
        origin, of = get_origin(arm), get_args(arm)
        if isinstance(value, dict) and _is_table(arm):
            return read_table(arm, value, key, reading)
        if isinstance(value, dict) and origin is dict:
            names = [_read_single(of[0], name, _join(key, name), reading) for name in value]
            items = [_read(of[1], item, _join(key, name), reading) for name, item in value.items()]
            return {name: item for name, item in zip(names, items, strict=True) if UNSET not in (name, item)}
        if isinstance(value, list) and origin is tuple:
            items = [_read(of[0], item, f"{key}[{at}]", reading) for at, item in enumerate(value)]
            return tuple(item for item in items if item is not UNSET)
    if _is_table(arms[0]) or get_origin(arms[0]) in {dict, tuple}:
        wanted = "a list" if get_origin(arms[0]) is tuple else "a table"
        reading.complain(key, f"{wanted} is wanted, not {_describe(value)}")
        return UNSET
    return _read_single(arms[0], value, key, reading)


def _read_single(kind: Any, value: Any, key: str, reading: Reading) -> Any:
    parsed = next((one for one in getattr(kind, "__metadata__", ()) if isinstance(one, Parsed)), None)
    taken, said = (kind, "") if parsed is None else (parsed.taken, parsed.said)
    try:
        found = msgspec.convert(value, taken)
        found = found if parsed is None else parsed.parse(found)
        if found is not None:
            return found
    except msgspec.ValidationError as error:
        said = _say_wanted(taken, value, is_other_type=", got `" in str(error))
    except ValueError as error:
        said = said or str(error)
    reading.complain(key, said)
    return UNSET


def _say_wanted(kind: Any, value: Any, *, is_other_type: bool) -> str:
    """The sentence of a type's description, else one made of the type."""
    base, *marks = get_args(kind) if get_origin(kind) is Annotated else [kind]
    said = next((one.description for one in marks if isinstance(one, Meta) and one.description), "")
    if base in {str, bool} and is_other_type:
        said = f"{_KINDS[base]} is wanted"
    elif not said:
        choices = list(get_args(base) or base)
        return f"one of {', '.join(choices)} is wanted{meant(str(value), choices)}"
    return f"{said}, not {_describe(value)}" if is_other_type and base in _KINDS else said


def meant(name: str, known: Sequence[str]) -> str:
    """The name that was probably meant, as the end of a complaint; nothing where none is close."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else ""


def _describe(value: Any) -> str:
    return _KINDS.get(type(value), "a date")


def _is_table(kind: Any) -> TypeGuard[type[Table]]:
    return isinstance(kind, type) and issubclass(kind, Table)


def _join(key: str, name: str) -> str:
    """The whole name of a key; what is not plain is written as in the file, on one line."""
    part = name if _BARE.fullmatch(name) else msgspec.json.encode(name).decode()
    return f"{key}.{part}" if key else part

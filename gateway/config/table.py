"""One TOML table, read key by key, so that every mistake is named where it stands.

Lives here, pure: types, bounds, `"$NAME"` from the environment, and the complaint about a key nobody asked for, with the
name that was probably meant. Does not live here: which keys there are (`file`, `chains`). Nothing here puts a
value into a message: values may be secrets.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

_VARIABLE = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)")
MISSING: Any = object()


class ConfigInvalid(Exception):
    """The configuration can not be used; `flaws` are sentences that name a key each."""

    def __init__(self, flaws: Sequence[str], *, source: str = "") -> None:
        shown = [f"{source}: {flaw}" if source else flaw for flaw in flaws]
        super().__init__("\n".join(shown))
        self.flaws = tuple(flaws)


class Flaws(list[str]):
    """Complaints collected while reading, so that one run shows them all."""

    def add(self, key: str, sentence: str) -> None:
        """One complaint about one key."""
        line = f"{key}: {sentence}"
        if line not in self:
            self.append(line)


class Table:
    """One table of the file; `key` is its own name, "" at the top. Each `take_` accounts for its key.

    A value that is wrong adds a flaw and gives the default, so that reading goes on to the next mistake.
    """

    def __init__(
        self, key: str, values: Mapping[str, Any], environment: Mapping[str, str], flaws: Flaws
    ) -> None:
        self.key = key
        self.environment = environment
        self.flaws = flaws
        self._values = values
        self._asked: set[str] = set()

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def names(self) -> list[str]:
        """The keys that stand in the file."""
        return list(self._values)

    def key_of(self, name: str) -> str:
        """The whole name of one of its keys."""
        part = name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else f'"{name}"'
        return f"{self.key}.{part}" if self.key else part

    def complain(self, name: str, sentence: str) -> None:
        """Add a flaw about one key."""
        self.flaws.add(self.key_of(name), sentence)

    def take(self, name: str) -> Any:
        """The value as TOML has it, strings from the environment already; MISSING where there is none."""
        self._asked.add(name)
        return resolve(self._values.get(name, MISSING), self.key_of(name), self.environment, self.flaws)

    def take_text(self, name: str, default: str = "") -> str:
        """A string."""
        value = self.take(name)
        if value is MISSING:
            return default
        if not isinstance(value, str):
            self.complain(name, f"a string is wanted, not {describe(value)}")
            return default
        return value

    def take_flag(self, name: str, default: bool) -> bool:  # noqa: FBT001  (a default like any other)
        """true or false."""
        value = self.take(name)
        if value is MISSING:
            return default
        if not isinstance(value, bool):
            self.complain(name, f"true or false is wanted, not {describe(value)}")
            return default
        return value

    def take_count(self, name: str, default: int, *, least: int = 0, most: int = 2**53) -> int:
        """A whole number within bounds."""
        value = self.take(name)
        if value is MISSING:
            return default
        if isinstance(value, bool) or not isinstance(value, int):
            self.complain(name, f"a whole number is wanted, not {describe(value)}")
            return default
        if not least <= value <= most:
            self.complain(name, f"a number from {least} to {most} is wanted")
            return default
        return value

    def take_number(self, name: str, default: float, *, above: float = 0.0, most: float = 1e9) -> float:
        """A number above a bound."""
        value = self.take(name)
        if value is MISSING:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            self.complain(name, f"a number is wanted, not {describe(value)}")
            return default
        if not above < value <= most:
            self.complain(name, f"a number above {above:g} and up to {most:g} is wanted")
            return default
        return float(value)

    def take_choice(self, name: str, default: str, choices: Sequence[str]) -> str:
        """One of a few words."""
        value = self.take_text(name, default)
        if value not in choices:
            self.complain(name, f"one of {', '.join(choices)} is wanted{meant(value, choices)}")
            return default
        return value

    def take_list(self, name: str) -> list[Any] | None:
        """An array, or None where there is none."""
        value = self.take(name)
        if value is MISSING:
            return None
        if not isinstance(value, list):
            self.complain(name, f"a list is wanted, not {describe(value)}")
            return None
        return value

    def take_table(self, name: str) -> Table | None:
        """A table of its own, or None where there is none."""
        self._asked.add(name)
        if name not in self._values:
            return None
        return self.open(name, self._values[name])

    def open(self, name: str, value: Any) -> Table | None:
        """Read a value of this table as a table; a flaw and None if it is something else."""
        if not isinstance(value, Mapping):
            self.complain(name, f"a table is wanted, not {describe(value)}")
            return None
        return Table(self.key_of(name), value, self.environment, self.flaws)

    def open_item(self, name: str, index: int, value: Any) -> Table | None:
        """Read one item of an array as a table."""
        key = f"{self.key_of(name)}[{index}]"
        if not isinstance(value, Mapping):
            self.flaws.add(key, f"a table is wanted, not {describe(value)}")
            return None
        return Table(key, value, self.environment, self.flaws)

    def refuse_the_rest(self) -> None:
        """Every key that nobody asked for is a flaw."""
        for name in self._values:
            if name not in self._asked:
                self.complain(name, f"unknown key{meant(name, sorted(self._asked))}")


def resolve(value: Any, key: str, environment: Mapping[str, str], flaws: Flaws) -> Any:
    """A value with every `"$NAME"` in it replaced from the environment; a flaw where one is not set."""
    if isinstance(value, list):
        return [resolve(item, f"{key}[{index}]", environment, flaws) for index, item in enumerate(value)]
    if not isinstance(value, str):
        return value
    named = _VARIABLE.fullmatch(value)
    if named is None:
        return value
    found = environment.get(named[1])
    if found is None:
        flaws.add(key, f"the environment variable {named[1]} is not set")
        return MISSING
    return found


def describe(value: Any) -> str:
    """What kind of value stands there, without showing it."""
    match value:
        case bool():
            return "true or false"
        case int():
            return "a whole number"
        case float():
            return "a number with a fraction"
        case str():
            return "a string"
        case list():
            return "a list"
        case Mapping():
            return "a table"
        case _:
            return "a date"


def meant(name: str, known: Sequence[str]) -> str:
    """The name that was probably meant, as the end of a complaint; nothing where none is close."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else ""

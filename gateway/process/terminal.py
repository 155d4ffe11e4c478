"""What a command says: JSON for programs, lines for people, and a bar while it takes long.

Lives here: writing to standard output and error, and how progress looks. Does not live here: what is said (`commands/`),
logs (`observe`). Data goes to standard output; everything else to standard error, so that output can be piped.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self, TextIO

import msgspec

BAR_CELLS = 30
LINE_EVERY_PERCENT = 10


@dataclass(slots=True)
class Terminal:
    """Where a command speaks. `json` asks for JSON where data is printed."""

    json: bool = False
    out: TextIO = field(default_factory=lambda: sys.stdout)
    err: TextIO = field(default_factory=lambda: sys.stderr)

    def data(self, value: Any, lines: Callable[[], Sequence[str]] | None = None) -> None:
        """Print data: as JSON if asked for or if there is no other form, else as lines."""
        if self.json or lines is None:
            self.out.write(msgspec.json.encode(value).decode() + "\n")
        else:
            self.out.writelines(line + "\n" for line in lines())
        self.out.flush()

    def say(self, line: str) -> None:
        """A line for the person, beside the data."""
        self.err.write(line + "\n")
        self.err.flush()

    def progress(self, what: str) -> Progress:
        """A report of long work: a bar on a terminal, plain lines otherwise."""
        return Progress(what, self.err, is_bar=self.err.isatty())


@dataclass(slots=True)
class Progress:
    """Use as a context; call `at` as often as you like."""

    what: str
    err: TextIO
    is_bar: bool
    _shown_percent: int = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.is_bar and self._shown_percent >= 0:
            self.err.write("\n")
            self.err.flush()

    def at(self, done: int, total: int, note: str = "") -> None:
        """So much of so much is done."""
        percent = 100 if total <= 0 else min(100, 100 * done // total)
        if percent == self._shown_percent:
            return
        if self.is_bar:
            filled = BAR_CELLS * percent // 100
            bar = "█" * filled + "░" * (BAR_CELLS - filled)
            self.err.write(f"\r{self.what} {bar} {percent:3d} % {note}\x1b[K")
            self.err.flush()
        elif self._shown_percent < 0 or percent == 100 or percent - self._shown_percent >= LINE_EVERY_PERCENT:
            self.err.write(f"{self.what}: {percent} % {note}".rstrip() + "\n")
            self.err.flush()
        else:
            return
        self._shown_percent = percent

    def count(self, done: int, unit: str) -> None:
        """So much is done, where nobody knows how much there is; for a terminal only."""
        if self.is_bar and done != self._shown_percent:
            self.err.write(f"\r{self.what}: {done} {unit}\x1b[K")
            self.err.flush()
            self._shown_percent = done


def format_table(rows: Sequence[Mapping[str, object]], columns: Sequence[str]) -> list[str]:
    """Rows as aligned text, with the column names above; one line says so when there are none."""
    if not rows:
        return ["(none)"]
    cells = [[column.upper() for column in columns]]
    cells += [["-" if row[column] is None else str(row[column]) for column in columns] for row in rows]
    widths = [max(len(line[index]) for line in cells) for index in range(len(columns))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    ]

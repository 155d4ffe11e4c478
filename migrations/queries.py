"""Named queries: every SQL statement has a name and lives in a `.sql` file of its room.

A file is a list of blocks, each opened by a line `-- name: load_due_retries :many`. The kinds (`:one`, `:many`,
`:exec`, `:copy`) tell the reader what comes back; nothing acts on them. The opening line stays in the text that is
sent, so `pg_stat_activity` and the server's log say which query it was.
Does not live here: the queries (each room's `sql/`), and the proof that they prepare (`tests/database`).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from importlib.resources import files

_HEADER = re.compile(r"^-- name:(?P<rest>.*)$")
_NAME_AND_KIND = re.compile(r"^\s+(?P<name>[a-z][a-z0-9_]*)\s+:(one|many|exec|copy)\s*$")


class QueryFileMalformed(Exception):
    """A `.sql` file breaks the form; the message names the file, the line and the rule."""


class Queries(Mapping[str, str]):
    """The statements of one file, by name: `queries["load_cursor"]` or `queries.load_cursor`."""

    __slots__ = ("_statements", "source")

    def __init__(self, source: str, statements: dict[str, str]) -> None:
        self.source = source
        self._statements = statements

    def __getitem__(self, name: str) -> str:
        return self._statements[name]

    def __getattr__(self, name: str) -> str:
        try:
            return self._statements[name]
        except KeyError:
            raise AttributeError(f"{self.source} has no query named {name}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._statements)

    def __len__(self) -> int:
        return len(self._statements)


@functools.cache
def load_queries(package: str, filename: str) -> Queries:
    """Read `sql/<filename>` of an importable package, e.g. `load_queries("relay", "log.sql")`.

    FileNotFoundError when there is no such file; QueryFileMalformed when it breaks the form.
    """
    text = files(package).joinpath("sql", filename).read_text(encoding="utf-8")
    return parse_queries(text, source=f"{package}/sql/{filename}")


def parse_queries(text: str, *, source: str) -> Queries:
    """Split a file into its named statements; `source` is how errors call it."""
    blocks: dict[str, list[str]] = {}
    lines: list[str] | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        header = _HEADER.match(line)
        if header is not None:
            named = _NAME_AND_KIND.match(header["rest"])
            if named is None:
                raise QueryFileMalformed(
                    f"{source}:{number}: expected '-- name: lower_case_name :one|:many|:exec|:copy'"
                )
            name = named["name"]
            if name in blocks or hasattr(Queries, name):
                raise QueryFileMalformed(f"{source}:{number}: the name {name} is taken")
            lines = blocks[name] = []
        elif lines is None and _is_sql(line):
            raise QueryFileMalformed(f"{source}:{number}: SQL before the first '-- name:' line")
        if lines is not None:
            lines.append(line)
    for name, block in blocks.items():
        if not any(_is_sql(line) for line in block):
            raise QueryFileMalformed(f"{source}: the query {name} is empty")
    statements = {name: "\n".join(block).rstrip().removesuffix(";") for name, block in blocks.items()}
    return Queries(source, statements)


def _is_sql(line: str) -> bool:
    stripped = line.strip()
    return stripped != "" and not stripped.startswith("--")

"""
The house rules, each a plain function from text to complaints.

Here: what is allowed, and the numbers. Not here: which files are asked (`test_*.py`), how files are found
(`tree.py`), and what ruff, mypy and import-linter already say (pyproject.toml). A complaint is a line for a
person: where, what, and what to do. `test_rules.py` plants a violation of each, so that no rule sleeps.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator

import pytest

CARD_LINES_MIN = 3
CARD_WORDS_ENOUGH = 25  # two long lines say as much as three short ones
FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 400
TEST_FILE_LINES_MAX = 500
STANDALONE_LINES_MAX = 900  # of what merchants copy: one file with all it needs, whatever it has two of
LINE_CHARACTERS_MAX = 130  # code is broken at 110 by the formatter; prose and long texts may run on
TEST_NAME_WORDS_MIN = 3
DRAWERS = frozenset(
    {"utils", "util", "helpers", "helper", "common", "misc", "core", "base", "manager", "shared"}
)

_UNFINISHED = re.compile(
    r"\b("
    + "|".join(["TO" + "DO", "FIX" + "ME", "X" + "XX", "HA" + "CK", "NotImplemented" + "Error"])
    + r")\b"
)
_SILENCED = re.compile(r"pytest\.mark\.(skip\b(?!if)|xfail)|pytest\.xfail|except Exception: *pass")
_TYPE_IGNORE = re.compile(r"#\s*type:\s*ignore")
_TYPE_IGNORE_WITH_REASON = re.compile(r"#\s*type:\s*ignore\[[a-z0-9-]+(,\s*[a-z0-9-]+)*\]\s+#\s*\S+")
_SQL_IN_PYTHON = re.compile(
    r"^\s*(select\s.+\sfrom\s|insert\s+into\s|update\s+\w+\s+set\s|delete\s+from\s|with\s+\w+\s+as\s*\(|"
    r"(create|alter|drop)\s+(table|index|type|function|schema|role|database)\s|truncate\s+\w)",
    re.IGNORECASE | re.DOTALL,
)
_SHOUTED_SQL = re.compile(
    r"\b(SELECT|FROM|WHERE|INSERT|INTO|UPDATE|DELETE|VALUES|RETURNING|JOIN|LEFT|ORDER|GROUP|BY|LIMIT|HAVING|CREATE|"
    r"TABLE|INDEX|UNIQUE|PRIMARY|KEY|REFERENCES|CHECK|NOT|NULL|DEFAULT|AND|OR|ON|CONFLICT|DO|SET|UNION|WITH|AS|"
    r"EXISTS|DISTINCT|LATERAL|UNNEST|COALESCE|CASE|WHEN|THEN|ELSE|END|FOR|CONSTRAINT|PARTITION|TRUE|FALSE|IN|IS)\b"
)
_CLAUSE = re.compile(r"\b(select|from|where|group by|order by|having|returning|limit)\b")
_NOT_A_CLAUSE = re.compile(r"\b(is (not )?distinct from|delete from)\b")
_SQL_TEXT = re.compile(r"--[^\n]*|'(?:[^']|'')*'")
_QUERY_NAME = re.compile(r"^-- name: ([a-z][a-z0-9_]*) :(one|many|exec|copy)$")


def expect_none(complaints: Iterable[str]) -> None:
    """Fail with one complaint a line."""
    if lines := list(complaints):
        pytest.fail("\n".join(lines), pytrace=False)


def card_complaints(path: str, tree: ast.Module, *, lines_min: int = CARD_LINES_MIN) -> Iterator[str]:
    """A module opens with a card: what it is, what lives here, what does not."""
    card = ast.get_docstring(tree) or ""
    lines = [line for line in card.splitlines() if line.strip()]
    if len(lines) < lines_min and len(card.split()) < CARD_WORDS_ENOUGH:
        yield f"{path}: the card has {len(lines)} lines, the house asks for {lines_min} or more"


def function_length_complaints(path: str, tree: ast.Module) -> Iterator[str]:
    """From `def` to the last line, decorators not counted."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES_MAX:
                yield f"{path}:{node.lineno}: {node.name} has {lines} lines, the house allows {FUNCTION_LINES_MAX}"


def file_length_complaints(path: str, source: str) -> Iterator[str]:
    """Lines of a file and characters of a line."""
    lines = source.splitlines()
    lines_max = TEST_FILE_LINES_MAX if path.startswith("tests/") else FILE_LINES_MAX
    if path.startswith("relay/kit/verify"):
        lines_max = STANDALONE_LINES_MAX
    if len(lines) > lines_max:
        yield f"{path}: {len(lines)} lines, the house allows {lines_max}; split it by meaning"
    for number, line in enumerate(lines, start=1):
        # Tests quote what they expect, however long it is.
        if len(line) > LINE_CHARACTERS_MAX and not path.startswith("tests/"):
            yield f"{path}:{number}: {len(line)} characters, the house allows {LINE_CHARACTERS_MAX}"


def drawer_complaints(path: str) -> Iterator[str]:
    """A name that says nothing collects everything."""
    for part in path.split("/"):
        if part.split(".")[0] in DRAWERS:
            yield f"{path}: {part} is a drawer; name it by what it does"


def unfinished_complaints(path: str, source: str) -> Iterator[str]:
    """No note to a later self, no silenced test, no silenced type without code and reason."""
    for number, line in enumerate(source.splitlines(), start=1):
        if found := _UNFINISHED.search(line) or _SILENCED.search(line):
            yield f"{path}:{number}: {found[0]}; finish it, or write it down in docs"
        if _TYPE_IGNORE.search(line) and not _TYPE_IGNORE_WITH_REASON.search(line):
            yield f"{path}:{number}: a silenced type names its error code and, behind a second #, its reason"


def print_complaints(path: str, tree: ast.Module) -> Iterator[str]:
    """Only commands talk to a terminal; everything else logs."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
            yield f"{path}:{node.lineno}: print; only the commands and the demo write to a terminal"


def task_complaints(path: str, tree: ast.Module) -> Iterator[str]:
    """A task without an owner outlives its reason; owners are service.py and compose.py."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in {
            "TaskGroup",
            "create_task",
            "ensure_future",
            "gather",
        }:
            yield f"{path}:{node.lineno}: {node.attr}; tasks are born in service.py or compose.py"


def awaiting_complaints(path: str, tree: ast.Module) -> Iterator[str]:
    """A decision does not wait: values in, value out."""
    for node in ast.walk(tree):
        if isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith):
            yield f"{path}:{node.lineno}: a pure module waits"


def driver_complaints(path: str, tree: ast.Module, driver: str) -> Iterator[str]:
    """Imports of a driver where it does not belong."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                found = [alias.name for alias in names]
            case ast.ImportFrom(module=module):
                found = [module or ""]
            case _:
                continue
        if any(name.split(".")[0] == driver for name in found):
            yield f"{path}:{node.lineno}: imports {driver}, which only a room's store and migrations do"


def embedded_sql_complaints(path: str, tree: ast.Module) -> Iterator[str]:
    """SQL lives in .sql files under a name; in Python it can be neither planned, tested nor found."""
    docstrings = {id(doc) for doc in _docstrings(tree)}
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=str(value)) if id(node) not in docstrings:
                pass
            case ast.JoinedStr(values=parts):
                value = "".join(str(part.value) if isinstance(part, ast.Constant) else "x" for part in parts)
            case _:
                continue
        if _SQL_IN_PYTHON.search(value):
            yield f"{path}:{node.lineno}: SQL in Python; give it a name in a .sql file"


def _docstrings(tree: ast.Module) -> Iterator[ast.expr]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.body:
            first = node.body[0]
            if isinstance(first, ast.Expr):
                yield first.value


def sql_style_complaints(path: str, source: str) -> Iterator[str]:
    """Lower case, one clause a line; what stands in parentheses may be one line."""
    depth = 0
    for number, line in enumerate(_without_texts(source).splitlines(), start=1):
        if found := _SHOUTED_SQL.search(line):
            yield f"{path}:{number}: {found[0]} is written in lower case here"
        outside, depth = _outside_parentheses(line, depth)
        clauses = _CLAUSE.findall(_NOT_A_CLAUSE.sub("", outside))
        if len(clauses) > 1:
            yield f"{path}:{number}: {' and '.join(clauses)} on one line; one clause a line"


def _without_texts(source: str) -> str:
    """The statements alone: comments gone, string literals emptied, line numbers kept."""
    return _SQL_TEXT.sub(lambda found: "\n" * found[0].count("\n"), source)


def _outside_parentheses(line: str, depth: int) -> tuple[str, int]:
    opened = depth
    kept: list[str] = []
    for character in line:
        opened += (character == "(") - (character == ")")
        if opened <= depth:
            kept.append(character)
            depth = min(depth, opened)
    return "".join(kept), opened


def query_names(source: str) -> list[tuple[str, int]]:
    """(name, line number) of every named query of a file."""
    found = ((_QUERY_NAME.match(line), number) for number, line in enumerate(source.splitlines(), start=1))
    return [(match[1], number) for match, number in found if match]


def query_name_complaints(path: str, source: str) -> Iterator[str]:
    """A file of queries: a card in comments, then named blocks, every name once."""
    names = [name for name, _ in query_names(source)]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"{path}: {name} stands there more than once"
    for number, line in enumerate(source.splitlines(), start=1):
        if line.lower().replace(" ", "").startswith("--name:") and not _QUERY_NAME.match(line):
            yield f"{path}:{number}: not of the form `-- name: load_due_retries :many` (:one, :many, :exec, :copy)"
    before_first = source.split("-- name:", maxsplit=1)[0]
    for line in before_first.splitlines():
        if line.strip() and not line.startswith("--"):
            yield f"{path}: a statement stands before the first name"
            break
    if not names:
        yield f"{path}: no named query"


def test_name_complaints(path: str, tree: ast.Module) -> Iterator[str]:
    """A test is a sentence; two words are a label."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            words = [word for word in node.name.removeprefix("test_").split("_") if word]
            if len(words) < TEST_NAME_WORDS_MIN:
                yield f"{path}:{node.lineno}: {node.name} is a label; write the sentence that must hold"


test_name_complaints.__test__ = False  # type: ignore[attr-defined]  # a rule whose name pytest would collect

"""
Small wrong changes to a module: one comparison, one constant, one operator at a time.

Here: which places of a source text can be changed, and the changed text. Not here: which modules are tried and whether
a test notices (`__main__.py`). The change is made in the text, not in the tree, so a survivor is shown as the line a
reader knows.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

_COMPARISONS: dict[type[ast.cmpop], tuple[str, ...]] = {
    ast.Lt: ("<=", ">"),
    ast.LtE: ("<", ">"),
    ast.Gt: (">=", "<"),
    ast.GtE: (">", "<"),
    ast.Eq: ("!=",),
    ast.NotEq: ("==",),
    ast.Is: ("is not",),
    ast.IsNot: ("is",),
    ast.In: ("not in",),
    ast.NotIn: ("in",),
}
_ARITHMETIC: dict[type[ast.operator], str] = {
    ast.Add: "-",
    ast.Sub: "+",
    ast.Mult: "//",
    ast.FloorDiv: "*",
    ast.Mod: "//",
}


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change: characters `start` to `end` of the source become `replacement`; `line` counts from 1."""

    line: int
    start: int
    end: int
    replacement: str

    def apply(self, source: str) -> str:
        """The whole source with this change."""
        return source[: self.start] + self.replacement + source[self.end :]


def find_mutants(source: str) -> list[Mutant]:
    """Every change this file knows, in reading order. Docstrings, annotations and messages are left alone."""
    places = _Places(source)
    found = [mutant for node in _worth_changing(ast.parse(source)) for mutant in _mutate(node, places)]
    return sorted(found, key=lambda mutant: (mutant.start, mutant.end, mutant.replacement))


class _Places:
    """Turns the tree's (line, byte column) into offsets of characters."""

    def __init__(self, source: str) -> None:
        self.source = source
        self._lines = source.splitlines(keepends=True)
        self._offsets = [0]
        for line in self._lines:
            self._offsets.append(self._offsets[-1] + len(line))

    def start(self, node: ast.expr | ast.stmt) -> int:
        return self._offset(node.lineno, node.col_offset)

    def end(self, node: ast.expr | ast.stmt) -> int:
        return self._offset(node.end_lineno or node.lineno, node.end_col_offset or node.col_offset)

    def text(self, node: ast.expr) -> str:
        return self.source[self.start(node) : self.end(node)]

    def _offset(self, line: int, column_bytes: int) -> int:
        return self._offsets[line - 1] + len(self._lines[line - 1].encode()[:column_bytes].decode())


def _worth_changing(tree: ast.AST) -> Iterator[ast.AST]:
    """Nodes that decide something: no annotations, no docstrings, no messages of assert and raise."""
    for field, value in ast.iter_fields(tree):
        if field in {"annotation", "returns", "decorator_list", "type_params", "msg"} or isinstance(
            tree, ast.Raise
        ):
            continue
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST):
                continue
            if isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant):
                continue
            yield child
            yield from _worth_changing(child)


def _mutate(node: ast.AST, places: _Places) -> Iterator[Mutant]:
    match node:
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _COMPARISONS:
            for replacement in _COMPARISONS[type(op)]:
                yield from _between(left, right, f" {replacement} ", places)
        case ast.BinOp(left=left, op=operator, right=right) if type(operator) in _ARITHMETIC:
            yield from _between(left, right, f" {_ARITHMETIC[type(operator)]} ", places)
        case ast.BoolOp(op=op, values=[left, right, *_]):
            yield from _between(left, right, " or " if isinstance(op, ast.And) else " and ", places)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield Mutant(node.lineno, places.start(node), places.end(node), f"({places.text(operand)})")
        case ast.Constant(value=bool(value)):
            yield Mutant(node.lineno, places.start(node), places.end(node), str(not value))
        case ast.Constant(value=int(value)):
            yield Mutant(node.lineno, places.start(node), places.end(node), str(value + 1))
        case ast.IfExp(test=test):
            yield Mutant(node.lineno, places.start(test), places.end(test), f"not ({places.text(test)})")
        case ast.If(test=test) | ast.While(test=test):
            yield Mutant(test.lineno, places.start(test), places.end(test), f"not ({places.text(test)})")
        case ast.Continue():
            yield Mutant(node.lineno, places.start(node), places.end(node), "break")
        case _:
            pass


def _between(left: ast.expr, right: ast.expr, replacement: str, places: _Places) -> Iterator[Mutant]:
    """Replace the operator between two operands, where nothing but the operator and blanks stands there."""
    start, end = places.end(left), places.start(right)
    standing = places.source[start:end]
    if "\n" not in standing and "(" not in standing and ")" not in standing:
        yield Mutant(left.end_lineno or left.lineno, start, end, replacement)

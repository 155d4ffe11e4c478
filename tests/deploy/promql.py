"""What a PromQL expression asks for: metric names, label matchers, grouping labels, as far as rules and boards need it.

A small reader, not a parser: strings and matchers are taken out first, then what is neither a function, a keyword nor a
label list is a metric. Not here: which metrics exist (`metrics.py`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

KEYWORDS = {
    "and",
    "or",
    "unless",
    "bool",
    "offset",
    "on",
    "ignoring",
    "group_left",
    "group_right",
    "by",
    "without",
}
_MATCHER = re.compile(r'\s*([a-z_]+)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"\s*')
_SELECTOR = re.compile(r'([a-zA-Z_:][\w:]*)\s*\{((?:[^{}"]|"(?:[^"\\]|\\.)*")*)\}')
_LABELS = re.compile(r"\b(by|without|on|ignoring|group_left|group_right)\s*\(([^()]*)\)")
_RANGE = re.compile(r"\[[^\]]*\]")
_WORD = re.compile(r"[a-zA-Z_:][\w:]*")


class Unreadable(Exception):
    """The expression is not of the form that rules and boards here are written in."""


@dataclass(frozen=True, slots=True)
class Selector:
    """One metric asked for, with its matchers as (label, operator, value)."""

    metric: str
    matchers: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """Everything one expression names."""

    selectors: tuple[Selector, ...]
    grouping: frozenset[str]


def read(expression: str) -> Asked:
    """Read an expression; raises Unreadable."""
    _check_brackets(re.sub(r'"(?:[^"\\]|\\.)*"', "", expression))
    selectors: list[Selector] = []

    def take(found: re.Match[str]) -> str:
        selectors.append(Selector(found[1], _read_matchers(found[2])))
        return " "

    rest = _SELECTOR.sub(take, expression)
    grouping = {label.strip() for _, labels in _LABELS.findall(rest) for label in labels.split(",")}
    rest = _RANGE.sub(" ", _LABELS.sub(" ", rest))
    for found in _WORD.finditer(rest):
        word = found[0]
        if (
            word not in KEYWORDS
            and not rest[found.end() :].lstrip().startswith("(")
            and not _is_number(rest, found)
        ):
            selectors.append(Selector(word))
    return Asked(tuple(selectors), frozenset(grouping - {""}))


def _read_matchers(text: str) -> tuple[tuple[str, str, str], ...]:
    matchers: list[tuple[str, str, str]] = []
    at = 0
    while at < len(text):
        found = _MATCHER.match(text, at)
        if found is None:
            raise Unreadable(f"no matcher: {text[at:]}")
        matchers.append((found[1], found[2], found[3]))
        at = found.end()
        if at < len(text) and text[at] != ",":
            raise Unreadable(f"no comma: {text[at:]}")
        at += 1
    return tuple(matchers)


def _is_number(text: str, found: re.Match[str]) -> bool:
    return found.start() > 0 and text[found.start() - 1].isdigit()


def _check_brackets(text: str) -> None:
    open_ones: list[str] = []
    pairs = {")": "(", "]": "[", "}": "{"}
    for character in text:
        if character in "([{":
            open_ones.append(character)
        elif character in pairs and (not open_ones or open_ones.pop() != pairs[character]):
            raise Unreadable(f"{character} closes nothing: {text}")
    if open_ones:
        raise Unreadable(f"{open_ones} left open: {text}")

"""Documentation: links lead somewhere, commands exist, and modules are called by the names they have."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from tests.tidy import rules, tree

LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"^```.*?^```|`[^`\n]+`", re.MULTILINE | re.DOTALL)
IN_BACKTICKS = re.compile(r"``?([^`\n]+)``?")
DOTTED = re.compile(r"^[a-z][a-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)+$")
FILE_IN_ROOM = re.compile(rf"^({'|'.join(tree.ROOMS)}|tests|bench|docs|deploy)/[\w./-]+$")


def anchor(heading: str) -> str:
    """A heading's anchor, as code hosts compute it."""
    kept = re.sub(r"[^\w\- ]", "", heading.strip().lower().replace("`", ""))
    return kept.replace(" ", "-")


def anchors(path: str) -> set[str]:
    """Every anchor of a page."""
    source = FENCE.sub("", tree.text(path))
    return {anchor(line.lstrip("#")) for line in source.splitlines() if line.startswith("#")}


def broken_links(path: str) -> Iterator[str]:
    """Relative links that lead nowhere."""
    for target in LINK.findall(FENCE.sub("", tree.text(path))):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        file, _, fragment = target.partition("#")
        page = _resolve(path, file) if file else path
        if not (tree.ROOT / page).exists():
            yield f"{path}: {target} is not there"
        elif fragment and page.endswith(".md") and fragment not in anchors(page):
            yield f"{path}: {target} has no such heading"


def unknown_names(path: str, prose: str, *, room: str | None = None) -> Iterator[str]:
    """Backticked module names and paths that do not exist; `room` lets its own modules go without its name."""
    for quoted in IN_BACKTICKS.findall(prose):
        name = quoted.strip().removesuffix("()")
        if FILE_IN_ROOM.match(name):
            if not (tree.ROOT / name).exists():
                yield f"{path}: `{quoted}` is not in the tree"
        elif DOTTED.match(name):
            first = name.split(".")[0]
            if room and f"{room}.{first}" in tree.module_names():
                name = f"{room}.{name}"
            elif first not in tree.ROOMS:
                continue
            if not _exists(name):
                yield f"{path}: `{quoted}` is neither a module nor a name in one"


def _exists(dotted: str) -> bool:
    parts = dotted.split(".")
    for depth in range(len(parts), 0, -1):
        module = ".".join(parts[:depth])
        if module in tree.module_names():
            return depth == len(parts) or parts[depth] in tree.names_in(module)
    return False


def _resolve(page: str, target: str) -> str:
    parts: list[str] = []
    for part in (PurePosixPath(page).parent / target).parts:
        if part == "..":
            parts.pop()
        elif part != ".":
            parts.append(part)
    return "/".join(parts) or "."


def make_targets() -> set[str]:
    """What `make help` lists."""
    return set(re.findall(r"^([a-z-]+):.*## \S", tree.text("Makefile"), flags=re.MULTILINE))


def test_every_link_leads_somewhere() -> None:
    rules.expect_none(line for path in tree.prose_files() for line in broken_links(path))


def test_pages_call_modules_by_names_that_exist() -> None:
    rules.expect_none(
        line for path in tree.prose_files() for line in unknown_names(path, FENCE.sub("", tree.text(path)))
    )


def test_cards_name_only_modules_that_exist() -> None:
    stale: list[str] = []
    for path in tree.python_files(*tree.ROOMS, "bench", "tests"):
        card = ast.get_docstring(tree.syntax(path)) or ""
        room = path.split("/")[0]
        stale += unknown_names(path, card, room=room if room in tree.ROOMS else None)
    rules.expect_none(stale)


def test_every_make_command_in_the_pages_exists() -> None:
    used = {
        (path, name)
        for path in tree.prose_files()
        for name in re.findall(r"(?:^\s*|`)make ([a-z]+)", tree.text(path), flags=re.MULTILINE)
    }
    assert not {(path, name) for path, name in used if name not in make_targets()}


def test_every_chainbell_command_in_the_pages_exists() -> None:
    from gateway.commands import PLACES

    used = {
        (path, name)
        for path in tree.prose_files()
        for code in CODE.findall(tree.text(path))
        for name in re.findall(r"^`*\s*(?:\S*/)?chainbell ([a-z]+)", code, flags=re.MULTILINE)
    }
    assert not {(path, name) for path, name in used if name not in PLACES}


def test_every_make_command_is_phony_and_explained() -> None:
    phony = set(re.findall(r"^\.PHONY: ([a-z-]+)$", tree.text("Makefile"), flags=re.MULTILINE))
    assert phony == make_targets()


def test_every_page_under_docs_is_linked_from_another() -> None:
    linked = {
        _resolve(path, target.partition("#")[0])
        for path in tree.prose_files()
        for target in LINK.findall(FENCE.sub("", tree.text(path)))
        if "://" not in target and target.partition("#")[0]
    }
    folders = {target for target in linked if (tree.ROOT / target).is_dir()}
    pages = [path for path in tree.prose_files() if path.startswith("docs/")]
    assert not [page for page in pages if page not in linked and str(Path(page).parent) not in folders]


def test_the_glossary_gives_every_word_one_meaning() -> None:
    words = re.findall(r"^\| \*\*([^*]+)\*\* \|", tree.text("docs/glossary.md"), flags=re.MULTILINE)
    assert len(words) > 20
    assert len(words) == len(set(words))
    assert words == sorted(words, key=str.lower)

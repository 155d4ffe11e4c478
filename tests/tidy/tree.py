"""
The files of this repository, as the house rules see them.

Here: which files there are and what stands in them, read once. Not here: what is allowed (`rules.py`) and
which file must obey which rule (the `test_*.py` files beside this one). Only files that git would commit are
seen, so a new file counts before it is added, and nothing of .venv or node_modules does.
"""

from __future__ import annotations

import ast
import functools
import os
import subprocess
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("chains", "indexer", "relay", "gateway", "migrations")
_SKIPPED_FOLDERS = {".git", ".venv", "node_modules", "__pycache__", "dist", "build", "chainbell-data"}


@functools.cache
def files() -> tuple[str, ...]:
    """Paths from the root, with forward slashes, sorted; without git, the folder walked."""
    listing = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        check=False,
    )
    if listing.returncode == 0:
        found = set(listing.stdout.decode().split("\0")) - {""}
        return tuple(sorted(path for path in found if (ROOT / path).is_file()))
    return tuple(sorted(_walk()))


def _walk() -> list[str]:
    found: list[str] = []
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [
            name for name in folders if name not in _SKIPPED_FOLDERS and not name.endswith("_cache")
        ]
        found.extend((Path(folder) / name).relative_to(ROOT).as_posix() for name in names)
    return found


@functools.cache
def text(path: str) -> str:
    """A file's text; empty for what is not text."""
    try:
        return (ROOT / path).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


@functools.cache
def syntax(path: str) -> ast.Module:
    """A Python file, parsed."""
    return ast.parse(text(path), filename=path)


def python_files(*folders: str) -> list[str]:
    """Python files under these folders; under all when none is named."""
    return [
        path for path in files() if path.endswith(".py") and (not folders or path.split("/")[0] in folders)
    ]


def query_files() -> list[str]:
    """The files of named queries: `<room>/…/sql/*.sql`, without the numbered migrations."""
    return [
        path
        for path in files()
        if path.endswith(".sql")
        and path.split("/")[0] in ROOMS
        and "/sql/" in path
        and not path.rsplit("/", 1)[1][:4].isdigit()
    ]


def migration_files() -> list[str]:
    """The numbered migrations, oldest first."""
    return [
        path for path in files() if path.startswith("migrations/sql/") and path.split("/")[-1][:4].isdigit()
    ]


def prose_files() -> list[str]:
    """Every Markdown page."""
    return [path for path in files() if path.endswith(".md")]


@functools.cache
def pyproject() -> dict[str, Any]:
    """pyproject.toml, parsed."""
    return tomllib.loads(text("pyproject.toml"))


@functools.cache
def module_names() -> frozenset[str]:
    """Every importable name below the rooms: `relay`, `relay.lanes.schedule`, …"""
    names: set[str] = set()
    for path in python_files(*ROOMS):
        parts = path.removesuffix(".py").split("/")
        if parts[-1] == "__init__":
            parts.pop()
        names.update(".".join(parts[:depth]) for depth in range(1, len(parts) + 1))
    return frozenset(names)


@functools.cache
def names_in(module: str) -> frozenset[str]:
    """What a module defines or imports at its top, and the members of its classes."""
    stem = module.replace(".", "/")
    path = f"{stem}.py" if (ROOT / f"{stem}.py").is_file() else f"{stem}/__init__.py"
    if path not in files():
        return frozenset()
    found: set[str] = set()
    for node in syntax(path).body:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                found.add(node.name)
            case ast.Assign(targets=targets):
                found.update(target.id for target in targets if isinstance(target, ast.Name))
            case ast.AnnAssign(target=ast.Name(id=name)):
                found.add(name)
            case ast.Import() | ast.ImportFrom():
                found.update(alias.asname or alias.name for alias in node.names)
            case _:
                pass
    return frozenset(found)

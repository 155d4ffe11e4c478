"""The tree: what stands at the top, how things are called, how large they are."""

from __future__ import annotations

from pathlib import Path

from tests.tidy import rules, tree

TOP_FOLDERS = {".ci", *tree.ROOMS, "tests", "bench", "docs", "deploy"}
TOP_FILES = {
    ".gitignore",
    ".npmrc",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "Makefile",
    "README.md",
    "SECURITY.md",
    "package-lock.json",
    "package.json",
    "pyproject.toml",
    "requirements-dev.lock",
    "requirements.lock",
}
FILE_BYTES_MAX = 1 << 20


def test_the_top_of_the_tree_holds_only_names_a_reader_expects() -> None:
    folders = {path.split("/")[0] for path in tree.files() if "/" in path}
    names = {path for path in tree.files() if "/" not in path}
    assert not folders - TOP_FOLDERS
    assert not names - TOP_FILES


def test_every_promised_file_at_the_top_is_there() -> None:
    assert not TOP_FILES - set(tree.files())
    assert ".ci/run" in tree.files()
    assert (tree.ROOT / ".ci/run").stat().st_mode & 0o111


def test_no_folder_or_module_is_a_drawer() -> None:
    rules.expect_none(line for path in tree.files() for line in rules.drawer_complaints(path))


def test_no_file_is_larger_than_a_mebibyte() -> None:
    assert not [path for path in tree.files() if (tree.ROOT / path).stat().st_size > FILE_BYTES_MAX]


def test_every_room_is_a_package_and_nothing_else_is_distributed() -> None:
    packages = tree.pyproject()["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert set(packages) == set(tree.ROOMS)
    assert not [room for room in tree.ROOMS if f"{room}/__init__.py" not in tree.files()]


def test_every_folder_of_modules_is_a_package_with_a_card() -> None:
    folders = {str(Path(path).parent) for path in tree.python_files(*tree.ROOMS)}
    bare = sorted(folder for folder in folders if f"{folder}/__init__.py" not in tree.files())
    rules.expect_none(bare)

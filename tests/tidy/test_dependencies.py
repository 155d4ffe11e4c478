"""Dependencies: each one argued for, each one pinned, and no lock that knows an address."""

from __future__ import annotations

import json
import re

import pytest

from tests.tidy import tree

LOCKS = ("requirements.lock", "requirements-dev.lock", "bench/peers/requirements.lock")
NODE_FOLDERS = ("", "bench/peers/")
LOCK_LINE = re.compile(
    r"^([a-z0-9][a-z0-9._-]*==[^\s;]+( ; [^\\]+)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?)$", re.IGNORECASE
)


def name_of(requirement: str) -> str:
    """`pkg[extra]>=1; marker` -> `pkg`, as indexes normalise it."""
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found, requirement
    return re.sub(r"[-_.]+", "-", found[0]).lower()


def declared() -> set[str]:
    """Every Python dependency pyproject.toml names, the build's included."""
    project = tree.pyproject()["project"]
    extras = [one for group in project["optional-dependencies"].values() for one in group]
    wanted = [*project["dependencies"], *extras, *tree.pyproject()["build-system"]["requires"]]
    return {name_of(one) for one in wanted} - {name_of(project["name"])}


def declared_by_peers() -> set[str]:
    """What the bench of peers asks for in Python; most of it is ours, too."""
    return {name_of(line) for line in tree.text("bench/peers/requirements.in").splitlines()}


def declared_in_node(folder: str) -> set[str]:
    """Every dependency a package.json names."""
    node = json.loads(tree.text(f"{folder}package.json"))
    return {*node["dependencies"], *node.get("devDependencies", {})}


def locked(path: str) -> set[str]:
    """Every package a lock pins."""
    return {name_of(line) for line in tree.text(path).splitlines() if line and not line.startswith(" ")}


def test_locks_hold_versions_and_hashes_and_no_address() -> None:
    strange = [
        f"{path}:{number}: {line}"
        for path in LOCKS
        for number, line in enumerate(tree.text(path).splitlines(), start=1)
        if not LOCK_LINE.match(line)
    ]
    assert not strange


def test_locks_hold_everything_that_is_declared() -> None:
    assert not declared() - locked("requirements-dev.lock")
    runtime = {name_of(one) for one in tree.pyproject()["project"]["dependencies"]}
    assert not runtime - locked("requirements.lock")
    assert not locked("requirements.lock") - locked("requirements-dev.lock")
    assert not declared_by_peers() - locked("bench/peers/requirements.lock")


def test_peers_of_a_bench_are_installed_by_nothing_else() -> None:
    of_peers_only = (declared_by_peers() | declared_in_node("bench/peers/")) - declared()
    assert of_peers_only >= {"bullmq", "procrastinate"}
    assert not of_peers_only & locked("requirements-dev.lock")
    assert not of_peers_only & declared_in_node("")


@pytest.mark.parametrize("folder", NODE_FOLDERS)
def test_a_node_lock_holds_integrity_and_no_address(folder: str) -> None:
    packages = json.loads(tree.text(f"{folder}package-lock.json"))["packages"]
    assert "omit-lockfile-registry-resolved=true" in tree.text(f"{folder}.npmrc").splitlines()
    for path, entry in packages.items():
        assert "resolved" not in entry, path
        assert path == "" or entry["integrity"].startswith("sha512-"), path


def test_every_dependency_has_its_line_in_the_decisions() -> None:
    reasons = "\n".join(tree.text(path) for path in tree.files() if path.startswith("docs/decisions/"))
    argued = set(re.findall(r"^\| `([^`]+)` \| \S", reasons, flags=re.MULTILINE))
    wanted = (
        declared()
        | declared_by_peers()
        | {one for folder in NODE_FOLDERS for one in declared_in_node(folder)}
    )
    assert not wanted - argued, "add a row to docs/decisions/0001-dependencies.md"
    assert not argued - wanted, "a row stands there for something that is gone"

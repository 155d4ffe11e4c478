"""The image's recipe, as far as it can be followed without an engine: what it copies, builds and installs, and as whom."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

from tests.tidy import tree
from tests.tidy.test_dependencies import name_of

RECIPE = tree.text("deploy/Containerfile")
BUILDER = {"hatchling", "packaging", "pathspec", "pluggy", "trove-classifiers"}


def instructions() -> list[tuple[str, str]]:
    """(instruction, arguments) with continued lines joined."""
    joined = re.sub(r"\\\n\s*", " ", re.sub(r"^#.*\n", "", RECIPE, flags=re.MULTILINE))
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in joined.splitlines() if line)]


def test_the_last_stage_runs_as_somebody_and_starts_the_program() -> None:
    last = instructions()[max(n for n, (word, _) in enumerate(instructions()) if word == "FROM") :]
    said = dict(last)
    assert said["USER"] == "10001:10001"
    assert [word for word, _ in last].index("USER") < [word for word, _ in last].index("ENTRYPOINT")
    assert said["ENTRYPOINT"] == '["chainbell"]'
    assert said["CMD"] == '["run"]'
    assert "pip" not in " ".join(rest for word, rest in last if word == "RUN"), (
        "tools stay in the first stage"
    )


def test_everything_that_is_copied_exists_and_passes_the_ignore_file() -> None:
    allowed = {
        line[1:] for line in tree.text("deploy/Containerfile.dockerignore").splitlines() if line[:1] == "!"
    }
    copied = {
        source
        for word, rest in instructions()
        if word == "COPY" and not rest.startswith("--from")
        for source in rest.split()[:-1]
    }
    assert copied == allowed
    assert not [source for source in copied if not (tree.ROOT / source).exists()]
    assert set(tree.ROOMS) <= copied


def test_packages_are_installed_by_hash_from_wheels() -> None:
    installs = [
        part.strip()
        for word, rest in instructions()
        if word == "RUN"
        for part in rest.split("&&")
        if "pip install" in part and "dist/" not in part
    ]
    assert len(installs) == 2
    assert all("--require-hashes" in one and "--only-binary :all:" in one for one in installs)


def test_the_builder_is_cut_out_of_the_dev_lock_whole(tmp_path: Path) -> None:
    (program,) = re.findall(r"awk '([^']+)'", RECIPE)
    cut = subprocess.run(
        ["awk", program, tree.ROOT / "requirements-dev.lock"], capture_output=True, text=True, check=True
    ).stdout
    assert {name_of(line) for line in cut.splitlines() if not line.startswith(" ")} == BUILDER
    assert cut.count("--hash=sha256:") >= len(BUILDER)


def test_the_wheel_holds_every_file_the_program_reads(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--no-build-isolation", "--wheel-dir", str(tmp_path), str(tree.ROOT)]
    subprocess.run(command, check=True, capture_output=True, cwd=tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = set(archive.namelist())
    wanted = {path for path in tree.files() if path.split("/")[0] in tree.ROOMS}
    assert not wanted - packed
    assert not [path for path in packed if path.startswith(("tests/", "bench/"))]
    assert {path for path in wanted if path.endswith((".lua", ".sql"))}


def test_no_address_of_a_registry_is_needed_to_read_the_recipe() -> None:
    bases = [rest.split()[0] for word, rest in instructions() if word == "FROM"]
    assert set(bases) == {"${BASE}"}
    (base,) = [rest for word, rest in instructions() if word == "ARG"]
    assert re.fullmatch(r"BASE=python:3\.\d+-slim-\w+", base)

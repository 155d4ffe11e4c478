"""`python -m tests.mutants.plant`: plants each bug of `planted.py` in a copy of the tree and sees who notices.

First a few hundred schedules of the simulation, then, where they noticed nothing, the unit tests and properties of the
rooms; what only a real database can notice is asked of its tests and of the simulation on it. Every bug must be caught: a
survivor is a missing law. Before all that the tests that bugs name must pass where nothing is planted: one that fails
anyway, or is not there, catches nothing. Here: copying, planting, judging, the table.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.mutants.edits import Planted
from tests.mutants.planted import PLANTED

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("chains", "indexer", "relay", "gateway", "migrations", "tests", "docs", "deploy", "pyproject.toml")
ANVIL = [path.parent for path in ROOT.glob("node_modules/@foundry-rs/anvil-*/bin/anvil")]
BITCOIND, NODE_MODULES = ROOT / ".bitcoind", ROOT / "node_modules"
SECONDS_MAX = 600
POSTGRES_SCHEDULES = "40"
PYTEST = ("-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--tb=native")
TESTS_FAILED = 1
"""How pytest ends when a test failed. When it could not collect, or was asked for what is not there, no law has spoken."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Who caught a bug and by what words; `by` is None for a survivor."""

    planted: Planted
    by: str | None
    words: str
    seconds: float


@contextmanager
def copied_tree() -> Iterator[Path]:
    """A copy of the sources and tests, for as long as the block lasts."""
    with tempfile.TemporaryDirectory(prefix="chainbell-mutant-") as folder:
        tree = Path(folder)
        for name in COPIED:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / name, tree / name)
        for beside in (BITCOIND, NODE_MODULES):
            if beside.exists():
                (tree / beside.name).symlink_to(beside)
        yield tree


def find_fault_without_bugs(chosen: Sequence[Planted]) -> str | None:
    """What fails among the tests that these bugs name, with nothing planted; None where they can be believed."""
    named = sorted({word for planted in chosen for word in planted.asks if word.startswith("tests/")})
    if not named:
        return None
    with copied_tree() as tree:
        return complaint_of([*PYTEST, *named], tree, seconds_max=SECONDS_MAX * 3)


def plant(planted: Planted, tree: Path) -> None:
    """Make the edits in a copy; raises ValueError where a text is not there exactly once."""
    for edit in planted.edits:
        file = tree / edit.file
        source = file.read_text()
        if source.count(edit.old) != 1:
            raise ValueError(f"{planted.name}: {edit.file} has the text {source.count(edit.old)} times")
        file.write_text(source.replace(edit.old, edit.new))


def judge(planted: Planted, schedules: int, seed: int) -> Verdict:
    """Plant one bug in a tree of its own and ask simulation, unit tests and properties."""
    started = time.monotonic()
    with copied_tree() as tree:
        plant(planted, tree)
        for by, command in questions(planted, schedules, seed):
            words = complaint_of(command, tree)
            if words is not None:
                return Verdict(planted, by, words, time.monotonic() - started)
    return Verdict(planted, None, "nobody noticed", time.monotonic() - started)


def questions(planted: Planted, schedules: int, seed: int) -> list[tuple[str, list[str]]]:
    """Who is asked, in this order, and by which command."""
    if planted.asks:
        return [("tests", [*PYTEST, *planted.asks])]
    if planted.on_database:
        return [
            ("database", [*PYTEST, "tests/database/indexer"]),
            ("postgres", [*PYTEST, "tests/simulation/test_postgres.py"]),
        ]
    rooms = ["tests/unit/indexer", "tests/properties/indexer", "tests/unit/relay"]
    return [
        (
            "simulation",
            [
                "-m",
                "tests.simulation",
                "--kind",
                planted.kind,
                "--schedules",
                str(schedules),
                "--seed",
                str(seed),
            ],
        ),
        ("tests", [*PYTEST, *rooms]),
    ]


def complaint_of(command: Sequence[str], tree: Path, *, seconds_max: float = SECONDS_MAX) -> str | None:
    """The line that says what broke, or None where all is well. ValueError where nothing was asked."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(tree),
        "PATH": os.pathsep.join([*map(str, ANVIL), os.environ.get("PATH", "")]),
        "PYTHONDONTWRITEBYTECODE": "1",
        "CI": "true",  # each test as deep as it goes
        "CHAINBELL_POSTGRES_SCHEDULES": POSTGRES_SCHEDULES,
        "CHAINBELL_RECORDED": os.environ.get("CHAINBELL_RECORDED", str(ROOT.parent / "shared" / "recorded")),
    }
    try:
        result = subprocess.run(
            [sys.executable, *command],
            cwd=tree,
            env=environment,
            capture_output=True,
            text=True,
            timeout=seconds_max,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"it did not end within {seconds_max:g} s"
    if result.returncode == 0:
        return None
    if result.returncode != TESTS_FAILED:
        raise ValueError(
            f"{' '.join(command)} ended with {result.returncode}: {result.stdout[-500:]}{result.stderr[-500:]}"
        )
    lines = result.stdout.splitlines() + result.stderr.splitlines()
    telling = [line for line in lines if line.startswith(("seed ", "FAILED ", "ERROR ", "E  "))]
    return telling[0] if telling else (lines[-1] if lines else "it failed without a word")


def main() -> int:
    """0 when every bug was caught."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants.plant")
    parser.add_argument("names", nargs="*", help="only bugs whose name contains one of these words")
    parser.add_argument("--schedules", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    chosen = [one for one in PLANTED if not options.names or any(name in one.name for name in options.names)]
    if (fault := find_fault_without_bugs(chosen)) is not None:
        print(f"with nothing planted: {fault}")
        return 2
    survivors = 0
    with ThreadPoolExecutor(options.workers) as pool:
        for verdict in pool.map(lambda one: judge(one, options.schedules, options.seed), chosen):
            survivors += verdict.by is None
            caught = verdict.by or "SURVIVED"
            print(f"law {verdict.planted.law}  {caught:<10} {verdict.seconds:5.0f} s  {verdict.planted.name}")
            print(f"       {verdict.words[:150]}", flush=True)
    print(f"{len(chosen) - survivors} of {len(chosen)} caught")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())

"""
Breaks the decisions one small change at a time, and asks the tests whether they notice.

`python -m tests.mutants [MODULE ...] [--sample N] [--seed S]`. Each change is made in a copy of the tree, in a child
process forked from one that has the libraries loaded already. A change that no test notices survives and is printed
as the line it makes: either a test is missing, or the line decides nothing.
Here: choosing, running, reporting. Not here: the changes themselves (`operators.py`).
"""

from __future__ import annotations

import argparse
import ast
import importlib
import multiprocessing
import os
import random
import shutil
import sys
import tempfile
import tomllib
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import _hypothesis_pytestplugin
import pytest
import pytest_asyncio.plugin
import pytest_timeout
from hypothesis import Phase, settings

from tests.mutants.operators import Mutant, find_mutants

ROOT = Path(__file__).resolve().parents[2]
TESTS = ("tests/unit", "tests/properties", "tests/vectors")
COPIED = ("chains", "indexer", "relay", "gateway", "migrations", "tests", "docs")
SAID = "said.txt"
SECONDS_PER_MUTANT = 60
# Handed over as they are: finding and loading all that are installed costs more than most tests.
PLUGINS = (_hypothesis_pytestplugin, pytest_asyncio.plugin, pytest_timeout)
PRELOADED = ("aiohttp", "asyncpg", "msgspec", "structlog", "tenacity")
FORK = multiprocessing.get_context("fork")


@dataclass(frozen=True, slots=True)
class Trial:
    """One change to one module, and the test files that import the module."""

    module: str
    mutant: Mutant
    tests: tuple[str, ...]


def pure_modules() -> list[str]:
    """The modules which the import contract calls pure; of a folder, all of them."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (contract,) = [one for one in contracts if one["name"].startswith("Decisions are pure")]
    return [module for place in contract["source_modules"] for module in _modules_of(place)]


def _modules_of(place: str) -> list[str]:
    folder = ROOT / place.replace(".", "/")
    inside = sorted(file.stem for file in folder.glob("*.py") if file.stem != "__init__")
    return [f"{place}.{name}" for name in inside] or [place]


def path_of(module: str) -> str:
    """`relay.lanes.schedule` -> `relay/lanes/schedule.py`."""
    return module.replace(".", "/") + ".py"


def tests_of(module: str) -> tuple[str, ...]:
    """The fast test files that import this module."""
    files = (path for folder in TESTS for path in sorted((ROOT / folder).rglob("test_*.py")))
    importing = (path for path in files if module in _imports(ast.parse(path.read_text())))
    return tuple(path.relative_to(ROOT).as_posix() for path in importing)


def _imports(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=aliases):
                names.update(alias.name for alias in aliases)
            case ast.ImportFrom(module=str(module), names=aliases):
                names.add(module)
                names.update(f"{module}.{alias.name}" for alias in aliases)
            case _:
                pass
    return names


def choose(modules: list[str], sample: int, seed: int) -> list[Trial]:
    """Every possible change, or a seeded sample of them; modules without fast tests are named and left out."""
    trials: list[Trial] = []
    for module in modules:
        tests = tests_of(module)
        mutants = find_mutants((ROOT / path_of(module)).read_text())
        if not tests:
            print(f"no fast test imports {module}: {len(mutants)} changes not tried")
        trials += [Trial(module, mutant, tests) for mutant in mutants if tests]
    if sample and len(trials) > sample:
        trials = random.Random(seed).sample(trials, sample)
    return sorted(trials, key=lambda trial: (trial.module, trial.mutant.start))


def copy_tree(target: Path) -> None:
    """What the fast tests need, in a folder of its own; the virtual environment stays where it is."""
    for name in COPIED:
        shutil.copytree(
            ROOT / name, target / name, ignore=shutil.ignore_patterns("__pycache__", ".hypothesis")
        )
    shutil.copy(ROOT / "pyproject.toml", target)


def _run_tests(folder: Path, tests: tuple[str, ...], statuses: multiprocessing.SimpleQueue[int]) -> None:
    os.chdir(folder)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    os.environ.setdefault("CHAINBELL_RECORDED", str(ROOT.parent / "shared" / "recorded"))
    os.environ.pop("CI", None)  # what needs a node skips here
    # The editable install must not win over the changed copy.
    sys.path[:] = [str(folder), *(entry for entry in sys.path if Path(entry or ".").resolve() != ROOT)]
    for name in [name for name in sys.modules if name.split(".")[0] in COPIED]:
        del sys.modules[name]
    settings.register_profile(
        "mutants", phases=[Phase.explicit, Phase.generate], derandomize=True, database=None
    )
    sys.dont_write_bytecode = True
    arguments = ["-x", "-q", "-p", "no:cacheprovider", "--hypothesis-profile=mutants", *tests]
    with (folder / SAID).open("w") as said, redirect_stdout(said), redirect_stderr(said):
        status = pytest.main(arguments, plugins=PLUGINS)
    statuses.put(int(status))


def run_tests(folder: Path, tests: tuple[str, ...], *, timeout_s: float = SECONDS_PER_MUTANT) -> int | None:
    """pytest's exit status in a child; None when it ran out of time or died."""
    statuses: multiprocessing.SimpleQueue[int] = FORK.SimpleQueue()
    child = FORK.Process(target=_run_tests, args=(folder, tests, statuses))
    child.start()
    child.join(timeout_s)
    if child.is_alive():
        child.kill()
        child.join()
    return None if statuses.empty() else statuses.get()


def survives(trial: Trial, folder: Path) -> bool:
    """Whether all its tests pass with this change; running out of time counts as noticed."""
    changed = folder / path_of(trial.module)
    original = changed.read_text()
    changed.write_text(trial.mutant.apply(original))
    try:
        return run_tests(folder, trial.tests) == 0
    finally:
        changed.write_text(original)


def unchanged_tests_pass(trials: list[Trial], folder: Path) -> bool:
    """Without this, every change would seem noticed."""
    every = tuple(sorted({path for trial in trials for path in trial.tests}))
    if run_tests(folder, every, timeout_s=10 * SECONDS_PER_MUTANT) == 0:
        return True
    print("".join((folder / SAID).read_text().splitlines(keepends=True)[-40:]))
    print("the tests fail, or take too long, without any change; mend that first")
    return False


def main() -> int:
    """0 with a report; 1 when the unchanged tests fail; 2 when there was nothing to try."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument(
        "modules",
        nargs="*",
        metavar="MODULE",
        help="for example relay.lanes.schedule; default: all pure ones",
    )
    parser.add_argument("--sample", type=int, default=200, help="changes to try, 0 for all (default 200)")
    parser.add_argument("--seed", type=int, default=0, help="which sample (default 0)")
    options = parser.parse_args()
    trials = choose(options.modules or pure_modules(), options.sample, options.seed)
    if not trials:
        return 2
    for name in PRELOADED:
        importlib.import_module(name)
    survivors = 0
    with tempfile.TemporaryDirectory(prefix="mutants-") as name:
        folder = Path(name)
        copy_tree(folder)
        if not unchanged_tests_pass(trials, folder):
            return 1
        for number, trial in enumerate(trials, start=1):
            if sys.stderr.isatty():
                print(f"\r{number}/{len(trials)} {trial.module}\x1b[K", end="", file=sys.stderr, flush=True)
            if survives(trial, folder):
                survivors += 1
                source = trial.mutant.apply((ROOT / path_of(trial.module)).read_text())
                line = source.splitlines()[trial.mutant.line - 1].strip()
                print(f"survived  {path_of(trial.module)}:{trial.mutant.line}: {line}", flush=True)
    noticed = len(trials) - survivors
    print(
        f"{noticed} of {len(trials)} changes noticed ({100 * noticed // len(trials)} %), seed {options.seed}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

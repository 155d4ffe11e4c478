"""Modules: cards, lengths, and the few habits that no linter knows."""

from __future__ import annotations

import ast
import re

from chains.model import TransferKind
from tests.tidy import rules, tree

# Cards live in the rooms, the benches, and in test modules that other tests import.
CODE = [*tree.ROOMS, "bench"]
TALKS_TO_A_TERMINAL = re.compile(r"^gateway/(cli|demo)(\.py$|/|_)")
OWNS_TASKS = re.compile(r"(^|/)(service|compose)\.py$")
# Two questions at once, both over when the call returns; not loops.
ASKS_AT_ONCE = {
    "chains/source.py",
    "chains/tron/nodes/node.py",
    "gateway/doctor/chains.py",
    "gateway/commands/doctor.py",
}


# How a card says so; "the formula is pure" speaks of less than the module.
SAYS_PURE = re.compile(r"Lives here, pure\b(?! but)|\bPure[.,]|\bSans I/O\b")


def pure_modules() -> list[str]:
    """The modules of the contract that begins with these words, as paths; of a folder, all of them."""
    contracts = tree.pyproject()["tool"]["importlinter"]["contracts"]
    (contract,) = [one for one in contracts if one["name"].startswith("Decisions are pure")]
    places = [name.replace(".", "/") for name in contract["source_modules"]]
    ours = [path for path in tree.python_files(*tree.ROOMS) if not path.endswith("/__init__.py")]
    return [
        path
        for path in ours
        if any(path == f"{place}.py" or path.startswith(f"{place}/") for place in places)
    ]


# What a proof's bytes, an anchor's call data and a memo without words are written as, whatever the family.
WRITES_HEX = {
    "indexer/rules/events.py", "gateway/http/resources/deposit_proofs.py", "gateway/commands/anchors.py",
}  # fmt: skip
SPELLS_HEX = re.compile(r"0x\{[^}]*\.hex\(\)\}|\"0x\" \+")
SPELLS_KIND = re.compile(r"[\"'](internal|utxo|trc10)[\"']")


def test_how_a_family_spells_its_values_is_known_to_the_family_alone() -> None:
    others = [
        path
        for path in tree.python_files(*tree.ROOMS)
        if not path.startswith(("chains/", "relay/kit/", "gateway/demo/"))
        and SPELLS_HEX.search(tree.text(path))
    ]
    assert sorted(others) == sorted(WRITES_HEX)


def test_kinds_of_transfers_are_spelt_in_one_list() -> None:
    (listed,) = re.findall(r"check \(kind in \(([^)]*)\)\)", tree.text("migrations/sql/0001_indexer.sql"))
    assert re.findall(r"'(\w+)'", listed) == [kind.value for kind in TransferKind]
    spelling = [path for path in tree.python_files(*tree.ROOMS) if SPELLS_KIND.search(tree.text(path))]
    # What merchants copy stands alone.
    assert spelling == ["chains/model.py", "relay/kit/verify_deposit.py"]


def test_every_module_opens_with_a_card() -> None:
    paths = [path for path in tree.python_files(*CODE) if not path.endswith("/__init__.py")]
    complaints = [line for path in paths for line in rules.card_complaints(path, tree.syntax(path))]
    for path in tree.python_files("tests"):
        if not _is_test_file(path):
            complaints += rules.card_complaints(path, tree.syntax(path), lines_min=1)
    rules.expect_none(complaints)


def test_every_room_has_a_card_and_every_package_a_sentence() -> None:
    complaints: list[str] = []
    for path in tree.python_files(*tree.ROOMS):
        if path.endswith("/__init__.py"):
            lines_min = rules.CARD_LINES_MIN if path.count("/") == 1 else 1
            complaints += rules.card_complaints(path, tree.syntax(path), lines_min=lines_min)
    rules.expect_none(complaints)


def test_functions_fit_on_a_screen() -> None:
    paths = tree.python_files()
    rules.expect_none(
        line for path in paths for line in rules.function_length_complaints(path, tree.syntax(path))
    )


def test_files_can_be_read_in_one_sitting() -> None:
    paths = tree.python_files()
    rules.expect_none(line for path in paths for line in rules.file_length_complaints(path, tree.text(path)))


def test_nothing_is_left_unfinished_or_silenced() -> None:
    paths = tree.python_files()
    rules.expect_none(line for path in paths for line in rules.unfinished_complaints(path, tree.text(path)))


def test_only_commands_and_the_demo_print() -> None:
    paths = [path for path in tree.python_files(*tree.ROOMS) if not TALKS_TO_A_TERMINAL.search(path)]
    rules.expect_none(line for path in paths for line in rules.print_complaints(path, tree.syntax(path)))


def test_tasks_are_born_in_services_and_in_the_composition_root() -> None:
    paths = [
        path
        for path in tree.python_files(*tree.ROOMS)
        if not OWNS_TASKS.search(path) and path not in ASKS_AT_ONCE
    ]
    assert set(tree.files()) >= ASKS_AT_ONCE
    rules.expect_none(line for path in paths for line in rules.task_complaints(path, tree.syntax(path)))


def test_decisions_never_wait() -> None:
    paths = pure_modules()
    assert paths
    rules.expect_none(line for path in paths for line in rules.awaiting_complaints(path, tree.syntax(path)))


def test_a_card_that_says_pure_is_held_to_it() -> None:
    saying = {
        path
        for path in tree.python_files(*tree.ROOMS)
        if SAYS_PURE.search(ast.get_docstring(tree.syntax(path)) or "") and not path.endswith("/__init__.py")
    }
    rules.expect_none(f"{path}: add it to the contract" for path in sorted(saying - set(pure_modules())))


def test_every_test_is_a_sentence() -> None:
    paths = [path for path in tree.python_files("tests") if _is_test_file(path)]
    rules.expect_none(line for path in paths for line in rules.test_name_complaints(path, tree.syntax(path)))


def _is_test_file(path: str) -> bool:
    return path.rsplit("/", 1)[1].startswith("test_")

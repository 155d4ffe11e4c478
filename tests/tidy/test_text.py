"""Text: nothing of the machine it was written on, and nothing only its author can reach."""

from __future__ import annotations

import re

from tests.tidy import rules, tree

# Written in pieces, so that this file does not complain about itself.
REGISTRIES = [
    "pypi" + ".org",
    "files.python" + "hosted",
    "registry.npm" + "js",
    "registry.yarn" + "pkg",
    "deb.debian" + ".org",
    "proxy.golang" + ".org",
    "index.crates" + ".io",
]
MACHINE_PATHS = re.compile(r"(?<![\w.$/~-])/(work|root|home/[a-z]|Users/[A-Za-z])[a-z]*/")
KEYS = re.compile(r"BEGIN [A-Z ]*PRIVATE " + r"KEY|AKIA[0-9A-Z]{16}")


def test_no_registry_host_stands_in_the_tree() -> None:
    found = [f"{path}: {host}" for path in tree.files() for host in REGISTRIES if host in tree.text(path)]
    rules.expect_none(found)


def test_no_path_of_a_machine_stands_in_the_tree() -> None:
    found = [
        f"{path}:{number}: {line.strip()[:100]}"
        for path in tree.files()
        for number, line in enumerate(tree.text(path).splitlines(), start=1)
        if MACHINE_PATHS.search(line)
    ]
    rules.expect_none(found)


def test_no_private_key_stands_in_the_tree() -> None:
    assert not [path for path in tree.files() if KEYS.search(tree.text(path))]


def test_text_files_end_with_one_newline_and_lines_without_blanks() -> None:
    found: list[str] = []
    for path in tree.files():
        if path.endswith((".py", ".sql", ".md", ".toml", ".sh", ".yaml", ".yml", "Makefile", "run")):
            source = tree.text(path)
            if source and (not source.endswith("\n") or source.endswith("\n\n")):
                found.append(f"{path}: ends with one newline")
            found += [
                f"{path}:{number}: blanks at the end"
                for number, line in enumerate(source.splitlines(), start=1)
                if line != line.rstrip()
            ]
    rules.expect_none(found)

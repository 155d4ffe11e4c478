"""SQL: where it stands, how it is written, that each query is named and used."""

from __future__ import annotations

import re

from tests.tidy import rules, tree

SPEAKS_POSTGRES = re.compile(r"^migrations/|(^|/)store\.py$")


def test_sql_is_written_in_lower_case_with_one_clause_a_line() -> None:
    paths = [*tree.query_files(), *tree.migration_files()]
    assert paths
    rules.expect_none(line for path in paths for line in rules.sql_style_complaints(path, tree.text(path)))


def test_every_query_has_a_name_and_every_name_is_met_once() -> None:
    rules.expect_none(
        line for path in tree.query_files() for line in rules.query_name_complaints(path, tree.text(path))
    )


def test_every_query_is_run_by_the_room_it_belongs_to() -> None:
    unused: list[str] = []
    for path in tree.query_files():
        room = path.split("/")[0]
        code = "\n".join(tree.text(module) for module in tree.python_files(room))
        unused += [f"{path}: {name}" for name, _ in rules.query_names(tree.text(path)) if name not in code]
    rules.expect_none(unused)


def test_no_sql_hides_in_python() -> None:
    paths = tree.python_files(*tree.ROOMS)
    rules.expect_none(
        line for path in paths for line in rules.embedded_sql_complaints(path, tree.syntax(path))
    )


def test_only_stores_and_the_database_room_speak_postgres() -> None:
    paths = [path for path in tree.python_files(*tree.ROOMS) if not SPEAKS_POSTGRES.search(path)]
    rules.expect_none(
        line for path in paths for line in rules.driver_complaints(path, tree.syntax(path), "asyncpg")
    )


def test_migrations_are_numbered_without_a_gap() -> None:
    numbers = [int(path.rsplit("/", 1)[1][:4]) for path in tree.migration_files()]
    assert numbers == list(range(1, len(numbers) + 1))

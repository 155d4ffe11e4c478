"""Each house rule is shown one violation, so that a rule which no longer sees anything is noticed."""

from __future__ import annotations

import ast

import pytest

from tests.longest_first import BUSY, WAITING, deal
from tests.strict_skips import in_ci, is_allowed
from tests.tidy import rules, tree
from tests.tidy.test_docs import anchor, unknown_names


def test_a_short_card_is_seen() -> None:
    assert list(rules.card_complaints("relay/x.py", ast.parse('"""One line."""')))
    assert not list(rules.card_complaints("relay/x.py", ast.parse('"""One.\nTwo.\nThree.\n"""')))


def test_a_long_function_and_a_long_file_are_seen() -> None:
    body = "\n".join("    pass" for _ in range(rules.FUNCTION_LINES_MAX))
    assert list(rules.function_length_complaints("x.py", ast.parse(f"async def f():\n{body}\n")))
    assert list(rules.file_length_complaints("x.py", "\n" * (rules.FILE_LINES_MAX + 1)))
    assert list(rules.file_length_complaints("x.py", "x" * (rules.LINE_CHARACTERS_MAX + 1)))


@pytest.mark.parametrize("path", ["relay/utils.py", "chains/common/model.py", "tests/helpers.py"])
def test_a_drawer_is_seen(path: str) -> None:
    assert list(rules.drawer_complaints(path))


@pytest.mark.parametrize(
    "line",
    [
        "# TO" + "DO later",
        "raise NotImplemented" + "Error",
        "@pytest.mark." + "skip",
        "@pytest.mark." + "xfail",
        "x = 1  # type: ig" + "nore",
        "x = 1  # type: ig" + "nore[attr-defined]",
    ],
)
def test_an_unfinished_or_silenced_line_is_seen(line: str) -> None:
    assert list(rules.unfinished_complaints("x.py", line))


def test_a_silenced_type_with_code_and_reason_passes() -> None:
    line = "x = 1  # type: ig" + "nore[attr-defined]  # the stub is older than the driver"
    assert not list(rules.unfinished_complaints("x.py", line))


def test_prints_tasks_awaits_and_drivers_are_seen() -> None:
    assert list(rules.print_complaints("x.py", ast.parse("print(1)")))
    assert list(rules.task_complaints("x.py", ast.parse("asyncio.create_task(f())")))
    assert list(rules.awaiting_complaints("x.py", ast.parse("async def f(): await g()")))
    assert list(rules.driver_complaints("x.py", ast.parse("from asyncpg.pool import Pool"), "asyncpg"))
    assert not list(rules.driver_complaints("x.py", ast.parse("import asyncpgx"), "asyncpg"))


@pytest.mark.parametrize(
    "source",
    [
        'q = "select a from b"',
        'q = f"delete from {table}"',
        'q = """\n  insert into b values (1)"""',
        'q = f"UPDATE {table} SET a = 1"',
    ],
)
def test_sql_in_python_is_seen(source: str) -> None:
    assert list(rules.embedded_sql_complaints("x.py", ast.parse(source)))


def test_a_docstring_may_speak_of_sql() -> None:
    assert not list(rules.embedded_sql_complaints("x.py", ast.parse('"""Select one from many."""')))


@pytest.mark.parametrize("line", ["SELECT a", "select a from b", "from b where c"])
def test_shouted_or_crowded_sql_is_seen(line: str) -> None:
    assert list(rules.sql_style_complaints("x.sql", line))


@pytest.mark.parametrize(
    "line",
    [
        "where a is distinct from b",
        "delete from b",
        "where a in (select a from b where c)",
        "and a = 'NOT NULL'",
    ],
)
def test_sql_in_the_house_style_passes(line: str) -> None:
    assert not list(rules.sql_style_complaints("x.sql", line))


@pytest.mark.parametrize(
    "source",
    [
        "select 1;",
        "-- name: A :one\nselect 1;",
        "-- name: a :some\nselect 1;",
        "-- name: a :one\nselect 1;\n-- name: a :one\nselect 2;",
    ],
)
def test_a_misnamed_query_is_seen(source: str) -> None:
    assert list(rules.query_name_complaints("x.sql", source))


def test_a_label_in_place_of_a_sentence_is_seen() -> None:
    assert list(rules.test_name_complaints("x.py", ast.parse("def test_deposit(): pass")))


def test_a_name_that_does_not_exist_is_seen() -> None:
    assert list(unknown_names("x.md", "see `relay.nowhere`"))
    assert list(unknown_names("x.md", "see `tests/nowhere.py`"))
    assert not list(unknown_names("x.md", "see `chains.model` and `asyncio.gather`"))


def test_anchors_are_computed_as_code_hosts_do() -> None:
    assert anchor(" What `make` does, and why ") == "what-make-does-and-why"


def test_a_skip_is_allowed_in_ci_only_for_a_listed_reason() -> None:
    assert is_allowed("Skipped: recorded chain data is not beside the repository")
    assert not is_allowed("Skipped: no anvil")
    assert in_ci({"CI": "true"})
    assert not in_ci({"CI": "false"})
    assert not in_ci({})


@pytest.mark.parametrize("workers_count", [1, 2, 3, 4, 7])
def test_long_tests_are_dealt_out_first_and_none_is_lost(workers_count: int) -> None:
    names = [f"tests/unit/test_a.py::test_{number}" for number in range(20)]
    names[5:5] = [f"{BUSY[0]}::test_it[{number}]" for number in range(3)]
    names[9:9] = [f"{WAITING[1]}::test_it[{number}]" for number in range(2)]
    order = deal(names, workers_count)
    long = {5, 6, 7, 9, 10}
    assert sorted(order) == list(range(len(names)))
    assert [position for position in order if position not in long] == sorted(set(order) - long)
    if workers_count == 2:
        middle = len(names) // 2
        assert order[:3] == [5, 6, 7]
        assert order[middle : middle + 2] == [9, 10]
    if workers_count == 4:
        assert (order[0], order[12]) == (5, 6)


def test_every_test_called_long_is_still_there() -> None:
    for prefix in (*BUSY, *WAITING):
        assert (tree.ROOT / prefix.split("::")[0]).exists(), prefix

"""Reading files of named queries."""

from __future__ import annotations

import pytest

from migrations.queries import QueryFileMalformed, load_queries, parse_queries

TWO = """-- What this file is about.

-- name: load_one :one
-- Why it is written like this.
select 1;

-- name: delete_all :exec
delete
from t;
"""


def test_a_file_is_split_into_its_named_statements() -> None:
    queries = parse_queries(TWO, source="x.sql")
    assert list(queries) == ["load_one", "delete_all"]
    assert queries["load_one"] == "-- name: load_one :one\n-- Why it is written like this.\nselect 1"
    assert queries.delete_all == "-- name: delete_all :exec\ndelete\nfrom t"


def test_an_unknown_name_is_an_attribute_error_that_names_the_file() -> None:
    with pytest.raises(AttributeError, match=r"x\.sql has no query named absent"):
        _ = parse_queries(TWO, source="x.sql").absent


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("select 1;\n-- name: a :one\nselect 2;\n", r"x\.sql:1: SQL before the first"),
        ("-- name: a :one\nselect 1;\n-- name: a :one\nselect 2;\n", r"x\.sql:3: the name a is taken"),
        ("-- name: keys :many\nselect 1;\n", "the name keys is taken"),
        ("-- name: a :some\nselect 1;\n", r"x\.sql:1: expected"),
        ("-- name: loadOne :one\nselect 1;\n", r"x\.sql:1: expected"),
        ("-- name: a\nselect 1;\n", r"x\.sql:1: expected"),
        ("-- name: a :one\n-- only a comment\n", "the query a is empty"),
    ],
)
def test_a_file_out_of_form_is_refused_with_the_place(text: str, complaint: str) -> None:
    with pytest.raises(QueryFileMalformed, match=complaint):
        parse_queries(text, source="x.sql")


def test_queries_are_read_from_the_package_that_is_installed() -> None:
    assert "select" in load_queries("migrations", "runner.sql").load_applied
    with pytest.raises(FileNotFoundError):
        load_queries("migrations", "absent.sql")

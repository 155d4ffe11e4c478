"""The numbered migrations together make exactly the schema that is written down."""

from __future__ import annotations

from importlib.resources import files

from migrations.queries import parse_queries
from migrations.runner import load_migrations
from tests.database.golden import GOLDEN_FILE, dump_schema, normalise_dump


async def test_the_migrations_make_the_golden_schema(database_url: str) -> None:
    assert await dump_schema(database_url) == GOLDEN_FILE.read_text(encoding="utf-8"), "run `make schema`"


def test_migrations_are_numbered_from_one_without_a_gap() -> None:
    versions = [migration.version for migration in load_migrations()]
    assert versions == list(range(1, len(versions) + 1))


def test_what_is_not_a_migration_beside_them_is_a_file_of_named_queries() -> None:
    for entry in files("migrations").joinpath("sql").iterdir():
        if not entry.name[0].isdigit():
            assert entry.name.endswith(".sql")
            assert parse_queries(entry.read_text(encoding="utf-8"), source=entry.name)


def test_a_dump_is_freed_of_what_differs_from_run_to_run() -> None:
    dump = (
        "--\n-- PostgreSQL database dump\n--\n\n\\restrict x1\n\nSET lock_timeout = 0;\n\n\n"
        "CREATE TABLE t (\n  n bigint\n);\n\n\\unrestrict x1\n"
    )
    assert normalise_dump(dump).splitlines()[2:] == ["CREATE TABLE t (", "  n bigint", ");"]

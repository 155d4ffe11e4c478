"""Every named query of every room is understood by PostgreSQL as the migrations leave it."""

from __future__ import annotations

from pathlib import Path

import asyncpg

from migrations.connect import connect
from migrations.handles import Connection
from migrations.queries import parse_queries

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("indexer", "relay", "gateway", "migrations")


def query_files() -> list[Path]:
    found = [path for room in ROOMS for path in (ROOT / room).glob("**/sql/*.sql")]
    return sorted(path for path in found if not path.name[0].isdigit())


async def queries_that_do_not_prepare(conn: Connection) -> list[str]:
    """A line for each: where it stands and what the server says."""
    complaints = []
    for path in query_files():
        source = str(path.relative_to(ROOT))
        for name, sql in parse_queries(path.read_text(encoding="utf-8"), source=source).items():
            try:
                await conn.prepare(sql)
            except asyncpg.PostgresError as error:
                complaints.append(f"{source}: {name}: {error}")
    return complaints


async def test_every_named_query_prepares(database_url: str) -> None:
    conn = await connect(database_url, application_name="test")
    complaints = await queries_that_do_not_prepare(conn)
    await conn.close()
    assert not complaints, "\n".join(complaints)


def test_every_room_that_owns_tables_has_queries() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in query_files()} == set(ROOMS)

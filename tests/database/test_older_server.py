"""An operator's own server may be older than the embedded one: the schema and the queries hold there too."""

from __future__ import annotations

from pathlib import Path

from migrations.backup import read_backup, write_backup
from migrations.binaries import POSTGRES_MAJOR
from migrations.connect import check_schema, connect
from migrations.runner import load_migrations, migrate
from tests.database.older_server import older_server
from tests.database.test_queries_prepare import queries_that_do_not_prepare


async def test_the_schema_every_query_and_a_backup_work_on_an_older_server(tmp_path: Path) -> None:
    async with older_server() as dsn:
        conn = await connect(dsn, application_name="test")
        assert 14 <= conn.get_server_version().major < POSTGRES_MAJOR
        assert await migrate(conn) == load_migrations()
        await check_schema(conn)
        assert await queries_that_do_not_prepare(conn) == []
        await conn.close()
        await write_backup(dsn, tmp_path / "backup", {})
        assert await read_backup(dsn, tmp_path / "backup") == {}

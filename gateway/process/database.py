"""The database of a configuration: the one that was named, or our own, for as long as somebody is inside.

Lives here: choosing between them, bringing a schema up to date, opening a pool. Does not live here: running our own
server (migrations.embedded), what rooms do with the pool.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.config.keyfiles import make_data_dir
from gateway.config.settings import Settings
from migrations.connect import FIRST_CONNECTION_PATIENCE_S, connect, open_pool
from migrations.embedded import embedded_database
from migrations.handles import Connection, Pool
from migrations.runner import Migration, load_applied, migrate, pending, wait_for_migration
from migrations.weather import database_weather

COMMAND_POOL_SIZE = 4
COMMAND_PATIENCE_S = 10.0
MIGRATION_PATIENCE_S = 60.0
"""How long a command waits for another process that is migrating: the first start of a slow machine takes some seconds."""


@asynccontextmanager
async def open_dsn(settings: Settings) -> AsyncIterator[str]:
    """Where the database is; an embedded one runs while this is open. Raises migrations.errors.DatabaseProblem."""
    if settings.database_url:
        yield settings.database_url.reveal()
        return
    make_data_dir(settings.data_dir)
    async with embedded_database(settings.data_dir) as dsn:
        yield dsn


async def migrate_database(dsn: str, *, application_name: str) -> tuple[Migration, ...]:
    """Bring the schema up to date; returns what was applied now."""
    async with _connected(dsn, application_name, FIRST_CONNECTION_PATIENCE_S) as conn:
        return await migrate(conn)


async def load_pending(dsn: str, *, application_name: str) -> tuple[Migration, ...]:
    """What `migrate_database` would apply."""
    async with _connected(dsn, application_name, COMMAND_PATIENCE_S) as conn:
        return await pending(conn)


@asynccontextmanager
async def _connected(dsn: str, name: str, patience_s: float) -> AsyncIterator[Connection]:
    """A connection that is no pool's, which maps its weather here."""
    with database_weather():
        conn = await connect(dsn, application_name=name, patience_s=patience_s)
        try:
            yield conn
        finally:
            await conn.close()


@asynccontextmanager
async def open_for_command(settings: Settings, name: str = "chainbell-command") -> AsyncIterator[Pool]:
    """A small pool for one command. A database that was never migrated is, so that any command may come first; one that is
    being migrated is waited for.
    """
    async with open_dsn(settings) as dsn:
        await _migrate_if_new(dsn, name)
        pool = await open_pool(
            dsn, size=COMMAND_POOL_SIZE, application_name=name, patience_s=COMMAND_PATIENCE_S
        )
        try:
            yield pool
        finally:
            await pool.close()


async def _migrate_if_new(dsn: str, name: str) -> None:
    async with _connected(dsn, name, COMMAND_PATIENCE_S) as conn:
        await wait_for_migration(conn, patience_s=MIGRATION_PATIENCE_S)
        if not await load_applied(conn):
            await migrate(conn)

"""Applies `sql/NNNN_name.sql` in order: each in one transaction, remembered with a checksum, one process at a time.

Lives here: which migrations exist, which are applied, applying the rest, and the refusals (another text than was
applied, a schema newer than this program, a hole in the order). Does not live here: the SQL (`sql/`, where files
named otherwise are query files), the pool that refuses to work on the wrong schema (`connect`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

import asyncpg

from migrations.errors import (
    ChecksumChanged,
    MigrationFailed,
    MigrationsMalformed,
    SchemaBehind,
    SchemaMismatch,
    SchemaNewer,
)
from migrations.handles import Connection
from migrations.queries import load_queries

QUERIES = load_queries("migrations", "runner.sql")

MIGRATION_LOCK_KEY = 0x636861696E62656C
"""The session advisory lock of whoever migrates: "chainbel" in ASCII."""

MIGRATION_TIMEOUT_S = 86_400.0
"""How long one migration, or waiting for another process's, may take: an index on a full table takes its time."""

_FILE_NAME = re.compile(r"^(?P<version>[0-9]{4})_(?P<name>[a-z0-9_]+)\.sql$")


@dataclass(frozen=True, slots=True)
class Migration:
    """One file of `sql/`; `checksum` is the SHA-256 of its bytes."""

    version: int
    name: str
    sql: str
    checksum: bytes

    @property
    def filename(self) -> str:
        return f"{self.version:04d}_{self.name}.sql"


@dataclass(frozen=True, slots=True)
class AppliedMigration:
    """One row of `schema_migrations`."""

    version: int
    name: str
    checksum: bytes


def load_migrations() -> tuple[Migration, ...]:
    """The migrations this program was built with, in order; MigrationsMalformed if the files are wrong."""
    sources = {
        entry.name: entry.read_bytes()
        for entry in files("migrations").joinpath("sql").iterdir()
        if entry.name[:1].isdigit()
    }
    return parse_migrations(sources)


def parse_migrations(sources: Mapping[str, bytes]) -> tuple[Migration, ...]:
    """Order files (name → bytes) by number; a bad name or a number used twice is MigrationsMalformed."""
    migrations: dict[int, Migration] = {}
    for filename, content in sorted(sources.items()):
        form = _FILE_NAME.match(filename)
        if form is None:
            raise MigrationsMalformed(f"{filename}: a migration is called NNNN_name.sql, in lower case")
        version = int(form["version"])
        if version in migrations:
            raise MigrationsMalformed(
                f"{filename}: number {version} is taken by {migrations[version].filename}"
            )
        checksum = hashlib.sha256(content).digest()
        migrations[version] = Migration(version, form["name"], content.decode(), checksum)
    return tuple(migrations[version] for version in sorted(migrations))


def expected_version(known: Sequence[Migration]) -> int:
    """The version of a fully migrated database; 0 when there is no migration."""
    return known[-1].version if known else 0


def decide_pending(known: Sequence[Migration], applied: Sequence[AppliedMigration]) -> tuple[Migration, ...]:
    """What is still to be applied, in order.

    Raises ChecksumChanged, SchemaNewer or SchemaMismatch when what was applied contradicts what is known.
    """
    by_version = {migration.version: migration for migration in known}
    for row in applied:
        migration = by_version.get(row.version)
        if migration is None:
            raise SchemaNewer(
                f"the database has migration {row.version:04d}_{row.name}, which this program does not know "
                f"(it knows up to {expected_version(known):04d}): run the newer release that applied it, "
                "or restore a backup taken before that release"
            )
        if migration.checksum != row.checksum:
            raise ChecksumChanged(
                f"migration {migration.filename} was applied to this database with another text "
                f"(SHA-256 {row.checksum.hex()[:12]}… then, {migration.checksum.hex()[:12]}… now): install a release "
                "whose migrations are unchanged; on a development database, drop it and migrate again"
            )
    done = {row.version for row in applied}
    newest = max(done, default=0)
    pending = tuple(migration for migration in known if migration.version not in done)
    if pending and pending[0].version < newest:
        raise SchemaMismatch(
            f"migration {pending[0].filename} was never applied, but {newest:04d} was: the database was migrated by "
            "another line of development; restore a backup, or on a development database drop it and migrate again"
        )
    return pending


async def load_applied(conn: Connection) -> tuple[AppliedMigration, ...]:
    """The migrations this database has, in order; empty for a database never migrated."""
    if not await conn.fetchval(QUERIES.has_schema_migrations):
        return ()
    rows = await conn.fetch(QUERIES.load_applied)
    return tuple(AppliedMigration(row["version"], row["name"], row["checksum"]) for row in rows)


async def pending(conn: Connection, known: Sequence[Migration] | None = None) -> tuple[Migration, ...]:
    """What `migrate` would apply to this database; changes nothing. Raises as `decide_pending` does."""
    return decide_pending(load_migrations() if known is None else known, await load_applied(conn))


async def wait_for_migration(conn: Connection, *, patience_s: float) -> None:
    """Return when no other process is migrating any more; SchemaBehind after so long.

    `conn` must be a connection of its own, outside any transaction; its timeouts are changed.
    """
    await conn.execute(QUERIES.wait_without_limit)
    try:
        await conn.fetchval(QUERIES.wait_for_migration, MIGRATION_LOCK_KEY, timeout=patience_s)
    except TimeoutError:
        raise SchemaBehind(
            f"another process is still migrating the database after {patience_s:g} s: try again when it is done"
        ) from None


async def migrate(conn: Connection, known: Sequence[Migration] | None = None) -> tuple[Migration, ...]:
    """Bring the database to the newest known schema and return what was applied now.

    `conn` must be a connection of its own, direct to the server and outside any transaction; its timeouts are changed.
    Waits for another process that is migrating. MigrationFailed leaves the database at the last migration that
    succeeded.
    """
    known = load_migrations() if known is None else known
    applied_now = []
    await conn.execute(QUERIES.wait_without_limit)
    await conn.fetchval(QUERIES.take_migration_lock, MIGRATION_LOCK_KEY, timeout=MIGRATION_TIMEOUT_S)
    try:
        await conn.execute(QUERIES.limit_waits_for_tables)
        await conn.execute(QUERIES.create_schema_migrations)
        for migration in decide_pending(known, await load_applied(conn)):
            await _apply(conn, migration)
            applied_now.append(migration)
    finally:
        if not conn.is_closed():
            await conn.fetchval(QUERIES.release_migration_lock, MIGRATION_LOCK_KEY)
    return tuple(applied_now)


async def _apply(conn: Connection, migration: Migration) -> None:
    try:
        async with conn.transaction():
            await conn.execute(migration.sql, timeout=MIGRATION_TIMEOUT_S)
            await conn.execute(QUERIES.insert_applied, migration.version, migration.name, migration.checksum)
    except asyncpg.LockNotAvailableError as error:
        raise MigrationFailed(
            f"migration {migration.filename} waited too long for a table another process is using: "
            "stop the other chainbell processes on this database and run `chainbell migrate` again"
        ) from error
    except (
        asyncpg.PostgresError,
        asyncpg.InterfaceError,
        OSError,
    ) as error:  # refused, or the connection is gone
        raise MigrationFailed(
            f"migration {migration.filename} failed and was rolled back: {error}"
        ) from error

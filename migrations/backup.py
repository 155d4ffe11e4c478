"""Backup and restore: every table in one consistent snapshot, and the keys, in one file (`archive` says its form).

Lives here: the order of tables, COPY out and in, and the rule that a restore fills only an empty database of the same
schema, whole or not at all. Does not live here: what must change after a restore (the relay's log epochs): that is
handed in, and runs in the same transaction.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from zipfile import ZipFile

import asyncpg
import msgspec

from migrations.archive import (
    FORMAT,
    KEYS_FOLDER,
    MANIFEST,
    Manifest,
    MigrationEntry,
    TableEntry,
    create_archive,
    explained,
    read_keys,
    verify_archive,
)
from migrations.connect import connect
from migrations.errors import BackupProblem
from migrations.handles import Connection
from migrations.queries import load_queries
from migrations.runner import QUERIES as RUNNER_QUERIES
from migrations.runner import load_applied

QUERIES = load_queries("migrations", "backup.sql")

COPY_TIMEOUT_S = 86_400.0
PIECE_BYTES = 1 << 20
"""What a restore holds in memory of a table, whatever its size."""
SEEDED_BY_MIGRATIONS = ("relay_shards",)
"""Tables that hold rows in a database nobody has used yet; a restore replaces them."""

Report = Callable[[str, int], None]
"""Told a table's name and its bytes so far, now and then."""
Hook = Callable[[Connection], Awaitable[None]]
Prepare = Callable[[Connection, Sequence[str]], Awaitable[None]]


async def write_backup(
    dsn: str, file: Path, keys: Mapping[str, bytes], *, report: Report = lambda _table, _bytes: None
) -> None:
    """Write all tables as of one moment, and `keys` (name → content, kept as they are), to `file` with mode 0600.

    Replaces `file` only when the new one is complete. Whatever the schema: take one before migrating. Nothing waits for
    it but a change of the schema.
    BackupProblem when it can not be written.
    """
    conn = await _connect_without_limits(dsn)
    try:
        with create_archive(file) as archive:
            async with conn.transaction(isolation="repeatable_read", readonly=True):
                await conn.execute(QUERIES.hold_tables)
                await _write_members(conn, archive, keys, report)
    except OSError as error:
        raise BackupProblem(f"{file} could not be written: {error}") from error
    except asyncpg.UndefinedTableError as error:
        raise BackupProblem(f"the schema changed meanwhile ({error}): try again") from error
    finally:
        await conn.close()


async def _write_members(
    conn: Connection, archive: ZipFile, keys: Mapping[str, bytes], report: Report
) -> None:
    moment = await conn.fetchrow(QUERIES.load_moment)
    assert moment is not None
    for name, content in keys.items():
        assert "/" not in name, "a key is named, not placed"
        archive.writestr(KEYS_FOLDER + name, content)
    tables = [await _copy_out(conn, archive, table, report) for table in await _tables_in_order(conn)]
    manifest = Manifest(
        format=FORMAT,
        taken_at=moment["taken_at"],
        server_version=moment["server_version"],
        migrations=await _migrations(conn),
        tables=tuple(tables),
        sequences={row["name"]: row["last_value"] for row in await conn.fetch(QUERIES.load_sequences)},
        keys=tuple(keys),
    )
    archive.writestr(MANIFEST, msgspec.json.format(msgspec.json.encode(manifest), indent=1))


async def _copy_out(conn: Connection, archive: ZipFile, table: TableEntry, report: Report) -> TableEntry:
    with archive.open(table.member, "w", force_zip64=True) as member:
        bytes_written = 0

        async def take(data: bytes) -> None:
            nonlocal bytes_written
            bytes_written += len(data)
            await asyncio.to_thread(member.write, data)
            report(table.leaf, bytes_written)

        status = await conn.copy_from_table(
            table.leaf, columns=table.columns, output=take, format="binary", timeout=COPY_TIMEOUT_S
        )
    return msgspec.structs.replace(table, rows=_rows_of(status))


async def read_backup(
    dsn: str,
    file: Path,
    *,
    before_restore: Prepare | None = None,
    after_restore: Hook | None = None,
    report: Report = lambda _table, _bytes: None,
) -> dict[str, bytes]:
    """Fill the empty, migrated database at `dsn` from `file` and return the keys; all of it in one transaction.

    The whole file is checked before anything is written. Rows of a partition that the
    database has not go where the schema sends them. `before_restore` is told the names of the backup's tables and
    partitions before the transaction begins, and may make what it misses; `after_restore` runs last.
    BackupProblem when the file is damaged, the schema another, or the database not empty.
    """
    manifest = await asyncio.to_thread(verify_archive, file)
    keys = await asyncio.to_thread(read_keys, file)
    conn = await _connect_without_limits(dsn)
    try:
        if before_restore is not None:
            await before_restore(conn, [table.leaf for table in manifest.tables])
        async with conn.transaction():
            await _take_over(conn, manifest, file)
            await _copy_all_in(conn, manifest, file, report)
            for name, last_value in manifest.sequences.items():
                if last_value is not None:
                    await conn.fetchval(QUERIES.set_sequence, name, last_value)
            await conn.execute(QUERIES.enable_triggers)
            if after_restore is not None:
                await after_restore(conn)
        await conn.execute(QUERIES.refresh_statistics, timeout=COPY_TIMEOUT_S)
    finally:
        await conn.close()
    return keys


async def _take_over(conn: Connection, manifest: Manifest, file: Path) -> None:
    here = await _migrations(conn)
    if here != manifest.migrations:
        newest, ours = (entries[-1].version if entries else 0 for entries in (manifest.migrations, here))
        raise BackupProblem(
            f"{file} was taken at schema {newest:04d}, this database is at {ours:04d} or was migrated differently: "
            "restore with the release that wrote the backup into an empty database, then upgrade"
        )
    await conn.fetchval(QUERIES.name_seeded_tables, ",".join(SEEDED_BY_MIGRATIONS))
    try:
        await conn.execute(QUERIES.take_over_empty_tables)
    except asyncpg.ObjectNotInPrerequisiteStateError as error:
        raise BackupProblem(
            f"the table {error} is not empty: a backup is restored into a new database only; name another "
            "`data_dir` or `database.url`, or move the old data away, and run `chainbell migrate` first"
        ) from error


async def _copy_all_in(conn: Connection, manifest: Manifest, file: Path, report: Report) -> None:
    with ZipFile(file) as archive:
        for table in manifest.tables:
            status = await conn.copy_to_table(
                table.table,
                columns=table.columns,
                source=_read_pieces(archive, file, table, report),
                format="binary",
                timeout=COPY_TIMEOUT_S,
            )
            if _rows_of(status) != table.rows:
                raise BackupProblem(
                    f"{file} holds {_rows_of(status)} rows of {table.leaf}, its manifest {table.rows}"
                )


async def _read_pieces(
    archive: ZipFile, file: Path, table: TableEntry, report: Report
) -> AsyncIterator[bytes]:
    bytes_read = 0
    with explained(file), archive.open(table.member) as member:
        while piece := await asyncio.to_thread(member.read, PIECE_BYTES):
            bytes_read += len(piece)
            report(table.leaf, bytes_read)
            yield piece


async def _tables_in_order(conn: Connection) -> list[TableEntry]:
    """Every table and partition, a table after those its foreign keys point to."""
    found: dict[str, list[TableEntry]] = {}
    for row in await conn.fetch(QUERIES.load_tables):
        entry = TableEntry(row["name"], row["leaf"], tuple(row["columns"]))
        found.setdefault(row["name"], []).append(entry)
    order = TopologicalSorter[str](dict.fromkeys(found, ()))
    for row in await conn.fetch(QUERIES.load_references):
        order.add(row["name"], row["needs"])
    try:
        return [entry for name in order.static_order() for entry in found[name]]
    except CycleError as error:
        raise BackupProblem(f"tables refer to each other in a circle: {error.args[1]}") from error


async def _migrations(conn: Connection) -> tuple[MigrationEntry, ...]:
    applied = await load_applied(conn)
    return tuple(MigrationEntry(row.version, row.name, row.checksum.hex()) for row in applied)


async def _connect_without_limits(dsn: str) -> asyncpg.Connection[asyncpg.Record]:
    conn = await connect(dsn, application_name="chainbell-backup")
    await conn.execute(RUNNER_QUERIES.wait_without_limit)
    return conn


def _rows_of(status: str) -> int:
    """`COPY 42` → 42."""
    return int(status.rpartition(" ")[2])

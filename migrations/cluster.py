"""Where our own PostgreSQL keeps its files, and making them the first time.

    data_dir/postgres/          ours (root's, when root starts it): the server's user can not change what stands here
        cluster/                PostgreSQL's data directory, the server's
        log/                    its log, bounded in number and size
        socket/                 0700; elsewhere with a short name when this path is too long for a Unix socket
        pgpass                  0600, a libpq password file with both roles
        *.lock                  see `embedded`

Does not live here: starting, stopping and sharing the server (`embedded`), who it runs as (`account`).
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import stat
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode

from migrations.account import Account, check_known, check_switch, choose_account, hand_over, run_as
from migrations.binaries import POSTGRES_MAJOR, Binaries, reachable_binaries
from migrations.errors import EmbeddedProblem
from migrations.queries import load_queries

QUERIES = load_queries("migrations", "bootstrap.sql")

APPLICATION_ROLE = "chainbell"
"""Owns the database and nothing else; what a stolen connection could do ends at our own tables."""
DATABASE = "chainbell"
SUPERUSER_ROLE = "postgres"
PORT = 5432
"""No TCP port: the number in the name of the socket."""
SOCKET_DIR_BYTES_MAX = 103 - len(f"/.s.PGSQL.{PORT}")
"""sockaddr_un holds 107 bytes on Linux, 103 on macOS."""
LOG_FILES_MAX = 8
LOG_FILE_KB_MAX = 10_240

_PLAIN_PATH = re.compile(
    r"^/[A-Za-z0-9/._+@-]+$"
)  # no comma, colon or space: lists of sockets and DSNs split there

SETTINGS_AT_FIRST = {
    "max_connections": "100",
    "max_locks_per_transaction": "256",  # a backup locks every day of the log at once
    "shared_buffers": "128MB",
    "max_parallel_workers_per_gather": "0",  # the machine is shared with the program that asks
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "logging_collector": "on",
    "log_directory": "../log",
    "log_filename": "postgresql-%Y%m%dT%H%M%S.log",
    "log_rotation_age": "1d",
    "log_rotation_size": f"{LOG_FILE_KB_MAX}kB",
}
"""Written into postgresql.conf by initdb; from then on the operator's to tune."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """Paths and programs of one embedded server; nothing here says whether it runs."""

    home: Path
    account: Account
    binaries: Binaries
    socket_dir: Path

    @property
    def data(self) -> Path:
        return self.home / "cluster"

    @property
    def log_dir(self) -> Path:
        return self.home / "log"

    @property
    def pgpass(self) -> Path:
        return self.home / "pgpass"

    @property
    def postmaster_pid(self) -> Path:
        return self.data / "postmaster.pid"

    def dsn(self, role: str = APPLICATION_ROLE, database: str = DATABASE) -> str:
        """A DSN with the password in it, so that PGPASSWORD in the environment can not get in between."""
        where = urlencode({"host": str(self.socket_dir), "port": PORT}, quote_via=quote, safe="/")
        return f"postgresql://{role}:{_read_password(self.pgpass, role)}@/{database}?{where}"


async def open_cluster(data_dir: Path) -> Cluster:
    """Find or make the home of the server in `data_dir`; makes no cluster yet. EmbeddedProblem says what is wrong."""
    home, account = _make_home(data_dir)
    await check_switch(account)
    binaries = await reachable_binaries(account)
    return Cluster(home, account, binaries, _make_server_dirs(home, account))


async def create_data(cluster: Cluster, *, lock_fd: int) -> None:
    """Make the cluster, its roles and its database; it appears under its name only when it is complete.

    `lock_fd` is inherited by every process started here, so that the lock outlives us if we are killed.
    """
    check_known(cluster.account)
    partial = cluster.home / "cluster.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(mode=0o700)
    hand_over(partial, cluster.account)
    passwords = {role: secrets.token_urlsafe(32) for role in (SUPERUSER_ROLE, APPLICATION_ROLE)}
    _write_pgpass(cluster.pgpass, passwords)
    password_file = cluster.home / "superuser-password.partial"
    _write_private(password_file, passwords[SUPERUSER_ROLE] + "\n")
    hand_over(password_file, cluster.account)
    try:
        settings = [f"--set={name}={value}" for name, value in SETTINGS_AT_FIRST.items()]
        made = await run_as(
            cluster.account,
            [
                cluster.binaries.initdb,
                f"--pgdata={await data_path(cluster, partial)}",
                f"--username={SUPERUSER_ROLE}",
                "--pwfile=../superuser-password.partial",
                "--auth-local=scram-sha-256",
                "--auth-host=reject",
                "--encoding=UTF8",
                "--locale=C",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",  # the same order on every machine, whatever libc it has
                *settings,
            ],
            cwd=partial,
            pass_fds=(lock_fd,),
        )
    finally:
        password_file.unlink()
    if made.returncode != 0:
        raise EmbeddedProblem(f"initdb could not make a database in {cluster.data}: {made.output}")
    await _create_role_and_database(cluster, partial, passwords[APPLICATION_ROLE], lock_fd)
    partial.rename(cluster.data)
    _sync_dir(cluster.home)


async def _create_role_and_database(cluster: Cluster, partial: Path, password: str, lock_fd: int) -> None:
    commands = (
        QUERIES.create_application_role.replace("generated-password", password),
        QUERIES.create_application_database,
    )
    done = await run_as(
        cluster.account,
        [
            cluster.binaries.postgres,
            "--single",
            "-j",  # a command ends with a semicolon and an empty line
            "-c",
            "exit_on_error=on",
            "-D",
            await data_path(cluster, partial),
            "postgres",
        ],
        cwd=partial,
        stdin="".join(f"{command};\n\n" for command in commands).encode(),
        pass_fds=(lock_fd,),
    )
    if done.returncode != 0:
        raise EmbeddedProblem(f"the first role could not be made in {cluster.data}: {done.output}")


async def data_path(cluster: Cluster, directory: Path) -> str:
    """How the server, standing in `directory`, may name it as an absolute path.

    Below a private parent (/root, say) the server's user can not walk there by name. It need not: it is started
    inside, and Linux names where a process stands. So no permission of a directory that is not ours is ever changed.
    """
    if not cluster.account.switches:
        return str(directory)
    walks = await run_as(cluster.account, ["/bin/sh", "-c", 'cd "$0"', directory], cwd=Path("/"))
    if walks.returncode == 0:
        return str(directory)
    if sys.platform == "linux":
        return "/proc/self/cwd"
    raise EmbeddedProblem(
        f"the user PostgreSQL runs as (uid {cluster.account.uid}) can not reach {directory}: choose a `data_dir` "
        "outside private directories, or start chainbell as an ordinary user"
    )


def check_version(cluster: Cluster) -> None:
    """EmbeddedProblem unless the data was made by the major version we carry."""
    found = (cluster.data / "PG_VERSION").read_text(encoding="ascii").strip()
    if found != str(POSTGRES_MAJOR):
        raise EmbeddedProblem(
            f"{cluster.data} was made by PostgreSQL {found}, this release carries PostgreSQL {POSTGRES_MAJOR}: "
            f"with the release you used before run `chainbell backup FILE`, move {cluster.home} away, and with this "
            f"release run `chainbell restore FILE`; or use `pg_upgrade --old-datadir {cluster.data}` with the "
            "programs of both versions"
        )


def prune_logs(cluster: Cluster) -> None:
    """Keep the newest LOG_FILES_MAX files of the server's log."""
    for old in sorted(cluster.log_dir.glob("postgresql-*.log"), reverse=True)[LOG_FILES_MAX:]:
        old.unlink(missing_ok=True)


def _make_home(data_dir: Path) -> tuple[Path, Account]:
    home = (
        data_dir.resolve() / "postgres"
    )  # one name, whatever links lead there: the socket's is derived from it
    try:
        home.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        home.mkdir(exist_ok=True)
        account = choose_account(home / "cluster")
        found = home.stat()
        if not account.switches and found.st_uid != account.uid:
            raise _not_ours(home)
        if found.st_uid == os.geteuid():
            home.chmod(0o711)  # what is inside has modes of its own; the server's user must get through
    except PermissionError as error:
        raise _not_ours(home) from error
    return home, account


def _make_server_dirs(home: Path, account: Account) -> Path:
    """Make the directories the server writes to, beside its data; returns the one for its socket."""
    _make_private_dir(home / "log", account)
    socket_dir = home / "socket"
    if len(os.fsencode(socket_dir)) > SOCKET_DIR_BYTES_MAX or not _PLAIN_PATH.match(str(socket_dir)):
        socket_dir = Path("/tmp") / f"chainbell-{_digest(home, account)}"  # noqa: S108  (owner and mode are checked)
    _make_private_dir(socket_dir, account)
    return socket_dir


def _make_private_dir(path: Path, account: Account) -> None:
    with suppress(FileExistsError):  # whatever it is, is judged below
        path.mkdir(mode=0o700)
    found = path.lstat()
    if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077:
        hand_over(path, account)  # made just now, by us or by a process of ours beside us
        found = path.lstat()
    private = stat.S_ISDIR(found.st_mode) and found.st_uid == account.uid and not found.st_mode & 0o077
    if not private:
        raise EmbeddedProblem(
            f"{path} is not a directory of uid {account.uid} that nobody else may enter: remove it and start again"
        )


def _digest(home: Path, account: Account) -> str:
    return hashlib.sha256(os.fsencode(home) + b"\n%d" % account.uid).hexdigest()[:16]


def _write_pgpass(path: Path, passwords: dict[str, str]) -> None:
    partial = path.with_name("pgpass.partial")
    _write_private(partial, "".join(f"*:*:*:{role}:{password}\n" for role, password in passwords.items()))
    partial.rename(path)


def _write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(descriptor)


def _read_password(pgpass: Path, role: str) -> str:
    try:
        for line in pgpass.read_text(encoding="ascii").splitlines():
            if line.startswith(f"*:*:*:{role}:"):
                return line.rsplit(":", maxsplit=1)[1]
    except FileNotFoundError:
        pass
    raise EmbeddedProblem(
        f"{pgpass} holds no password for {role}: put back the file that was made with the database"
    )


def _sync_dir(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _not_ours(home: Path) -> EmbeddedProblem:
    return EmbeddedProblem(
        f"{home} belongs to another user: run the command as that user or as root, or choose another `data_dir`"
    )

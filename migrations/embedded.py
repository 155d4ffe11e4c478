"""Our own PostgreSQL: started when somebody needs it, shared by every command, stopped when nobody is left.

Nothing here believes a number in a file. Who is alive is who holds a lock (flock), because the kernel releases locks
however a process dies, and a process number means nothing in another container or after a restart:

    server.lock    exclusive, inherited by the server and all its children: held while any of them lives
    users.lock     shared, one for each `embedded_database` that is open; exclusive while the server is being stopped
    start.lock     exclusive, short: who decides to start or to stop decides alone

Does not live here: where files stand and how they are first made (`cluster`), what is in the database (`runner`).
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import shlex
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import asyncpg
import structlog

from migrations.account import run_as
from migrations.cluster import PORT, Cluster, check_version, create_data, data_path, open_cluster, prune_logs
from migrations.errors import EmbeddedProblem

START_TIMEOUT_S = 600
"""Recovery after a crash replays the log; that can take minutes and must not be cut short."""
STOP_TIMEOUT_S = 30
"""After that it is stopped without a last checkpoint, which costs the next start a recovery and nothing else."""
GONE_TIMEOUT_S = 10
"""A server that says it is ready and does not answer for so long is not going to."""
STARTS_MAX = 10
"""One that is needed, and some for a server that dies meanwhile or another process that looks at the lock."""
POLL_INTERVAL_S = 0.05
KEEP_INTERVAL_S = 1.0

SETTINGS_ALWAYS = {
    "cluster_name": "chainbell",  # how `ps` shows it
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
}
"""Given on the command line at each start: no file can take them back."""

_log = structlog.get_logger()


@asynccontextmanager
async def embedded_database(
    data_dir: Path, *, settings: Mapping[str, str] | None = None
) -> AsyncIterator[str]:
    """The DSN of the server in `data_dir`, which runs for as long as anybody is inside this.

    `settings` are server parameters for tests; they count only if this call is the one that starts the server.
    EmbeddedProblem says what keeps it from running.
    """
    cluster = await open_cluster(data_dir)
    try:
        with _lock_file(cluster, "users.lock") as users_fd:
            async with _deciding(cluster):
                fcntl.flock(users_fd, fcntl.LOCK_SH)
                await _ensure_running(cluster, settings or {})
            yield cluster.dsn()
    finally:
        await _stop_if_unused(cluster)


async def ensure_running(data_dir: Path) -> str:
    """Start the server in `data_dir` unless it runs, and leave it running. Returns its DSN."""
    cluster = await open_cluster(data_dir)
    async with _deciding(cluster):
        await _ensure_running(cluster, {})
    return cluster.dsn()


async def stop_if_unused(data_dir: Path) -> bool:
    """Stop the server in `data_dir` unless somebody is inside `embedded_database`. True when none runs afterwards."""
    return await _stop_if_unused(await open_cluster(data_dir))


async def keep_running(data_dir: Path) -> None:
    """Start the server again whenever it has died, for ever; run it beside the work, inside `embedded_database`."""
    cluster = await open_cluster(data_dir)
    while True:
        await asyncio.sleep(KEEP_INTERVAL_S)
        prune_logs(cluster)
        if not _is_alive(cluster):
            _log.error("database-server-died", data_dir=str(data_dir))
            try:
                async with _deciding(cluster):
                    await _ensure_running(cluster, {})
            except EmbeddedProblem as error:
                _log.error("database-server-not-restarted", error=str(error))
            else:
                _log.info("database-server-restarted", data_dir=str(data_dir))


async def _ensure_running(cluster: Cluster, settings: Mapping[str, str]) -> None:
    """Return when the server answers. The caller is the only one deciding."""
    for _ in range(STARTS_MAX):
        with _lock_file(cluster, "server.lock") as server_fd:
            if _try_lock(server_fd, fcntl.LOCK_EX):
                await _start(cluster, settings, server_fd)
        if await _until_it_answers(cluster):
            return
        await asyncio.sleep(POLL_INTERVAL_S)
    raise EmbeddedProblem(f"PostgreSQL died {STARTS_MAX} times while starting: see {cluster.log_dir}")


async def _until_it_answers(cluster: Cluster) -> bool:
    """Wait for a living server. True when it answers, False when it has died; EmbeddedProblem if it does neither."""
    deadline = time.monotonic() + START_TIMEOUT_S
    silent_since: float | None = None
    while _is_alive(cluster):
        if await _answers(cluster):
            return True
        now = time.monotonic()
        silent_since = (silent_since or now) if _says_ready(cluster) else None
        if now > deadline or (silent_since is not None and now - silent_since > GONE_TIMEOUT_S):
            raise EmbeddedProblem(
                f"the server in {cluster.data} lives (process {_postmaster_pid(cluster)}) but does not answer at "
                f"{cluster.socket_dir}: see {cluster.log_dir}; to start over, kill that process and try again"
            )
        await asyncio.sleep(POLL_INTERVAL_S)
    return False


async def _start(cluster: Cluster, settings: Mapping[str, str], server_fd: int) -> None:
    """Start a server where none lives; `server_fd` holds server.lock, which the server inherits."""
    if not cluster.data.exists():
        _log.info("database-created", directory=str(cluster.data))
        await create_data(cluster, lock_fd=server_fd)
    check_version(cluster)
    foreign = _postmaster_pid(cluster)
    if foreign is not None and _stands_in(foreign, cluster.data):
        raise EmbeddedProblem(
            f"a PostgreSQL server that chainbell did not start (process {foreign}) uses {cluster.data}: stop it first"
        )
    # Nobody lives here, so what these say is a dead server's; PostgreSQL would refuse if their number was taken again.
    cluster.postmaster_pid.unlink(missing_ok=True)
    for leftover in cluster.socket_dir.glob(".s.PGSQL.*"):
        leftover.unlink(missing_ok=True)
    prune_logs(cluster)
    (cluster.log_dir / "start.log").unlink(missing_ok=True)
    socket_dir = "../socket" if cluster.socket_dir.parent == cluster.home else str(cluster.socket_dir)
    always = SETTINGS_ALWAYS | {"unix_socket_directories": socket_dir} | dict(settings)
    options = shlex.join(f"--{name}={value}" for name, value in always.items())
    directory = await data_path(cluster, cluster.data)
    command = [str(cluster.binaries.pg_ctl), "start", "-w", f"-t{START_TIMEOUT_S}", "-D", directory]
    command += ["-l", "../log/start.log", "-o", options]
    started = await run_as(cluster.account, command, cwd=cluster.data, pass_fds=(server_fd,))
    if started.returncode != 0:
        raise EmbeddedProblem(
            f"PostgreSQL did not start in {cluster.data}: {started.output}; see {cluster.log_dir}"
        )


async def _stop_if_unused(cluster: Cluster) -> bool:
    async with _deciding(cluster):
        with _lock_file(cluster, "users.lock") as users_fd:
            if not _try_lock(users_fd, fcntl.LOCK_EX):
                return False
            if _is_alive(cluster):
                await _stop(cluster)
            return not _is_alive(cluster)


async def _stop(cluster: Cluster) -> None:
    # PostgreSQL 18.4 hangs when told to stop while it recovers from the death of a backend; so let it finish first.
    with suppress(EmbeddedProblem, TimeoutError):
        async with asyncio.timeout(GONE_TIMEOUT_S):
            await _until_it_answers(cluster)
    for mode, timeout_s in (("fast", STOP_TIMEOUT_S), ("immediate", GONE_TIMEOUT_S)):
        pid = _postmaster_pid(cluster)
        if pid is None or _stands_in(pid, cluster.data) is False or not _is_alive(cluster):
            break
        directory = await data_path(cluster, cluster.data)
        command = [str(cluster.binaries.pg_ctl), "stop", "-w", f"-m{mode}", f"-t{timeout_s}", "-D", directory]
        stopped = await run_as(cluster.account, command, cwd=cluster.data)
        if stopped.returncode == 0:
            break
        _log.warning("database-server-not-stopped", mode=mode, error=stopped.output)
    deadline = time.monotonic() + GONE_TIMEOUT_S
    # The last children follow the server within moments.
    while _is_alive(cluster) and time.monotonic() < deadline:  # noqa: ASYNC110  (the kernel sends no event for a lock)
        await asyncio.sleep(POLL_INTERVAL_S)


async def _answers(cluster: Cluster) -> bool:
    """Whether the server lets us in; the handshake (SCRAM) also proves to us that it is ours."""
    try:
        conn = await asyncpg.connect(cluster.dsn(), timeout=GONE_TIMEOUT_S)
    except asyncpg.InvalidPasswordError as error:
        raise EmbeddedProblem(
            f"the server in {cluster.data} refuses the password in {cluster.pgpass}: "
            "put back the file that was made with the database"
        ) from error
    except (OSError, asyncpg.CannotConnectNowError, asyncpg.ConnectionDoesNotExistError):
        return False
    except asyncpg.TooManyConnectionsError:
        return True
    await conn.close()
    return True


def _is_alive(cluster: Cluster) -> bool:
    """Whether the server or any child of it lives, by the lock they all hold."""
    with _lock_file(cluster, "server.lock") as server_fd:
        return not _try_lock(server_fd, fcntl.LOCK_SH)


def _postmaster_pid(cluster: Cluster) -> int | None:
    lines = _postmaster_lines(cluster)
    return int(lines[0]) if lines and lines[0].strip().isdigit() else None


def _says_ready(cluster: Cluster) -> bool:
    """The eighth line of postmaster.pid is the server's own word on how far its start has come."""
    lines = _postmaster_lines(cluster)
    return len(lines) >= 8 and lines[7].strip() == "ready"


def _postmaster_lines(cluster: Cluster) -> list[str]:
    try:
        return cluster.postmaster_pid.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []


def _stands_in(pid: int, directory: Path) -> bool | None:
    """Whether that process works in `directory`, as every PostgreSQL process does in its own; None if unknown."""
    if not Path("/proc/self/cwd").exists():
        return None
    try:
        return Path(f"/proc/{pid}/cwd").samefile(directory)
    except OSError:
        return False


@asynccontextmanager
async def _deciding(cluster: Cluster) -> AsyncIterator[None]:
    """Be the only process that starts or stops this server; waits for whoever is at it."""
    deadline = time.monotonic() + START_TIMEOUT_S + STOP_TIMEOUT_S
    with _lock_file(cluster, "start.lock") as start_fd:
        while not _try_lock(start_fd, fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                raise EmbeddedProblem(
                    f"another process has been starting or stopping the server in {cluster.data} for over "
                    f"{START_TIMEOUT_S} s: see {cluster.log_dir}"
                )
            await asyncio.sleep(POLL_INTERVAL_S)
        yield


@contextmanager
def _lock_file(cluster: Cluster, name: str) -> Iterator[int]:
    """An open file to lock; closing it gives the lock back, unless a child has inherited it."""
    path = cluster.home / name
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except PermissionError as error:
        raise EmbeddedProblem(
            f"{path} belongs to another user: run the command as that user or as root"
        ) from error
    try:
        owner = cluster.home.stat()
        if os.geteuid() == 0 and os.fstat(descriptor).st_uid != owner.st_uid:
            os.fchown(descriptor, owner.st_uid, owner.st_gid)  # root may look after a server it does not own
        yield descriptor
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

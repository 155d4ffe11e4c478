"""Our own PostgreSQL with real processes: its ordinary life, shared by many, and killed at any moment."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import time
from pathlib import Path

import asyncpg
import psutil
import pytest

from migrations.cluster import LOG_FILES_MAX, SUPERUSER_ROLE, open_cluster, prune_logs
from migrations.embedded import (
    STOP_TIMEOUT_S,
    embedded_database,
    ensure_running,
    keep_running,
    stop_if_unused,
)
from migrations.errors import EmbeddedProblem
from tests.database.processes import (
    command_lines,
    connected,
    holder,
    is_dead,
    is_running,
    kill_and_wait,
    pg_ctl,
    postmaster,
    rows_kept,
    until,
    write_one_first,
    write_row,
)

# --- the ordinary life --------------------------------------------------------------------------------------------


async def test_a_restart_keeps_the_data_and_leaves_no_process(data_dir: Path) -> None:
    async with embedded_database(data_dir) as dsn:
        await write_row(dsn)
        server = postmaster(data_dir)
    assert is_dead(server)
    assert not is_running(data_dir)
    async with embedded_database(data_dir) as dsn:
        assert await rows_kept(dsn) == 1


async def test_the_server_is_durable_local_and_modest(data_dir: Path) -> None:
    async with embedded_database(data_dir) as dsn, connected(dsn) as conn:
        shown = {
            row["name"]: row["setting"] for row in await conn.fetch("select name, setting from pg_settings")
        }
        roles = await conn.fetchrow("select * from pg_roles where rolname = current_user")
        collation = await conn.fetchval(
            "select datlocale from pg_database where datname = current_database()"
        )
        listening = [c for c in postmaster(data_dir).net_connections() if c.status == psutil.CONN_LISTEN]
    assert {name: shown[name] for name in ("fsync", "full_page_writes", "synchronous_commit")} == {
        "fsync": "on",
        "full_page_writes": "on",
        "synchronous_commit": "on",
    }
    assert (shown["listen_addresses"], shown["TimeZone"], shown["jit"]) == ("", "UTC", "off")
    assert (shown["max_connections"], shown["data_checksums"]) == ("100", "on")
    assert roles is not None
    assert not any(roles[right] for right in ("rolsuper", "rolcreatedb", "rolcreaterole", "rolreplication"))
    assert collation == "C.UTF-8"
    assert listening == []


async def test_nobody_else_may_read_the_password_enter_the_socket_or_log_in_without(data_dir: Path) -> None:
    async with embedded_database(data_dir) as dsn:
        home = data_dir / "postgres"
        modes = {
            name: stat.S_IMODE((home / name).stat().st_mode)
            for name in ("pgpass", "socket", "cluster", "log")
        }
        assert modes == {"pgpass": 0o600, "socket": 0o700, "cluster": 0o700, "log": 0o700}
        assert stat.S_IMODE(home.stat().st_mode) == 0o711
        password = dsn.split(":")[2].split("@")[0]
        assert len(password) >= 40
        assert not any(password in line for line in command_lines(postmaster(data_dir)))
        for impostor in (dsn.replace(password, "guess"), dsn.replace("chainbell:", f"{SUPERUSER_ROLE}:")):
            with pytest.raises(asyncpg.InvalidPasswordError):
                await asyncpg.connect(impostor)


async def test_pgpassword_in_the_environment_changes_nothing(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", "somebody else's")
    monkeypatch.setenv("PGHOST", "elsewhere.invalid")
    async with embedded_database(data_dir) as dsn:
        await write_row(dsn)


async def test_the_log_is_bounded(data_dir: Path) -> None:
    async with embedded_database(data_dir) as dsn:
        with pytest.raises(asyncpg.UndefinedTableError):
            await rows_kept(dsn)
        cluster = await open_cluster(data_dir)
        (newest,) = cluster.log_dir.glob("postgresql-*.log")
        await until(lambda: 'relation "kept" does not exist' in newest.read_text())
        for day in range(10, 31):
            (cluster.log_dir / f"postgresql-200001{day}T000000.log").touch()
        prune_logs(cluster)
        kept = sorted(cluster.log_dir.glob("postgresql-*.log"))
        assert len(kept) == LOG_FILES_MAX
        assert kept[-1] == newest


# --- sharing ------------------------------------------------------------------------------------------------------


async def test_two_commands_at_once_on_a_new_directory_share_one_server(data_dir: Path) -> None:
    with holder(data_dir) as one, holder(data_dir) as other:
        dsn = await asyncio.to_thread(one.first_word)
        assert await asyncio.to_thread(other.first_word) == dsn
        await write_row(dsn)
        one.leave()
        assert await rows_kept(dsn) == 1, "the one that is still inside keeps the server"
        other.leave()
    assert not is_running(data_dir)


async def test_a_server_in_use_is_not_stopped_and_an_unused_one_is(data_dir: Path) -> None:
    async with embedded_database(data_dir) as dsn:
        async with embedded_database(data_dir) as same:
            assert same == dsn
        assert not await stop_if_unused(data_dir)
        await write_row(dsn)
    assert await ensure_running(data_dir) == dsn
    assert await rows_kept(dsn) == 1
    assert await stop_if_unused(data_dir)
    assert not is_running(data_dir)


async def test_many_starts_and_stops_side_by_side_never_meet_a_stopping_server(data_dir: Path) -> None:
    async def visit() -> None:
        for _ in range(4):
            async with embedded_database(data_dir) as dsn:
                await write_row(dsn)

    await write_one_first(data_dir)
    await asyncio.gather(*(visit() for _ in range(3)))
    async with embedded_database(data_dir) as dsn:
        assert await rows_kept(dsn) == 13


# --- death --------------------------------------------------------------------------------------------------------


async def test_killing_our_own_process_leaves_a_server_that_the_next_one_uses_and_stops(
    data_dir: Path,
) -> None:
    with holder(data_dir) as victim:
        dsn = await asyncio.to_thread(victim.first_word)
        await write_row(dsn)
        victim.process.kill()
        victim.process.wait()
    server = postmaster(data_dir)
    async with embedded_database(data_dir) as again:
        assert again == dsn
        assert postmaster(data_dir) == server
        assert await rows_kept(dsn) == 1
    assert is_dead(server)


async def test_killing_the_postmaster_loses_nothing_and_the_next_start_needs_no_repair(
    data_dir: Path,
) -> None:
    async with embedded_database(data_dir) as dsn:
        await write_row(dsn)
        await kill_and_wait(postmaster(data_dir))
        assert await ensure_running(data_dir) == dsn
        assert await rows_kept(dsn) == 1


async def test_a_server_that_dies_while_it_is_needed_is_started_again(data_dir: Path) -> None:
    async with embedded_database(data_dir) as dsn:
        await write_row(dsn)
        keeping = asyncio.create_task(keep_running(data_dir))
        first = postmaster(data_dir)
        await kill_and_wait(first)
        await until(lambda: is_running(data_dir) and postmaster(data_dir) != first)
        assert await ensure_running(data_dir) == dsn
        assert await rows_kept(dsn) == 1
        keeping.cancel()


async def test_killing_a_backend_costs_only_the_connections(data_dir: Path) -> None:
    async with embedded_database(data_dir) as dsn:
        await write_row(dsn)
        conn = await asyncpg.connect(dsn)
        await kill_and_wait(psutil.Process(conn.get_server_pid()))
        conn.terminate()
        assert await ensure_running(data_dir) == dsn
        assert await rows_kept(dsn) == 1


async def test_a_server_that_recovers_from_the_death_of_a_backend_can_be_stopped(data_dir: Path) -> None:
    started_at = time.monotonic()
    async with embedded_database(data_dir) as dsn:
        conn = await asyncpg.connect(dsn)
        os.kill(conn.get_server_pid(), signal.SIGKILL)
        conn.terminate()
    assert not is_running(data_dir)
    assert time.monotonic() - started_at < STOP_TIMEOUT_S


@pytest.mark.parametrize("moment", ["pgpass", "cluster.partial/PG_VERSION", "cluster/PG_VERSION"])
async def test_killing_our_own_process_during_the_first_start_does_no_harm(
    data_dir: Path, moment: str
) -> None:
    with holder(data_dir) as victim:
        await until((data_dir / "postgres" / moment).exists)
        victim.process.kill()
        victim.process.wait()
        async with embedded_database(data_dir) as dsn:
            await write_row(dsn)
            assert await rows_kept(dsn) == 1


async def test_a_pid_file_whose_number_now_belongs_to_somebody_else_is_not_believed(data_dir: Path) -> None:
    async with embedded_database(data_dir) as dsn:
        await write_row(dsn)
        server = postmaster(data_dir)
        pid_file = data_dir / "postgres/cluster/postmaster.pid"
        lines = pid_file.read_text().splitlines()
        await kill_and_wait(server, *server.children(recursive=True))
        owner = pid_file.stat()
        pid_file.write_text("\n".join([str(os.getppid()), *lines[1:]]) + "\n")
        os.chown(pid_file, owner.st_uid, owner.st_gid)
        assert await ensure_running(data_dir) == dsn
        assert postmaster(data_dir).pid not in {server.pid, os.getppid()}
        assert await rows_kept(dsn) == 1


async def test_a_server_that_we_did_not_start_is_left_alone(data_dir: Path) -> None:
    await write_one_first(data_dir)
    cluster = await open_cluster(data_dir)
    await pg_ctl(cluster, "start", "-w", "-o", "-c listen_addresses= -c unix_socket_directories=../socket")
    with pytest.raises(EmbeddedProblem, match=r"that chainbell did not start .* stop it first"):
        await ensure_running(data_dir)
    await pg_ctl(cluster, "stop", "-w", "-m", "fast")
    async with embedded_database(data_dir) as dsn:
        assert await rows_kept(dsn) == 1

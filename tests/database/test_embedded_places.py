"""Our own PostgreSQL in awkward places, by root and by others, and what it says when something is wrong."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import pwd
import shutil
import stat
from pathlib import Path

import pytest

from migrations import binaries as binaries_module
from migrations.account import Account, run_as
from migrations.binaries import locate_binaries, reachable_binaries
from migrations.cluster import create_data, open_cluster
from migrations.embedded import embedded_database, ensure_running, stop_if_unused
from migrations.errors import EmbeddedProblem
from tests.database.processes import (
    ANOTHER_UID,
    EVERY_KIND_OF_USER,
    WE_ARE_ROOT,
    holder,
    is_running,
    postmaster,
    rows_kept,
    write_one_first,
    write_row,
)

# --- places -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["d" * 200, "with space, comma's and ünicode"])
async def test_the_socket_gets_a_short_name_where_the_path_is_no_good_for_one(
    parent: Path, name: str
) -> None:
    data_dir = parent / name / "data"
    async with embedded_database(data_dir) as dsn:
        await write_row(dsn)
        socket_dir = (await open_cluster(data_dir)).socket_dir
        assert socket_dir.parent == Path("/tmp")
        assert stat.S_IMODE(socket_dir.stat().st_mode) == 0o700
    async with embedded_database(data_dir) as again:
        assert again == dsn
        assert await rows_kept(dsn) == 1
    socket_dir.rmdir()


async def test_a_link_to_the_directory_leads_to_the_same_server(parent: Path) -> None:
    (parent / ("d" * 120)).mkdir()
    (parent / "link").symlink_to(parent / ("d" * 120))
    async with embedded_database(parent / "link") as one, embedded_database(parent / ("d" * 120)) as other:
        assert one == other
        socket_dir = (await open_cluster(parent / "link")).socket_dir
    socket_dir.rmdir()


async def test_a_directory_that_a_process_beside_us_has_not_handed_over_yet_is_no_obstacle(
    parent: Path,
) -> None:
    data_dir = parent / "data"
    made = await open_cluster(data_dir)
    for path in (made.home / "log", made.socket_dir):
        path.rmdir()
        path.mkdir(mode=0o700)
    again = await open_cluster(data_dir)
    assert {path.stat().st_uid for path in (again.home / "log", again.socket_dir)} == {again.account.uid}


@pytest.mark.parametrize("trap", ["open to all", "a link", "a file"])
async def test_a_socket_directory_prepared_by_somebody_else_is_refused(parent: Path, trap: str) -> None:
    data_dir = parent / ("d" * 120)
    socket_dir = (await open_cluster(data_dir)).socket_dir
    socket_dir.rmdir()
    match trap:
        case "open to all":
            socket_dir.mkdir()
            socket_dir.chmod(0o777)
        case "a link":
            (parent / "trap").mkdir(mode=0o700)
            socket_dir.symlink_to(parent / "trap")
        case _:
            socket_dir.touch(mode=0o600)
    try:
        with pytest.raises(EmbeddedProblem, match=r"remove it and start again"):
            await ensure_running(data_dir)
    finally:
        socket_dir.rmdir() if trap == "open to all" else socket_dir.unlink()


async def test_below_a_private_directory_nothing_is_opened_up(parent: Path) -> None:
    private = parent / "private"
    private.mkdir(mode=0o700)
    data_dir = private / "deeper" / "data"
    async with embedded_database(data_dir) as dsn:
        await write_row(dsn)
    async with embedded_database(data_dir) as dsn:
        assert await rows_kept(dsn) == 1
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (private, private / "deeper", data_dir)]
    assert modes[0] == 0o700
    assert modes[2] == 0o700


async def test_programs_the_server_may_not_read_are_copied_where_it_may(
    parent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = parent / "private" / "site-packages"
    real = locate_binaries().bin_dir.parent.parent.parent
    installed.mkdir(parents=True)
    for part in (f"{binaries_module.PACKAGE}/{binaries_module.INSTALLATION}", binaries_module.LIBRARIES):
        shutil.copytree(real / part, installed / part, symlinks=True)
    (parent / "private").chmod(0o700)
    bin_dir = installed / binaries_module.PACKAGE / binaries_module.INSTALLATION / "bin"
    monkeypatch.setattr(binaries_module, "locate_binaries", lambda: binaries_module.Binaries(bin_dir))
    monkeypatch.setattr(binaries_module, "CACHE_DIR", parent / "cache")
    user = pwd.getpwuid(ANOTHER_UID)
    account = Account(user.pw_uid, user.pw_gid, switches=WE_ARE_ROOT)
    reached = await reachable_binaries(account)
    assert reached.bin_dir.is_relative_to(parent / ("cache" if WE_ARE_ROOT else "private"))
    assert await reachable_binaries(account) == reached
    for program in (reached.initdb, reached.pg_ctl, reached.postgres):
        assert (await run_as(account, [program, "--version"], cwd=Path("/"))).returncode == 0
    assert stat.S_IMODE((parent / "private").stat().st_mode) == 0o700


# --- users --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("uid", EVERY_KIND_OF_USER)
async def test_root_and_others_get_a_server_that_is_not_root(parent: Path, data_dir: Path, uid: int) -> None:
    os.chown(parent, uid, -1)
    for _ in range(2):
        with holder(data_dir, uid) as running:
            dsn = await asyncio.to_thread(running.first_word)
            assert dsn.startswith("postgresql://"), dsn
            owner = postmaster(data_dir).uids().effective
            assert owner != 0
            assert uid in {owner, 0}
            await write_row(dsn)
            running.leave()
        assert not is_running(data_dir)


async def test_root_may_look_after_the_server_of_another_user_who_can_then_go_on(
    parent: Path, data_dir: Path
) -> None:
    os.chown(parent, ANOTHER_UID, -1)
    with holder(data_dir, ANOTHER_UID) as running:
        first = await asyncio.to_thread(running.first_word)
        running.leave()
    for name in ("users.lock", "start.lock", "server.lock"):
        (data_dir / "postgres" / name).unlink()
    async with embedded_database(data_dir) as dsn:
        assert dsn == first
        assert postmaster(data_dir).uids().effective == ANOTHER_UID
        await write_row(dsn)
    with holder(data_dir, ANOTHER_UID) as running:
        assert await asyncio.to_thread(running.first_word) == first
        assert await rows_kept(first) == 1
        running.leave()


async def test_the_directory_of_another_user_is_a_problem_in_words(parent: Path, data_dir: Path) -> None:
    await write_one_first(data_dir)
    home = data_dir / "postgres"
    give_mode(data_dir, 0o755 if WE_ARE_ROOT else 0o000)  # an ordinary user can only lock itself out
    with holder(data_dir, ANOTHER_UID) as stranger:
        assert f"{home} belongs to another user" in await asyncio.to_thread(stranger.first_word)
    give_mode(data_dir, 0o700)


async def test_a_user_without_a_name_is_told_before_initdb_stumbles(parent: Path, data_dir: Path) -> None:
    nameless = Account(3_000_000_001, 3_000_000_001, switches=False)
    cluster = dataclasses.replace(await open_cluster(data_dir), account=nameless)
    with pytest.raises(EmbeddedProblem, match="uid 3000000001 has no entry in /etc/passwd"):
        await create_data(cluster, lock_fd=0)


def give_mode(path: Path, mode: int) -> None:
    path.chmod(mode)


# --- what can be wrong --------------------------------------------------------------------------------------------


async def test_data_of_another_major_version_is_refused_with_the_way_to_move_it(data_dir: Path) -> None:
    await write_one_first(data_dir)
    (data_dir / "postgres/cluster/PG_VERSION").write_text("16\n")
    with pytest.raises(
        EmbeddedProblem, match=r"made by PostgreSQL 16, this release carries .* `chainbell backup FILE`"
    ):
        await ensure_running(data_dir)


async def test_a_lost_password_file_is_named(data_dir: Path) -> None:
    await write_one_first(data_dir)
    pgpass = data_dir / "postgres/pgpass"
    kept = pgpass.read_text()
    pgpass.write_text(kept.replace("chainbell:", "chainbell:x"))
    with pytest.raises(EmbeddedProblem, match=r"refuses the password in .*pgpass"):
        await ensure_running(data_dir)
    pgpass.unlink()
    with pytest.raises(EmbeddedProblem, match=r"holds no password for chainbell"):
        await ensure_running(data_dir)
    pgpass.write_text(kept)
    assert await stop_if_unused(data_dir)


async def test_a_socket_that_was_removed_is_noticed_while_the_server_lives(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("migrations.embedded.GONE_TIMEOUT_S", 0.3)
    async with embedded_database(data_dir):
        (data_dir / "postgres/socket/.s.PGSQL.5432").unlink()
        with pytest.raises(EmbeddedProblem, match=r"lives .* but does not answer"):
            await ensure_running(data_dir)

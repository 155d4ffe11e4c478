"""Trouble that is not a crash of ours: a stop under load, a database that restarts, a disk that is full."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest

from tests.processes.scene import Scene, open_scene

STOP_LIMIT_S = 10.0
PATIENCE_S = 60.0
PAYMENTS_EACH = 20
DISK_FULL = "disk is full"
BALLAST_STEP_BYTES = 1 << 20


async def under_load(scene: Scene, until: Awaitable[None]) -> None:
    """Let payments, blocks and reorganisations go on until then."""
    async with asyncio.TaskGroup() as group:
        group.create_task(scene.traffic.run())
        await until
        scene.traffic.stop.set()
    scene.traffic.stop.clear()


async def until_said(scene: Scene, words: str) -> None:
    """Wait until a process's log has these words."""
    async with asyncio.timeout(PATIENCE_S):
        while words not in read_logs(scene):  # another process writes them
            await asyncio.sleep(0.05)


def read_logs(scene: Scene) -> str:
    return "".join(path.read_text(errors="replace") for path in sorted(scene.program.log_files))


@pytest.mark.timeout(180)
async def test_a_stop_under_load_ends_within_ten_seconds_and_loses_nothing(
    tmp_path: Path, rng: random.Random
) -> None:
    async with open_scene(tmp_path, rng, database_url=None) as scene:
        await scene.program.start()
        await scene.program.wait_ready()
        await scene.prepare()
        for _ in range(2):
            async with asyncio.TaskGroup() as group:
                group.create_task(scene.traffic.run())
                await scene.traffic.until_paid(PAYMENTS_EACH)
                (running,) = scene.program.running
                status = await scene.program.stop(running, patience_s=STOP_LIMIT_S)
                scene.traffic.stop.set()
            scene.traffic.stop.clear()
            assert status == 0, "a clean stop is no failure"
            await scene.program.start()
            await scene.program.wait_ready()
        await scene.settle()
        await scene.check()


@pytest.mark.timeout(180)
async def test_a_database_that_restarts_under_load_loses_nothing(
    tmp_path: Path, rng: random.Random, empty_database_url: str
) -> None:
    async with open_scene(tmp_path, rng, database_url=empty_database_url) as scene:
        await scene.program.start()
        await scene.program.wait_ready()
        await scene.prepare()
        admin = await asyncpg.connect(empty_database_url)
        async with asyncio.TaskGroup() as group:
            group.create_task(scene.traffic.run())
            for _ in range(4):
                await scene.traffic.until_paid(PAYMENTS_EACH)
                # What a restart is to a client: every connection ends at once, in the middle of anything.
                await admin.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity "
                    "where datname = current_database() and pid <> pg_backend_pid() "
                    "and backend_type = 'client backend'"
                )
            scene.traffic.stop.set()
        await admin.close()
        await scene.program.wait_ready()
        await scene.settle()
        await scene.check()


@contextmanager
def small_disk(folder: Path, *, mebibytes: int) -> Iterator[Path]:
    """A file system of its own that a test may fill; needs root."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk: Path) -> Path:
    """Leave hardly a byte free; returns the file that holds the space."""
    ballast = disk / "ballast"
    descriptor = os.open(ballast, os.O_WRONLY | os.O_CREAT)
    step = BALLAST_STEP_BYTES
    while step >= 4096:
        try:
            os.write(descriptor, b"\0" * step)
        except OSError:
            step //= 2
    os.close(descriptor)
    return ballast


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small file system to fill")
@pytest.mark.timeout(180)
async def test_a_full_disk_says_so_and_loses_nothing(tmp_path: Path, rng: random.Random) -> None:
    with small_disk(tmp_path / "disk", mebibytes=220) as disk:
        async with open_scene(tmp_path, rng, database_url=None, data_dir=disk / "data") as scene:
            await scene.program.start()
            await scene.program.wait_ready()
            await scene.prepare()
            await under_load(scene, scene.traffic.until_paid(PAYMENTS_EACH))
            ballast = fill(disk)
            await under_load(scene, until_said(scene, DISK_FULL))
            await under_load(scene, scene.traffic.until_paid(2 * PAYMENTS_EACH))
            said = await scene.program.read_metrics()
            ballast.unlink()
            await scene.program.wait_ready()
            await scene.settle()
            await scene.check()
            assert DISK_FULL in read_logs(scene), "a full disk is named, with what to do"
            assert "chainbell_" in said, "metrics answer without the database"

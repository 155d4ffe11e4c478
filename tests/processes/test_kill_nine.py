"""Law 6 on whole processes: killed at any moment, in any role, and nothing is lost or told twice differently.

While payments, reorganisations and failing receivers go on, processes are
killed with signal 9 and started again.  At the end the node's chain is
recounted independently, and logs, API and receivers must agree with it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.depth import times
from tests.processes.scene import Scene, open_scene

KILLS_PER_TEST = times(5, ci=13)


async def torment(scene: Scene, rng: random.Random, roles: Sequence[tuple[str, ...]]) -> None:
    """Kill and restart processes while the traffic runs."""
    async with asyncio.TaskGroup() as group:
        group.create_task(scene.traffic.run())
        for _ in range(KILLS_PER_TEST):
            await asyncio.sleep(rng.uniform(0.3, 1.6))
            victim = rng.choice(scene.program.running)
            await scene.program.kill(victim)
            gone = rng.choice(scene.all_receivers)
            gone.down = not gone.down and rng.random() < 0.3
            await scene.program.start(*victim.roles)
        await scene.traffic.until_paid(8)
        scene.traffic.stop.set()
    for receiver in scene.all_receivers:
        receiver.down = False
    assert {running.roles for running in scene.program.running} == set(roles)


@pytest.mark.timeout(240)
async def test_case_060_the_whole_program_may_be_killed_at_any_moment(
    tmp_path: Path, rng: random.Random
) -> None:
    async with open_scene(tmp_path, rng, database_url=None) as scene:
        await scene.program.start()
        await scene.program.wait_ready()
        await scene.prepare()
        await torment(scene, rng, [()])
        await scene.program.wait_ready()
        await scene.settle()
        await scene.check()
        assert scene.program.kills_count == KILLS_PER_TEST
        assert scene.traffic.reorgs_count > 0


@pytest.mark.timeout(240)
async def test_case_060_separate_roles_may_be_killed_at_any_moment(
    tmp_path: Path, rng: random.Random, empty_database_url: str
) -> None:
    roles = [("follow",), ("relay",), ("gateway",)]
    async with open_scene(tmp_path, rng, database_url=empty_database_url) as scene:
        await scene.program.command("migrate")
        for names in roles:
            await scene.program.start(*names)
        await scene.program.wait_ready()
        await scene.prepare()
        await torment(scene, rng, roles)
        await scene.program.wait_ready()
        await scene.settle()
        await scene.check()
        assert scene.program.kills_count == KILLS_PER_TEST

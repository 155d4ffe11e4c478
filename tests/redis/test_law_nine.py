"""Law 9 on whole processes: Redis is flushed, frozen and killed in the middle of everything, and nothing is lost or wrong.

Roles on one database share a Redis while payments, reorganisations and failing receivers go on. At the end the chain is
recounted independently; logs, API and receivers must agree with it, and the metrics must have told of the outage.
"""

from __future__ import annotations

import asyncio
import random
import re
from pathlib import Path

import aiohttp
import pytest

from tests.processes.scene import Scene, open_scene
from tests.redis.server import RedisServer

ROLES = [("follow",), ("relay",), ("relay",), ("gateway",)]
PATIENCE_S = 15.0
PAYMENTS_EACH = 8
"""Made in every state that Redis is brought into."""


async def read_metric(scene: Scene, name: str) -> float:
    """The sum of a metric's samples at the gateway."""
    url = f"{scene.program.base_url}/metrics"
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        text = await response.text()
    return sum(float(value) for value in re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", text, re.MULTILINE))


async def until_up(scene: Scene, wanted: float) -> None:
    """Wait until the gateway's metric says so."""
    async with asyncio.timeout(PATIENCE_S):
        while await read_metric(scene, "chainbell_redis_up") != wanted:  # noqa: ASYNC110  (another process)
            await asyncio.sleep(0.1)


async def torment(scene: Scene, server: RedisServer) -> None:
    """Everything that can happen to a helper, while the traffic runs."""
    async with asyncio.TaskGroup() as group:
        group.create_task(scene.traffic.run())
        await scene.traffic.until_paid(PAYMENTS_EACH)
        await server.command("FLUSHALL")
        await server.command("SCRIPT", "FLUSH")
        await scene.traffic.until_paid(PAYMENTS_EACH)
        server.freeze()
        await until_up(scene, 0.0)
        await scene.traffic.until_paid(PAYMENTS_EACH)
        server.thaw()
        await until_up(scene, 1.0)
        await server.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        await server.command("CLIENT", "KILL", "TYPE", "pubsub")
        await scene.traffic.until_paid(PAYMENTS_EACH)
        server.kill()
        await until_up(scene, 0.0)
        await scene.traffic.until_paid(PAYMENTS_EACH)
        await server.start()
        await until_up(scene, 1.0)
        await server.command("CONFIG", "SET", "maxmemory", 1)
        await until_up(scene, 0.0)
        await scene.traffic.until_paid(PAYMENTS_EACH)
        server.kill()
        await scene.traffic.until_paid(PAYMENTS_EACH)
        scene.traffic.stop.set()


@pytest.mark.timeout(240)
async def test_redis_may_vanish_at_any_time_and_nothing_is_lost_or_wrong(
    tmp_path: Path, rng: random.Random, empty_database_url: str, server: RedisServer
) -> None:
    async with open_scene(tmp_path, rng, database_url=empty_database_url) as scene:
        scene.program.settings.extra = f'[redis]\nurl = "{server.url}"\n'
        scene.program.write_config()
        await scene.program.command("migrate")
        for names in ROLES:
            await scene.program.start(*names)
        await scene.program.wait_ready()
        await scene.prepare()
        await until_up(scene, 1.0)
        await torment(scene, server)
        await scene.settle()
        await scene.check()
        assert scene.traffic.payments_count >= 8 * PAYMENTS_EACH
        assert await read_metric(scene, "chainbell_redis_up") == 0.0
        assert await read_metric(scene, "chainbell_redis_errors_total") > 0
        assert all(running.process.returncode is None for running in scene.program.running), "nobody stopped"

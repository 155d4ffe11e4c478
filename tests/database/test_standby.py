"""The API on a server that is stopped, comes back as a standby and is promoted: said in readiness, and mended by itself."""

from __future__ import annotations

import functools
from pathlib import Path

from migrations.account import hand_over
from migrations.cluster import open_cluster
from migrations.connect import connect
from migrations.embedded import embedded_database
from migrations.runner import migrate
from tests.api.world import CONFIG, WATCHED, open_world, read_settings, readiness
from tests.database.processes import pg_ctl


async def test_a_server_that_comes_back_as_a_standby_is_ready_when_it_is_promoted(
    data_dir: Path, tmp_path: Path
) -> None:
    async with embedded_database(data_dir) as dsn:
        conn = await connect(dsn, application_name="migrate")
        await migrate(conn)
        await conn.close()
        cluster = await open_cluster(data_dir)
        control = functools.partial(pg_ctl, cluster)
        async with open_world(dsn, read_settings(CONFIG, tmp_path)) as world:
            key = await world.create_merchant()
            assert await readiness(world) == (200, "ok")
            await control("stop", "-w", "-m", "fast")
            assert await readiness(world) == (503, "away")
            signal = cluster.data / "standby.signal"
            signal.touch()
            hand_over(signal, cluster.account)
            await control("start", "-w", "-o", "-c listen_addresses= -c unix_socket_directories=../socket")
            try:
                assert await readiness(world) == (503, "read only")
                refused = await world.call(
                    "POST", "/v1/addresses", {"chain": "local", "address": WATCHED}, key=key
                )
                assert refused.status == 503
                assert (await world.call("GET", "/v1/addresses", key=key)).status == 200
                await control("promote", "-w")
                assert (await readiness(world))[1] == "ok"
                await world.report_heads()
                assert await readiness(world) == (200, "ok")
                assert (await world.watch(key))["address"] == WATCHED
            finally:
                await world.pool.close()
                await control("stop", "-w", "-m", "fast")

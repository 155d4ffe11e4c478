"""A database that takes no writes shows in readiness, and is used again as soon as it takes them.

Here: one that is set to read only. Not here: a server that comes back as a standby (tests/database/test_standby.py).
"""

from __future__ import annotations

import asyncpg

from migrations.connect import connect, open_pool
from migrations.runner import migrate
from tests.api.world import WATCHED, World, readiness

SWITCH = "do $$ begin execute format('alter database %I {} default_transaction_read_only {}', current_database()); end $$"


async def test_a_database_set_to_read_only_is_not_ready_until_it_is_writable(
    world: World, key: str, database_url: str
) -> None:
    admin = await connect(database_url, application_name="admin")
    body = {"chain": "local", "address": WATCHED}
    try:
        assert await readiness(world) == (200, "ok")
        await admin.execute(SWITCH.format("set", "= on"))
        await world.pool.expire_connections()  # as those that the server's stop took
        assert await readiness(world) == (503, "read only")
        refused = await world.call("POST", "/v1/addresses", body, key=key)
        assert (refused.status, refused.headers["Retry-After"]) == (503, "1")
        assert (await world.call("GET", "/v1/addresses", key=key)).status == 200
        await admin.execute("set transaction_read_only = off; " + SWITCH.format("reset", ""))
    finally:
        await admin.close()
    # Sessions that were opened meanwhile stay read-only for as long as they live, and none is kept.
    assert await readiness(world) == (200, "ok")
    assert (await world.call("POST", "/v1/addresses", body, key=key)).status == 201


async def test_every_connection_of_a_pool_that_saw_a_read_only_server_is_made_again(
    empty_database_url: str,
) -> None:
    conn = await connect(empty_database_url, application_name="admin")
    await migrate(conn)
    await conn.execute(SWITCH.format("set", "= on"))
    for resets in (False, True):
        pool = await open_pool(empty_database_url, size=3, application_name="test", resets=resets)
        one, other = [await asyncpg.Pool.acquire(pool) for _ in range(2)]  # a task of the house holds one
        assert await one.fetchval("show transaction_read_only") == "on"
        await conn.execute(SWITCH.format("reset", ""))
        await pool.release(one)
        await pool.release(other)
        for _ in range(4):
            assert await pool.fetchval("show transaction_read_only") == "off"
        await conn.execute(SWITCH.format("set", "= on"))
        await pool.close()
    await conn.close()

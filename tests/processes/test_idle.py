"""A chain that stands still costs the database its leases, the node one look a block time, and nothing else.

What a minute asks is watched for a few seconds: every timer of the program that asks the database either fires within
those, or is a lease's or the listener's own, or waits for `quiet_interval_s`, LOOK_AGAIN_S, STATUS_WHOLE_EVERY_S (300 s
each) or longer.  Wake-ups are counted by the system: whoever sleeps until something happens gives up the processor.
"""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import asyncpg
import pytest

from migrations.notices import QUERIES
from migrations.queries import load_queries
from relay.workers.store import SHARDS_SQL
from tests.devnet.anvil import start_anvil
from tests.faultproxy.proxy import start_proxy
from tests.processes.program import Program, Settings
from tests.processes.receivers import open_receiver

STILL_AFTER_S = 4.0
WATCHED_S = 8.0
LOOK_EVERY_S = 0.01
SESSIONS_MAX = 12
LOOKS_MAX = WATCHED_S + 4
"""Once in a block time, here a second; `poll_interval_s` is a tenth of that.  And the node's identity now and then."""
WAKE_UPS_MAX = 12 * WATCHED_S
TOLD_WITHIN_S = 20.0

INDEXER = load_queries("indexer", "chains.sql")
HEARTBEATS = {
    "the lease of a chain": {INDEXER["acquire_lease"]},
    "the lease of shards": {
        SHARDS_SQL.note_worker,
        SHARDS_SQL.forget_lost_workers,
        SHARDS_SQL.extend_leases,
        SHARDS_SQL.load_free_shards,
        SHARDS_SQL.count_workers,
        "BEGIN;",
        "COMMIT;",
    },
    "the listener": {QUERIES["check_connection"]},
}
KNOWN = {text.strip() for texts in HEARTBEATS.values() for text in texts}
WINDOWS_MAX = 3


async def watch_statements(conn: asyncpg.Connection, seconds: float) -> set[tuple[int, object, str]]:
    """The statements that others begin in so many seconds: session, moment and text."""
    loop, found = asyncio.get_running_loop(), set[tuple[int, object, str]]()
    began_at = await conn.fetchval("select clock_timestamp()")
    until_s = loop.time() + seconds
    while loop.time() < until_s:
        rows = await conn.fetch(
            """select pid, query_start, query from pg_stat_activity
            where datname = current_database() and pid <> pg_backend_pid() and query_start > $1""",
            began_at,
        )
        found.update((row["pid"], row["query_start"], row["query"].strip()) for row in rows)
        await asyncio.sleep(LOOK_EVERY_S)
    return found


def count_wake_ups(pid: int) -> int:
    """How often the main thread has slept until now."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("\nvoluntary_ctxt_switches:")[2].split()[0])


@pytest.mark.timeout(120)
async def test_a_chain_that_stands_still_asks_the_database_for_its_leases_only(
    tmp_path: Path, rng: random.Random, empty_database_url: str
) -> None:
    async with (
        start_anvil() as node,
        start_proxy(node.url) as proxy,
        open_receiver(rng) as receiver,
    ):
        await node.mine(3)
        settings = Settings([proxy.url, proxy.ws_url], database_url=empty_database_url)
        program = Program(tmp_path, settings)
        program.write_config()
        try:
            running = await program.start()
            await program.wait_ready()
            merchant = await program.create_merchant("first")
            made = await program.call(merchant, "POST", "/v1/endpoints", {"url": receiver.url})
            receiver.secret = made["secret"]
            address = {"chain": "local", "address": "0x" + "ab" * 20, "from_height": 1}
            await program.call(merchant, "POST", "/v1/addresses", address)
            await node.send(to="0x" + "ab" * 20, value=10**18)
            await node.mine(2)
            async with asyncio.timeout(30):
                while not receiver.bodies:
                    await asyncio.sleep(0.1)
            await asyncio.sleep(STILL_AFTER_S)
            conn = await asyncpg.connect(empty_database_url)
            found: set[tuple[int, object, str]] = set()
            looks = wake_ups = 0
            for _ in range(WINDOWS_MAX):  # on a busy machine the last block's own work reaches into the first
                before = proxy.http_exchanges, count_wake_ups(running.process.pid)
                found = await watch_statements(conn, WATCHED_S)
                looks = proxy.http_exchanges - before[0]
                wake_ups = count_wake_ups(running.process.pid) - before[1]
                if all(text in KNOWN for _, _, text in found) and looks <= LOOKS_MAX:
                    break
            sessions = await conn.fetchval(
                """select count(*) from pg_stat_activity
                where datname = current_database() and pid <> pg_backend_pid()"""
            )
            # What nobody looks for any more is told: history that is wanted while nothing else moves is read at once.
            # Several times, since a late move of the finality may wake its reader once.
            pending = "select count(*) from addresses where pending_start is not null"
            for byte in ("cd", "ce", "cf"):
                await program.call(
                    merchant, "POST", "/v1/addresses", {**address, "address": "0x" + byte * 20}
                )
                async with asyncio.timeout(TOLD_WITHIN_S):
                    while await conn.fetchval(pending):
                        await asyncio.sleep(0.1)
            await conn.close()
        finally:
            await program.end_all()
    others = sorted({text for _, _, text in found if text not in KNOWN})
    assert not others, "\n\n".join(others)
    renewals = sum(text == INDEXER["acquire_lease"].strip() for _, _, text in found)
    assert 1 <= renewals <= WATCHED_S / 3 + 1, "a lease is renewed three times in its time"
    assert looks <= LOOKS_MAX, "a websocket would tell of the next block"
    assert wake_ups <= WAKE_UPS_MAX, "what waits, waits for an event"
    assert sessions <= SESSIONS_MAX, "sessions as work needs them"

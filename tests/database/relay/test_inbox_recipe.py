"""The inbox printed in docs/webhooks.md, on PostgreSQL: whatever the network and the receiver do, each effect happens once."""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest_asyncio

from relay.log.bodies import compute_body, compute_event_id
from tests.database.relay.stages import MERCHANT, NOW

PAGE = Path(__file__).resolve().parents[3] / "docs" / "webhooks.md"
CONNECTIONS = 8
DEPOSITS = 6
VERSIONS = 12
ROUNDS = 3


def printed_recipe() -> str:
    (recipe,) = re.findall(r"```sql\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    return str(recipe)


@pytest_asyncio.fixture
async def url(empty_database_url: str) -> str:
    """A shop's database, with the printed recipe in it."""
    conn = await asyncpg.connect(empty_database_url)
    await conn.execute(printed_recipe())
    await conn.close()
    return empty_database_url


def body_of(deposit: int, version: int, credited: int, *, log_epoch: int = 1) -> bytes:
    """A body as the relay writes it."""
    object_id = f"dep_{deposit}"
    type_ = "deposit.confirmed"
    data = {
        "id": object_id,
        "version": version,
        "credited_base_units": str(credited),
        "address_id": f"adr_{deposit % 2}",
        "asset": "eip155:1/slip44:60",
        "reference": "Größe 42",
    }
    return compute_body(
        event_id=compute_event_id(MERCHANT, log_epoch, object_id, version, type_),
        event_type=type_,
        sequence=version,
        prev_hash=bytes(32),
        log_epoch=log_epoch,
        at=NOW,
        merchant_id=MERCHANT,
        data={"deposit": data, "reverses": None},
    )


def make_story(rng: random.Random) -> tuple[list[bytes], dict[str, int]]:
    """Bodies of several deposits, also of a second epoch that counts on from a backup; and the balances they end in."""
    bodies: list[bytes] = []
    balances: dict[str, int] = {}
    for deposit in range(DEPOSITS):
        credited = 0
        for log_epoch, versions in ((1, range(1, VERSIONS + 1)), (7, range(VERSIONS // 2, VERSIONS))):
            for version in versions:
                credited = rng.choice((0, 10**30 + 7, 5))
                bodies.append(body_of(deposit, version, credited, log_epoch=log_epoch))
        account = f"adr_{deposit % 2}"
        balances[account] = balances.get(account, 0) + credited
    return bodies, balances


async def deliver(url: str, bodies: Iterator[bytes], rng: random.Random) -> list[str]:
    """Receive bodies one after the other; some transactions are rolled back, some connections cut, and tried again."""
    verdicts: list[str] = []
    conn = await asyncpg.connect(url)
    for body in bodies:
        while rng.random() < 0.2:
            transaction = conn.transaction()
            await transaction.start()
            await conn.fetchval("select receive_event($1)", body)
            if rng.random() < 0.5:
                await transaction.rollback()
            else:
                conn.terminate()
                conn = await asyncpg.connect(url)
        verdicts.append(await conn.fetchval("select receive_event($1)", body))
    await conn.close()
    return verdicts


async def test_every_effect_happens_once_whatever_is_repeated_late_concurrent_or_cut_off(
    url: str, rng: random.Random
) -> None:
    conn = await asyncpg.connect(url)
    for _ in range(ROUNDS):
        await conn.execute("truncate chainbell_inbox, chainbell_deposits, shop_balances")
        bodies, balances = make_story(rng)
        arriving = bodies * 3
        rng.shuffle(arriving)
        queue = iter(arriving)
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(deliver(url, queue, random.Random(rng.random())))
                for _ in range(CONNECTIONS)
            ]
        verdicts = [verdict for task in tasks for verdict in task.result()]
        assert verdicts.count("repeat") == 2 * len(bodies)
        assert set(verdicts) == {"applied", "repeat", "stale"}
        found = await conn.fetch("select address_id, base_units from shop_balances")
        assert {row["address_id"]: int(row["base_units"]) for row in found} == balances
        kept = {row["body"] for row in await conn.fetch("select body from chainbell_inbox")}
        assert kept == set(bodies)
    await conn.close()


async def test_two_versions_at_once_wait_for_one_another(url: str) -> None:
    first, second, third = [await asyncpg.connect(url) for _ in range(3)]
    await first.fetchval("select receive_event($1)", body_of(0, 1, 0))
    transaction = first.transaction()
    await transaction.start()
    assert await first.fetchval("select receive_event($1)", body_of(0, 2, 50)) == "applied"
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(second.fetchval("select receive_event($1)", body_of(0, 3, 70)))
        while not await third.fetchval("select exists (select from pg_locks where not granted)"):
            assert not waiting.done()
        await transaction.commit()
    assert await third.fetchval("select base_units from shop_balances") == 70
    for conn in (first, second, third):
        await conn.close()


async def test_an_event_without_a_deposit_is_kept_and_has_no_effect(url: str) -> None:
    conn = await asyncpg.connect(url)
    event: dict[str, Any] = json.loads(body_of(1, 1, 5))
    event |= {"id": "evt_ping", "type": "test.ping", "sequence": None, "data": {"endpoint": {"id": "end_a"}}}
    body = json.dumps(event).encode()
    assert await conn.fetchval("select receive_event($1)", body) == "kept"
    assert await conn.fetchval("select receive_event($1)", body) == "repeat"
    assert await conn.fetchval("select count(*) from shop_balances") == 0
    await conn.close()

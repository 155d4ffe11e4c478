"""What a move asks the database, and what it must ask although it knew the answer when it began."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import asyncpg
import pytest

from indexer.move.registration import RegistrationRequest, register
from indexer.rows.storage import TouchQuery
from indexer.rows.store import PostgresMove
from migrations.ids import new_id
from migrations.queries import load_queries
from tests.database.indexer.scene import NOW, SHOP, Scene, open_scene
from tests.database.indexer.test_replacements import pay_the_till
from tests.database.indexer.test_spends import one_deposit, orphan
from tests.simulation.setups import WATCHABLE

CHAINS, WATCHLIST, DEPOSITS = (
    load_queries("indexer", name) for name in ("chains.sql", "watchlist.sql", "deposits.sql")
)

PLANNED_MAX = 5
"""So often PostgreSQL plans for the values at hand, before it compares that with planning once for all."""

TRIPS_A_MOVE = 10
"""Begin, lock, row, payable, touched, blocks, deposits, row, events, commit."""


@contextmanager
def counted_trips(patch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Every statement that is sent meanwhile, by its name."""
    sent: list[str] = []

    def count(name: str) -> None:
        usual = getattr(asyncpg.Connection, name)

        async def send(self: Any, query: str, *args: Any, **named: Any) -> Any:
            sent.append(query.removeprefix("-- name: ").split("\n", 1)[0])
            return await usual(self, query, *args, **named)

        patch.setattr(asyncpg.Connection, name, send)

    with patch.context() as patched:
        patch = patched
        for name in ("fetch", "fetchrow", "fetchval", "execute"):
            count(name)
        yield sent


@asynccontextmanager
async def opened(scene: Scene) -> AsyncIterator[PostgresMove]:
    async with scene.store.open_move(scene.id, lease_epoch=scene.desk.lease_epoch) as move:
        yield move


async def told(scene: Scene) -> list[dict[str, Any]]:
    rows = await scene.pool.fetch("select body from events order by merchant_id, sequence")
    return [json.loads(row["body"]) for row in rows]


async def test_a_move_that_tells_a_deposit_takes_ten_round_trips(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_scene(database_url) as scene:
        await one_deposit(scene)
        await pay_the_till(scene)
        with counted_trips(monkeypatch) as sent:
            await scene.follow()
        assert any(name.startswith("append_events") for name in sent)
        trips = sent[sent.index("BEGIN;") : sent.index("COMMIT;") + 1]
        assert len(trips) <= TRIPS_A_MOVE, trips


async def test_an_event_says_what_its_address_is_called_however_its_deposit_was_found(
    database_url: str,
) -> None:
    async with open_scene(database_url) as scene:
        await scene.follow()
        await register(
            scene.pool,
            [RegistrationRequest(new_id(1), SHOP, scene.id, WATCHABLE[0], reference="till")],
            now=NOW,
        )
        await pay_the_till(scene)
        await scene.follow()
        for _ in range(80):  # until it is final
            scene.chain.tip = scene.chain._new_block(scene.chain.tip, (), is_forged=False)
            await scene.follow()
        events = await told(scene)
        kinds = {event["type"] for event in events}
        assert {"deposit.included", "deposit.confirmed", "deposit.final"} <= kinds
        assert {event["data"]["deposit"]["reference"] for event in events} == {"till"}


async def test_a_doubt_that_a_move_found_itself_is_seen_by_it(database_url: str) -> None:
    async with open_scene(database_url) as scene:
        await one_deposit(scene)
        async with opened(scene) as move:
            assert await move.doubts.load([2, 3]) == {}
            await move.doubts.insert({3: "node"}, due_at=NOW)
            assert await move.doubts.load([2, 3]) == {3: "node"}
        async with opened(scene) as move:
            assert await move.doubts.load([2, 3]) == {3: "node"}, "and by the next"


async def test_a_deposit_that_a_move_lets_wait_is_found_by_it(database_url: str) -> None:
    async with open_scene(database_url) as scene:
        deposit = await one_deposit(scene)
        spends: Any = [SimpleNamespace(spends=[b"nonce 1"])]

        async def waiting(move: PostgresMove) -> list[Any]:
            query = TouchQuery(
                ids=(),
                displaced_above=None,
                tip_height=0,
                final_height=None,
                safe_height=None,
                agreed_height=0,
                heights_fell=False,
                spends=spends,
            )
            return [one.id for one in (await move.load_touched(query)).off_chain]

        async with opened(scene) as move:
            assert await waiting(move) == []
            await move.write_deposits([replace(orphan(deposit, 1), version=1)])
            assert await waiting(move) == [orphan(deposit, 1).id]
        async with opened(scene) as move:
            assert await waiting(move) == [orphan(deposit, 1).id], "and by the next"


async def test_what_a_move_asks_is_planned_once(database_url: str) -> None:
    async with open_scene(database_url) as scene, scene.pool.acquire() as conn:
        asked: list[tuple[str, tuple[Any, ...]]] = [
            (CHAINS["load_locked_chain"], (scene.id,)),
            (WATCHLIST["load_payable"], (scene.id, [WATCHABLE[0]])),
            (DEPOSITS["load_touched"], (scene.id, 5, None, None, 5, [new_id(1)])),
        ]
        for statement, arguments in asked:
            for _ in range(2 * PLANNED_MAX):
                await conn.fetch(statement, *arguments)
            planned = await conn.fetchval(
                "select custom_plans from pg_prepared_statements where statement = $1", statement
            )
            assert planned <= PLANNED_MAX, statement.split("\n", 1)[0]


async def test_a_watch_list_that_did_not_grow_is_not_read(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_scene(database_url) as scene:
        await scene.follow()
        await scene.watch()
        async with opened(scene) as move:
            grown = await move.load_watch_delta(0)
            assert list(grown.addresses) == [WATCHABLE[0]]
            with counted_trips(monkeypatch) as sent:
                assert not (await move.load_watch_delta(grown.version)).addresses
        assert sent == []

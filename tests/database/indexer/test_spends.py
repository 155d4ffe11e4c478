"""What a move looks up by what its blocks use up: by an index, as dear with a thousand orphans as without, and kept in step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from chains.model import ConflictKey
from indexer.rows import spend_store, touched_store
from indexer.rows.spelling import decode_deposit
from indexer.rules.deposits import Deposit, DepositState
from indexer.rules.identity import DepositId
from migrations.queries import load_queries
from tests.database.indexer.scene import Scene, open_scene
from tests.database.indexer.test_replacements import pay_the_till

SPENDS = load_queries("indexer", "spends.sql")
MIGRATION = Path(__file__).parents[3] / "migrations" / "sql" / "0006_spends_and_repeats.sql"
ORPHANS = 1_000


async def one_deposit(scene: Scene) -> Deposit:
    await scene.follow()
    await scene.watch()
    await pay_the_till(scene)
    await scene.follow()
    row = await scene.pool.fetchrow("select * from deposits limit 1")
    assert row is not None
    return decode_deposit(row)


def orphan(deposit: Deposit, number: int, *keys: bytes) -> Deposit:
    """The same deposit by another transaction, which no block holds any more."""
    return replace(
        deposit,
        id=DepositId(UUID(int=number)),
        state=DepositState.ORPHANED,
        occurrence=None,
        conflict_keys=tuple(ConflictKey(key) for key in keys or (b"nonce %d" % number,)),
        confirmed_version=None,
        confirmed_at=None,
        final_at=None,
    )


async def write(scene: Scene, deposits: Sequence[Deposit]) -> None:
    async with scene.store.open_move(scene.id, lease_epoch=scene.desk.lease_epoch) as move:
        await move.write_deposits(deposits)


async def conflicts(scene: Scene) -> set[tuple[bytes, UUID]]:
    rows = await scene.pool.fetch("select key, deposit_id from deposit_conflicts")
    return {(row["key"], row["deposit_id"]) for row in rows}


async def cost_of_ten_blocks(scene: Scene, patch: pytest.MonkeyPatch) -> Counter[str]:
    """Statements that moves send, and deposits that they decode."""
    cost: Counter[str] = Counter()

    def count(module: Any) -> None:
        usual = module.decode_deposit

        def decode(row: Any) -> Deposit:
            cost["deposits"] += 1
            decoded: Deposit = usual(row)
            return decoded

        patch.setattr(module, "decode_deposit", decode)

    def count_statements(name: str) -> None:
        usual = getattr(asyncpg.Connection, name)

        async def send(self: Any, query: str, *args: Any, **named: Any) -> Any:
            cost["statements"] += (
                "load_hashes_at" not in query
            )  # for finality's tags, looked at once in a while
            return await usual(self, query, *args, **named)

        patch.setattr(asyncpg.Connection, name, send)

    with patch.context() as patched:
        patch = patched
        count(touched_store)
        count(spend_store)
        for name in ("fetch", "fetchrow", "fetchval", "execute"):
            count_statements(name)
        for _ in range(10):
            scene.chain.tip = scene.chain._new_block(scene.chain.tip, (), is_forged=False)
            await scene.follow()
    return cost


async def test_a_thousand_orphans_cost_a_move_one_look_up(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_scene(database_url) as scene:
        deposit = await one_deposit(scene)
        await cost_of_ten_blocks(scene, monkeypatch)  # what is there matures
        without = await cost_of_ten_blocks(scene, monkeypatch)
        await write(scene, [orphan(deposit, 1)])
        with_one = await cost_of_ten_blocks(scene, monkeypatch)
        await write(scene, [orphan(deposit, number) for number in range(2, ORPHANS)])
        with_many = await cost_of_ten_blocks(scene, monkeypatch)
        assert with_many == with_one
        assert with_many["deposits"] == without["deposits"] == 0
        assert with_many["statements"] == without["statements"] + 10, "one look-up a move, and no row"


async def test_who_waits_has_its_keys_and_who_does_not_has_none(database_url: str) -> None:
    async with open_scene(database_url) as scene:
        deposit = await one_deposit(scene)
        assert await conflicts(scene) == set(), "a deposit in a block has none"
        waiting = orphan(deposit, 1, b"outpoint 0", b"outpoint 1")
        await write(scene, [waiting])
        assert await conflicts(scene) == {(b"outpoint 0", waiting.id), (b"outpoint 1", waiting.id)}
        told = replace(waiting, state=DepositState.REPLACED, version=waiting.version + 1)
        await write(scene, [told])
        assert await conflicts(scene), "what a block that has left replaced may be replaced again"
        await write(scene, [replace(told, replaced_height=7, version=told.version + 1)])
        assert await conflicts(scene) == set()


async def test_thousands_of_keys_of_one_transaction_are_one_statement(database_url: str) -> None:
    async with open_scene(database_url) as scene:
        deposit = await one_deposit(scene)
        keys = [number.to_bytes(36, "big") for number in range(5_000)]
        await write(scene, [orphan(deposit, 1, *keys)])
        assert len(await conflicts(scene)) == len(keys)


async def test_what_blocks_spend_is_looked_up_by_the_index(database_url: str) -> None:
    async with open_scene(database_url) as scene:
        deposit = await one_deposit(scene)
        await write(scene, [orphan(deposit, number) for number in range(1, 5_000)])
        for _ in range(3):  # as many again, in blocks and out of them
            await scene.pool.execute(
                """create table more as select * from deposits;
                update more set id = gen_random_uuid();
                insert into deposits select * from more;
                drop table more"""
            )
        await scene.pool.execute("analyze deposit_conflicts")
        await scene.pool.execute("analyze deposits")
        spent = [b"nonce %d" % number for number in range(100_000, 100_200)]
        plan = await scene.pool.fetch(f"explain {SPENDS['load_conflicting']}", scene.id, spent)
        text = "\n".join(row[0] for row in plan)
        assert "deposit_conflicts_pkey" in text
        assert "Seq Scan" not in text


async def test_the_upgrade_finds_the_keys_of_deposits_that_wait(database_url: str) -> None:
    async with open_scene(database_url) as scene:
        deposit = await one_deposit(scene)
        await write(
            scene, [orphan(deposit, 1, b"a", b"bb"), orphan(deposit, 2, b"a"), orphan(deposit, 3, b"c" * 255)]
        )
        kept = await conflicts(scene)
        await scene.pool.execute("delete from deposit_conflicts")
        text = MIGRATION.read_text()
        await scene.pool.execute(text[text.index("with recursive") : text.index("drop index")])
        assert await conflicts(scene) == kept
        assert len(kept) == 4

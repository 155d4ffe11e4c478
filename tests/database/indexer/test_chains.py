"""A chain's row: begun once, followed by one process at a time."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from chains.model import ChainId
from indexer.rows.storage import LeaseLost
from indexer.rows.work_store import ChainStatus, write_status
from tests.database.indexer.scene import NOW, Scene, open_scene


async def create(scene: Scene, *, chain: ChainId | None = None) -> None:
    await scene.store.create_chain(
        chain or scene.id,
        alias="the alias",
        network_id=scene.chain.genesis.hash,
        assets=scene.setup.settings.traits.assets,
        first=scene.chain.tip.block,
        at=NOW,
    )


async def test_processes_that_start_together_begin_a_chain_once(database_url: str) -> None:
    async with open_scene(database_url) as scene:
        await asyncio.gather(*(create(scene) for _ in range(6)))
        record = await scene.store.load_chain(scene.id)
        assert record is not None
        assert record.tip.hash == scene.chain.tip.hash
        assert record.agreed_height == record.start_height - 1


async def test_an_alias_of_another_chain_is_said_and_not_waited_for(database_url: str) -> None:
    async with open_scene(database_url) as scene:
        await create(scene)
        with pytest.raises(AssertionError, match="belongs to another chain"):
            await create(scene, chain=ChainId("eip155:77"))


async def test_an_older_epoch_writes_nothing(database_url: str) -> None:
    async with open_scene(database_url) as scene:
        await create(scene)
        old = await scene.store.acquire_lease(scene.id, holder="old", lease_s=0)
        new = await scene.store.acquire_lease(scene.id, holder="new", lease_s=60)
        assert old is not None
        assert new == old + 1
        assert await scene.store.acquire_lease(scene.id, holder="third", lease_s=60) is None
        with pytest.raises(LeaseLost):
            async with scene.store.open_move(scene.id, lease_epoch=old):
                pass


async def test_the_work_above_a_height_is_exact_or_unknown(database_url: str) -> None:
    async with open_scene(database_url) as scene:
        await create(scene)
        height = scene.chain.tip.height
        assert await scene.store.load_work_above(scene.id, height) is None, "there is nothing above"
        assert await scene.store.load_work_above(scene.id, height - 1) is None, "a block without work"
        await scene.pool.execute("update blocks set work = $1::text::numeric", str(2**255 + 1))
        assert await scene.store.load_work_above(scene.id, height - 1) == 2**255 + 1


async def test_a_row_is_remembered_with_the_lease_and_read_again_without_it(database_url: str) -> None:
    async with open_scene(database_url) as scene:
        await create(scene)
        await scene.pool.execute("update chains set conditions = '{stalled}'")
        assert await scene.store.acquire_lease(scene.id, holder="x", lease_s=60) is not None
        before = await scene.store.load_chain(scene.id)
        assert before is not None
        assert before.conditions == {"stalled"}, "the renewal brings the row along"
        await scene.pool.execute("update chains set conditions = '{congested}'")
        assert await scene.store.load_chain(scene.id) == before, "not read again"
        async with scene.store.open_move(scene.id, lease_epoch=before.lease_epoch) as move:
            assert move.record.conditions == {"congested"}, "a move reads it under the lock"
            await move.write_chain(replace(move.record, conditions=frozenset({"disputed"})))
        after = await scene.store.load_chain(scene.id)
        assert after is not None
        assert after.conditions == {"disputed"}, "what was written is remembered"
        await scene.pool.execute("update chains set lease_holder = 'y', lease_epoch = 9, conditions = '{}'")
        assert await scene.store.acquire_lease(scene.id, holder="x", lease_s=60) is None
        lost = await scene.store.load_chain(scene.id)
        assert lost is not None
        assert lost.lease_epoch == 9, "another's row is read"


async def test_a_move_that_was_taken_back_is_not_remembered(database_url: str) -> None:
    async with open_scene(database_url) as scene:
        await create(scene)
        epoch = await scene.store.acquire_lease(scene.id, holder="x", lease_s=60)
        assert epoch is not None
        before = await scene.store.load_chain(scene.id)
        with suppress(ZeroDivisionError):
            async with scene.store.open_move(scene.id, lease_epoch=epoch) as move:
                await move.write_chain(replace(move.record, conditions=frozenset({"disputed"})))
                raise ZeroDivisionError
        assert await scene.store.load_chain(scene.id) == before


async def test_who_renews_the_lease_says_again_what_was_said_last(database_url: str) -> None:
    async with open_scene(database_url) as scene:
        await create(scene)
        long_ago = datetime(2020, 1, 1, tzinfo=UTC)
        await write_status(scene.pool, ChainStatus(scene.id, "the alias", 1, {}, long_ago))
        said_at = "select now() - reported_at < interval '1 minute' from chain_status"
        assert not await scene.pool.fetchval(said_at)
        assert await scene.store.acquire_lease(scene.id, holder="x", lease_s=60) is not None
        assert await scene.pool.fetchval(said_at)
        await scene.pool.execute("update chain_status set reported_at = $1", long_ago)
        assert await scene.store.acquire_lease(scene.id, holder="y", lease_s=60) is None
        assert not await scene.pool.fetchval(said_at), "who has no lease says nothing"

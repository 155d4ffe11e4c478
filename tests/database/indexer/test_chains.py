"""A chain's row: begun once, followed by one process at a time."""

from __future__ import annotations

import asyncio

import pytest

from chains.model import ChainId
from indexer.rows.storage import LeaseLost
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

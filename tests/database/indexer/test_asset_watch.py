"""A token whose contract changes its decimals is held, and only that one; it counts again from where it was held."""

from __future__ import annotations

from chains.model import AssetId
from indexer.follow.asset_watch import AssetWatch
from indexer.follow.surroundings import FollowedChain, Surroundings
from indexer.follow.turn import Turn
from indexer.history.backfill import Covered, step_backfill
from indexer.rows.work_store import PostgresBackfillStore
from tests.database.indexer.scene import NOW, Scene, open_scene
from tests.database.indexer.test_surprises import Operator
from tests.simulation.setups import WATCHABLE

WRONG = "its contract says 18 decimals and the configuration 6"


def watch_of(scene: Scene, operator: Operator) -> tuple[AssetWatch, FollowedChain]:
    around = Surroundings(scene.pool, "x", operator, operator.ring, lambda: NOW)
    chain = FollowedChain(scene.desk, scene.source, scene.store, list)
    return AssetWatch(around, chain, Turn(chain, holder="x")), chain


async def recorded(scene: Scene) -> dict[str, int]:
    """How many deposits there are of each asset."""
    rows = await scene.pool.fetch("select asset, count(*) as count from deposits group by asset")
    return {row["asset"]: row["count"] for row in rows}


async def test_one_asset_is_held_others_go_on_and_it_comes_back_whole(database_url: str) -> None:
    async with open_scene(database_url) as scene:
        await scene.follow()
        for address in WATCHABLE:
            await scene.watch(address)
        operator = Operator()
        watch, chain = watch_of(scene, operator)
        token = scene.setup.settings.traits.assets[0].asset_id
        verdict: dict[AssetId, str | None] = {token: WRONG}

        async def judge() -> dict[AssetId, str | None]:
            return dict(verdict)

        assert not await watch.step(judge), "seen once"
        assert chain.assets_held == {}
        assert await watch.step(judge)
        assert chain.assets_held == {token: WRONG}
        scene.chain.extend(40)
        await scene.follow()
        while_held = await recorded(scene)
        assert token not in while_held
        assert while_held, "others go on"
        verdict.clear()
        assert await watch.step(judge)
        assert await watch.step(judge)
        assert chain.assets_held == {token: WRONG}, "silence releases nothing"
        verdict[token] = None
        await watch.step(judge)
        await watch.step(judge)
        assert chain.assets_held == {}
        assert [kind for kind, _, _ in operator.rung] == ["asset.held", "asset.released"]
        history = PostgresBackfillStore(scene.pool, scene.store)
        while isinstance(await step_backfill(scene.desk, history, scene.provider, now=NOW), Covered):
            pass
        after = await recorded(scene)
        assert after.pop(token) > 0
        assert after == while_held


async def test_an_asset_stays_held_when_the_process_begins_again(database_url: str) -> None:
    async with open_scene(database_url) as scene:
        await scene.follow()
        watch, chain = watch_of(scene, Operator())
        token = scene.setup.settings.traits.assets[0].asset_id

        async def judge() -> dict[AssetId, str | None]:
            return {token: WRONG}

        await watch.step(judge)
        await watch.step(judge)
        traits = scene.setup.settings.traits
        await scene.store.sync_assets(scene.id, [*traits.assets, traits.native], start_height=99)
        rows = {row.asset: row for row in await scene.store.load_asset_rows(scene.id)}
        assert not rows[token].listed
        assert chain.assets_held == {token: WRONG}

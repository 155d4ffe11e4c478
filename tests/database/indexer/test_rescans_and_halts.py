"""What an operator asks for ends, whatever merchants asked for before; and a halted chain credits nothing."""

from __future__ import annotations

from dataclasses import replace

from indexer.follow.step import Follower
from indexer.follow.surroundings import FollowedChain
from indexer.follow.turn import Turn
from indexer.history.backfill import NothingPending, step_backfill
from indexer.move.halts import commit_halt, commit_resume
from indexer.rows.storage import ChainRecord
from indexer.rows.work_store import PostgresBackfillStore, request_rescan
from indexer.rules.policy import ConfirmedBy, ConfirmRule, Requirement
from migrations.ids import new_id
from tests.database.indexer.scene import NOW, SHOP, Scene, open_scene
from tests.simulation.setups import MERCHANTS, WATCHABLE

CREDITED = "select count(*) from deposits where state in ('confirmed', 'final')"


async def load(scene: Scene) -> ChainRecord:
    record = await scene.store.load_chain(scene.id)
    assert record is not None
    return record


async def test_a_rescan_of_an_address_that_was_to_count_later_ends(database_url: str) -> None:
    async with open_scene(database_url, blocks=12) as scene:
        await scene.follow()
        tip = (await load(scene)).tip
        await scene.watch(from_height=tip.height + 500)
        await request_rescan(
            scene.pool,
            scene.id,
            new_id=new_id(1),
            height_first=tip.height,
            height_last=tip.height,
            address=WATCHABLE[0],
            now=NOW,
        )
        history = PostgresBackfillStore(scene.pool, scene.store)
        outcomes = [await step_backfill(scene.desk, history, scene.provider, now=NOW) for _ in range(3)]
        assert isinstance(outcomes[-1], NothingPending)
        assert await scene.pool.fetchval("select effective_start from addresses") == tip.height


async def test_a_rescan_of_blocks_that_were_left_keeps_nobody_from_its_history(database_url: str) -> None:
    async with open_scene(database_url, blocks=12) as scene:
        await scene.follow()
        tip = (await load(scene)).tip
        await request_rescan(
            scene.pool,
            scene.id,
            new_id=new_id(1),
            height_first=tip.height,
            height_last=tip.height,
            address=None,
            now=NOW,
        )
        # As after a reorganisation to a branch that has as many blocks and fewer heights.
        await scene.pool.execute(
            "update rescans set height_first = $1, height_last = $1, height_next = $1", tip.height + 1
        )
        await scene.watch(from_height=tip.height - 3)
        history = PostgresBackfillStore(scene.pool, scene.store)
        while not isinstance(
            await step_backfill(scene.desk, history, scene.provider, now=NOW), NothingPending
        ):
            pass
        assert await scene.pool.fetchval("select effective_start from addresses") == tip.height - 3
        scene.chain.extend()
        await scene.follow()
        await step_backfill(scene.desk, history, scene.provider, now=NOW)
        assert await scene.pool.fetchval("select count(*) from rescans where done_at is null") == 0


async def test_a_halted_chain_credits_nothing_by_another_policy_until_it_is_resumed(
    database_url: str,
) -> None:
    async with open_scene(database_url) as scene:
        patient = ConfirmRule(Requirement(ConfirmedBy.DEPTH, 1_000_000))
        scene.desk.settings = replace(scene.desk.settings, confirm_rules=(patient,))
        scene.follower = Follower(scene.desk, scene.source)
        await scene.follow()
        for address in WATCHABLE:
            await scene.watch(address, merchant=SHOP)
            await scene.watch(address, merchant=MERCHANTS[0])
        scene.chain.extend(6)
        await scene.follow()
        waiting = await scene.pool.fetchval("select count(*) from deposits where state = 'included'")
        assert waiting
        credited = await scene.pool.fetchval(CREDITED)
        record = await load(scene)
        await commit_halt(scene.desk, record, fork=record.tip, provider_name="node", now=NOW)
        eager = ConfirmRule(Requirement(ConfirmedBy.DEPTH, 1))
        scene.desk.settings = replace(scene.desk.settings, confirm_rules=(eager,))
        await scene.pool.execute("update chains set lease_expires_at = now()")
        turn = Turn(FollowedChain(scene.desk, scene.source, scene.store, list), holder="y")
        assert await turn.hold(NOW)
        assert await scene.pool.fetchval(CREDITED) == credited
        assert await commit_resume(scene.desk, await load(scene), now=NOW)
        assert await turn.hold(NOW)
        assert await scene.pool.fetchval(CREDITED) > credited

"""No address is missed, whoever registers it while whoever else reads or writes."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from uuid import UUID

import asyncpg

from indexer.move.registration import RegistrationRequest, delete_address, register
from indexer.rules.identity import MerchantId
from indexer.rules.watchset import WatchSet
from migrations.ids import new_id
from tests.database.indexer.scene import NOW, SHOP, Scene, open_scene
from tests.simulation.setups import MERCHANTS, WATCHABLE


async def load_watch_set(scene: Scene) -> WatchSet:
    """The set as a follower that just got its turn loads it."""
    watched = WatchSet()
    horizon = await scene.store.load_watch_horizon(scene.id)
    while watched.version < horizon:
        page = await scene.store.load_watch_page(
            scene.id, after_version=watched.version, up_to_version=horizon
        )
        watched.add(page.addresses, version=page.version)
    return watched


async def test_an_address_in_flight_while_the_set_is_loaded_is_not_stepped_over(database_url: str) -> None:
    async with open_scene(database_url) as scene:
        await scene.follow()
        slow = await asyncpg.Pool.acquire(scene.pool)
        transaction = slow.transaction()
        await transaction.start()
        # A registration up to the moment before its commit: version given, lock held shared.
        await slow.execute(
            "select pg_advisory_xact_lock_shared($1, (select lock_key from chains where chain = $2))",
            0x6362, scene.id,
        )  # fmt: skip
        await slow.execute(
            """insert into addresses (id, merchant_id, chain, address, watching_from_height, watching_from_hash,
               effective_start, created_at) values ($1, $2, $3, $4, 1, 'x', 1, now())""",
            new_id(1), SHOP, scene.id, WATCHABLE[0],
        )  # fmt: skip
        await scene.watch(WATCHABLE[1])
        loading = asyncio.create_task(load_watch_set(scene))
        await asyncio.sleep(0.05)
        await transaction.commit()
        await scene.pool.release(slow)
        watched = await loading
        async with scene.store.open_move(scene.id, lease_epoch=scene.desk.lease_epoch) as move:
            delta = await move.load_watch_delta(watched.version)
        assert {WATCHABLE[0], WATCHABLE[1]} <= {
            one for one in (*delta.addresses, *WATCHABLE) if one in watched or one in delta.addresses
        }


async def test_the_tip_an_address_is_watched_from_is_the_tip_when_it_began(database_url: str) -> None:
    async with open_scene(database_url) as scene:
        await scene.follow()
        for number in range(12):
            scene.chain.extend()
            scene.provider.view = scene.chain.tip
            merchant = replace_merchant(number)
            request = RegistrationRequest(new_id(1), merchant, scene.id, WATCHABLE[number % 4])
            watched, _ = await asyncio.gather(register(scene.pool, [request], now=NOW), scene.follow())
            start = watched[0].address.watching_from
            assert scene.chain.tip.path[start.height].hash == start.hash
            recorded = await scene.pool.fetch(
                "select height from deposits where merchant_id = $1 order by height", merchant
            )
            due = [
                block.height
                for block in scene.chain.tip.path[start.height + 1 :]
                for moved in block.transfers
                if moved.recipient == WATCHABLE[number % 4] and moved.asset != scene.setup.late_asset
            ]
            assert [row["height"] for row in recorded] == due


def replace_merchant(number: int) -> MerchantId:
    return MerchantId(UUID(int=MERCHANTS[0].int + 1000 + number))


async def test_a_later_from_height_never_lets_an_address_count_earlier(database_url: str) -> None:
    async with open_scene(database_url) as scene:
        await scene.follow()
        first = await scene.watch(from_height=100)
        assert first.effective_start == 100
        nearer = await scene.watch(from_height=70)
        assert (nearer.id, nearer.effective_start, nearer.pending_start) == (first.id, 70, None)
        past = await scene.watch(from_height=2)
        tip_height = scene.chain.tip.height
        assert (past.effective_start, past.pending_start) == (tip_height + 1, 2)


async def test_an_address_deleted_and_watched_again_is_two_registrations(database_url: str) -> None:
    async with open_scene(database_url) as scene:
        await scene.follow()
        first = await scene.watch()
        assert await delete_address(scene.pool, SHOP, first.id, now=NOW)
        assert not await delete_address(scene.pool, SHOP, first.id, now=NOW)
        second = await scene.watch()
        assert second.id != first.id
        async with scene.store.open_move(scene.id, lease_epoch=scene.desk.lease_epoch) as move:
            both = await move.load_registrations([WATCHABLE[0]])
        assert {one.address_id for one in both} == {first.id, second.id}
        assert sum(one.watching_until is None for one in both) == 1


async def test_one_address_is_watched_once_for_each_memo_and_once_without(database_url: str) -> None:
    async with open_scene(database_url) as scene:
        await scene.follow()
        memos: list[bytes | None] = [None, b"7", b"8", b"\0\xff"]
        watched = [await scene.watch(memo=memo) for memo in memos]
        assert len({one.id for one in watched}) == len(memos)
        assert [one.memo for one in watched] == memos
        again = [await scene.watch(memo=memo) for memo in memos]
        assert again == watched, "the same again is the same"
        assert await delete_address(scene.pool, SHOP, watched[1].id, now=NOW)
        fresh = await scene.watch(memo=b"7")
        assert fresh.id not in {one.id for one in watched}
        async with scene.store.open_move(scene.id, lease_epoch=scene.desk.lease_epoch) as move:
            rows = await move.load_registrations([WATCHABLE[0]])
        assert sorted((one.memo or b"", one.watching_until is None) for one in rows) == sorted(
            [(b"", True), (b"7", False), (b"7", True), (b"8", True), (b"\0\xff", True)]
        )


async def test_many_memos_of_one_address_in_one_request_are_told_apart(database_url: str) -> None:
    async with open_scene(database_url) as scene:
        await scene.follow()
        requests = [
            RegistrationRequest(new_id(1), SHOP, scene.id, WATCHABLE[0], memo=memo)
            for memo in (b"7", None, b"7", b"8")
        ]
        answers = await register(scene.pool, requests, now=NOW)
        assert [one.created for one in answers] == [True, True, False, True]
        assert answers[0].address == answers[2].address


async def test_history_below_our_start_is_counted_for_assets_listed_from_the_beginning(
    database_url: str,
) -> None:
    async with open_scene(database_url, blocks=12) as scene:
        scene.desk.settings = replace(scene.desk.settings, start_height=8)
        await scene.follow()
        rows = {row.asset: row.start_height for row in await scene.store.load_asset_rows(scene.id)}
        assert set(rows.values()) == {0}

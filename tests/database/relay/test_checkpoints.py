"""Checkpoints and proofs over real logs: what is signed, what it costs, announcements, retention, restores."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from migrations.connect import connect
from migrations.handles import Connection
from relay import verify_log
from relay.desk import endpoints
from relay.desk.terms import EndpointTerms, Rules
from relay.errors import Conflict, NotFound, RequestFlawed, SecretUnreadable
from relay.keys.reseal import Resealed, reseal_all
from relay.keys.secretbox import SecretBox
from relay.log import eventlog as log
from relay.log.bodies import Published
from relay.log.prune import Pruned
from relay.proof import checkpoints, proofs, tree
from relay.proof.checkpoints import CHECKPOINT, Checkpoint
from relay.settings import RelaySettings
from tests.database.relay.notary import (
    BOX,
    FORGE,
    FORGED,
    HOUR,
    MERCHANT,
    NOW,
    OTHER,
    check_event,
    check_growth,
    read,
    sign,
    tell,
)
from tests.pruning import prune

RULES = Rules({"deposit.included"}, allow_private_networks=False)


async def want_checkpoints(conn: Connection, *types: str) -> None:
    terms = EndpointTerms(url="https://shop.example/", event_types=types or None)
    async with conn.transaction():
        await endpoints.create_endpoint(conn, BOX, MERCHANT, terms, rules=RULES, now=NOW)


async def test_a_checkpoint_signs_all_that_was_told(conn: Connection) -> None:
    told = await tell(conn, 3)
    checkpoint = await sign(conn)
    found = read(checkpoint)
    assert (found.size, found.log_epoch, found.epoch_after, found.time_s) == (3, 1, 0, int(NOW.timestamp()))
    verify_log.verify_bodies([event.body for event in told], found)
    assert await checkpoints.load_last(conn, MERCHANT) == checkpoint


async def test_a_log_that_did_not_grow_is_not_signed_again(conn: Connection) -> None:
    await tell(conn, 3)
    first = await sign(conn)
    assert await sign(conn, now=NOW + HOUR) == first
    await tell(conn, 1)
    assert (await sign(conn, now=NOW + HOUR)).size == 4
    assert [one.size for one in await checkpoints.load_checkpoints(conn, MERCHANT, limit=9)] == [3, 4]
    after = (first.created_at, first.checkpoint_id)
    assert [one.size for one in await checkpoints.load_checkpoints(conn, MERCHANT, after=after, limit=9)] == [
        4
    ]


async def test_nothing_told_is_nothing_to_sign(conn: Connection) -> None:
    with pytest.raises(Conflict):
        await sign(conn)
    with pytest.raises(NotFound):
        await proofs.load_consistency(conn, MERCHANT, first=1)


async def test_merchants_have_keys_of_their_own(conn: Connection) -> None:
    await tell(conn, 1)
    await tell(conn, 1, merchant=OTHER)
    mine, other = await sign(conn), await sign(conn, merchant=OTHER)
    assert mine.public_key != other.public_key
    with pytest.raises(verify_log.ProofInvalid):
        read(mine, other)


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 513, 1100])
async def test_every_checkpoint_continues_every_earlier_one_and_holds_every_event(
    conn: Connection, size: int
) -> None:
    told = await tell(conn, max(1, size // 3))
    kept = [await sign(conn)]
    while len(told) < size:
        told += await tell(conn, min(1 + len(told), size - len(told)))
        kept.append(await sign(conn))
    last = kept[-1]
    verify_log.verify_bodies([event.body for event in told], read(last))
    for earlier in kept:
        await check_growth(conn, earlier, last)
        for place in {0, earlier.size // 2, earlier.size - 1}:
            await check_event(conn, told[place], earlier)
            await check_event(conn, told[place], last)


async def test_a_long_backlog_is_taken_in_bounded_steps_that_are_kept(
    conn: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "GROUPS_PER_STEP", 2)
    told = await tell(conn, 256 * 5 + 7)
    steps = []
    for _ in range(3):
        steps.append(await checkpoints.step_checkpoint(conn, BOX, MERCHANT, now=NOW))
        steps.append(await conn.fetchval("select count(*) from log_nodes where level = 8"))
    assert steps == [False, 2, False, 4, True, 5]
    verify_log.verify_bodies([event.body for event in told], read(await sign(conn)))


async def test_what_is_stored_of_a_tree_is_two_rows_for_256_events(conn: Connection) -> None:
    await tell(conn, 256 * 8 + 200)
    await sign(conn)
    assert await conn.fetchval("select count(*) from log_nodes") == 8 + 4 + 2 + 1


async def test_a_proof_reads_no_more_than_three_groups_and_the_nodes_above_them(
    conn: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = await tell(conn, 256 * 9 + 77)
    first = await sign(conn)
    await tell(conn, 256 * 3 + 40)
    last = await sign(conn)
    spans: list[tuple[int, int]] = []
    load = tree.load_leaves

    async def count(conn_: Connection, merchant_id: UUID, span: tuple[int, int]) -> list[bytes]:
        spans.append(span)
        return await load(conn_, merchant_id, span)

    monkeypatch.setattr(tree, "load_leaves", count)
    for event in (told[0], told[1000], told[-1]):
        spans.clear()
        await check_event(conn, event, last)
        assert len(spans) <= 2
        assert all(end - start <= tree.GROUP_LEAVES for start, end in spans)
    spans.clear()
    await check_growth(conn, first, last)
    assert len(spans) <= 3
    await tell(conn, 1)
    spans.clear()
    await sign(conn)
    assert sum(end - start for start, end in spans) < 3 * tree.GROUP_LEAVES


async def test_two_who_sign_at_once_sign_one_thing(conn: Connection, database_url: str) -> None:
    await tell(conn, 1)
    await sign(conn)
    await tell(conn, 600)

    async def sign_beside() -> Checkpoint:
        own = await connect(database_url, application_name="beside")
        signed = await sign(own)
        await own.close()
        return signed

    async with asyncio.TaskGroup() as group:
        signing_now = [group.create_task(sign_beside()) for _ in range(4)]
    assert len({task.result().checkpoint_id for task in signing_now}) == 1
    assert await conn.fetchval("select count(*) from log_checkpoints") == 2


async def test_events_told_while_a_log_is_signed_disturb_neither(conn: Connection, database_url: str) -> None:
    told: list[Published] = []

    async def publish() -> None:
        own = await connect(database_url, application_name="publisher")
        for _ in range(30):
            told.extend(await tell(own, 20))
        await own.close()

    kept: list[Checkpoint] = []
    async with asyncio.TaskGroup() as group:
        publishing = group.create_task(publish())
        while not publishing.done():
            if (await log.load_head(conn, MERCHANT)).sequence:
                kept.append(await sign(conn))
            await asyncio.sleep(0)
    last = await sign(conn)
    assert last.size == len(told) == 600
    verify_log.verify_bodies([event.body for event in told], read(last))
    for earlier in kept:
        await check_growth(conn, earlier, last)


async def test_a_day_that_gets_its_partition_meanwhile_hides_nothing(
    conn: Connection, database_url: str
) -> None:
    told = await tell(conn, 3)
    await tell(conn, 3, merchant=OTHER)
    await sign(conn, merchant=OTHER)  # the queries are prepared
    mover = await connect(database_url, application_name="mover")
    moving = mover.transaction()
    await moving.start()
    await log.make_partitions(mover, now=NOW)
    async with asyncio.TaskGroup() as group:
        signing_now = group.create_task(sign(conn))
        waits = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
        while not await mover.fetchval(waits):  # noqa: ASYNC110  # the database changes it
            await asyncio.sleep(0.01)
        await moving.commit()
    verify_log.verify_bodies([event.body for event in told], read(signing_now.result()))
    await mover.close()


# --- announcing ----------------------------------------------------------------------------------------------------


async def test_a_checkpoint_is_told_in_the_log_of_a_merchant_who_asked_for_it(conn: Connection) -> None:
    await tell(conn, 2)
    await want_checkpoints(conn, "deposit.included", CHECKPOINT)
    checkpoint = await sign(conn)
    (event,) = await log.load_events_after(conn, MERCHANT, after_sequence=2, types=[CHECKPOINT], limit=9)
    body = json.loads(event.body)
    assert (checkpoint.size, body["sequence"]) == (2, 3)
    assert body["data"] == {"checkpoint": checkpoints.describe(checkpoint)}
    # Its own announcement is nothing to sign, or an idle log would grow for ever.
    assert await sign(conn, now=NOW + 2 * HOUR) == checkpoint
    assert await checkpoints.load_logs_to_sign(conn, after=UUID(int=0), now=NOW + 2 * HOUR) == []
    await tell(conn, 1)
    assert (await sign(conn)).size == 4


async def test_an_endpoint_that_takes_everything_did_not_ask_for_checkpoints(conn: Connection) -> None:
    await tell(conn, 2)
    await want_checkpoints(conn)
    await sign(conn)
    assert (await log.load_head(conn, MERCHANT)).sequence == 2


async def test_a_log_has_its_turn_when_it_grew_and_an_hour_has_passed(conn: Connection) -> None:
    async def whose_turn(now: datetime) -> list[UUID]:
        return await checkpoints.load_logs_to_sign(conn, after=UUID(int=0), now=now)

    assert await whose_turn(NOW) == []
    await tell(conn, 1)
    await tell(conn, 1, merchant=OTHER)
    assert await whose_turn(NOW) == [MERCHANT, OTHER]
    assert await checkpoints.load_logs_to_sign(conn, after=MERCHANT, now=NOW) == [OTHER]
    await sign(conn)
    assert await whose_turn(NOW + 2 * HOUR) == [OTHER]
    await tell(conn, 1)
    assert await whose_turn(NOW + HOUR - timedelta(seconds=1)) == [OTHER]
    assert await whose_turn(NOW + HOUR) == [MERCHANT, OTHER]


# --- retention, restores, keys -------------------------------------------------------------------------------------


async def test_what_retention_dropped_is_proven_from_its_leaves(conn: Connection) -> None:
    old, settings = NOW - timedelta(days=200), RelaySettings(retention_days=60)
    await log.make_partitions(conn, now=old)
    await log.make_partitions(conn, now=NOW)
    told = await tell(conn, 300, now=old)
    earlier = await sign(conn, now=old)
    told += await tell(conn, 300)
    before = await sign(conn)
    assert await prune(conn, settings, NOW) is Pruned.DONE
    assert await log.load_oldest_sequence(conn, MERCHANT) == 301
    await tell(conn, 5)
    later = await sign(conn, now=NOW + HOUR)
    for place in (0, 255, 256, 299, 300, 599):
        await check_event(conn, told[place], earlier if place < 300 else before)
        await check_event(conn, told[place], later)
    await check_growth(conn, earlier, later)
    # A log that was never signed before its days went can still be.
    await conn.execute("delete from log_checkpoints")
    await conn.execute("delete from log_nodes")
    assert (await sign(conn, now=NOW + HOUR)).root_hash == later.root_hash


async def restore(conn: Connection, size: int) -> None:
    """What a backup of `size` events, brought back, is."""
    async with conn.transaction():
        await conn.execute(FORGE)
        await conn.execute("delete from events where sequence > $1", size)
        await conn.execute("delete from log_checkpoints where size > $1", size)
        await conn.execute("delete from log_nodes where (position + 1) << level > $1", size)
        await conn.execute(
            """update merchant_logs set sequence = $1,
              head_hash = (select sha256(body) from events where sequence = $1)""",
            size,
        )
        await conn.execute(FORGED)
    await log.raise_epochs(conn)


async def test_a_restored_log_continues_what_the_backup_held(conn: Connection) -> None:
    await tell(conn, 300)
    held = await sign(conn)
    await restore(conn, 300)
    again = await sign(conn, now=NOW + HOUR)
    assert (again.size, again.log_epoch > 1) == (300, True)
    assert read(again, held).epoch_after == 300
    await check_growth(conn, held, again)
    await tell(conn, 10)
    await check_growth(conn, held, await sign(conn, now=NOW + HOUR))


async def test_a_restore_that_lost_signed_events_says_so_itself(conn: Connection) -> None:
    await tell(conn, 300)
    await sign(conn)
    await tell(conn, 50)
    lost = await sign(conn)
    await restore(conn, 300)
    await tell(conn, 100)
    later = await sign(conn, now=NOW + HOUR)
    with pytest.raises(verify_log.HistoryLost, match="behind 300 events, 350 had been signed"):
        await check_growth(conn, lost, later)


async def test_the_log_key_moves_to_a_new_encryption_key(conn: Connection) -> None:
    await tell(conn, 1)
    before = await sign(conn)
    new = SecretBox([b"n" * 32])
    await tell(conn, 1)
    async with conn.transaction():
        with pytest.raises(SecretUnreadable):
            await checkpoints.make_checkpoint(conn, new, MERCHANT, now=NOW)
    assert await reseal_all(conn, SecretBox([b"n" * 32, b"k" * 32])) == Resealed(1, 0)
    assert await reseal_all(conn, SecretBox([b"n" * 32, b"k" * 32])) == Resealed(0, 0)
    async with conn.transaction():
        signed = await checkpoints.make_checkpoint(conn, new, MERCHANT, now=NOW)
    assert signed.checkpoint is not None
    assert read(signed.checkpoint, before).size == 2


# --- refusals ------------------------------------------------------------------------------------------------------


async def test_what_is_not_signed_yet_is_not_proven(conn: Connection) -> None:
    (event,) = await tell(conn, 1)
    with pytest.raises(Conflict):
        await proofs.load_inclusion(conn, MERCHANT, event.event_id)
    checkpoint = await sign(conn)
    (late,) = await tell(conn, 1)
    with pytest.raises(Conflict):
        await proofs.load_inclusion(conn, MERCHANT, late.event_id)
    with pytest.raises(NotFound):
        await proofs.load_inclusion(conn, MERCHANT, event.event_id, size=2)
    with pytest.raises(NotFound):
        await proofs.load_inclusion(conn, OTHER, event.event_id)
    for first, second in ((0, None), (2, None), (2, 1), (1, 2), (-1, -1)):
        with pytest.raises(RequestFlawed):
            await proofs.load_consistency(conn, MERCHANT, first=first, second=second)
    await check_growth(conn, checkpoint, checkpoint)

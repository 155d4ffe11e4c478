"""The event log on PostgreSQL: sequences without holes, one body for ever, nothing rewritten."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from migrations.connect import connect
from migrations.handles import Connection
from migrations.ids import encode_id
from relay.errors import LogBroken
from relay.log import audit
from relay.log import eventlog as log
from relay.log.bodies import Published, RelayFact
from relay.log.eventlog import QUERIES
from relay.log.prune import Pruned
from relay.settings import RelaySettings
from tests.pruning import prune

NOW = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)
MERCHANT = UUID(int=1)


def fact(version: int, *, merchant: UUID = MERCHANT, object_id: str = "dep_a", **more: object) -> RelayFact:
    values: dict[str, object] = {"type": "deposit.included", "data": {"n": version}, "at": NOW} | more
    return RelayFact(merchant_id=merchant, object_id=object_id, version=version, **values)  # type: ignore[arg-type]  # a test's shorthand


async def publish(conn: Connection, *facts: RelayFact, now: datetime = NOW) -> list[Published]:
    async with conn.transaction():
        return await log.append(conn, facts, now=now)


async def check_written(conn: Connection, events: list[Published]) -> None:
    """What the database wrote is what the caller was told, in every member."""
    columns = ", ".join(Published.__dataclass_fields__)
    rows = await conn.fetch(f"select {columns} from events")  # our own names
    assert {Published(*row) for row in rows} == set(events)


async def test_sequences_count_from_one_per_merchant_and_bodies_chain(conn: Connection) -> None:
    other = UUID(int=2)
    first = await publish(conn, fact(1), fact(1, merchant=other), fact(2))
    second = await publish(conn, fact(3))
    mine = [event for event in [*first, *second] if event.merchant_id == MERCHANT]
    assert [event.sequence for event in mine] == [1, 2, 3]
    bodies = [json.loads(event.body) for event in mine]
    assert bodies[0]["prev_hash"] == "0" * 64
    for before, after in zip(mine, bodies[1:], strict=False):
        assert after["prev_hash"] == hashlib.sha256(before.body).hexdigest()
    assert [event.sequence for event in first if event.merchant_id == other] == [1]
    assert await audit.verify_logs(conn) == []


async def test_an_event_has_the_promised_members_in_the_promised_order(conn: Connection) -> None:
    (event,) = await publish(conn, fact(1, data={"deposit": {"id": "dep_a"}, "reverses": None}))
    body = json.loads(event.body)
    assert list(body) == [
        "id", "type", "sequence", "prev_hash", "log_epoch", "timestamp", "api_version", "merchant_id", "data",
    ]  # fmt: skip
    lines = ["chainbell-event-1", encode_id("mer", MERCHANT), "1", "dep_a", "1", "deposit.included"]
    digest = hashlib.sha256("\n".join(lines).encode()).digest()
    assert body["id"] == encode_id("evt", UUID(bytes=digest[:16]))
    assert body["timestamp"] == "2026-11-20T12:00:00Z"
    assert body["api_version"] == "2026-11-01"


async def test_pull_reads_the_very_bytes_that_were_published(conn: Connection) -> None:
    events = await publish(conn, fact(1), fact(2, type="deposit.confirmed"), fact(3, type="deposit.final"))
    read = await log.load_events_after(conn, MERCHANT, after_sequence=0, types=None, limit=10)
    assert [one.body for one in read] == [event.body for event in events]
    some = await log.load_events_after(conn, MERCHANT, after_sequence=1, types=["deposit.final"], limit=10)
    assert [one.sequence for one in some] == [3]
    one = await log.load_event(conn, MERCHANT, events[1].event_id)
    assert one is not None
    assert one.body == events[1].body
    assert await log.load_event(conn, UUID(int=9), events[1].event_id) is None
    assert (await log.load_head(conn, MERCHANT)).sequence == 3
    assert await log.load_oldest_sequence(conn, MERCHANT) == 1
    assert await log.load_oldest_sequence(conn, UUID(int=9)) == 1


async def test_a_reversal_names_the_confirmation_it_takes_back(conn: Connection) -> None:
    (confirmed,) = await publish(conn, fact(1, type="deposit.confirmed"))
    (reversed_,) = await publish(conn, fact(2, type="deposit.reversed", reverses_version=1))
    assert json.loads(reversed_.body)["data"]["reverses"] == encode_id("evt", confirmed.event_id)
    await log.raise_epochs(conn)
    both = await publish(
        conn, fact(3, type="deposit.confirmed"), fact(4, type="deposit.reversed", reverses_version=3)
    )
    assert json.loads(both[1].body)["data"]["reverses"] == encode_id("evt", both[0].event_id)
    (again,) = await publish(conn, fact(5, type="deposit.reversed", reverses_version=1))
    assert json.loads(again.body)["data"]["reverses"] == encode_id("evt", confirmed.event_id)
    with pytest.raises(LogBroken):
        await publish(conn, fact(6, type="deposit.reversed", reverses_version=2))
    assert (await log.load_head(conn, MERCHANT)).sequence == 5


async def test_a_fact_is_told_once_and_a_rolled_back_one_never(conn: Connection) -> None:
    await publish(conn, fact(1))
    with pytest.raises(asyncpg.UniqueViolationError):
        await publish(conn, fact(1))
    with pytest.raises(asyncpg.UniqueViolationError):
        await publish(conn, fact(1, type="deposit.final"))
    (event,) = await publish(conn, fact(2))
    assert event.sequence == 2
    assert await audit.verify_log(conn, MERCHANT) == []


async def test_a_restored_log_counts_on_in_a_new_epoch_with_new_ids(conn: Connection) -> None:
    await publish(conn, fact(1))
    await log.raise_epochs(conn)
    (event,) = await publish(conn, fact(2))
    assert (event.sequence, event.log_epoch > 1) == (2, True)
    assert json.loads(event.body)["log_epoch"] == event.log_epoch
    assert await audit.verify_log(conn, MERCHANT) == []


async def test_a_log_that_was_empty_in_the_backup_begins_in_the_new_epoch_too(conn: Connection) -> None:
    await log.raise_epochs(conn)
    (event,) = await publish(conn, fact(1))
    assert (event.sequence, event.log_epoch > 1) == (1, True)


async def test_restoring_one_backup_twice_begins_two_epochs(conn: Connection) -> None:
    await publish(conn, fact(1))
    epochs = []
    for day in (1, 2):
        await conn.execute("delete from log_epochs")
        await conn.execute("update merchant_logs set log_epoch = 1")
        moment = f"'2027-01-0{day}'::timestamptz"
        await conn.execute(QUERIES.raise_log_epochs.replace("now()", moment))
        epochs.append(await conn.fetchval("select log_epoch from merchant_logs"))
    assert epochs[1] > epochs[0] > 1


async def test_telling_is_one_statement_and_one_more_when_a_restore_was_not_heard_of(
    conn: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    conn.add_query_logger(asked.append)
    monkeypatch.setattr(log._Epoch, "seen_last", 1)
    await log.append(conn, [fact(1)], now=NOW)  # now the types of its arguments are known
    asked.clear()
    await log.append(conn, [fact(2), fact(1, merchant=UUID(int=2))], now=NOW)
    assert len(asked) == 1
    await log.raise_epochs(conn)
    monkeypatch.setattr(log._Epoch, "seen_last", 1)
    for version, statements in ((3, 2), (4, 1)):
        asked.clear()
        (event,) = await log.append(conn, [fact(version)], now=NOW)
        assert (event.sequence, event.log_epoch > 1, len(asked)) == (version, True, statements)
    assert await audit.verify_logs(conn) == []


async def test_facts_of_several_logs_keep_their_order_in_each_and_in_what_is_returned(
    conn: Connection,
) -> None:
    merchants = [UUID(int=number) for number in (3, 1, 2, 1, 3, 3, 2)]
    facts = [fact(1, merchant=one, object_id=f"dep_{number}") for number, one in enumerate(merchants)]
    events = await publish(conn, *facts)
    assert [event.object_id for event in events] == [one.object_id for one in facts]
    assert [event.sequence for event in events] == [1, 1, 1, 2, 2, 3, 2]
    await check_written(conn, events)
    assert await audit.verify_logs(conn) == []


async def test_events_cannot_be_changed_or_deleted(conn: Connection) -> None:
    await log.make_partitions(conn, now=NOW)
    await publish(conn, fact(1))
    await publish(conn, fact(2), now=NOW + timedelta(days=400))
    for statement in ("update events set type = 'a.b'", "delete from events"):
        with pytest.raises(asyncpg.RestrictViolationError):
            await conn.execute(statement)


async def test_partitions_made_late_take_over_what_came_before_them(conn: Connection) -> None:
    await publish(conn, fact(1))
    await publish(conn, fact(2), now=NOW + timedelta(days=20))
    assert await log.make_partitions(conn, now=NOW) == 1 + log.DAYS_AHEAD + 1
    assert await log.make_partitions(conn, now=NOW) == 0
    await publish(conn, fact(3), now=NOW + timedelta(days=20))
    counts = await conn.fetch("select tableoid::regclass::text as part, count(*) as n from events group by 1")
    assert {row["part"]: row["n"] for row in counts} == {"events_2026_11_20": 1, "events_2026_12_10": 2}
    assert await audit.verify_log(conn, MERCHANT) == []
    with pytest.raises(asyncpg.UniqueViolationError):
        await publish(conn, fact(3, object_id="dep_a"), now=NOW + timedelta(days=20))


async def test_days_that_nobody_made_partitions_for_get_them_later(conn: Connection) -> None:
    """What followers told while no relay ran for months, and what an old backup brings back."""
    await publish(conn, fact(1), now=NOW - timedelta(days=95))
    await publish(conn, fact(2), now=NOW)
    assert await log.make_partitions(conn, now=NOW) == 1 + log.DAYS_AHEAD + 1
    counts = await conn.fetch("select tableoid::regclass::text as part, count(*) as n from events group by 1")
    assert {row["part"]: row["n"] for row in counts} == {"events_2026_08_17": 1, "events_2026_11_20": 1}


async def test_partitions_can_be_made_while_facts_are_published(conn: Connection, database_url: str) -> None:
    async def publish_on(name: str) -> None:
        own = await connect(database_url, application_name=name)
        for version in range(1, 40):
            await publish(own, fact(version, object_id=name))
        await own.close()

    async with asyncio.TaskGroup() as group:
        for number in range(3):
            group.create_task(publish_on(f"dep_{number}"))
        for _ in range(3):
            await asyncio.sleep(0.02)
            await log.make_partitions(conn, now=NOW)
    assert await audit.verify_log(conn, MERCHANT) == []


async def test_a_publication_leaves_one_dead_version_of_a_head_behind_and_not_two(conn: Connection) -> None:
    """While somebody keeps a transaction open, every reader of heads wades through them."""
    await publish(conn, fact(1))
    updated = "select pg_stat_get_xact_tuples_updated('merchant_logs'::regclass)"
    async with conn.transaction():
        before = await conn.fetchval(updated)
        await log.append(conn, [fact(2), fact(3)], now=NOW)
        assert await conn.fetchval(updated) - before == 1


async def test_the_clock_of_a_log_never_runs_backwards(conn: Connection) -> None:
    (first,) = await publish(conn, fact(1), now=NOW)
    second = await publish(conn, fact(2), fact(1, merchant=UUID(int=2)), now=NOW - timedelta(hours=1))
    assert [event.created_at for event in second] == [first.created_at, NOW - timedelta(hours=1)]
    await check_written(conn, [first, *second])


async def test_a_commit_wakes_listeners_once_with_the_new_heads(conn: Connection, database_url: str) -> None:
    notices: list[str] = []
    arrived = asyncio.Event()
    listener = await connect(database_url, application_name="listener")

    def take(_conn: object, _pid: int, _channel: str, payload: object) -> None:
        notices.append(str(payload))
        arrived.set()

    await listener.add_listener(log.CHANNEL, take)
    await publish(conn, fact(1), fact(2), fact(1, merchant=UUID(int=2)))
    await asyncio.wait_for(arrived.wait(), 5)
    assert [log.decode_notice(notice) for notice in notices] == [{MERCHANT: 2, UUID(int=2): 1}]
    await listener.close()


def test_a_notice_about_too_many_logs_says_only_that_some_grew() -> None:
    notice = log.encode_notice({UUID(int=n): n for n in range(1000)})
    assert notice == ""
    assert log.decode_notice(notice) == {}


async def test_concurrent_appends_for_the_same_merchants_never_deadlock_and_leave_no_hole(
    database_url: str, conn: Connection, rng: random.Random
) -> None:
    merchants = [UUID(int=n) for n in range(1, 7)]

    async def chain(name: str, rounds: int, *, fail_every: int) -> None:
        own = await connect(database_url, application_name=name)
        for round_ in range(rounds):
            facts = [
                fact(round_ + 1, merchant=merchant, object_id=f"dep_{name}")
                for merchant in rng.sample(merchants, rng.randint(1, len(merchants)))
            ]
            transaction = own.transaction()
            await transaction.start()
            await log.append(own, facts, now=NOW)
            if round_ % fail_every == fail_every - 1:
                await transaction.rollback()
            else:
                await transaction.commit()
        await own.close()

    async with asyncio.TaskGroup() as group:
        for number in range(4):
            group.create_task(chain(f"c{number}", 40, fail_every=5))
    assert await audit.verify_logs(conn) == []
    heads = await conn.fetch(
        "select sum(sequence) as heads, (select count(*) from events) as events from merchant_logs"
    )
    assert heads[0]["heads"] == heads[0]["events"] > 0


@pytest.mark.parametrize(
    "harm, fault",
    [
        ("delete from events where sequence = 2", "sequence 3 comes after a gap"),
        ("update events set body = body || ' ' where sequence = 1", "does not continue the hash chain"),
        ("update events set version = 9 where sequence = 2", "has an id that its content does not give"),
        ("update events set body = 'zz' where sequence = 3", "the head has another hash than the last body"),
        ("update merchant_logs set sequence = 7", "the head says 7, the log ends at 3"),
        (
            """insert into events select merchant_id, sequence, log_epoch, event_id, object_id, version, type,
            prev_hash, body, created_at - interval '2 years' from events where sequence = 2""",
            "sequence 2 stands on a day that is not its own",
        ),
    ],
)
async def test_the_audit_names_what_was_done_to_a_log(conn: Connection, harm: str, fault: str) -> None:
    await log.make_partitions(conn, now=NOW)
    await publish(conn, fact(1), fact(2), fact(3))
    async with conn.transaction():
        await conn.execute("set local chainbell.moving_events = 'on'")
        await conn.execute("alter table events disable trigger user")
        await conn.execute(harm)
        await conn.execute("alter table events enable trigger user")
    assert fault in [one.fault for one in await audit.verify_log(conn, MERCHANT)]


async def test_the_audit_continues_from_the_leaves_of_dropped_days(conn: Connection) -> None:
    first = await publish(conn, fact(1, type="deposit.confirmed"), fact(2))
    await publish(conn, fact(3), now=NOW + timedelta(days=20))
    await log.make_partitions(conn, now=NOW)
    assert await prune(conn, RelaySettings(retention_days=10), NOW + timedelta(days=20)) is Pruned.DONE
    assert await audit.verify_log(conn, MERCHANT) == []
    assert await log.load_oldest_sequence(conn, MERCHANT) == 3
    (reversed_,) = await publish(
        conn, fact(4, type="deposit.reversed", reverses_version=1), now=NOW + timedelta(days=20)
    )
    assert json.loads(reversed_.body)["data"]["reverses"] == encode_id("evt", first[0].event_id)
    await conn.execute("delete from event_leaves where sequence = 1")
    assert [one.fault for one in await audit.verify_log(conn, MERCHANT)] == [
        "1 of the events before it left no leaf"
    ]


async def test_an_audit_begins_again_when_a_day_went_while_it_read(
    conn: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    await publish(conn, fact(1), fact(2))
    await publish(conn, fact(3), now=NOW + timedelta(days=20))
    await log.make_partitions(conn, now=NOW)
    verify_tree, calls = audit.verify_tree, 0

    async def late(own: Connection, merchant_id: UUID) -> list[audit.LogFault]:
        nonlocal calls
        calls += 1
        if calls > 1:
            return await verify_tree(own, merchant_id)
        assert await prune(own, RelaySettings(retention_days=10), NOW + timedelta(days=20)) is Pruned.DONE
        return [audit.LogFault(merchant_id, 1, "event 1 of the log is missing")]

    monkeypatch.setattr(audit, "verify_tree", late)
    audited = await audit.audit_log(conn, MERCHANT)
    assert (audited.events, audited.faults, calls) == (3, (), 2)

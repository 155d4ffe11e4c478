"""What retention forgets, what it keeps, and whom it warns."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest

from migrations.connect import connect
from migrations.handles import Connection
from relay.desk import endpoints, redeliver
from relay.desk.terms import EndpointTerms, Rules
from relay.errors import SequencePruned
from relay.keys.secretbox import SecretBox
from relay.log import audit
from relay.log import eventlog as log
from relay.log import prune as prune_module
from relay.log.bodies import Published
from relay.log.prune import QUERIES, Pruned, load_needs, step_prune
from relay.model import delivery_id_of
from relay.settings import RelaySettings
from tests.database.relay.stages import MERCHANT, facts_of
from tests.pruning import prune

OLD = datetime(2026, 1, 10, 12, tzinfo=UTC)
NOW = datetime(2026, 6, 15, 12, tzinfo=UTC)
SETTINGS = RelaySettings(retention_days=60, attempts_kept_days=90)
ENDING = replace(SETTINGS, retention_max_days=100)
BOX = SecretBox([bytes(32)])
RULES = Rules((), allow_private_networks=False)


async def tell(conn: Connection, version: int, now: datetime, *, name: str = "dep_a") -> Published:
    async with conn.transaction():
        (event,) = await log.append(conn, facts_of((name, version, "deposit.included")), now=now)
    return event


async def days(conn: Connection) -> list[date]:
    return [row["day"] for row in await conn.fetch(QUERIES.load_partitions) if row["attached"]]


async def endpoint_behind(conn: Connection, *, sequence: int = 0) -> UUID:
    async with conn.transaction():
        made, _ = await endpoints.create_endpoint(
            conn, BOX, MERCHANT, EndpointTerms(url="https://shop.example/"), rules=RULES, now=OLD
        )
        await conn.execute(
            "update endpoint_cursors set sequence = $2 where endpoint_id = $1", made.endpoint_id, sequence
        )
    return made.endpoint_id


async def trouble(conn: Connection, endpoint_id: UUID, event: Published, state: str) -> None:
    await conn.execute(
        """insert into delivery_exceptions (endpoint_id, merchant_id, sequence, event_id, event_at, object_id, version,
        type, prev_sequence, state, retry_at, created_at, exhausted_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, 0, $9, $10, $5, $11)""",
        endpoint_id,
        MERCHANT,
        event.sequence,
        event.event_id,
        event.created_at,
        event.object_id,
        event.version,
        event.type,
        state,
        event.created_at if state == "retrying" else None,
        event.created_at if state == "exhausted" else None,
    )


async def told(conn: Connection, after_sequence: int) -> list[tuple[str, dict[str, object]]]:
    found = await log.load_events_after(conn, MERCHANT, after_sequence=after_sequence, types=None, limit=100)
    return [(one.type, json.loads(one.body)["data"]) for one in found]


async def three_days(conn: Connection) -> Published:
    """The event of the first of them."""
    first = await tell(conn, 1, OLD)
    await tell(conn, 2, OLD + timedelta(days=1))
    await tell(conn, 3, NOW)
    await log.make_partitions(conn, now=NOW)
    return first


async def test_days_nobody_needs_go_and_leave_their_hashes(conn: Connection) -> None:
    await three_days(conn)
    ahead = [NOW.date() + timedelta(days=n) for n in range(log.DAYS_AHEAD + 1)]
    assert await days(conn) == [OLD.date(), OLD.date() + timedelta(days=1), *ahead]
    assert await prune(conn, SETTINGS, NOW) is Pruned.DONE
    assert await days(conn) == ahead
    assert await log.load_oldest_sequence(conn, MERCHANT) == 3
    assert await audit.verify_log(conn, MERCHANT) == []
    assert await conn.fetchval("select count(*) from event_leaves") == 2
    assert await conn.fetchval("select count(*) from pg_class where relname ~ '^retired_'") == 0


async def test_a_day_goes_when_its_last_moment_is_old_enough(conn: Connection) -> None:
    await three_days(conn)
    ends = datetime(2026, 1, 11, tzinfo=UTC)
    await prune(conn, SETTINGS, ends + timedelta(days=60, seconds=-1))
    assert OLD.date() in await days(conn)
    await prune(conn, SETTINGS, ends + timedelta(days=60))
    assert OLD.date() not in await days(conn)


@pytest.mark.parametrize("kind", ["cursor", "delivery", "replay"])
async def test_a_day_that_somebody_needs_stays_and_all_after_it(conn: Connection, kind: str) -> None:
    await three_days(conn)
    first = (await log.load_events_after(conn, MERCHANT, after_sequence=0, types=None, limit=1))[0]
    endpoint_id = await endpoint_behind(conn, sequence=0 if kind == "cursor" else 3)
    if kind == "delivery":
        event = await conn.fetchrow("select * from events where sequence = 1")
        assert event is not None
        await trouble(conn, endpoint_id, Published(**dict(event)), "retrying")
    elif kind == "replay":
        async with conn.transaction():
            await redeliver.replay(conn, MERCHANT, endpoint_id, from_sequence=1, to_sequence=1, now=NOW)
    assert await prune(conn, SETTINGS, NOW) is Pruned.DONE
    assert (await days(conn))[0] == OLD.date()
    assert await log.load_event(conn, MERCHANT, first.event_id) == first
    need = (await load_needs(conn))[0]  # the warning itself is needed, too
    assert (need.endpoint_id, need.kind, need.sequence, need.day) == (endpoint_id, kind, 1, OLD.date())
    await conn.execute("delete from endpoint_replays")
    await conn.execute("delete from delivery_exceptions")
    await conn.execute("update endpoint_cursors set sequence = 100")
    await prune(conn, SETTINGS, NOW)
    assert (await days(conn))[0] == NOW.date()


async def test_who_holds_a_day_up_is_warned_once_a_week(conn: Connection) -> None:
    await three_days(conn)
    endpoint_id = await endpoint_behind(conn)
    for day in range(10):
        await prune(conn, SETTINGS, NOW + timedelta(days=day))
    assert OLD.date() in await days(conn)
    events = await told(conn, 3)
    assert [kind for kind, _ in events] == ["endpoint.retention_warning"] * 2
    assert events[0][1]["retention"] == {"oldest_sequence": 1, "lost_at": None}
    await conn.execute("update endpoint_cursors set sequence = 5 where endpoint_id = $1", endpoint_id)
    await prune(conn, SETTINGS, NOW + timedelta(days=10))
    assert await conn.fetchval("select warned_since from endpoints") is None


async def test_an_abandoned_endpoint_is_warned_a_week_before_it_loses_a_day_and_told_what_it_lost(
    conn: Connection,
) -> None:
    await three_days(conn)
    endpoint_id = await endpoint_behind(conn)
    over = datetime(2026, 1, 11, tzinfo=UTC) + timedelta(days=100)
    await prune(conn, ENDING, over - timedelta(days=8))
    assert await told(conn, 3) == []
    await prune(conn, ENDING, over - timedelta(days=7))
    ((kind, data),) = await told(conn, 3)
    assert kind == "endpoint.retention_warning"
    assert data["retention"] == {"oldest_sequence": 1, "lost_at": "2026-04-21T00:00:00Z"}
    await prune(conn, ENDING, over - timedelta(seconds=1))
    assert OLD.date() in await days(conn)
    await prune(conn, ENDING, over)
    assert (await days(conn))[0] == OLD.date() + timedelta(days=1)
    kind, data = (await told(conn, 3))[-1]
    lost = {"first_sequence": 1, "last_sequence": 1, "reason": "undelivered", "events": 1}
    assert (kind, data["lost"]) == ("endpoint.events_lost", [lost])
    shown = await endpoints.load_endpoint(conn, BOX, MERCHANT, endpoint_id)
    assert [(one.first_sequence, one.last_sequence, one.lost_at) for one in shown.losses] == [(1, 1, over)]
    assert shown.sequence == 1
    # What its lane still wants to write about the lost events would be of a filter before this one: it is refused.
    assert await conn.fetchval("select filter_revision from endpoint_cursors") == 2
    assert await audit.verify_log(conn, MERCHANT) == []


async def test_nobody_loses_anything_who_was_not_warned_for_a_week(conn: Connection) -> None:
    """However old the day is when retention is first configured."""
    await three_days(conn)
    await endpoint_behind(conn)
    for ahead in range(7):
        await prune(conn, ENDING, NOW + timedelta(days=ahead))
        assert OLD.date() in await days(conn)
    await prune(conn, ENDING, NOW + timedelta(days=7))
    assert (await days(conn))[0] == NOW.date()


async def test_an_exhausted_delivery_holds_nothing_and_its_end_is_recorded(conn: Connection) -> None:
    event = await tell(conn, 1, OLD)
    await tell(conn, 2, NOW)
    await log.make_partitions(conn, now=NOW)
    endpoint_id = await endpoint_behind(conn, sequence=2)
    await trouble(conn, endpoint_id, event, "exhausted")
    await prune(conn, SETTINGS, NOW)
    assert (await days(conn))[0] == NOW.date()
    (loss,) = (await endpoints.load_endpoint(conn, BOX, MERCHANT, endpoint_id)).losses
    assert (loss.first_sequence, loss.last_sequence, loss.reason, loss.events) == (1, 1, "exhausted", 1)
    assert await conn.fetchval("select count(*) from delivery_exceptions") == 0


async def test_what_waited_behind_a_lost_event_is_tried_next(conn: Connection) -> None:
    first, second = await tell(conn, 1, OLD), await tell(conn, 2, NOW)
    await log.make_partitions(conn, now=NOW)
    endpoint_id = await endpoint_behind(conn, sequence=2)
    await trouble(conn, endpoint_id, first, "retrying")
    await trouble(conn, endpoint_id, second, "waiting")
    for ahead in (0, 7):
        await prune(conn, ENDING, NOW + timedelta(days=ahead))
    rows = await conn.fetch("select sequence, state from delivery_exceptions")
    assert [tuple(row) for row in rows] == [(2, "retrying")]


async def test_a_replay_of_lost_events_goes_on_behind_them(conn: Connection) -> None:
    await three_days(conn)
    endpoint_id = await endpoint_behind(conn, sequence=3)
    async with conn.transaction():
        await redeliver.replay(conn, MERCHANT, endpoint_id, from_sequence=1, to_sequence=2, now=NOW)
        await redeliver.replay(conn, MERCHANT, endpoint_id, from_sequence=1, to_sequence=3, now=NOW)
    for ahead in (0, 7):
        await prune(conn, ENDING, NOW + timedelta(days=ahead))
    rows = await conn.fetch("select sequence, sequence_last from endpoint_replays")
    assert [tuple(row) for row in rows] == [(2, 3)]


async def test_of_a_replay_of_one_object_only_the_events_of_it_are_lost(conn: Connection) -> None:
    for version, name in enumerate(("dep_a", "dep_b", "dep_a", "dep_b"), 1):
        await tell(conn, version, OLD, name=name)
    await tell(conn, 5, NOW)
    await log.make_partitions(conn, now=NOW)
    endpoint_id = await endpoint_behind(conn, sequence=5)
    async with conn.transaction():
        await redeliver.replay_object(conn, MERCHANT, endpoint_id, object_id="dep_a", now=NOW)
    for ahead in (0, 7):
        await prune(conn, ENDING, NOW + timedelta(days=ahead))
    rows = await conn.fetch("select sequence, sequence_last, object_id from endpoint_replays")
    assert [tuple(row) for row in rows] == [(4, 5, "dep_a")]
    (loss,) = (await endpoints.load_endpoint(conn, BOX, MERCHANT, endpoint_id)).losses
    assert (loss.first_sequence, loss.last_sequence, loss.reason, loss.events) == (1, 3, "undelivered", 2)


async def test_what_a_replay_of_exhausted_deliveries_loses_is_counted_once(conn: Connection) -> None:
    first = await three_days(conn)
    endpoint_id = await endpoint_behind(conn, sequence=3)
    await trouble(conn, endpoint_id, first, "exhausted")
    async with conn.transaction():
        await redeliver.replay_exhausted(conn, MERCHANT, endpoint_id, since=OLD, now=NOW)
    for ahead in (0, 7):
        await prune(conn, ENDING, NOW + timedelta(days=ahead))
    assert await conn.fetchval("select count(*) from endpoint_replays") == 0
    (loss,) = (await endpoints.load_endpoint(conn, BOX, MERCHANT, endpoint_id)).losses
    assert (loss.first_sequence, loss.last_sequence, loss.reason, loss.events) == (1, 1, "exhausted", 1)


async def test_without_a_retention_nothing_of_the_log_goes(conn: Connection) -> None:
    await three_days(conn)
    await prune(conn, replace(SETTINGS, retention_days=None), NOW)
    assert (await days(conn))[0] == OLD.date()


async def test_whoever_begins_to_need_a_day_and_its_retirement_exclude_each_other(
    conn: Connection, database_url: str
) -> None:
    await three_days(conn)
    other = await connect(database_url, application_name="merchant")
    async with other.transaction():
        made, _ = await endpoints.create_endpoint(
            other,
            BOX,
            MERCHANT,
            EndpointTerms(url="https://a.example/"),
            rules=RULES,
            from_sequence=1,
            now=NOW,
        )
        assert await prune(conn, SETTINGS, NOW, patience_s=0) is Pruned.BUSY
    assert await prune(conn, SETTINGS, NOW) is Pruned.DONE
    assert (await days(conn))[0] == OLD.date()
    await conn.execute("update endpoint_cursors set sequence = 3 where endpoint_id = $1", made.endpoint_id)
    await prune(conn, SETTINGS, NOW)
    with pytest.raises(SequencePruned):
        async with other.transaction():
            await redeliver.replay(other, MERCHANT, made.endpoint_id, from_sequence=1, now=NOW)
    await other.close()


@pytest.mark.parametrize("what", ["stretch", "object", "exhausted", "delivery"])
async def test_a_day_that_somebody_asks_to_be_sent_again_stays(
    conn: Connection, database_url: str, what: str
) -> None:
    first = await three_days(conn)
    endpoint_id = await endpoint_behind(conn, sequence=3)
    await trouble(conn, endpoint_id, first, "exhausted")
    other = await connect(database_url, application_name="merchant")
    async with other.transaction():
        match what:
            case "stretch":
                await redeliver.replay(other, MERCHANT, endpoint_id, from_sequence=1, now=NOW)
            case "object":
                await redeliver.replay_object(other, MERCHANT, endpoint_id, object_id="dep_a", now=NOW)
            case "exhausted":
                await redeliver.replay_exhausted(other, MERCHANT, endpoint_id, since=OLD, now=NOW)
            case _:
                delivery_id = delivery_id_of(endpoint_id, first.event_id)
                await redeliver.retry_delivery(other, MERCHANT, delivery_id, now=NOW)
        assert await prune(conn, SETTINGS, NOW, patience_s=0) is Pruned.BUSY
    assert await prune(conn, SETTINGS, NOW) is Pruned.DONE
    assert (await days(conn))[0] == OLD.date()
    await other.close()


@pytest.mark.parametrize("what", ["stretch", "object", "exhausted"])
async def test_whoever_asks_while_a_day_goes_waits_for_it_and_holds_nothing_it_needs(
    conn: Connection, database_url: str, what: str
) -> None:
    """Or the two would wait for each other: the asker locks the endpoint, and what it loses is written there."""
    await three_days(conn)
    endpoint_id = await endpoint_behind(conn, sequence=3)
    other = await connect(database_url, application_name="merchant")

    async def ask() -> object:
        async with other.transaction():
            match what:
                case "stretch":
                    return await redeliver.replay(other, MERCHANT, endpoint_id, from_sequence=3, now=NOW)
                case "object":
                    return await redeliver.replay_object(
                        other, MERCHANT, endpoint_id, object_id="dep_a", now=NOW
                    )
                case _:
                    return await redeliver.replay_exhausted(other, MERCHANT, endpoint_id, since=OLD, now=NOW)

    async with asyncio.TaskGroup() as group:
        async with conn.transaction():
            assert await conn.fetchval(QUERIES.take_retention)
            asking = group.create_task(ask())
            waits = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
            while not await conn.fetchval(waits):  # noqa: ASYNC110  # the database changes it
                await asyncio.sleep(0.01)
            await conn.execute("select from endpoints where endpoint_id = $1 for update nowait", endpoint_id)
        await asking
    await other.close()


async def test_who_begins_to_need_a_day_while_its_leaves_are_written_loses_nothing(
    conn: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    await three_days(conn)
    keep_leaves = prune_module._keep_leaves
    made: list[UUID] = []

    async def slowly(own: Connection, day: date) -> None:
        await keep_leaves(own, day)
        made.append(await endpoint_behind(own))

    monkeypatch.setattr(prune_module, "_keep_leaves", slowly)
    assert await step_prune(conn, SETTINGS, now=NOW) is Pruned.BUSY
    assert await prune(conn, SETTINGS, NOW) is Pruned.DONE
    assert (await days(conn))[0] == OLD.date()
    (endpoint_id,) = made
    shown = await endpoints.load_endpoint(conn, BOX, MERCHANT, endpoint_id)
    assert (shown.sequence, shown.losses) == (0, ())


async def test_two_workers_that_prune_at_once_forget_everything_once(
    conn: Connection, database_url: str
) -> None:
    for number in range(20):
        await tell(conn, number + 1, OLD + timedelta(days=number))
    await log.make_partitions(conn, now=OLD + timedelta(days=19))

    async def work(name: str) -> None:
        own = await connect(database_url, application_name=name)
        assert await prune(own, SETTINGS, NOW) is Pruned.DONE  # a loser of the race is told to come again
        await own.close()

    async with asyncio.TaskGroup() as group:
        for name in ("one", "two"):
            group.create_task(work(name))
    assert await conn.fetchval("select count(*) from event_leaves") == 20
    assert await conn.fetchval("select count(*) from pg_class where relname ~ '^retired_'") == 0
    assert await audit.verify_log(conn, MERCHANT) == []


async def test_old_attempts_go_unless_their_delivery_is_still_in_trouble(conn: Connection) -> None:
    await tell(conn, 1, OLD)
    second = await tell(conn, 2, OLD)
    endpoint_id = await endpoint_behind(conn)
    await conn.execute(
        """insert into delivery_attempts
        select endpoint_id, s, 1, t, 5, 'timeout', null, ''
        from endpoints, (values (1, $1::timestamptz), (2, $1), (3, $2)) as v (s, t)""",
        OLD,
        NOW,
    )
    await trouble(conn, endpoint_id, second, "exhausted")
    await prune(conn, RelaySettings(), NOW)
    rows = await conn.fetch("select sequence from delivery_attempts order by 1")
    assert [row["sequence"] for row in rows] == [2, 3]

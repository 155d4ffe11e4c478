"""What every `RelayStore` must do, asked of PostgreSQL and of the store in memory that the state machine runs on."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from migrations.handles import Pool
from relay.desk.endpoints import lock_endpoint
from relay.lanes.schedule import REVERSAL
from relay.log.bodies import Published
from relay.model import (
    AttemptRow,
    EndpointState,
    ExceptionRow,
    Freed,
    Hurry,
    LastContact,
    OutcomeKind,
    RowState,
    Settlement,
    Transition,
    shard_of,
)
from relay.workers.storage import ReadBehind, SettlementRefused
from tests.database.relay.stages import MERCHANT, NOW, MemoryStage, PostgresStage, Stage, facts_of

LATER = NOW + timedelta(minutes=5)
EIGHT = facts_of(*[("dep_a" if n % 2 else "dep_b", n, "deposit.included") for n in range(1, 9)])


@pytest.fixture(params=["memory", "postgres"])
def stage(request: pytest.FixtureRequest, pool: Pool) -> Stage:
    return MemoryStage() if request.param == "memory" else PostgresStage(pool)


def row(event: Published, state: RowState = RowState.RETRYING, **changes: object) -> ExceptionRow:
    retry_at = LATER if state in {RowState.RETRYING, RowState.SENDING} else None
    made = ExceptionRow(
        event.sequence, event.event_id, event.object_id, event.version, event.type, event.created_at, 0, state,
        0, 0, retry_at, False, False, NOW,
    )  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type]  # a test's shorthand


def settlement(endpoint_id: UUID, cursor: int = 0, **changes: object) -> Settlement:
    made = Settlement(endpoint_id, MERCHANT, shard_of(endpoint_id), 0, 1, 0, cursor, cursor)
    return replace(made, **changes)  # type: ignore[arg-type]  # a test's shorthand


def attempt(sequence: int, number: int) -> AttemptRow:
    return AttemptRow(sequence, number, NOW, 5, OutcomeKind.BROKEN, 500, b"no")


async def test_a_settle_finds_a_cursor_that_moved_on_and_none_that_is_not_so_far(stage: Stage) -> None:
    endpoint = await stage.endpoint()
    await stage.publish(EIGHT)
    assert not (await stage.store.settle([settlement(endpoint, 4)], now=NOW)).stale
    # What was written without an answer is written again, from where the cursor was believed to be.
    again = await stage.store.settle([settlement(endpoint, 5, cursor_before=2)], now=NOW)
    assert (again.stale, await stage.cursor(endpoint)) == (frozenset(), (5, 5))
    ahead = await stage.store.settle([settlement(endpoint, 8, cursor_before=6)], now=NOW)
    assert ahead.stale == {endpoint}
    assert await stage.cursor(endpoint) == (5, 5)


async def test_events_behind_a_place_come_in_order_with_bodies_where_the_filter_matches(stage: Stage) -> None:
    every, some = await stage.endpoint(), await stage.endpoint(event_types=("deposit.final",))
    told = await stage.publish(
        facts_of(
            ("dep_a", 1, "deposit.included"), ("dep_a", 2, "deposit.final"), ("dep_b", 1, "deposit.included")
        )
    )
    found = await stage.store.load_events(
        [ReadBehind(every, MERCHANT, 1, 10), ReadBehind(some, MERCHANT, 0, 2)]
    )
    assert [(one.sequence, one.body) for one in found[every]] == [(2, told[1].body), (3, told[2].body)]
    assert [(one.sequence, one.body) for one in found[some]] == [(1, None), (2, told[1].body)]
    assert (found[every][0].event_id, found[every][0].created_at) == (told[1].event_id, told[1].created_at)
    assert await stage.store.load_heads([MERCHANT, UUID(int=99)]) == {MERCHANT: 3}


async def test_a_settle_writes_cursor_rows_attempts_and_can_be_repeated(stage: Stage) -> None:
    endpoint = await stage.endpoint()
    told = await stage.publish(EIGHT)
    first = settlement(
        endpoint,
        3,
        rows=(row(told[0], attempts=1, failures=1), row(told[2], RowState.WAITING)),
        attempts=(attempt(1, 1),),
        health=LastContact(NOW, NOW, "timeout"),
    )
    for _ in range(2):
        result = await stage.store.settle([first], now=NOW)
        assert not result.fenced
        assert not result.stale
        assert await stage.cursor(endpoint) == (3, 3)
        assert [(one.sequence, one.state) for one in (await stage.rows(endpoint)).values()] == [
            (1, RowState.RETRYING),
            (3, RowState.WAITING),
        ]
        assert await stage.attempts(endpoint) == [(1, 1)]
    position = (await stage.store.load_positions([endpoint], reversal_type=REVERSAL))[endpoint]
    assert (position.cursor, position.matched, position.next_retry_at, position.rowed) == (
        3,
        3,
        LATER,
        frozenset(),
    )
    blocked = position.blocked["dep_a"]
    assert (blocked.rows, blocked.failed, blocked.reversal_sequence) == (2, True, 0)


async def test_a_cursor_never_moves_back(stage: Stage) -> None:
    endpoint = await stage.endpoint()
    await stage.publish(EIGHT)
    await stage.store.settle([settlement(endpoint, 5)], now=NOW)
    await stage.store.settle([settlement(endpoint, 2)], now=NOW)
    assert await stage.cursor(endpoint) == (5, 5)


async def test_rows_beyond_the_cursor_are_told_to_a_lane_that_begins(stage: Stage) -> None:
    endpoint = await stage.endpoint()
    told = await stage.publish(EIGHT)
    exhausted = row(told[5], RowState.EXHAUSTED, failures=10)
    await stage.store.settle([settlement(endpoint, 2, rows=(row(told[3]), exhausted))], now=NOW)
    position = (await stage.store.load_positions([endpoint], reversal_type=REVERSAL))[endpoint]
    assert position.rowed == {4, 6}
    assert {name: one.rows for name, one in position.blocked.items()} == {"dep_b": 1}


async def test_when_a_head_goes_the_oldest_waiting_row_of_its_object_becomes_due(stage: Stage) -> None:
    endpoint = await stage.endpoint()
    told = await stage.publish(EIGHT)
    rows = (row(told[0]), row(told[2], RowState.WAITING), row(told[4], RowState.WAITING), row(told[1]))
    await stage.store.settle([settlement(endpoint, 5, rows=rows)], now=NOW)
    gone = settlement(endpoint, 5, closed=(1,), freed=(Freed("dep_a", replay=False),))
    await stage.store.settle([gone], now=LATER)
    found = await stage.rows(endpoint)
    assert {one.sequence: (one.state, one.retry_at) for one in found.values()} == {
        2: (RowState.RETRYING, LATER),
        3: (RowState.RETRYING, LATER),
        5: (RowState.WAITING, None),
    }
    spent = settlement(
        endpoint,
        5,
        rows=(replace(found[3], state=RowState.EXHAUSTED, retry_at=None), row(told[6], RowState.WAITING)),
        freed=(Freed("dep_a", replay=False),),
    )
    await stage.store.settle([spent], now=LATER)
    assert [one.state for one in (await stage.rows(endpoint)).values()] == [
        RowState.RETRYING,
        RowState.EXHAUSTED,
        RowState.RETRYING,
        RowState.WAITING,
    ]


async def test_a_head_may_be_replaced_by_another_in_one_settle(stage: Stage) -> None:
    endpoint = await stage.endpoint()
    told = await stage.publish(EIGHT)
    await stage.store.settle([settlement(endpoint, 1, rows=(row(told[0]),))], now=NOW)
    both = (row(told[2], RowState.SENDING), row(told[0], RowState.EXHAUSTED))
    await stage.store.settle([settlement(endpoint, 3, rows=both)], now=NOW)
    assert [one.state for one in (await stage.rows(endpoint)).values()] == [
        RowState.EXHAUSTED,
        RowState.SENDING,
    ]


async def test_due_rows_come_by_time_with_their_bytes_and_when_the_next_is_due(stage: Stage) -> None:
    endpoint = await stage.endpoint()
    told = await stage.publish(facts_of(*[(f"dep_{n}", 1, "deposit.included") for n in range(4)]))
    times = [NOW + timedelta(seconds=seconds) for seconds in (30, 10, 20, 500)]
    rows = tuple(row(event, retry_at=moment) for event, moment in zip(told, times, strict=True))
    await stage.store.settle([settlement(endpoint, 4, rows=rows)], now=NOW)
    due = await stage.store.load_due_rows(endpoint, NOW + timedelta(seconds=30), 10)
    assert [one.row.sequence for one in due.rows] == [2, 3, 1]
    assert [one.body for one in due.rows] == [told[1].body, told[2].body, told[0].body]
    assert due.rows[0].row == rows[1]
    assert due.next_retry_at == times[3]
    some = await stage.store.load_due_rows(endpoint, NOW + timedelta(seconds=30), 2)
    assert ([one.row.sequence for one in some.rows], some.next_retry_at) == (
        [2, 3],
        NOW + timedelta(seconds=30),
    )
    oldest = await stage.store.load_oldest_row(endpoint)
    assert oldest is not None
    assert (oldest.row.sequence, oldest.body) == (1, told[0].body)


async def test_a_waiting_reversal_brings_its_object_forward_and_no_other(stage: Stage) -> None:
    endpoint = await stage.endpoint()
    told = await stage.publish(EIGHT)
    far = NOW + timedelta(hours=9)
    rows = (
        row(told[0], retry_at=far),
        row(told[1], retry_at=far),
        row(told[2], RowState.WAITING, type=REVERSAL),
    )
    hurry = Hurry("dep_a", 3, LATER)
    await stage.store.settle([settlement(endpoint, 3, rows=rows, hurries=(hurry,))], now=NOW)
    found = await stage.rows(endpoint)
    assert (found[1].retry_at, found[2].retry_at) == (LATER, far)
    position = (await stage.store.load_positions([endpoint], reversal_type=REVERSAL))[endpoint]
    assert position.blocked["dep_a"].reversal_sequence == 3


async def test_waking_frees_everything_that_waits_for_a_retry(stage: Stage) -> None:
    endpoint = await stage.endpoint()
    told = await stage.publish(EIGHT)
    rows = (row(told[0]), row(told[2], RowState.WAITING), row(told[1], RowState.SENDING))
    await stage.store.settle([settlement(endpoint, 3, rows=rows, free_all=True, wakes=4)], now=NOW)
    assert [(one.state, one.retry_at, one.free) for one in (await stage.rows(endpoint)).values()] == [
        (RowState.RETRYING, NOW, True),
        (RowState.SENDING, LATER, False),
        (RowState.WAITING, None, False),
    ]
    position = (await stage.store.load_positions([endpoint], reversal_type=REVERSAL))[endpoint]
    assert position.wakes == 4


async def test_a_settle_of_an_old_epoch_changes_nothing_and_spares_the_others(stage: Stage) -> None:
    old, current = await stage.endpoint(), await stage.endpoint()
    while shard_of(current) == shard_of(old):
        current = await stage.endpoint()
    told = await stage.publish(EIGHT)
    await stage.take_shard(shard_of(old))
    failing = Transition((EndpointState.ACTIVE,), EndpointState.FAILING, "endpoint.failing", "why")
    fenced = settlement(old, 5, rows=(row(told[0]),), attempts=(attempt(1, 1),), transition=failing)
    result = await stage.store.settle([fenced, settlement(current, 6)], now=NOW)
    assert result.fenced == {shard_of(old)}
    assert await stage.cursor(old) == (0, 0)
    assert await stage.rows(old) == {}
    assert await stage.attempts(old) == []
    assert "endpoint.failing" not in await stage.event_types()
    assert await stage.cursor(current) == (6, 6)


async def test_a_settle_under_an_old_filter_is_refused_and_says_so(stage: Stage) -> None:
    endpoint = await stage.endpoint()
    told = await stage.publish(EIGHT)
    await stage.set_filter(endpoint, ("deposit.final",))
    result = await stage.store.settle([settlement(endpoint, 5, rows=(row(told[0]),))], now=NOW)
    assert result.stale == {endpoint}
    assert await stage.cursor(endpoint) == (0, 0)
    assert await stage.rows(endpoint) == {}
    (record,) = await stage.store.load_endpoints(endpoints=[endpoint])
    assert record.filter_revision == 2


async def test_another_filter_reads_again_what_is_ahead_of_the_cursor(stage: Stage) -> None:
    """A row there would overtake what matches only now."""
    endpoint = await stage.endpoint()
    told = await stage.publish(EIGHT)
    rows = (row(told[0]), row(told[3]), row(told[6], RowState.EXHAUSTED, failures=10))
    await stage.store.settle([settlement(endpoint, 2, rows=rows)], now=NOW)
    assert sorted(await stage.rows(endpoint)) == [1, 4, 7]
    await stage.set_filter(endpoint, ("deposit.final",))
    assert sorted(await stage.rows(endpoint)) == [1, 7]
    assert await stage.cursor(endpoint) == (2, 2)


async def test_a_settle_writes_rows_while_a_command_holds_their_endpoint(pool: Pool) -> None:
    """It holds the cursor, for which the command waits: if it waited too, neither would ever end."""
    stage = PostgresStage(pool)
    endpoint = await stage.endpoint()
    told = await stage.publish(EIGHT)
    locked, may_end = asyncio.Event(), asyncio.Event()

    async def command() -> None:
        async with pool.acquire() as conn, conn.transaction():
            await lock_endpoint(conn, MERCHANT, endpoint)
            locked.set()
            await may_end.wait()

    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        group.create_task(command())
        await locked.wait()
        await stage.store.settle([settlement(endpoint, 2, rows=(row(told[0]),))], now=NOW)
        may_end.set()
    assert list(await stage.rows(endpoint)) == [1]


async def test_a_change_of_state_is_told_once_in_the_merchants_log(stage: Stage) -> None:
    endpoint = await stage.endpoint()
    failing = Transition((EndpointState.ACTIVE,), EndpointState.FAILING, "endpoint.failing", "why")
    for _ in range(2):
        await stage.store.settle([settlement(endpoint, transition=failing)], now=NOW)
    assert await stage.event_types() == ["endpoint.failing"]
    (record,) = await stage.store.load_endpoints(endpoints=[endpoint])
    assert record.state is EndpointState.FAILING
    assert record.revision > 1


async def test_a_change_of_state_from_before_a_wake_is_none(stage: Stage) -> None:
    """Somebody resumed the endpoint while a 410 from before was still waiting for the database."""
    endpoint = await stage.endpoint()
    paused = Transition((EndpointState.ACTIVE,), EndpointState.PAUSED, "endpoint.paused", "why")
    await stage.store.settle([settlement(endpoint, transition=paused, wakes_seen=-1)], now=NOW)
    assert await stage.event_types() == []
    (record,) = await stage.store.load_endpoints(endpoints=[endpoint])
    assert record.state is EndpointState.ACTIVE


async def test_a_replay_becomes_rows_a_few_at_a_time_and_ends(stage: Stage) -> None:
    endpoint = await stage.endpoint()
    told = await stage.publish(EIGHT)
    await stage.store.settle(
        [settlement(endpoint, 8, rows=(row(told[7], RowState.EXHAUSTED, failures=10),))], now=NOW
    )
    await stage.replay(endpoint, 1, 8)
    assert await stage.store.advance_replay(endpoint, now=NOW, limit=3, rows_max=5)
    assert {one.sequence: one.state for one in (await stage.rows(endpoint)).values()} == {
        2: RowState.RETRYING,
        3: RowState.RETRYING,
        4: RowState.WAITING,
        8: RowState.EXHAUSTED,
    }
    assert await stage.store.advance_replay(endpoint, now=NOW, limit=3, rows_max=3), "enough are unfinished"
    assert len(await stage.rows(endpoint)) == 4
    assert await stage.store.advance_replay(endpoint, now=NOW, limit=3, rows_max=9)
    assert not await stage.store.advance_replay(endpoint, now=NOW, limit=3, rows_max=9)
    rows = await stage.rows(endpoint)
    assert sorted(rows) == [2, 3, 4, 5, 6, 7, 8]
    assert all(one.replay for one in rows.values())
    assert [one.prev_sequence for one in rows.values()][:6] == [0, 2, 3, 4, 5, 6]
    assert (rows[8].state, rows[8].failures) == (RowState.WAITING, 0)
    assert not await stage.store.advance_replay(endpoint, now=NOW, limit=3, rows_max=9)
    assert (await stage.store.load_positions([endpoint], reversal_type=REVERSAL))[endpoint].blocked == {}


async def test_shards_are_leased_with_epochs_and_taken_over_when_free(stage: Stage) -> None:
    one, other = UUID(int=1), UUID(int=2)
    census = await stage.store.renew_leases(one, 60.0)
    assert (census.held, len(census.free), census.workers) == ((), 64, 1)
    claimed = await stage.store.claim_shards(one, census.free, 60.0)
    assert len(claimed) == 64
    assert await stage.store.claim_shards(other, [1, 2], 60.0) == []
    census = await stage.store.renew_leases(other, 60.0)
    assert (census.free, census.workers) == ((), 2)
    await stage.store.release_shards(one, [1, 2])
    (again, _) = await stage.store.claim_shards(other, [1, 2], 60.0)
    assert again.epoch == next(lease.epoch for lease in claimed if lease.shard == 1) + 1
    await stage.store.release_shards(one, [1])
    census = await stage.store.renew_leases(other, 60.0)
    assert [lease.shard for lease in census.held] == [1, 2]


async def test_a_worker_whose_lease_has_ended_keeps_no_share(stage: Stage) -> None:
    """Whoever is left takes all of its shards, not only those that are more than its share."""
    one, other = UUID(int=1), UUID(int=2)
    await stage.store.renew_leases(one, 0.05)
    await stage.store.claim_shards(one, range(64), 0.05)
    await stage.wait(0.06)
    census = await stage.store.renew_leases(other, 0.05)
    assert (census.held, len(census.free), census.workers) == ((), 64, 1)


async def test_two_heads_of_one_object_are_refused_whole(pool: Pool) -> None:
    stage = PostgresStage(pool)
    endpoint = await stage.endpoint()
    told = await stage.publish(EIGHT)
    with pytest.raises(SettlementRefused):
        await stage.store.settle([settlement(endpoint, 5, rows=(row(told[0]), row(told[2])))], now=NOW)
    assert await stage.cursor(endpoint) == (0, 0)

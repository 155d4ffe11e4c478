"""The end of an outage on both stores: what is covered, by what, and that both say so alike.

The store in memory walks the log event by event (tests/properties/relay/covering.py); PostgreSQL asks one function.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from migrations.handles import Pool
from relay.lanes.schedule import REVERSAL
from relay.log.bodies import Published
from relay.model import (
    Covers,
    Drain,
    EndpointState,
    ExceptionRow,
    LogEvent,
    RowState,
    Settlement,
    Transition,
    shard_of,
)
from relay.workers.storage import ReadBehind, SettleResult
from tests.database.relay.stages import MERCHANT, NOW, MemoryStage, PostgresStage, Stage, facts_of

LATER = NOW + timedelta(minutes=5)
INCLUDED, FINAL, AMENDED = "deposit.included", "deposit.final", "deposit.amended"
FAILS = Transition((EndpointState.ACTIVE,), EndpointState.FAILING, "endpoint.failing", "why")
RECOVERS = Transition((EndpointState.FAILING,), EndpointState.ACTIVE, "endpoint.recovered", "why")


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


async def go_through_an_outage(
    stage: Stage, endpoint_id: UUID, cursor: int, rows: Sequence[ExceptionRow] = ()
) -> SettleResult:
    """It fails with these rows and this cursor, and recovers."""
    (record,) = await stage.store.load_endpoints(endpoints=[endpoint_id])
    fails = Settlement(
        endpoint_id, MERCHANT, shard_of(endpoint_id), 0, record.filter_revision, record.wakes, cursor, cursor,
        rows=tuple(rows), transition=FAILS,
    )  # fmt: skip
    await stage.store.settle([fails], now=NOW)
    return await stage.store.settle([replace(fails, rows=(), transition=RECOVERS)], now=LATER)


async def covered(stage: Stage, endpoint_id: UUID) -> dict[int, int | None]:
    rows = await stage.rows(endpoint_id)
    return {one.sequence: one.covered_by for one in rows.values() if one.state is RowState.COVERED}


async def read(stage: Stage, endpoint_id: UUID, after_sequence: int = 0) -> list[LogEvent]:
    found = await stage.store.load_events([ReadBehind(endpoint_id, MERCHANT, after_sequence, 1_000)])
    return found[endpoint_id]


async def test_behind_the_cursor_the_newest_of_an_object_covers_the_others(stage: Stage) -> None:
    endpoint = await stage.endpoint(drain=Drain.LATEST_ONLY)
    told = await stage.publish(
        facts_of(("a", 1, INCLUDED), ("b", 1, INCLUDED), ("a", 2, INCLUDED), ("a", 3, FINAL))
    )
    result = await go_through_an_outage(stage, endpoint, 0)
    assert result.draining == {endpoint}
    events = await read(stage, endpoint)
    assert [(one.covered_by, one.body) for one in events[:4]] == [
        (4, None), (None, told[1].body), (4, None), (None, told[3].body)
    ]  # fmt: skip
    position = (await stage.store.load_positions([endpoint], reversal_type=REVERSAL))[endpoint]
    assert position.draining


async def test_without_an_outage_or_by_default_nothing_is_covered(stage: Stage) -> None:
    well, all_ = await stage.endpoint(drain=Drain.LATEST_ONLY), await stage.endpoint()
    told = await stage.publish(facts_of(("a", 1, INCLUDED), ("a", 2, INCLUDED)))
    result = await go_through_an_outage(stage, all_, 1, [row(told[0])])
    assert not result.draining
    assert await covered(stage, all_) == {}
    for endpoint in (well, all_):
        assert [one.covered_by for one in (await read(stage, endpoint))[:2]] == [None, None]


async def test_what_is_told_after_the_outage_covers_nothing(stage: Stage) -> None:
    endpoint = await stage.endpoint(drain=Drain.LATEST_ONLY)
    await stage.publish(facts_of(("a", 1, INCLUDED), ("a", 2, INCLUDED)))
    await go_through_an_outage(stage, endpoint, 0)
    told = await stage.publish(facts_of(("a", 3, FINAL), ("a", 4, FINAL)))
    events = {one.sequence: one for one in await read(stage, endpoint)}
    assert events[1].covered_by == 2
    assert [events[one].covered_by for one in (2, told[0].sequence, told[1].sequence)] == [None, None, None]


@pytest.mark.parametrize("takes_back", [REVERSAL, AMENDED])
async def test_what_takes_credit_back_is_told_and_so_is_what_stands_before_it(
    stage: Stage, takes_back: str
) -> None:
    endpoint = await stage.endpoint(drain=Drain.LATEST_ONLY)
    await stage.publish(
        facts_of(
            ("a", 1, INCLUDED), ("a", 2, FINAL), ("a", 3, takes_back), ("a", 4, takes_back),
            ("a", 5, INCLUDED), ("a", 6, INCLUDED), ("a", 7, FINAL),
        )
    )  # fmt: skip
    await go_through_an_outage(stage, endpoint, 0)
    events = await read(stage, endpoint)
    assert [one.covered_by for one in events[:7]] == [2, None, None, None, 7, 7, None]


async def test_a_take_back_counts_even_where_the_filter_leaves_it_out(stage: Stage) -> None:
    endpoint = await stage.endpoint(event_types=(INCLUDED,), drain=Drain.LATEST_ONLY)
    await stage.publish(
        facts_of(
            ("a", 1, INCLUDED), ("a", 2, FINAL), ("a", 3, INCLUDED), ("a", 4, AMENDED), ("a", 5, INCLUDED)
        )
    )
    await go_through_an_outage(stage, endpoint, 0)
    events = await read(stage, endpoint)
    assert [one.covered_by for one in events[:5]] == [3, None, None, None, None]
    assert [one.body is None for one in events[:5]] == [True, True, False, True, False]


async def test_rows_are_covered_and_the_next_that_is_not_becomes_due(stage: Stage) -> None:
    endpoint = await stage.endpoint(drain=Drain.LATEST_ONLY)
    told = await stage.publish(
        facts_of(
            ("a", 1, INCLUDED), ("a", 2, INCLUDED), ("a", 3, FINAL),
            ("b", 1, INCLUDED), ("b", 2, AMENDED), ("b", 3, FINAL), ("c", 1, INCLUDED),
        )
    )  # fmt: skip
    rows = [
        row(told[0], failures=2, attempts=2), row(told[1], RowState.WAITING), row(told[2], RowState.WAITING),
        row(told[3], failures=1, attempts=1), row(told[4], RowState.WAITING), row(told[6], RowState.SENDING),
    ]  # fmt: skip
    await go_through_an_outage(stage, endpoint, 5, rows)
    found = await stage.rows(endpoint)
    assert {one.sequence: (one.state, one.covered_by, one.retry_at) for one in found.values()} == {
        1: (RowState.COVERED, 3, None),
        2: (RowState.COVERED, 3, None),
        3: (RowState.RETRYING, None, LATER),
        4: (RowState.RETRYING, None, LATER),
        5: (RowState.WAITING, None, None),
        7: (RowState.SENDING, None, LATER),
    }
    due = await stage.store.load_due_rows(endpoint, LATER, 10)
    assert {one.row.sequence: one.covers for one in due.rows} == {3: Covers(1, 2), 4: None, 7: None}
    oldest = await stage.store.load_oldest_row(endpoint)
    assert oldest is not None
    assert (oldest.row.sequence, oldest.covers) == (3, Covers(1, 2))
    position = (await stage.store.load_positions([endpoint], reversal_type=REVERSAL))[endpoint]
    assert {name: one.rows for name, one in position.blocked.items()} == {"a": 1, "b": 2, "c": 1}


async def test_a_second_outage_moves_what_is_covered_on_to_what_is_newest_then(stage: Stage) -> None:
    endpoint = await stage.endpoint(drain=Drain.LATEST_ONLY)
    told = await stage.publish(facts_of(("a", 1, INCLUDED), ("a", 2, INCLUDED)))
    await go_through_an_outage(stage, endpoint, 1, [row(told[0])])
    assert await covered(stage, endpoint) == {1: 2}
    assert (await read(stage, endpoint, 1))[0].covers == Covers(1, 1)
    (newest,) = await stage.publish(facts_of(("a", 3, FINAL)))
    await go_through_an_outage(stage, endpoint, 1)
    assert await covered(stage, endpoint) == {1: newest.sequence}
    events = {one.sequence: one for one in await read(stage, endpoint, 1)}
    assert (events[2].covered_by, events[2].covers) == (newest.sequence, None)
    assert events[newest.sequence].covers == Covers(1, 1)


async def test_a_lane_that_does_not_know_of_the_drain_settles_nothing(stage: Stage) -> None:
    endpoint = await stage.endpoint(drain=Drain.LATEST_ONLY)
    told = await stage.publish(facts_of(("a", 1, INCLUDED), ("a", 2, INCLUDED)))
    await go_through_an_outage(stage, endpoint, 0)
    old = Settlement(endpoint, MERCHANT, shard_of(endpoint), 0, 1, 0, 2, 2, rows=(row(told[0]),))
    assert (await stage.store.settle([old], now=NOW)).stale == {endpoint}
    assert await stage.rows(endpoint) == {}


async def test_another_filter_gives_back_what_was_covered_by_something_to_come(stage: Stage) -> None:
    endpoint = await stage.endpoint(drain=Drain.LATEST_ONLY)
    told = await stage.publish(
        facts_of(("a", 1, INCLUDED), ("a", 2, INCLUDED), ("b", 1, INCLUDED), ("a", 3, FINAL))
    )
    ahead = row(told[2], RowState.COVERED, covered_by=4)
    await go_through_an_outage(stage, endpoint, 2, [row(told[0]), row(told[1], RowState.WAITING), ahead])
    assert await covered(stage, endpoint) == {1: 4, 2: 4, 3: 4}
    await stage.set_filter(endpoint, (INCLUDED,))
    found = await stage.rows(endpoint)
    assert {one.sequence: (one.state, one.covered_by) for one in found.values()} == {
        1: (RowState.RETRYING, None),
        2: (RowState.WAITING, None),
    }


async def test_another_filter_decides_about_everything_ahead_of_the_cursor(stage: Stage) -> None:
    endpoint = await stage.endpoint(drain=Drain.LATEST_ONLY)
    told = await stage.publish(
        facts_of(
            ("b", 1, INCLUDED), ("a", 1, INCLUDED), ("c", 1, INCLUDED), ("a", 2, INCLUDED), ("a", 3, FINAL),
            ("d", 1, INCLUDED), ("e", 1, INCLUDED),
        )
    )  # fmt: skip
    rows = (
        row(told[0]), row(told[1], RowState.COVERED, covered_by=5), row(told[3], RowState.COVERED, covered_by=5),
        row(told[4], failures=1, attempts=1), row(told[5], RowState.EXHAUSTED), row(told[6], replay=True),
    )  # fmt: skip
    failed = Settlement(endpoint, MERCHANT, shard_of(endpoint), 0, 1, 0, 2, 2, rows=rows)
    await stage.store.settle([failed], now=NOW)
    await stage.set_filter(endpoint, (INCLUDED,))
    found = await stage.rows(endpoint)
    assert {one.sequence: (one.state, one.covered_by) for one in found.values()} == {
        1: (RowState.RETRYING, None),
        2: (RowState.RETRYING, None),
        6: (RowState.EXHAUSTED, None),
        7: (RowState.RETRYING, None),
    }


async def test_another_filter_gives_nothing_back_behind_what_was_tried_until_the_end(stage: Stage) -> None:
    endpoint = await stage.endpoint(drain=Drain.LATEST_ONLY)
    told = await stage.publish(
        facts_of(("a", 1, INCLUDED), ("b", 1, INCLUDED), ("c", 1, INCLUDED), ("a", 2, FINAL), ("b", 2, FINAL))
    )
    rows = (
        row(told[0], RowState.COVERED, covered_by=4), row(told[1], RowState.COVERED, covered_by=5),
        row(told[3], RowState.EXHAUSTED),
    )  # fmt: skip
    failed = Settlement(endpoint, MERCHANT, shard_of(endpoint), 0, 1, 0, 2, 2, rows=rows)
    await stage.store.settle([failed], now=NOW)
    await stage.set_filter(endpoint, (INCLUDED,))
    found = await stage.rows(endpoint)
    assert {one.sequence: (one.state, one.covered_by) for one in found.values()} == {
        1: (RowState.COVERED, 4),
        2: (RowState.RETRYING, None),
        4: (RowState.EXHAUSTED, None),
    }


async def test_another_filter_lets_what_is_being_tried_stand_for_what_came_before(stage: Stage) -> None:
    endpoint = await stage.endpoint(drain=Drain.LATEST_ONLY)
    told = await stage.publish(
        facts_of(("a", 1, INCLUDED), ("a", 2, INCLUDED), ("a", 3, INCLUDED), ("a", 4, FINAL))
    )
    rows = (row(told[0], RowState.COVERED, covered_by=4), row(told[1]), row(told[2], RowState.WAITING))
    failed = Settlement(endpoint, MERCHANT, shard_of(endpoint), 0, 1, 0, 3, 3, rows=rows)
    await stage.store.settle([failed], now=NOW)
    await stage.set_filter(endpoint, (INCLUDED,))
    found = await stage.rows(endpoint)
    assert {one.sequence: (one.state, one.covered_by) for one in found.values()} == {
        1: (RowState.COVERED, 3),
        2: (RowState.RETRYING, None),
        3: (RowState.WAITING, None),
    }


async def test_who_asks_for_everything_again_gets_what_was_covered_by_something_to_come(stage: Stage) -> None:
    endpoint = await stage.endpoint(drain=Drain.LATEST_ONLY)
    told = await stage.publish(
        facts_of(("a", 1, INCLUDED), ("b", 1, INCLUDED), ("b", 2, FINAL), ("a", 2, INCLUDED), ("a", 3, FINAL))
    )
    rows = [row(told[0]), row(told[1]), row(told[2], RowState.WAITING)]
    await go_through_an_outage(stage, endpoint, 3, rows)
    assert await covered(stage, endpoint) == {1: 5, 2: 3}
    await stage.set_drain(endpoint, Drain.ALL)
    assert await covered(stage, endpoint) == {2: 3}
    assert (await stage.rows(endpoint))[1].state is RowState.RETRYING
    assert [one.covered_by for one in (await read(stage, endpoint, 3))[:2]] == [None, None]
    (record,) = await stage.store.load_endpoints(endpoints=[endpoint])
    assert record.filter_revision == 3, "the lane begins again, before it passes what was covered ahead"


async def test_what_the_cursor_passed_under_another_filter_covers_nothing(stage: Stage) -> None:
    endpoint = await stage.endpoint(event_types=(INCLUDED,), drain=Drain.LATEST_ONLY)
    told = await stage.publish(facts_of(("a", 1, INCLUDED), ("a", 2, FINAL)))
    failed = Settlement(endpoint, MERCHANT, shard_of(endpoint), 0, 1, 0, 2, 1, rows=(row(told[0]),))
    await stage.store.settle([failed], now=NOW)
    await stage.set_filter(endpoint, None)
    await go_through_an_outage(stage, endpoint, 2)
    assert await covered(stage, endpoint) == {}
    assert (await stage.rows(endpoint))[1].state is RowState.RETRYING


async def test_a_replay_gives_back_what_was_covered(stage: Stage) -> None:
    endpoint = await stage.endpoint(drain=Drain.LATEST_ONLY)
    told = await stage.publish(facts_of(("a", 1, INCLUDED), ("a", 2, INCLUDED)))
    await go_through_an_outage(stage, endpoint, 1, [row(told[0])])
    await stage.replay(endpoint, 0, 1)
    await stage.store.advance_replay(endpoint, now=NOW, limit=10, rows_max=10)
    (again,) = (await stage.rows(endpoint)).values()
    assert (again.state, again.replay, again.covered_by) == (RowState.RETRYING, True, None)


async def test_both_stores_cover_alike_whatever_the_log_and_the_rows(pool: Pool, rng: random.Random) -> None:
    told: list[tuple[str, int, str]] = []
    versions: dict[str, int] = {}
    for _ in range(420):
        name = "chain" if rng.random() < 0.7 else rng.choice("abcdef")
        versions[name] = versions.get(name, 0) + 1
        takes_back = name != "chain" and rng.random() < 0.15
        told.append((name, versions[name], AMENDED if takes_back else rng.choice([INCLUDED, FINAL])))
    assert versions["chain"] > 256
    scenes = [
        (rng.choice([None, (INCLUDED,), (FINAL, AMENDED)]), rng.choice(list(Drain)), rng.randrange(420))
        for _ in range(8)
    ]
    memory, postgres = [
        await play(one, told, scenes, random.Random(7)) for one in (MemoryStage(), PostgresStage(pool))
    ]
    assert memory == postgres
    assert any("covered" in str(rows) for rows, _ in memory)


Played = tuple[list[tuple[int, str, int | None]], list[tuple[int, bool, int | None, Covers | None]]]


async def play(
    stage: Stage,
    told: Sequence[tuple[str, int, str]],
    scenes: Sequence[tuple[tuple[str, ...] | None, Drain, int]],
    rng: random.Random,
) -> list[Played]:
    """What rows and reads look like after two outages of each of these endpoints."""
    made = [await stage.endpoint(event_types=types, drain=drain) for types, drain, _ in scenes]
    events = await stage.publish(facts_of(*told))
    found: list[Played] = []
    for endpoint, (types, _, cursor) in zip(made, scenes, strict=True):
        await go_through_an_outage(stage, endpoint, cursor, troubles_of(events[:cursor], types, rng))
        await go_through_an_outage(stage, endpoint, cursor)
        rows = (await stage.rows(endpoint)).values()
        behind = await read(stage, endpoint, cursor)
        found.append(
            (
                [(one.sequence, one.state.value, one.covered_by) for one in rows],
                [(one.sequence, one.body is None, one.covered_by, one.covers) for one in behind],
            )
        )
    return found


def troubles_of(
    passed: Sequence[Published], types: tuple[str, ...] | None, rng: random.Random
) -> list[ExceptionRow]:
    """Rows as a lane would have left them: of some objects all that follows a first failure."""
    rows: list[ExceptionRow] = []
    heads: set[str] = set()
    troubled = {name for name in ("chain", *"abcdef") if rng.random() < 0.6}
    for event in passed:
        matches = types is None or event.type in types
        if event.object_id not in troubled or not matches:
            continue
        if event.object_id in heads:
            rows.append(row(event, RowState.WAITING))
        elif rng.random() < 0.5:
            rows.append(row(event, RowState.RETRYING if rng.random() < 0.8 else RowState.SENDING))
            heads.add(event.object_id)
    return rows

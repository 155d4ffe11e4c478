"""Asking for one object's events, or for what was exhausted, and what becomes of the asking; on PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from migrations.handles import Connection
from relay.desk import endpoints, redeliver, views
from relay.desk.terms import EndpointTerms, Rules
from relay.errors import Conflict, NotFound
from relay.keys.secretbox import SecretBox
from relay.log import eventlog as log
from relay.log.bodies import Published
from relay.log.prune import Pruned
from relay.model import RowState
from relay.settings import RelaySettings
from relay.workers import replays
from relay.workers.settle import write_settlements
from tests.database.relay.stages import MERCHANT, NOW, facts_of
from tests.database.relay.test_store_conformance import row, settlement
from tests.pruning import prune

BOX = SecretBox([b"k" * 32])
RULES = Rules({"deposit.included", "deposit.final"}, allow_private_networks=False)


class Asking:
    """One endpoint that has come to the end of a log, and what may be asked of it."""

    def __init__(self, conn: Connection, endpoint_id: UUID, told: Sequence[Published]) -> None:
        self.conn, self.endpoint_id, self.told = conn, endpoint_id, list(told)

    async def exhaust(self, *sequences: int, at: datetime = NOW) -> None:
        """As a settle writes it."""
        rows = tuple(row(self.told[sequence - 1], RowState.EXHAUSTED, failures=10) for sequence in sequences)
        async with self.conn.transaction():
            result = await write_settlements(
                self.conn, [settlement(self.endpoint_id, len(self.told), rows=rows)], at
            )
        assert not result.stale, "the settle was written"

    async def ask_object(self, object_id: str) -> redeliver.Replay:
        async with self.conn.transaction():
            return await redeliver.replay_object(
                self.conn, MERCHANT, self.endpoint_id, object_id=object_id, now=NOW
            )

    async def ask_exhausted(self, since: datetime) -> redeliver.Replay:
        async with self.conn.transaction():
            return await redeliver.replay_exhausted(
                self.conn, MERCHANT, self.endpoint_id, since=since, now=NOW
            )

    async def work(self, limit: int = 2) -> int:
        """Work on replays until there are none; how many steps it took."""
        for step in range(1, 50):
            async with self.conn.transaction():
                more = await replays.advance(self.conn, self.endpoint_id, now=NOW, limit=limit, rows_max=99)
            if not more:
                return step
        raise AssertionError("a replay never ends")

    async def beside(self) -> list[tuple[int, int, str]]:
        """(sequence, the one before, state) of what is to be sent again."""
        rows = await self.conn.fetch(
            "select sequence, prev_sequence, state from delivery_exceptions where replay order by 1"
        )
        return [tuple(one) for one in rows]


async def set_scene(conn: Connection, *kinds: tuple[str, int, str], only: str | None = None) -> Asking:
    """An endpoint and a log of these events, all of them passed by its cursor."""
    terms = EndpointTerms(url="https://shop.example/", event_types=None if only is None else (only,))
    async with conn.transaction():
        made, _ = await endpoints.create_endpoint(conn, BOX, MERCHANT, terms, rules=RULES, now=NOW)
        told = await log.append(conn, facts_of(*kinds), now=NOW)
    await conn.execute("update endpoint_cursors set sequence = $1", len(told))
    return Asking(conn, made.endpoint_id, told)


STORY = (
    ("dep_a", 1, "deposit.included"),
    ("dep_b", 1, "deposit.included"),
    ("dep_a", 2, "deposit.final"),
    ("dep_c", 1, "deposit.included"),
    ("dep_a", 3, "deposit.included"),
    ("dep_a", 4, "deposit.included"),
)


async def test_every_event_of_one_deposit_is_sent_again_in_order_and_nothing_else(conn: Connection) -> None:
    asking = await set_scene(conn, *STORY)
    assert await asking.ask_object("dep_a") == redeliver.Replay(asking.endpoint_id, 1, 6, 4)
    assert await asking.work() > 1
    assert await asking.beside() == [
        (1, 0, "retrying"),
        (3, 2, "waiting"),
        (5, 4, "waiting"),
        (6, 5, "waiting"),
    ]
    assert await conn.fetchval("select sequence from endpoint_cursors") == 6


async def test_of_a_deposit_only_what_the_filter_matches_is_sent_again(conn: Connection) -> None:
    asking = await set_scene(conn, *STORY, only="deposit.included")
    assert (await asking.ask_object("dep_a")).deliveries == 3
    await asking.work()
    assert await asking.beside() == [(1, 0, "retrying"), (5, 4, "waiting"), (6, 5, "waiting")]


async def test_what_the_endpoint_has_not_come_to_is_not_sent_twice(conn: Connection) -> None:
    asking = await set_scene(conn, *STORY)
    await conn.execute("update endpoint_cursors set sequence = 3")
    assert await asking.ask_object("dep_a") == redeliver.Replay(asking.endpoint_id, 1, 3, 2)
    assert await asking.ask_object("dep_c") == redeliver.Replay(asking.endpoint_id, None, None, 0)
    assert await conn.fetchval("select count(*) from endpoint_replays") == 1


async def test_a_deposit_nobody_was_told_of_is_not_found(conn: Connection) -> None:
    asking = await set_scene(conn, *STORY)
    with pytest.raises(NotFound):
        await asking.ask_object("dep_z")
    stranger = UUID(int=9)
    with pytest.raises(NotFound):
        async with conn.transaction():
            await redeliver.replay_object(conn, stranger, asking.endpoint_id, object_id="dep_a", now=NOW)
    with pytest.raises(NotFound):
        async with conn.transaction():
            await redeliver.replay_exhausted(conn, stranger, asking.endpoint_id, since=NOW, now=NOW)


async def test_what_was_exhausted_since_a_moment_is_sent_again_and_what_was_before_is_kept(
    conn: Connection,
) -> None:
    asking = await set_scene(conn, *STORY)
    await asking.exhaust(1, 4, at=NOW - timedelta(hours=2))
    await asking.exhaust(2, 3, 6, at=NOW)
    assert await asking.ask_exhausted(NOW + timedelta(seconds=1)) == redeliver.Replay(
        asking.endpoint_id, None, None, 0
    )
    assert await asking.ask_exhausted(NOW) == redeliver.Replay(asking.endpoint_id, 2, 6, 3)
    assert await asking.work() > 1
    assert [(sequence, state) for sequence, _, state in await asking.beside()] == [
        (2, "retrying"),
        (3, "retrying"),
        (6, "waiting"),
    ]
    left = await views.load_deliveries(conn, asking.endpoint_id, state=views.DeliveryState.EXHAUSTED, limit=9)
    assert [(one.sequence, one.exhausted_at) for one in left] == [
        (1, NOW - timedelta(hours=2)),
        (4, NOW - timedelta(hours=2)),
    ]
    assert (await asking.ask_exhausted(NOW - timedelta(days=1))).deliveries == 2


async def test_settling_again_does_not_move_the_moment_of_giving_up(conn: Connection) -> None:
    asking = await set_scene(conn, *STORY)
    await asking.exhaust(1, at=NOW - timedelta(hours=2))
    await asking.exhaust(1, at=NOW)
    assert (await asking.ask_exhausted(NOW - timedelta(hours=1))).deliveries == 0


async def test_what_retention_dropped_is_not_promised(conn: Connection) -> None:
    asking = await set_scene(conn, *STORY)
    days_later = NOW + timedelta(days=9)
    younger = (("dep_a", 5, "deposit.included"), ("dep_c", 2, "deposit.included"))
    async with conn.transaction():
        asking.told += await log.append(conn, facts_of(*younger), now=days_later)
    await conn.execute("update endpoint_cursors set sequence = 8")
    await asking.exhaust(1, 2, 8)
    await log.make_partitions(conn, now=days_later)
    settings = RelaySettings(retention_days=2)
    assert await prune(conn, settings, days_later) is Pruned.DONE
    assert await log.load_oldest_sequence(conn, MERCHANT) == 7
    assert (await asking.ask_exhausted(NOW)).deliveries == 1
    assert await asking.ask_object("dep_a") == redeliver.Replay(asking.endpoint_id, 7, 7, 1)
    with pytest.raises(NotFound):
        await asking.ask_object("dep_b")
    await asking.work()
    # What stood before the seventh is gone: something may have, so it is said to.
    assert await asking.beside() == [(7, 6, "retrying"), (8, 0, "retrying")]


async def test_replays_that_wait_are_bounded_whatever_they_are_of(conn: Connection) -> None:
    asking = await set_scene(conn, *STORY)
    await asking.exhaust(1)
    for _ in range(redeliver.REPLAYS_MAX):
        await asking.ask_object("dep_a")
    with pytest.raises(Conflict):
        await asking.ask_object("dep_b")
    with pytest.raises(Conflict):
        await asking.ask_exhausted(NOW)


async def test_the_event_before_is_never_said_to_be_earlier_than_it_may_have_been(
    conn: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking = await set_scene(conn, *STORY, only="deposit.final")
    monkeypatch.setattr(replays, "LOOK_BACK_EVENTS", 1)
    await asking.ask_object("dep_a")
    await asking.work()
    assert await asking.beside() == [(3, 1, "retrying")]

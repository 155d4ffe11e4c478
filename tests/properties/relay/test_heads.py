"""Wake-ups that come while the store is asked: what is known of a log never goes back to an older answer."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

import pytest

from migrations.errors import DatabaseAway
from tests.properties.relay.memory import MemoryStore, drive
from tests.properties.relay.test_roster import MERCHANT, NOW, Bench


class InterruptedStore(MemoryStore):
    """Something is told, and its wake-up heard, after the heads were read and before they are returned."""

    bench: Bench | None = None

    async def load_heads(self, merchants: Collection[UUID]) -> dict[UUID, int]:
        heads = await super().load_heads(merchants)
        bench, self.bench = self.bench, None
        if bench is not None:
            bench.tell("dep_b")
            assert bench.dispatcher.wake({MERCHANT: self.heads[MERCHANT].sequence})
        return heads


def test_a_wake_up_is_not_undone_by_heads_that_were_read_before_it() -> None:
    store = InterruptedStore()
    bench = Bench(store)
    bench.endpoint(1)
    bench.tell("dep_a")
    bench.load()
    assert [attempt.sequence for attempt in bench.start()] == [1]
    store.bench = bench
    assert [attempt.sequence for attempt in bench.start()] == [2]


class AwayStore(MemoryStore):
    """The database is away at the first question for heads."""

    is_away = True

    async def load_heads(self, merchants: Collection[UUID]) -> dict[UUID, int]:
        if self.is_away:
            self.is_away = False
            raise DatabaseAway("away")
        return await super().load_heads(merchants)


def test_a_question_that_failed_is_asked_again_without_any_news() -> None:
    bench = Bench(AwayStore())
    bench.endpoint(1)
    bench.tell("dep_a")
    bench.load()
    with pytest.raises(DatabaseAway):
        drive(bench.dispatcher.step_feed(NOW))
    drive(bench.dispatcher.step_feed(NOW))
    assert [attempt.sequence for attempt in bench.dispatcher.start(NOW)] == [1]

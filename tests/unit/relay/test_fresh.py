"""Events at hand: handed on only when a hash proves that they are committed, and only without a hole."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from uuid import UUID

from relay.log.bodies import LogHead, Published, RelayFact, compute_events
from relay.workers import fresh
from relay.workers.fresh import FreshEvents

NOW = datetime(2026, 11, 20, tzinfo=UTC)
MERCHANT, OTHER = UUID(int=1), UUID(int=2)


def tell(
    count: int, head: LogHead | None = None, *, merchant: UUID = MERCHANT, word: str = "kept"
) -> list[Published]:
    """So many events behind a head."""
    head = head or LogHead()
    facts = [
        RelayFact(merchant, f"dep_{head.sequence + one}", 1, "deposit.included", {"word": word}, NOW)
        for one in range(count)
    ]
    return compute_events(facts, {merchant: head}, reversible={}, now=NOW)[0]


def head_of(events: list[Published]) -> LogHead:
    last = events[-1]
    return LogHead(1, last.sequence, hashlib.sha256(last.body).digest(), NOW)


def hash_of(event: Published) -> str:
    return hashlib.sha256(event.body).hexdigest()[:32]


def test_what_was_noted_is_handed_on_once_its_last_hash_was_heard() -> None:
    at_hand, events = FreshEvents(), tell(3)
    at_hand.note(events)
    assert at_hand.behind(MERCHANT, 0, 10) == []
    at_hand.prove(MERCHANT, 3, hash_of(events[2]))
    assert at_hand.behind(MERCHANT, 0, 10) == events
    assert at_hand.behind(MERCHANT, 1, 1) == events[1:2]
    assert at_hand.behind(MERCHANT, 3, 10) == at_hand.behind(OTHER, 0, 10) == []


def test_what_was_rolled_back_is_never_handed_on() -> None:
    at_hand = FreshEvents()
    lost, events = tell(4, word="lost"), tell(2)
    at_hand.note(lost)
    at_hand.note(events)
    at_hand.prove(MERCHANT, 2, hash_of(events[1]))
    assert at_hand.behind(MERCHANT, 0, 10) == events
    more = tell(1, head_of(events))
    at_hand.prove(MERCHANT, 3, hash_of(more[0]))
    assert at_hand.behind(MERCHANT, 2, 10) == [], "somebody else told that one"
    at_hand.note(tell(1, head_of(more)))
    at_hand.prove(MERCHANT, 4, hash_of(tell(1, head_of(more))[0]))
    assert [one.sequence for one in at_hand.behind(MERCHANT, 3, 10)] == [4]
    assert at_hand.behind(MERCHANT, 2, 10) == [], "what came before it does not fit, though it is here"


def test_what_only_looks_like_it_is_not_proven_by_a_hash_behind_it() -> None:
    at_hand = FreshEvents()
    lost, events = tell(2, word="lost"), tell(3)
    at_hand.note(events)
    at_hand.note(lost)  # a later transaction of ours, which waited for nobody: it cannot be, and harms nobody
    at_hand.prove(MERCHANT, 3, hash_of(events[2]))
    assert at_hand.behind(MERCHANT, 0, 10) == []
    assert at_hand.behind(MERCHANT, 2, 10) == events[2:]


def test_a_stretch_grows_by_what_is_heard_later() -> None:
    at_hand, first = FreshEvents(), tell(2)
    second = tell(2, head_of(first))
    at_hand.note(first)
    at_hand.prove(MERCHANT, 2, hash_of(first[1]))
    at_hand.note(second)
    assert at_hand.behind(MERCHANT, 0, 10) == first
    at_hand.prove(MERCHANT, 4, hash_of(second[1]))
    at_hand.prove(MERCHANT, 2, hash_of(first[1]))  # late
    assert at_hand.behind(MERCHANT, 0, 10) == first + second


def test_of_two_stretches_the_later_one_is_kept() -> None:
    at_hand, first = FreshEvents(), tell(2)
    between = tell(1, head_of(first), word="by another process")
    second = tell(2, head_of(between))
    at_hand.note(first)
    at_hand.prove(MERCHANT, 2, hash_of(first[1]))
    at_hand.note(second)
    at_hand.prove(MERCHANT, 5, hash_of(second[1]))
    assert at_hand.behind(MERCHANT, 0, 10) == []
    assert at_hand.behind(MERCHANT, 3, 10) == second


def test_the_oldest_go_when_there_are_many_or_they_are_large() -> None:
    at_hand, events = FreshEvents(), tell(fresh.EVENTS_MAX + 5)
    at_hand.note(events)
    at_hand.prove(MERCHANT, len(events), hash_of(events[-1]))
    assert len(at_hand) == fresh.EVENTS_MAX
    assert at_hand.behind(MERCHANT, 4, 1) == []
    assert at_hand.behind(MERCHANT, 5, 1) == events[5:6]
    large = [
        event
        for number in range(80)
        for event in tell(1, merchant=UUID(int=100 + number), word="x" * 200_000)
    ]
    at_hand.note(large)
    assert len(at_hand) == fresh.BYTES_MAX // len(large[0].body)
    assert at_hand.behind(MERCHANT, len(events) - 1, 1) == []

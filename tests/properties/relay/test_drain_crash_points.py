"""An outage and its short drain, with a fault before and after every call of the store in turn: the end is the same."""

from __future__ import annotations

import pytest

from relay.log.bodies import RelayFact
from relay.model import Drain, EndpointState, Outcome, OutcomeKind
from relay.workers.roster import Attempt
from tests.properties.relay.covering import OVER, TAKES_BACK, find_covering
from tests.properties.relay.test_crash_points import ENDPOINT, MERCHANT, Story

INCLUDED, CONFIRMED, REVERSED = "deposit.included", "deposit.confirmed", "deposit.reversed"
BEFORE = [
    ("dep_a", INCLUDED),
    ("dep_b", INCLUDED),
    ("dep_c", INCLUDED),
    ("dep_d", INCLUDED),
    ("dep_a", CONFIRMED),
]
DURING = [
    ("dep_b", CONFIRMED), ("dep_b", REVERSED), ("dep_b", INCLUDED), ("dep_b", CONFIRMED), ("dep_a", "deposit.moved"),
    ("dep_e", INCLUDED), ("dep_e", CONFIRMED), ("dep_c", CONFIRMED), ("dep_c", "deposit.final"),
]  # fmt: skip


class Outage(Story):
    """Four deposits fail, which is one too many; then more is told of them; then the receiver is well again."""

    def __init__(self, fault_at: int | None, *, after: bool, dies: bool) -> None:
        super().__init__(fault_at, after=after, dies=dies)
        self.store.endpoints[ENDPOINT].drain = Drain.LATEST_ONLY
        self.well = False
        self.versions: dict[str, int] = {}
        self.headers: dict[int, str | None] = {}

    def tell_these(self, told: list[tuple[str, str]]) -> None:
        facts = []
        for name, type_ in told:
            self.versions[name] = self.versions.get(name, 0) + 1
            facts.append(RelayFact(MERCHANT, name, self.versions[name], type_, {}, self.now))
        self.store.publish(facts, self.now)

    def _answer(self, attempt: Attempt) -> None:
        self.arrived.append((attempt.sequence, attempt.body, attempt.headers["webhook-id"]))
        if self.well:
            self.headers[attempt.sequence] = attempt.headers.get("chainbell-covers")
        kind = OutcomeKind.DELIVERED if self.well else OutcomeKind.REFUSED
        self.dispatcher.finish(attempt, Outcome(kind, 1, 200 if self.well else 400), self.now)

    def play(self) -> None:
        self.armed = True
        self.tell_these(BEFORE)
        for _ in range(6):
            self.round()
        self.tell_these(DURING)
        for _ in range(4):
            self.round()
        assert self.store.endpoints[ENDPOINT].record.state is EndpointState.FAILING
        self.arrived.clear()
        self.well = True
        for _ in range(60):
            self.round()


def calls_of_the_outage(*, after: bool) -> int:
    story = Outage(None, after=after, dies=False)
    story.play()
    return min(story.calls, 160)


def test_exactly_what_is_superseded_is_left_out() -> None:
    story = Outage(None, after=False, dies=False)
    story.play()
    stored, log = story.store.endpoints[ENDPOINT], story.store.events[MERCHANT]
    probe = story.arrived[0][0]
    superseded = {
        event.sequence
        for event in log
        if event.sequence != probe and find_covering(event, log, None, stored.drain_sequence)
    }
    assert len(superseded) == 6
    assert {row.sequence for row in stored.rows.values()} == superseded
    assert {one for one, _, _ in story.arrived} == set(range(1, len(log) + 1)) - superseded


@pytest.mark.parametrize("dies", [False, True], ids=["the worker lives", "the worker dies"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_fault_at_any_call_neither_loses_the_newest_nor_skips_a_reversal(after: bool, dies: bool) -> None:
    for fault_at in range(calls_of_the_outage(after=after)):
        story = Outage(fault_at, after=after, dies=dies)
        story.play()
        stored = story.store.endpoints[ENDPOINT]
        log = story.store.events[MERCHANT]
        assert stored.record.state is EndpointState.ACTIVE, fault_at
        assert stored.cursor == len(log), fault_at
        assert {row.state for row in stored.rows.values()} <= OVER, fault_at
        arrived = [sequence for sequence, _, _ in story.arrived]
        newest = {event.object_id: event.sequence for event in log}
        assert set(newest.values()) <= set(arrived), fault_at
        assert {event.sequence for event in log if event.type in TAKES_BACK} <= set(arrived), fault_at
        for name in newest:
            first_times = list(
                dict.fromkeys(sequence for sequence in arrived if log[sequence - 1].object_id == name)
            )
            assert first_times == sorted(first_times), f"{fault_at}: versions of {name} came out of order"
        for event in (one for one in log if one.type.startswith("deposit.")):
            assert event.sequence in arrived or stored.rows[event.sequence].covered_by in arrived, fault_at
        newest_c = newest["dep_c"]
        assert story.headers[newest_c] == f"3-{newest_c - 1}", fault_at

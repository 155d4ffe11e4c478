"""One host, many endpoints: the bound holds, and whoever waits gets a turn."""

from __future__ import annotations

from collections import Counter
from uuid import UUID

import hypothesis
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from relay.lanes.hosts import ANY_HOST, Hosts

ONE, TWO, THREE = (UUID(int=number) for number in (1, 2, 3))
ENDPOINTS = [UUID(int=number) for number in range(10, 16)]
OWNERS = dict(zip(ENDPOINTS, (ONE, ONE, ONE, ONE, TWO, THREE), strict=True))
HOSTS = ("shop.example", "other.example")
PLACES = 3


def serve(hosts: Hosts, host: str, turns: int) -> list[UUID]:
    """So many attempts end; who got each place, all of them always wanting more."""
    served = []
    for _ in range(turns):
        hosts.ended(host)
        endpoint_id = hosts.next_at(host)
        assert endpoint_id is not None
        assert hosts.room(host, endpoint_id) == 1
        hosts.leave(endpoint_id)
        hosts.started(host, 1)
        hosts.wait(host, OWNERS[endpoint_id], endpoint_id)
        served.append(endpoint_id)
    return served


def full(*endpoints: UUID) -> Hosts:
    hosts = Hosts(PLACES)
    hosts.started("shop.example", PLACES)
    for endpoint_id in endpoints:
        hosts.wait("shop.example", OWNERS[endpoint_id], endpoint_id)
    return hosts


def test_merchants_take_turns_and_endpoints_within_a_merchant() -> None:
    served = serve(full(*ENDPOINTS), "shop.example", 24)
    assert Counter(OWNERS[endpoint_id] for endpoint_id in served) == {ONE: 8, TWO: 8, THREE: 8}
    assert Counter(served) == dict.fromkeys(ENDPOINTS[:4], 2) | dict.fromkeys(ENDPOINTS[4:], 8)
    assert served[:3] == [ENDPOINTS[0], ENDPOINTS[4], ENDPOINTS[5]]


def test_nobody_overtakes_who_waits() -> None:
    hosts = full(ENDPOINTS[0])
    hosts.ended("shop.example")
    assert hosts.free("shop.example") == 1
    assert hosts.room("shop.example", ENDPOINTS[5]) == 0
    assert hosts.room("shop.example", ENDPOINTS[0]) == 1


def test_a_full_host_is_full_for_nobody_else() -> None:
    hosts = full(ENDPOINTS[0])
    assert hosts.room("other.example", ENDPOINTS[1]) == PLACES
    hosts.started(ANY_HOST, 10_000)
    assert hosts.room(ANY_HOST, ENDPOINTS[1]) > 0


class HostsMachine(RuleBasedStateMachine):
    """Joining, leaving, moving and ending in any order; a model counts along."""

    def __init__(self) -> None:
        super().__init__()
        self.hosts = Hosts(PLACES)
        self.flying: Counter[str] = Counter()
        self.lines: dict[UUID, str] = {}

    @rule(host=st.sampled_from(HOSTS), endpoint_id=st.sampled_from(ENDPOINTS))
    def wait(self, host: str, endpoint_id: UUID) -> None:
        self.hosts.wait(host, OWNERS[endpoint_id], endpoint_id)
        self.lines[endpoint_id] = host

    @rule(endpoint_id=st.sampled_from(ENDPOINTS))
    def leave(self, endpoint_id: UUID) -> None:
        assert self.hosts.leave(endpoint_id) == self.lines.pop(endpoint_id, None)

    @rule(host=st.sampled_from(HOSTS), endpoint_id=st.sampled_from(ENDPOINTS), wanted=st.integers(1, 5))
    def start(self, host: str, endpoint_id: UUID, wanted: int) -> None:
        count = min(wanted, self.hosts.room(host, endpoint_id))
        if count:
            self.hosts.started(host, count)
            self.flying[host] += count
            self.leave(endpoint_id)

    @precondition(lambda self: self.flying.total())
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        host = data.draw(st.sampled_from(sorted(self.flying.elements())))
        self.hosts.ended(host)
        self.flying[host] -= 1

    @invariant()
    def the_bound_holds_and_the_first_of_a_line_may_go(self) -> None:
        assert self.hosts.waiting == len(self.lines)
        for host in HOSTS:
            assert self.hosts.free(host) == PLACES - self.flying[host] >= 0
            first = self.hosts.next_at(host)
            waits = [endpoint_id for endpoint_id, at in self.lines.items() if at == host]
            assert (first is None) == (not waits or self.flying[host] == PLACES)
            assert first is None or first in waits
            for endpoint_id in ENDPOINTS:
                may = self.hosts.room(host, endpoint_id)
                assert may == (PLACES - self.flying[host] if not waits or endpoint_id == first else 0)


TestHostsMachine = HostsMachine.TestCase
TestHostsMachine.settings = hypothesis.settings(max_examples=60, stateful_step_count=40)

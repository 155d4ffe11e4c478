"""What an audit calls a difference, and whom it asks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from chains.errors import ChainError, Unreachable
from chains.model import Address
from indexer.history.audit import compare_deposits
from indexer.history.auditors import Asked, ask_auditor, join_asked, list_runs
from indexer.rules.deposits import DepositState
from indexer.rules.events import Naming
from migrations.ids import encode_id
from tests.unit.indexer.making import CHAIN, PAYER, TILL, recorded, sighting, transfer, view

NAMING = Naming(CHAIN, "local", {}, encode_id, repr, repr, repr)
OTHER = Address(b"somebody-else-altogether")


@pytest.mark.parametrize(
    ("seen", "what"),
    [
        (sighting(), []),
        (sighting(moved=transfer(sender=OTHER)), ["sender"]),
        (sighting(moved=replace(transfer(), senders=())), ["sender"]),
        (sighting(own=True), ["own transfer"]),
        (sighting(moved=transfer(7, sender=OTHER), own=True), ["amount", "sender", "own transfer"]),
        (sighting(block="another"), ["deposit's block"]),
    ],
)
def test_each_particular_that_differs_is_told(seen: Any, what: list[str]) -> None:
    deposit = recorded(sighting())
    told = compare_deposits(NAMING, [deposit], [seen])
    assert [one.what for one in told] == what
    assert all(one.ours != one.theirs for one in told)


def test_a_sender_is_told_with_both_sides() -> None:
    (told,) = compare_deposits(NAMING, [recorded()], [sighting(moved=replace(transfer(), senders=()))])
    assert (told.ours, told.theirs) == (repr(PAYER), "none")


def test_a_final_deposit_whose_sender_was_registered_later_is_as_it_was_told() -> None:
    final = recorded(at=view(30, final=30))
    assert final.state is DepositState.FINAL
    assert compare_deposits(NAMING, [final], [sighting(own=True)]) == []
    to_itself = sighting(moved=transfer(sender=TILL), own=True)
    flipped = replace(final, senders=(TILL,))
    assert [one.what for one in compare_deposits(NAMING, [flipped], [to_itself])] == ["own transfer"]
    denied = replace(final, own_transfer=True)
    assert [one.what for one in compare_deposits(NAMING, [denied], [sighting()])] == ["own transfer"]


@dataclass(slots=True)
class Node:
    """A provider that tells heights, or fails."""

    name: str
    operator: str
    failure: ChainError | None = None

    def for_backfill(self) -> Node:
        return self

    async def fetch_blocks(self, first: int, last: int) -> Any:
        if self.failure is not None:
            raise self.failure
        return [(self.name, height) for height in range(first, last + 1)]


@dataclass(slots=True)
class Source:
    """Providers, the first of whom is the next to be asked."""

    nodes: Sequence[Node]
    blamed: list[str] = field(default_factory=list)

    def choose_provider(self) -> Node:
        return self.nodes[0]

    def second_opinions(self, first: Node) -> list[Node]:
        return [one for one in self.nodes if one.operator != first.operator]

    def operator_of(self, host: str) -> str | None:
        return next((one.operator for one in self.nodes if one.name == host), None)

    def report_failure(self, provider: Node, _error: ChainError) -> None:
        self.blamed.append(provider.name)


async def ask(source: Any, served_by: str) -> Asked:
    """Of whom three blocks were asked."""
    (run,) = list_runs(5, 7, dict.fromkeys((5, 6, 7), served_by), source.operator_of)
    blocks, asked = await ask_auditor(source, run)
    assert len(blocks) == 3
    return asked


A, B = Node("a.test", "a"), Node("b.test", "b")
DEAD = Unreachable("gone")


@pytest.mark.parametrize(
    ("nodes", "served_by", "asked", "why_same"),
    [
        ((A, B), "a.test", "b.test", None),
        ((B, A), "a.test", "b.test", None),
        ((A, Node("a2.test", "a")), "a.test", "a.test", "no other operator"),
        ((A,), "a.test", "a.test", "no other operator"),
        ((A, replace(B, failure=DEAD)), "a.test", "a.test", "could be read: gone"),
        ((replace(A, failure=DEAD), B), "a.test", "b.test", None),
        ((A, B), "old.test", "a.test", "old.test, who served it, is not configured any more"),
        ((A,), "", "a.test", None),
    ],
)
async def test_an_operator_who_did_not_serve_it_is_asked_and_otherwise_it_is_said(
    nodes: Sequence[Node], served_by: str, asked: str, why_same: str | None
) -> None:
    told = await ask(Source(nodes), served_by)
    assert told.asked == asked
    assert (told.why_same is None) == (why_same is None)
    assert why_same is None or why_same in str(told.why_same)


async def test_where_nobody_answers_the_last_failure_is_raised() -> None:
    source = Source((replace(A, failure=DEAD), replace(B, failure=Unreachable("too"))))
    with pytest.raises(Unreachable, match="gone"):
        await ask(source, "a.test")
    assert source.blamed == ["b.test", "a.test"]


def test_runs_are_by_server_and_neighbours_are_told_as_one() -> None:
    runs = list_runs(1, 6, {1: "a", 2: "a", 3: "b", 5: "b", 6: "b"}, {"a": "A", "b": "B"}.get)
    assert [(one.height_first, one.height_last, one.operator) for one in runs] == [
        (1, 2, "A"), (3, 3, "B"), (4, 4, None), (5, 6, "B"),
    ]  # fmt: skip
    asked = [Asked(one.height_first, one.height_last, one.served_by, "x", "X", None) for one in runs]
    more = replace(asked[-1], height_first=7, height_last=9)
    assert [(one.height_first, one.height_last) for one in join_asked([*asked, more])] == [
        (1, 2), (3, 3), (4, 4), (5, 9),
    ]  # fmt: skip

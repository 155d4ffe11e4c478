"""`/v1/explain` and `/v1/coverage` answer merchants about their own payments and nobody else's."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import pytest

from chains.errors import ChainError, Inconsistent, Missing, Refused, Throttled, Unreachable, WrongNetwork
from chains.model import BlockHash, BlockRef, TransactionStory, TxHash
from chains.port import ChainSource
from gateway.http.resources import explain
from gateway.http.resources.explain import ask_story
from tests.api.world import ANOTHER, WATCHED, World

TX = TxHash(b"\x07" * 32)
KNOWN = TransactionStory(TX, BlockRef(7, BlockHash(b"\x08" * 32)), True, (), "node")


@dataclass
class Node:
    """Answers with what it was given: a story, nothing, an error, or silence."""

    answer: TransactionStory | ChainError | float | None

    async def fetch_transaction(self, _tx_hash: TxHash) -> TransactionStory | None:
        if isinstance(self.answer, float):
            await asyncio.sleep(self.answer)
            return None
        if isinstance(self.answer, ChainError):
            raise self.answer
        return self.answer


@dataclass
class Nodes:
    """A source with a provider of each of several operators."""

    nodes: Sequence[Any]

    def choose_provider(self) -> Any:
        if not self.nodes:
            raise Unreachable("all 2 providers rest")
        return self.nodes[0]

    def second_opinions(self, _first: Any) -> Sequence[Any]:
        return self.nodes[1:]


def source_of(*answers: Any) -> ChainSource:
    return cast(ChainSource, Nodes([Node(one) for one in answers]))


@pytest.mark.parametrize(
    ("answers", "story", "hindrance"),
    [
        ([KNOWN], KNOWN, None),
        ([None], None, None),
        ([None, KNOWN], KNOWN, None),
        ([Refused("needs txindex=1"), KNOWN], KNOWN, None),
        ([Refused("needs txindex=1")], None, "needs txindex=1"),
        ([Refused("needs txindex=1"), None], None, None),
        ([None, Unreachable("refused the connection")], None, None),
        ([Unreachable("is away"), Throttled("later")], None, "is away"),
        ([Inconsistent("shows another transaction")], None, "shows another"),
        ([WrongNetwork("serves litecoin")], None, "serves litecoin"),
        ([Missing("lacks it")], None, "lacks it"),
        ([60.0, KNOWN], None, "no answer in time"),
        ([Refused("needs txindex=1"), 60.0], None, "needs txindex=1"),
        ([None, 60.0], None, None),
        ([], None, "providers rest"),
    ],
)
async def test_who_cannot_say_is_not_taken_for_who_does_not_know(
    answers: Sequence[Any], story: object, hindrance: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explain, "ASK_TIMEOUT_S", 0.1)
    told = await ask_story(source_of(*answers), TX)
    assert told.story is story
    assert (told.hindrance is None) is (hindrance is None)
    assert (hindrance or "") in (told.hindrance or "")


async def test_a_payment_is_explained_by_its_transaction_and_by_its_address(world: World, key: str) -> None:
    world.services.sources[world.lines["local"].chain.traits.chain] = world.lines["local"].follower.source
    await world.watch(key)
    await world.pay()
    (deposit,) = (await world.call("GET", "/v1/deposits", key=key)).json["items"]
    by_tx = await world.call("GET", f"/v1/explain?chain=local&tx_hash={deposit['tx_hash']}", key=key)
    assert by_tx.status == 200, by_tx.body
    (finding,) = by_tx.json["findings"]
    assert finding["reason"] == "waiting"
    assert finding["deposit_id"] == deposit["id"]
    by_address = await world.call("GET", f"/v1/explain?chain=local&address={WATCHED}", key=key)
    assert by_address.json["findings"] == by_tx.json["findings"]


@pytest.mark.parametrize(
    ("source", "reason", "said"),
    [
        (None, "not_asked", "no provider of that chain"),
        (source_of(Refused("without txindex=1")), "not_asked", "without txindex=1"),
        (source_of(None), "not_seen", "never sent there"),
    ],
)
async def test_of_an_unknown_transaction_no_more_is_said_than_providers_could_tell(
    world: World, key: str, source: ChainSource | None, reason: str, said: str
) -> None:
    world.services.sources.pop(world.lines["local"].chain.traits.chain, None)
    if source is not None:
        world.services.sources[world.lines["local"].chain.traits.chain] = cast(Any, source)
    reply = await world.call("GET", f"/v1/explain?chain=local&tx_hash=0x{'ab' * 32}", key=key)
    assert reply.status == 200
    (finding,) = reply.json["findings"]
    assert finding["reason"] == reason
    assert said in finding["text"]


async def test_a_question_that_is_not_one_is_refused(world: World, key: str) -> None:
    assert (await world.call("GET", "/v1/explain?chain=local", key=key)).status == 422
    assert (await world.call("GET", "/v1/explain?chain=local&tx_hash=0x12", key=key)).status == 422
    assert (await world.call("GET", f"/v1/explain?chain=local&address={ANOTHER}", key=key)).status == 404
    assert (await world.call("GET", "/v1/coverage?chain=local&from=9&to=3", key=key)).status == 422


async def test_coverage_has_no_hole_and_says_what_lies_outside(world: World, key: str) -> None:
    watched = await world.watch(key)
    await world.pay(empty=4)
    tip = world.lines["local"].chain.head.height
    path = f"/v1/coverage?chain=local&address={WATCHED}&from=0&to={tip + 5}"
    coverage = (await world.call("GET", path, key=key)).json
    start = watched["watching_from"]["height"] + 1
    assert coverage["effective_start"] == start
    assert coverage["holes"] == []
    assert sum(part["blocks"] for part in coverage["ranges"]) == tip - start + 1
    assert {"first": tip + 1, "last": tip + 5} in coverage["not_covered"]


async def test_another_merchants_payment_is_not_explained(world: World, key: str) -> None:
    await world.watch(key)
    await world.pay()
    (deposit,) = (await world.call("GET", "/v1/deposits", key=key)).json["items"]
    stranger = await world.create_merchant("Stranger")
    reply = await world.call("GET", f"/v1/explain?chain=local&tx_hash={deposit['tx_hash']}", key=stranger)
    assert all(finding["deposit_id"] is None for finding in reply.json["findings"])
    assert (await world.call("GET", f"/v1/explain?chain=local&address={WATCHED}", key=stranger)).status == 404

"""What a node means, not its words: each dialect is understood, or refused with what to do about it.

A real node behind fronts that word refusals, limits and answers as nodes and
hosting providers do (`tests/faultproxy/fronts.py`).  Understood means that a
deposit arrives, verified in full, by hash and while catching up.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest

from chains.errors import ChainError
from chains.evm.receipts import ReceiptsForm
from chains.model import VerificationLevel
from chains.rpc import batches
from tests.faultproxy.fronts import (
    Front,
    allowing,
    answering_the_first,
    barring,
    error,
    per_call,
    plain,
    refusing,
    reshaped,
    rewritten,
    say,
)
from tests.live_evm.conftest import Faulty, paid_to

pytestmark = pytest.mark.live

RECEIPTS, TRACE, BY_HASH, BY_NUMBER = (
    "eth_getBlockReceipts", "debug_traceBlockByHash", "eth_getBlockByHash", "eth_getBlockByNumber",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "PAUSE_S", 0.01)


def without(key: str) -> Any:
    """Answers that lack a member."""
    return lambda answer: {name: value for name, value in answer.items() if name != key}


NO_RECEIPTS: dict[str, Front] = {
    "no such method": refusing(RECEIPTS, error(-32601, "the method does not exist/is not available")),
    "not whitelisted": refusing(RECEIPTS, error(-32001, "rpc method is not whitelisted")),
    "free tier": refusing(
        RECEIPTS, error(-32000, f"{RECEIPTS} is not available on the Free tier - upgrade to Growth")
    ),
    "failed to find": refusing(RECEIPTS, error(-32000, "failed to find transaction in block")),
    "header not found": refusing(RECEIPTS, error(-32000, "header not found")),
    "null": refusing(RECEIPTS, {"result": None}),
    "an empty list": refusing(RECEIPTS, {"result": []}),
    "no list": refusing(RECEIPTS, {"result": {"receipts": "see documentation"}}),
    "timed out": refusing(RECEIPTS, error(-32000, "request timed out")),
    "internal": refusing(RECEIPTS, error(-32603, "Internal error", data="java.lang.NullPointerException")),
    "too large": refusing(RECEIPTS, error(-32008, "Response is too big", data="Exceeded max limit of 1000")),
    "a bare string": refusing(RECEIPTS, {"error": "forbidden method"}),
    "a code in words": refusing(RECEIPTS, error("METHOD_DENIED", {"en": "no"})),
    "nothing at all": per_call(lambda call: {} if call["method"] == RECEIPTS else None),
    "invalid params": refusing(RECEIPTS, error(-32602, "invalid argument 0: hex string expected")),
    "403 with JSON": barring(RECEIPTS, error(-32001, "rpc method is not whitelisted"), 403),
    "403 with JSON-RPC": barring(RECEIPTS, {"jsonrpc": "2.0", "id": None} | error(-32052, "forbidden"), 403),
    "403 with words": barring(RECEIPTS, "Forbidden: this method requires an add-on", 403),
    "400 with JSON of its own": barring(RECEIPTS, {"status": "fail", "reason": "blocked by policy"}, 400),
    "402": barring(RECEIPTS, "Payment Required", 402),
    "one error for all": barring(RECEIPTS, {"jsonrpc": "2.0", "id": None} | error(-32000, "no"), 200),
    "one error in a list": barring(RECEIPTS, [{"jsonrpc": "2.0", "id": None} | error(-32000, "no")], 200),
}

FEW: dict[str, Front] = {
    "413": allowing(3, lambda _: say("Request Entity Too Large", 413, "text/plain")),
    "400 with words": allowing(3, lambda _: say("max batch size is 3", 400, "text/plain")),
    "400 without words": allowing(3, lambda _: say("", 400, "text/plain")),
    "500": allowing(3, lambda _: say({"message": "Internal server error"}, 500)),
    "one error": allowing(3, lambda _: say({"jsonrpc": "2.0", "id": None} | error(-32600, "too many calls"))),
    "a list with one error": allowing(
        3,
        lambda _: say(
            [{"jsonrpc": "2.0", "id": None} | error(-32000, "batch of more than 3 requests are not allowed")]
        ),
    ),
    "a list with one error of the first id": allowing(
        3, lambda asked: say([{"id": asked.calls[0]["id"]} | error(-32005, "maximum 3 calls in 1 batch")])
    ),
    "an error a call": allowing(
        3, lambda asked: say([{"id": call["id"]} | error(-32000, "you ask for much") for call in asked.calls])
    ),
    "an error for the rest": answering_the_first(3, error(-32000, "batch limit exceeded")),
    "an unknown error for the rest": answering_the_first(3, error(-32099, "come back with less")),
    "the rest is left out": answering_the_first(3, None),
    "no batches": allowing(
        1, lambda _: say({"jsonrpc": "2.0", "id": None} | error(-32600, "Invalid Request"))
    ),
    "no batches, in words": allowing(1, lambda _: say("batch is not supported", 405, "text/plain")),
    "no batches, only the first": allowing(1, lambda _: say({"jsonrpc": "2.0", "id": 1, "result": "0x7a69"})),
    "an empty list": allowing(3, lambda _: say([])),
}

SHAPES: dict[str, Front] = {
    "another order": reshaped(lambda answers: answers[::-1]),
    "ids as texts": rewritten(lambda answer: answer | {"id": str(answer["id"])}),
    "ids with a point": rewritten(lambda answer: answer | {"id": float(answer["id"])}),
    "no ids": rewritten(without("id")),
    "null ids": rewritten(lambda answer: answer | {"id": None}),
    "no version": rewritten(without("jsonrpc")),
    "an error that is null": rewritten(lambda answer: answer | {"error": None}),
    "an error that is empty": rewritten(lambda answer: answer | {"error": ""}),
    "a byte order mark": reshaped(lambda answers: answers),
}


async def with_mark(asked: Any) -> Any:
    response = await plain(asked)
    return say("\ufeff" + str(response.text))


SHAPES["a byte order mark"] = with_mark


async def assert_understood(faulty: Faulty, front: Front) -> None:
    """A deposit arrives by hash and by height, proven; what else is mined stays what it is."""
    await faulty.chain.pay(5, mine=False)
    await faulty.chain.pay(6)
    await faulty.chain.node.mine(2)
    faulty.proxy.front = front
    await forgiving(faulty.provider.fetch_head_report)
    block = await forgiving(lambda: faulty.paid_block(7))
    assert paid_to(block) == [("token", 7)]
    assert block.level is VerificationLevel.FULL
    blocks = await forgiving(lambda: faulty.provider.fetch_blocks(0, 5))
    assert [paid_to(one) for one in blocks[2:]] == [[("token", 5), ("token", 6)], [], [], [("token", 7)]]
    assert {one.level for one in blocks} == {VerificationLevel.FULL}


async def forgiving(fetch: Any) -> Any:
    """As the follower does: a few steps may fail while something is learnt."""
    for _ in range(2):
        with suppress(ChainError):
            return await fetch()
    return await fetch()


@pytest.mark.parametrize("name", NO_RECEIPTS)
async def test_block_receipts_refused_for_any_reason_are_asked_for_one_by_one(
    faulty: Faulty, name: str
) -> None:
    await assert_understood(faulty, NO_RECEIPTS[name])
    way = faulty.provider.node.abilities.receipts
    assert way.last_refusal or way.form is ReceiptsForm.BY_OBJECT
    assert faulty.provider.node.batches.size.calls_max == batches.BATCH_CALLS_MAX, "batches are no matter"


@pytest.mark.parametrize("name", FEW)
async def test_a_batch_limit_told_in_any_way_makes_batches_smaller(faulty: Faulty, name: str) -> None:
    await assert_understood(faulty, FEW[name])
    size = faulty.provider.node.batches.size.calls_max
    assert size == 1 if "no batches" in name else 1 <= size <= 3
    assert faulty.provider.node.abilities.receipts.choose_form() is ReceiptsForm.BY_HASH


@pytest.mark.parametrize("name", SHAPES)
async def test_an_answer_is_paired_however_it_is_written(faulty: Faulty, name: str) -> None:
    await assert_understood(faulty, SHAPES[name])

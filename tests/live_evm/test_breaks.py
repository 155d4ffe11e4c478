"""What breaks a whole exchange is found among its calls, and done without; a node that reorganises meanwhile is no liar.

Beside `test_dialects.py`, where single calls are refused in words.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest

from chains.errors import ChainError, Missing
from chains.rpc import batches, throttle
from tests.faultproxy.fronts import Asked, Front, barring, error, plain, refusing, say
from tests.live_evm.conftest import Faulty, paid_to
from tests.live_evm.test_dialects import BY_NUMBER, RECEIPTS, assert_understood, forgiving

pytestmark = pytest.mark.live


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "PAUSE_S", 0.01)
    # A budget that has shrunk to a call a second would be all these tests wait for; tests/unit/chains/test_throttle.py
    # says how far it shrinks.
    monkeypatch.setattr(throttle, "RATE_MIN_PER_S", 100.0)


BREAKING: dict[str, Front] = {
    "a bad gateway": barring(RECEIPTS, "<html>", 502),
    "a gateway that waited in vain": barring(RECEIPTS, {"message": "Endpoint request timed out"}, 504),
    "too dear, by status": barring(RECEIPTS, {"message": "this method costs 500 units"}, 429),
    "too dear, call by call": refusing(RECEIPTS, error(-32005, "limit exceeded")),
}


@pytest.mark.parametrize("name", BREAKING)
async def test_receipts_that_break_the_exchange_are_asked_for_one_by_one(faulty: Faulty, name: str) -> None:
    await assert_understood(faulty, BREAKING[name])
    assert faulty.provider.node.abilities.receipts.last_refusal
    assert faulty.provider.node.batches.size.calls_max == batches.BATCH_CALLS_MAX, "batches are no matter"


async def test_a_tag_that_breaks_the_exchange_is_unknown_and_the_head_is_told(faulty: Faulty) -> None:
    async def front(asked: Asked) -> Any:
        if any(call["params"][:1] == ["safe"] for call in asked.calls):
            return say({"message": "Internal server error"}, 500)
        return await plain(asked)

    await faulty.chain.node.mine(3)
    faulty.proxy.front = front
    report = await forgiving(faulty.provider.fetch_head_report)
    assert (report.head.height, report.safe) == (await faulty.chain.node.height(), None)
    assert (await faulty.provider.fetch_head_report()).safe is None, "what was learnt is kept"
    assert faulty.provider.node.batches.size.calls_max == batches.BATCH_CALLS_MAX


@pytest.mark.parametrize("dies", [False, True])
async def test_receipts_that_break_every_window_cost_no_batch_and_a_dead_node_no_receipts(
    faulty: Faulty, dies: bool
) -> None:
    for amount in range(1, 5):
        await faulty.chain.pay(amount)
    faulty.proxy.front = barring(BY_NUMBER if dies else RECEIPTS, "", 502)
    for _ in range(4):
        with suppress(ChainError):
            await faulty.provider.fetch_blocks(2, 5)
    if dies:
        faulty.proxy.heal()
    blocks = await faulty.provider.fetch_blocks(2, 5)
    assert [paid_to(block) for block in blocks] == [[("token", amount)] for amount in range(1, 5)]
    assert faulty.provider.node.batches.size.calls_max == batches.BATCH_CALLS_MAX
    if dies:
        assert faulty.proxy.calls["eth_getTransactionReceipt"] == 1, "one block is a probe"
        assert faulty.provider.node.abilities.receipts.refusals == 0


async def test_a_receipt_that_moved_to_another_block_meanwhile_is_no_lie(faulty: Faulty) -> None:
    await faulty.chain.pay(5)
    node = faulty.chain.node
    (moved,) = (await node.call(BY_NUMBER, "0x2", False))["transactions"]
    elsewhere = await node.call("eth_getTransactionReceipt", moved) | {"blockHash": "0x" + "01" * 32}
    faulty.proxy.front = refusing(RECEIPTS, {"result": None})
    faulty.proxy.bend("eth_getTransactionReceipt", lambda _params, _answer: {"result": elsewhere})
    with pytest.raises(Missing, match="in another block"):
        await faulty.provider.fetch_blocks(2, 2)

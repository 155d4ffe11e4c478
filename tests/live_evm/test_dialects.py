"""What a node means, not its words: each dialect is understood, or refused with what to do about it.

A real node behind fronts that word refusals, limits and answers as nodes and
hosting providers do (`tests/faultproxy/fronts.py`).  Understood means that a
deposit arrives, verified in full, by hash and while catching up.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from chains.errors import ChainError, Inconsistent, Missing, Refused, Unreachable, WrongNetwork
from chains.evm.nodes.receipts import STATE_SYNC_PREFIX, ReceiptsForm
from chains.evm.verify.hashing import compute_keccak
from chains.model import BlockHash, BlockRef, VerificationLevel
from chains.rpc import batches
from tests.faultproxy import faults
from tests.faultproxy.fronts import (
    Answer,
    Asked,
    Front,
    Metered,
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
from tests.live_evm.conftest import Faulty, MakeSource, paid_to

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


def cut_receipts(answer: Answer) -> Answer:
    """A list of receipts ends after the first."""
    result = answer.get("result")
    if isinstance(result, list) and result and "cumulativeGasUsed" in result[0]:
        return answer | {"result": result[:1]}
    return answer


NO_RECEIPTS: dict[str, Front] = {
    "a list that is cut": rewritten(cut_receipts),
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
    "objects one after the other": allowing(
        1, lambda asked: say("".join(json.dumps({"id": call["id"], "result": None}) for call in asked.calls))
    ),
    "an empty body": allowing(3, lambda _: say("", 204)),
    "more than three": allowing(
        3,
        lambda asked: say(
            error(31, "Batch of more than 3 requests are not allowed on free tier") | {"id": 0}, 500
        ),
    ),
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


async def in_a_list(asked: Asked) -> Any:
    """Single calls are answered like batches of one."""
    return say(await asked.answer_all())


async def all_at_once(asked: Asked) -> Any:
    """Several habits of one node: three calls a batch, no ids as numbers, no block receipts, a chain id as a number."""
    if len(asked.calls) > 3:
        return say("[]", 400)
    answers = [answer | {"id": str(answer["id"])} for answer in await asked.answer_all()]
    for call, answer in zip(asked.calls, answers, strict=True):
        if call["method"] == RECEIPTS:
            answer.pop("result", None)
            answer["error"] = {"code": "-32001", "message": None, "data": "not on this plan"}
        elif call["method"] == "eth_chainId":
            answer["result"] = int(answer["result"], 16)
    return say(answers[::-1] if asked.batched else answers[0])


async def one_by_one_and_no_receipts(asked: Asked) -> Any:
    """Neither batches nor block receipts, both told by a status alone."""
    if asked.batched or asked.calls[0]["method"] == RECEIPTS:
        return say("", 403, "text/plain")
    return await plain(asked)


SHAPES["single calls in a list"] = in_a_list
SHAPES["all at once"] = all_at_once
SHAPES["one by one and no receipts"] = one_by_one_and_no_receipts


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
    assert size == 1 if "no batches" in name else 1 <= size <= 3, size
    assert faulty.provider.node.abilities.receipts.choose_form() is ReceiptsForm.BY_HASH


@pytest.mark.parametrize("name", SHAPES)
async def test_an_answer_is_paired_however_it_is_written(faulty: Faulty, name: str) -> None:
    await assert_understood(faulty, SHAPES[name])


def at_genesis(answer: Any) -> Front:
    """Block 0 is answered otherwise; everything else as it is."""
    return per_call(
        lambda call: answer if call["method"] == BY_NUMBER and call["params"][0] == "0x0" else None
    )


GENESIS: dict[str, Any] = {
    "null": {"result": None},
    "pruned": error(4444, "pruned history unavailable"),
    "unknown": error(-32000, "block #0 not found"),
    "denied": error(-32602, "only the last 128 blocks are served"),
}


@pytest.mark.parametrize("name", [*GENESIS, "the newest", "block 1"])
async def test_a_node_without_its_genesis_says_what_to_configure_and_is_followed_by_it(
    faulty: Faulty, make_source: MakeSource, name: str
) -> None:
    node = faulty.chain.node
    other = {"the newest": "latest", "block 1": "0x1"}.get(name)
    answer = GENESIS[name] if other is None else {"result": await node.call(BY_NUMBER, other, False)}
    faulty.proxy.front = at_genesis(answer)
    with pytest.raises(Refused, match=r"block 0, which tells its network.*identity = \{") as caught:
        await faulty.provider.fetch_head_report()
    assert not isinstance(caught.value, WrongNetwork)
    known = BlockHash(bytes.fromhex((await node.block_hash(1))[2:]))
    traits = replace(faulty.chain.traits(), identity=BlockRef(1, known))
    source = make_source(traits, faulty.proxy.url)
    assert await source.choose_provider().fetch_network_id() == known
    source.pin_network(known)
    await faulty.chain.pay(5)
    blocks = await source.choose_provider().fetch_blocks(1, 2)
    assert paid_to(blocks[1]) == [("token", 5)]


async def test_another_block_at_the_identity_height_is_another_network(
    faulty: Faulty, make_source: MakeSource
) -> None:
    traits = replace(faulty.chain.traits(), identity=BlockRef(1, BlockHash(b"\x07" * 32)))
    with pytest.raises(WrongNetwork, match="at height 1"):
        await make_source(traits, faulty.proxy.url).choose_provider().fetch_head_report()


async def test_an_empty_block_needs_neither_receipts_nor_trace(
    faulty: Faulty, make_source: MakeSource
) -> None:
    await faulty.chain.node.mine(3)
    refused = error(-32000, "genesis is not traceable")
    faulty.proxy.front = per_call(lambda call: refused if call["method"] in (RECEIPTS, TRACE) else None)
    provider = make_source(faulty.chain.traits(traces=True), faulty.proxy.url).choose_provider()
    blocks = [*await provider.fetch_blocks(0, 0), *await provider.fetch_blocks(2, 4)]
    (again,) = await provider.fetch_blocks_at([blocks[-1].header.ref])
    assert {block.level for block in [*blocks, again]} == {VerificationLevel.FULL}
    assert faulty.proxy.calls["eth_getTransactionReceipt"] == 0
    with pytest.raises(Refused, match="not traceable"):
        await provider.fetch_blocks(1, 1)


async def test_a_block_that_hides_its_transactions_is_not_taken_for_an_empty_one(
    faulty: Faulty, make_source: MakeSource
) -> None:
    await faulty.chain.pay(5)
    faulty.proxy.bend(BY_HASH, faults.no_transactions)
    faulty.proxy.bend(RECEIPTS, faults.failing(-32000, "no"))
    for profile in ("full", "agreement"):
        provider = make_source(faulty.chain.traits(profile=profile), faulty.proxy.url).choose_provider()
        ref = await faulty.chain.node.block_ref(2)
        with pytest.raises(Inconsistent):
            await provider.fetch_blocks_at([ref])


async def test_a_hole_in_the_chain_is_said_and_never_skipped(faulty: Faulty) -> None:
    await faulty.chain.pay(5)
    await faulty.chain.node.mine(3)
    faulty.proxy.front = per_call(
        lambda call: {"result": None} if call["params"][:1] == ["0x2"] and "Block" in call["method"] else None
    )
    await faulty.provider.fetch_head_report()
    for fetch in (faulty.provider.fetch_blocks, faulty.provider.fetch_headers):
        with pytest.raises(Missing, match="does not hold the block 2, though it claims the head 5"):
            await fetch(1, 4)


def limited_traces(size_max: int) -> Front:
    """Traces of so many blocks at once; a larger batch is refused in a list of one."""

    async def front(asked: Asked) -> Any:
        if sum(call["method"] == TRACE for call in asked.calls) > size_max:
            return say([{"jsonrpc": "2.0", "id": None} | error(-32000, "trace result exceeds the limit")])
        return await plain(asked)

    return front


async def test_traces_are_asked_for_in_batches_as_small_as_the_node_wants(
    faulty: Faulty, make_source: MakeSource
) -> None:
    for amount in range(1, 6):
        await faulty.chain.pay(amount)
    faulty.proxy.front = limited_traces(2)
    provider = make_source(faulty.chain.traits(traces=True), faulty.proxy.url).choose_provider()
    blocks = await forgiving(lambda: provider.fetch_blocks(1, 6))
    assert [paid_to(block) for block in blocks[1:]] == [[("token", amount)] for amount in range(1, 6)]
    usual = provider.node.abilities.block_bytes_usual
    provider.node.abilities.block_bytes_usual = 1.0
    await provider.fetch_blocks(2, 2)
    untraced = make_source(faulty.chain.traits(), faulty.proxy.url).choose_provider()
    untraced.node.abilities.block_bytes_usual = 1.0
    await untraced.fetch_blocks(2, 2)
    sizes = [one.node.abilities.block_bytes_usual for one in (provider, untraced)]
    assert sizes[0] > sizes[1], "what a trace weighs is counted"
    assert usual > 0


async def test_an_error_without_an_id_to_a_single_call_is_that_calls(faulty: Faulty) -> None:
    faulty.provider.node.batches.size.narrow(1)
    faulty.proxy.front = rewritten(lambda answer: answer | {"id": None} if "error" in answer else answer)
    faulty.proxy.bend(RECEIPTS, faults.failing(-32000, "not for you"))
    assert paid_to(await faulty.paid_block()) == [("token", 1_500_000)]
    assert faulty.provider.node.abilities.receipts.last_refusal.endswith("not for you (-32000)")


@pytest.mark.parametrize("traces", [False, True])
async def test_a_healthy_node_is_asked_no_more_than_it_takes(
    faulty: Faulty, make_source: MakeSource, traces: bool
) -> None:
    provider = make_source(faulty.chain.traits(traces=traces), faulty.proxy.url).choose_provider()
    await faulty.chain.pay(5)
    await provider.fetch_head_report()
    ref = await faulty.chain.node.block_ref(2)
    faulty.proxy.calls.clear()
    exchanges = faulty.proxy.http_exchanges
    await provider.fetch_blocks_at([ref])
    assert faulty.proxy.calls == {BY_HASH: 1, RECEIPTS: 1} | ({TRACE: 1} if traces else {})
    assert faulty.proxy.http_exchanges == exchanges + 1
    faulty.proxy.calls.clear()
    await provider.fetch_blocks(0, 2)
    assert faulty.proxy.calls == {BY_NUMBER: 3, RECEIPTS: 3} | ({TRACE: 2} if traces else {}), (
        "block 0 is empty and needs no trace"
    )


async def test_twenty_calls_a_second_without_batches_still_catch_up(
    faulty: Faulty, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "PAUSE_S", 1.0)
    for amount in range(1, 16):
        await faulty.chain.pay(amount)
    metered = Metered(20, lambda _: say(error(-32005, "rate limit exceeded") | {"id": None}, 429))
    faulty.proxy.front = metered
    provider = faulty.provider
    blocks = await provider.fetch_blocks(1, 16)
    assert [paid_to(block) for block in blocks[1:]] == [[("token", amount)] for amount in range(1, 16)]
    assert 1 <= metered.refused <= 3
    assert faulty.proxy.calls[BY_NUMBER] == 16 + 1, "what was answered is not asked for again"
    assert provider.node.budget.rate_per_s <= 20


async def test_receipts_of_a_window_that_broke_off_are_not_asked_for_again(faulty: Faulty) -> None:
    for amount in range(1, 7):
        await faulty.chain.pay(amount)
    faulty.provider.node.batches.size.narrow(1)
    faulty.proxy.bend(RECEIPTS, faults.failing(-32601, "the method does not exist"))
    faulty.proxy.bend(
        "eth_getTransactionReceipt", faults.failing(-32603, "upstream lost"), times=1, when=after_calls(4)
    )
    with pytest.raises(Unreachable):
        await faulty.provider.fetch_blocks(2, 7)
    blocks = await faulty.provider.fetch_blocks(2, 7)
    assert [paid_to(block) for block in blocks] == [[("token", amount)] for amount in range(1, 7)]
    assert faulty.proxy.calls["eth_getTransactionReceipt"] == 6 + 1


def after_calls(count: int) -> Any:
    """True from the call after so many on."""
    seen = [0]

    def is_due(_params: list[Any]) -> bool:
        seen[0] += 1
        return seen[0] > count

    return is_due


async def test_a_tag_that_costs_the_whole_batch_is_asked_apart(faulty: Faulty) -> None:
    async def front(asked: Asked) -> Any:
        if any(call["params"][:1] == ["safe"] for call in asked.calls):
            return say("unknown block tag", 400, "text/plain")
        return await plain(asked)

    await faulty.chain.node.mine(3)
    faulty.proxy.front = front
    for _ in range(2):
        report = await faulty.provider.fetch_head_report()
        assert report.safe is None
        assert report.final is not None
    exchanges = faulty.proxy.http_exchanges
    await faulty.provider.fetch_head_report()
    assert faulty.proxy.http_exchanges == exchanges + 2, "the head, and the tag alone"
    assert faulty.provider.node.batches.size.calls_max == batches.BATCH_CALLS_MAX


async def test_calls_of_a_batch_that_are_throttled_are_asked_again_and_no_others(faulty: Faulty) -> None:
    for amount in range(1, 6):
        await faulty.chain.pay(amount)

    async def front(asked: Asked) -> Any:
        rest = error(429, "Your app has exceeded its compute units per second capacity")
        answers = [await asked.answer_one(call) for call in asked.calls[:4]]
        answers += [{"id": call["id"]} | rest for call in asked.calls[4:]]
        return say(answers if asked.batched else answers[0])

    faulty.proxy.front = front
    blocks = await faulty.provider.fetch_blocks(2, 6)
    assert [paid_to(block) for block in blocks] == [[("token", amount)] for amount in range(1, 6)]
    assert faulty.proxy.calls[BY_NUMBER] + faulty.proxy.calls[RECEIPTS] == 10 + 1


async def test_a_node_that_closes_after_every_answer_is_followed(faulty: Faulty) -> None:
    async def front(asked: Asked) -> Any:
        response = await plain(asked)
        response.force_close()
        return response

    await assert_understood(faulty, front)


async def test_bridge_receipts_that_no_list_names_are_asked_for_too(
    faulty: Faulty, make_source: MakeSource
) -> None:
    paid = await faulty.chain.pay(5)
    text = await faulty.chain.node.block_hash(2)
    bridge = "0x" + compute_keccak(STATE_SYNC_PREFIX + (2).to_bytes(8, "big") + bytes.fromhex(text[2:])).hex()
    receipt = await faulty.chain.node.call("eth_getTransactionReceipt", paid)
    place = {"transactionHash": bridge, "transactionIndex": "0x1"}
    (log,) = receipt["logs"]
    synced = receipt | place | {"logs": [log | place | {"logIndex": "0x1"}]}

    def instead(call: dict[str, Any]) -> Answer | None:
        if call["method"] == RECEIPTS:
            return error(-32601, "the method does not exist")
        return {"result": synced} if call["params"] == [bridge] else None

    faulty.proxy.front = per_call(instead)
    provider = make_source(faulty.chain.traits(profile="polygon"), faulty.proxy.url).choose_provider()
    before, block = await provider.fetch_blocks(1, 2)
    assert paid_to(block) == [("token", 5), ("token", 5)]
    assert paid_to(before) == [], "and a block without one is complete without one"


async def test_a_batch_larger_than_a_second_of_the_rate_is_not_sent_for_ever(
    faulty: Faulty, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "PAUSE_S", 1.0)
    for amount in range(1, 9):
        await faulty.chain.pay(amount)
    metered = Metered(
        12, lambda _: say(error(-32005, "rate limit exceeded") | {"id": None}, 429), batches=True
    )
    faulty.proxy.front = metered
    for _ in range(20):  # what was sent before
        faulty.provider.node.budget.record_success(0.01, 1)
    blocks = await faulty.provider.fetch_blocks(2, 9)
    assert [paid_to(block) for block in blocks] == [[("token", amount)] for amount in range(1, 9)]
    assert metered.refused <= 4

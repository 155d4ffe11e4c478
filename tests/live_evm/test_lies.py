"""An answer that is not the block is never used, and a head is only a head.

A real node behind the fault proxy, which lies in sound exchanges.  Broken
exchanges are `test_weather.py`; several providers, `test_providers.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from chains.errors import Inconsistent, Missing, Refused, Throttled, Unreachable
from chains.evm.nodes.receipts import ReceiptsForm
from chains.model import BlockHash, BlockRef, VerificationLevel
from chains.rpc import batches
from tests.faultproxy import faults
from tests.faultproxy.faults import Bend
from tests.live_evm.conftest import Faulty, MakeSource, paid_to

pytestmark = pytest.mark.live


def asks_for(*tags: str) -> Callable[[list[Any]], bool]:
    """Whether a call's first parameter is one of these."""
    return lambda params: params[0] in tags


async def test_an_honest_node_passes_with_every_check_made(faulty: Faulty) -> None:
    block = await faulty.paid_block()
    assert block.level is VerificationLevel.FULL
    assert paid_to(block) == [("token", 1_500_000)]
    assert block.served_by == f"127.0.0.1:{faulty.proxy.port}"


LIES: dict[str, tuple[str, Bend]] = {
    "transactions are gone": ("eth_getBlockByHash", faults.no_transactions),
    "a log is missing": ("eth_getBlockReceipts", faults.missing_log),
    "a log is missing with a gap": ("eth_getBlockReceipts", faults.gap_in_logs),
    "a log is forged": ("eth_getBlockReceipts", faults.forged_log),
    "an amount is altered": ("eth_getBlockReceipts", faults.altered_amount),
    "rows name another block": ("eth_getBlockReceipts", faults.rows_of_block("0x" + "01" * 32)),
    "logs are marked removed": ("eth_getBlockReceipts", faults.removed_logs),
    "the block's height is another": ("eth_getBlockByHash", faults.head_moved_by(1)),
    "the block is another": (
        "eth_getBlockByHash",
        lambda _params, answer: _with(answer, hash="0x" + "02" * 32),
    ),
    "the block is no block": ("eth_getBlockByHash", faults.constant({"number": "0x1"})),
    "the block is a text": ("eth_getBlockByHash", faults.constant("yes")),
}


def _with(answer: dict[str, Any], **fields: object) -> dict[str, Any]:
    return {"result": answer["result"] | fields}


@pytest.mark.parametrize("name", LIES)
async def test_case_105_106_an_answer_that_is_not_the_block_is_never_used(faulty: Faulty, name: str) -> None:
    method, bend = LIES[name]
    faulty.proxy.bend(method, bend)
    await faulty.chain.pay(7, mine=False)
    with pytest.raises(Inconsistent):
        await faulty.paid_block()
    faulty.proxy.heal()
    assert paid_to(await faulty.fetch_newest()) == [("token", 7), ("token", 1_500_000)]


async def test_case_001_a_failure_dressed_up_as_success_is_a_lie(faulty: Faulty) -> None:
    await faulty.chain.node.send(to=faulty.chain.token, data="0xdeadbeef", value=0, gas=hex(100_000))
    await faulty.chain.node.mine()
    faulty.proxy.bend("eth_getBlockReceipts", faults.hidden_failure)
    with pytest.raises(Inconsistent):
        await faulty.fetch_newest()


async def test_case_055_finality_that_is_null_or_refused_is_unknown(faulty: Faulty) -> None:
    await faulty.chain.node.mine(3)
    for bend in (faults.nothing, faults.failing(-39001, "finalized block not found")):
        faulty.proxy.bend("eth_getBlockByNumber", bend, when=asks_for("safe", "finalized"))
        report = await faulty.provider.fetch_head_report()
        assert (report.safe, report.final) == (None, None)
        assert report.head.height == 4
        faulty.proxy.heal()


async def test_case_054_frozen_finality_is_told_as_it_is(faulty: Faulty) -> None:
    await faulty.chain.node.mine(3)
    frozen = await faulty.chain.node.call("eth_getBlockByNumber", "finalized", False)
    faulty.proxy.bend("eth_getBlockByNumber", faults.constant(frozen), when=asks_for("finalized"))
    await faulty.chain.node.mine(5)
    report = await faulty.provider.fetch_head_report()
    assert report.final is not None
    assert (report.head.height, report.final.height) == (9, 2)


async def test_case_107_a_stale_head_is_only_a_head(faulty: Faulty) -> None:
    stale = await faulty.chain.node.call("eth_getBlockByNumber", "latest", False)
    await faulty.chain.node.mine(4)
    faulty.proxy.bend("eth_getBlockByNumber", faults.constant(stale), times=1, when=asks_for("latest"))
    heights = [(await faulty.provider.fetch_head_report()).head.height for _ in range(2)]
    assert heights == [1, 5]


async def test_a_head_that_jumps_beyond_its_blocks_leads_to_missing_ones(faulty: Faulty) -> None:
    faulty.proxy.bend("eth_getBlockByNumber", faults.head_moved_by(1000), when=asks_for("latest"))
    report = await faulty.provider.fetch_head_report()
    with pytest.raises(Missing):
        await faulty.provider.fetch_headers(report.head.height - 1, report.head.height)
    with pytest.raises(Missing):
        await faulty.provider.fetch_blocks(report.head.height, report.head.height)


async def test_a_head_that_is_null_is_missing(faulty: Faulty) -> None:
    faulty.proxy.bend("eth_getBlockByNumber", faults.nothing, when=asks_for("latest"))
    with pytest.raises(Missing):
        await faulty.provider.fetch_head_report()


async def test_case_048_a_reorganisation_between_two_calls_by_height_is_healed(faulty: Faulty) -> None:
    await faulty.chain.pay(5)
    await faulty.chain.pay(6)
    raw = await faulty.chain.node.raw_transaction(await faulty.chain.pay(7))
    await faulty.provider.fetch_head_report()

    async def reorganise() -> None:
        await faulty.chain.node.call("anvil_reorg", 1, [[raw, 0]])

    faulty.proxy.after("eth_getBlockByNumber", reorganise)
    height = await faulty.chain.node.height()
    with pytest.raises(Missing):
        # The old block is gone from anvil, so its receipts cannot be had any more: nothing is mixed.
        await faulty.provider.fetch_blocks(height, height)
    (block,) = await faulty.provider.fetch_blocks(height, height)
    assert paid_to(block) == [("token", 7)]


async def test_case_048_blocks_of_two_forks_are_never_given_as_one_chain(
    faulty: Faulty, make_source: MakeSource
) -> None:
    await faulty.chain.node.mine(4)
    foreign = await faulty.chain.node.call("eth_getBlockByNumber", "0x3", True)
    foreign["parentHash"] = "0x" + "09" * 32
    faulty.proxy.bend(
        "eth_getBlockByNumber", faults.constant(foreign), when=lambda params: params == ["0x3", True]
    )
    for profile in ("full", "agreement"):
        provider = make_source(faulty.chain.traits(profile=profile), faulty.proxy.url).choose_provider()
        with pytest.raises(Inconsistent):
            await provider.fetch_blocks(2, 4)


async def test_case_048_another_height_than_the_asked_one_is_refused(faulty: Faulty) -> None:
    await faulty.chain.node.mine(3)
    other = {
        "eth_getBlockByNumber": await faulty.chain.node.call("eth_getBlockByNumber", "0x2", True),
        "eth_getBlockReceipts": await faulty.chain.node.call("eth_getBlockReceipts", "0x2"),
    }
    for method, result in other.items():
        faulty.proxy.bend(method, faults.constant(result), when=asks_for("0x3"))
    with pytest.raises(Inconsistent, match="answered height 0x3"):
        await faulty.provider.fetch_blocks(3, 3)
    with pytest.raises(Inconsistent, match="answered height 3"):
        await faulty.provider.fetch_headers(3, 3)


async def test_case_049_a_side_block_still_answers_by_hash(faulty: Faulty) -> None:
    block = await faulty.paid_block()
    faulty.proxy.remembers = True
    await faulty.chain.node.call("anvil_reorg", 1, [])
    (again,) = await faulty.provider.fetch_blocks_at([block.header.ref])
    assert again.header == block.header
    (canonical,) = await faulty.provider.fetch_headers(block.header.height, block.header.height)
    assert canonical.hash != block.header.hash


@pytest.mark.parametrize(
    ("message", "code", "kind"),
    [
        ("header not found", -32000, Missing),
        ("block range extends beyond current head block", -32602, Missing),
        ("missing trie node 00 (path )", -32000, Refused),
        ("pruned history unavailable", 4444, Refused),
        ("limit exceeded", -32005, Throttled),
        ("project ID request rate exceeded", 429, Throttled),
        ("internal error", -32603, Unreachable),
        ("execution timeout", -32000, Unreachable),
    ],
)
async def test_case_109_refusals_of_a_block_are_told_apart(
    faulty: Faulty, monkeypatch: pytest.MonkeyPatch, message: str, code: int, kind: type[Exception]
) -> None:
    monkeypatch.setattr(batches, "PAUSE_S", 0.0)
    faulty.proxy.bend("eth_getBlockByHash", faults.failing(code, message))
    with pytest.raises(kind) as caught:
        await faulty.paid_block()
    assert type(caught.value) is kind


@pytest.mark.parametrize("tag", ["safe", "finalized"])
async def test_a_tag_that_is_refused_for_ever_is_unknown_and_the_head_is_read(
    faulty: Faulty, monkeypatch: pytest.MonkeyPatch, tag: str
) -> None:
    monkeypatch.setattr(batches, "PAUSE_S", 0.0)
    faulty.proxy.bend(
        "eth_getBlockByNumber", faults.failing(-32005, "limit exceeded"), when=lambda params: params[0] == tag
    )
    report = await faulty.provider.fetch_head_report()
    assert report.head.height == await faulty.chain.node.height()
    assert (report.safe is None, report.final is None) == (tag == "safe", tag == "finalized")


async def test_a_node_without_block_receipts_is_asked_for_each_transactions(faulty: Faulty) -> None:
    faulty.proxy.bend("eth_getBlockReceipts", faults.failing(-32601, "the method does not exist"))
    await faulty.chain.pay(5, mine=False)
    block = await faulty.paid_block(6)
    assert paid_to(block) == [("token", 5), ("token", 6)]
    assert block.level is VerificationLevel.FULL
    assert faulty.provider.node.abilities.receipts.choose_form() is ReceiptsForm.BY_TRANSACTION
    asked = faulty.proxy.calls["eth_getBlockReceipts"]
    blocks = await faulty.provider.fetch_blocks(0, block.header.height)
    assert paid_to(blocks[-1]) == [("token", 5), ("token", 6)]
    assert faulty.proxy.calls["eth_getBlockReceipts"] == asked, "learnt once"


async def test_a_null_receipt_of_one_transaction_leaves_the_block_incomplete(faulty: Faulty) -> None:
    faulty.proxy.bend("eth_getBlockReceipts", faults.failing(-32601, "the method does not exist"))
    faulty.proxy.bend("eth_getTransactionReceipt", faults.nothing)
    with pytest.raises(Missing):
        await faulty.paid_block()


async def test_a_node_that_wants_receipts_by_an_object_gets_one(faulty: Faulty) -> None:
    faulty.proxy.bend(
        "eth_getBlockReceipts",
        faults.failing(-32602, "invalid argument 0"),
        when=lambda params: isinstance(params[0], str),
    )
    assert paid_to(await faulty.paid_block()) == [("token", 1_500_000)]
    assert faulty.provider.node.abilities.receipts.choose_form() is ReceiptsForm.BY_OBJECT


async def test_an_unknown_side_block_is_missing_and_not_a_reorganisation(faulty: Faulty) -> None:
    with pytest.raises(Missing):
        await faulty.provider.fetch_blocks_at([BlockRef(7, BlockHash(b"\x07" * 32))])

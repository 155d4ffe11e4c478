"""A Tron provider over HTTP: what nodes say that is no block, receipts by number, who signs, what is asked.

The node is a double on loopback for failures that no healthy node shows; its blocks have true ids, roots and signatures.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest
from aiohttp import web
from coincurve import PrivateKey

from chains.errors import (
    ChainError,
    Inconsistent,
    Missing,
    NoIdentity,
    Refused,
    Throttled,
    Unreachable,
    WrongNetwork,
)
from chains.model import BlockHash, BlockRef, Hold, TransferKind, VerificationLevel
from chains.tron.facts import TronFacts
from chains.tron.source import TronSource
from chains.tron.verify.checks import AGREEMENT
from tests.devnet.tron_chain import (
    TronChain,
    address_of,
    call,
    log,
    number,
    pay,
    text,
)
from tests.devnet.tron_node import start_tron_node
from tests.unit.chains.tron.asking import SHOP, asked, fetch_one, of_height, only, paid

SAID = {
    '{"Error": "class java.lang.Exception : lack of computing resources"}': Throttled,
    '{"Error":"class org.tron.core.exception.ItemNotFoundException : number :5 is not found"}': Missing,
    '{"Error": "class java.lang.NullPointerException : null"}': Refused,
    '{"Error": "Exceed the user daily usage (100000)."}': Throttled,
    '{"Error": "request rate exceeded the allowed_rps(15)"}': Throttled,
    '{"success": false, "error": "The key exceeds the frequency limit(15), and the query server is suspended for 4 s"}': Throttled,
    '{"code": "CONTRACT_VALIDATE_ERROR", "message": "6e6f"}': Refused,
    '{"result": {"code": "OTHER_ERROR", "message": "no"}}': Refused,
    "this API is closed because this node is a lite fullnode": Refused,
    "Service temporarily unavailable": Unreachable,
    "<html>busy</html>": Unreachable,
    '{"blockID": "00", "block_header": {': Unreachable,
    "{}": Missing,
    "{ }": Missing,
    "[]": Inconsistent,
    "[{}]": Inconsistent,
    '{"blockID": 5}': Inconsistent,
    '{"block": []}': Inconsistent,
    "null": Unreachable,
    '"0000"': Unreachable,
    " ": Unreachable,
    "[" * 100_000: Unreachable,
    "{" + '"a":{' * 100_000 + "}" * 100_001: Inconsistent,
}


@pytest.mark.parametrize(("words", "kind"), SAID.items(), ids=range(len(SAID)))
async def test_case_084_no_error_of_a_node_is_an_empty_block(words: str, kind: type[ChainError]) -> None:
    async with asked() as (node, provider):
        node.chain.mine(pay(SHOP, 5))
        await provider.fetch_headers(0, 0)
        node.bend = of_height("1", words)
        with pytest.raises(kind) as caught:
            await fetch_one(provider)
        assert type(caught.value) is kind or kind is not Refused
        with pytest.raises(kind):
            await provider.fetch_headers(1, 1)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (429, "{}", Throttled),
        (
            403,
            '{"Success":false,"Error":"The key exceeds the frequency limit(15)","StatusCode":403}',
            Throttled,
        ),
        (
            403,
            '{"Error":"Exceed the user daily usage (100000), the maximum query frequency is 1 time per second"}',
            Throttled,
        ),
        (200, '{"Error":"Exceed the user daily usage (100000)"}', Throttled),
        (403, '{"Error":"forbidden"}', Refused),
        (401, '{"Error":"ApiKey not exists"}', Refused),
        (413, "", Refused),
        (404, '{"Error":"this API is unavailable due to config"}', Refused),
        (502, "<html>", Unreachable),
        (503, "", Unreachable),
    ],
)
async def test_case_091_what_gateways_say_by_status(status: int, body: str, kind: type[ChainError]) -> None:
    async with asked() as (node, provider):
        node.chain.mine()
        await provider.fetch_headers(0, 0)
        node.bend = lambda _path, _body, _honest: web.Response(status=status, text=body)
        with pytest.raises(kind):
            await provider.fetch_head_report()
        node.heal()
        assert (await provider.fetch_head_report()).head.height == 1


async def test_a_node_without_getblock_is_asked_the_older_calls() -> None:
    async with asked(lacks={"/wallet/getblock", "/walletsolidity/getblock"}) as (node, provider):
        for _ in range(3):
            node.chain.mine(pay(SHOP, 5), call(log(SHOP, 6), nonce=1))
        report = await provider.fetch_head_report()
        assert (report.head.height, report.final and report.final.height) == (3, 1)
        blocks = await provider.fetch_blocks(0, 3)
        assert await provider.fetch_blocks_at([blocks[2].header.ref]) == [blocks[2]] or paid(blocks[2])
        assert node.asked["/wallet/getblock"] == 1


async def test_the_key_of_a_provider_goes_with_every_call() -> None:
    async with asked(key="sesame") as (node, provider):
        node.chain.mine()
        assert (await provider.fetch_head_report()).head.height == 1
        node.key = "another"
        with pytest.raises(Refused) as caught:
            await provider.fetch_head_report()
        assert "sesame" not in str(caught.value)


async def test_case_086_what_is_solidified_may_be_unknown() -> None:
    async with asked() as (node, provider):
        for _ in range(3):
            node.chain.mine()
        for words in ("{}", "this API is closed", '{"Error": "class x : y"}', "[]"):
            node.bend = only("/walletsolidity/getblock", words)
            report = await provider.fetch_head_report()
            assert (report.head.height, report.final) == (3, None)


async def test_case_086_a_node_that_serves_no_solid_blocks_tells_of_itself_which_is() -> None:
    lacks = {f"/walletsolidity/{name}" for name in ("getblock", "getnowblock")}
    async with asked(lacks=lacks) as (node, provider):
        for _ in range(5):
            node.chain.mine()
        for _ in range(3):
            report = await provider.fetch_head_report()
            assert (report.head.height, report.final and report.final.height) == (5, 3)
        assert node.asked["/walletsolidity/getblock"] == node.asked["/walletsolidity/getnowblock"] == 1
        for words in ('{"solidityBlock": "Num:1"}', "{}", '{"solidityBlock": "Num:1,ID:' + "ab" * 32 + '"}'):
            node.bend = only("/wallet/getnodeinfo", words)
            assert (await provider.fetch_head_report()).final is None


async def test_case_085_receipts_of_another_block_are_noticed_and_asked_for_again() -> None:
    chain = TronChain()
    chain.mine(call(log(SHOP, 5)))
    other = chain.make(chain.blocks[0].id, 1, (call(log(SHOP, 6), nonce=1), call(nonce=2)), branch=1)
    times = 0

    def swap(path: str, body: dict[str, Any], honest: Any) -> Any:
        nonlocal times
        if path.endswith("infobyblocknum"):
            times += 1
            return other.infos if times <= 2 else honest
        return honest

    async with asked(chain) as (node, provider):
        node.bend = swap
        assert paid(await fetch_one(provider)) == [(TransferKind.TOKEN, 5)]
        assert times == 3
        node.bend = only("/wallet/gettransactioninfobyblocknum", other.infos)
        with pytest.raises(Inconsistent, match="receipts"):
            await fetch_one(provider)
        node.bend = only("/wallet/gettransactioninfobyblocknum", [])
        with pytest.raises(Missing, match="receipts"):
            await fetch_one(provider)


async def test_case_085_a_block_that_left_while_its_receipts_were_asked_is_not_mixed() -> None:
    chain = TronChain()
    left = chain.mine(call(log(SHOP, 5)))

    def leave(path: str, _body: dict[str, Any], honest: Any) -> Any:
        if path.endswith("infobyblocknum") and chain.head.id == left.id:
            chain.reorg(1, [call(log(SHOP, 6), nonce=1)])
            return chain.head.infos
        return honest

    async with asked(chain) as (node, provider):
        node.bend = leave
        assert paid(await fetch_one(provider)) == [(TransferKind.TOKEN, 6)]
        with pytest.raises(Missing, match="canonical"):
            await provider.fetch_blocks_at([BlockRef(1, BlockHash(left.id))])


@pytest.mark.parametrize(
    "bend",
    [
        lambda infos: [infos[0], infos[0]],
        lambda infos: infos[:1],
        lambda infos: [*infos, {**infos[1], "id": "ab" * 32}],
        lambda infos: [infos[0], {**infos[1], "blockNumber": 2}],
        lambda infos: [infos[0], {**infos[1], "id": "ab" * 32}],
        lambda infos: [infos[0], {**infos[1], "receipt": {"result": "REVERT"}}],
        lambda infos: [infos[0], {**infos[1], "receipt": {}}],
        lambda infos: [
            infos[0],
            {**infos[1], "log": [{"address": "xx", "topics": [infos[1]["log"][0]["topics"][0]]}]},
        ],
        lambda infos: [infos[0], {**infos[1], "log": [{**infos[1]["log"][0], "data": "zz" * 32}]}],
        lambda infos: [infos[0], {**infos[1], "log": [{**infos[1]["log"][0], "data": 5}]}],
    ],
)
async def test_receipts_that_cannot_be_of_this_block_are_refused(
    bend: Callable[[list[Any]], list[Any]],
) -> None:
    chain = TronChain()
    block = chain.mine(pay(SHOP, 1), call(log(SHOP, 5), nonce=1))
    async with asked(chain) as (node, provider):
        node.bend = only("/wallet/gettransactioninfobyblocknum", bend(block.infos))
        with pytest.raises(Inconsistent):
            await fetch_one(provider)


@pytest.mark.parametrize(
    "name", ["number", "timestamp", "parentHash", "txTrieRoot", "witness_address", "version"]
)
async def test_a_header_that_its_id_does_not_cover_is_no_header(name: str) -> None:
    chain = TronChain()
    for _ in range(3):
        chain.mine()
    bent = chain.blocks[2].row
    raw = bent["block_header"]["raw_data"]
    changed = raw[name] + 1 if isinstance(raw[name], int) else "41" + "5" * (len(raw[name]) - 2)
    header = {**bent["block_header"], "raw_data": {**raw, name: changed}}
    async with asked(chain) as (node, provider):
        node.bend = of_height("2", {**bent, "block_header": header})
        with pytest.raises(Inconsistent, match="block"):
            await provider.fetch_headers(1, 3)
        node.bend = of_height("2", chain.blocks[1].row)
        with pytest.raises(Inconsistent, match="asked for block 2"):
            await provider.fetch_headers(1, 3)


async def test_a_transaction_under_another_id_is_refused() -> None:
    chain = TronChain()
    bent = chain.mine(pay(SHOP, 5)).row
    bent["transactions"][0]["txID"] = "ab" * 32
    async with asked(chain) as (node, provider):
        node.bend = of_height("1", bent)
        with pytest.raises(Inconsistent, match="another transaction"):
            await fetch_one(provider)


async def test_receipts_in_another_order_are_the_same_receipts() -> None:
    chain = TronChain()
    block = chain.mine(call(log(SHOP, 5)), call(log(SHOP, 6), nonce=1))
    async with asked(chain) as (node, provider):
        node.bend = only("/wallet/gettransactioninfobyblocknum", block.infos[::-1])
        assert [amount for _, amount in paid(await fetch_one(provider))] == [5, 6]


async def test_what_hashes_cover_is_full_and_what_they_do_not_holds_its_hits() -> None:
    chain = TronChain()
    chain.mine(pay(SHOP, 5))
    chain.mine(call(log(SHOP, 5)))
    async with asked(chain) as (node, provider):
        proven, logged = await provider.fetch_blocks(1, 2)
        assert (proven.level, proven.hold, proven.doubts) == (VerificationLevel.FULL, Hold.NONE, ())
        assert node.asked["/wallet/gettransactioninfobyblocknum"] == 1
        assert (
            logged.level_of(TransferKind.NATIVE)
            is logged.level_of(TransferKind.TRC10)
            is VerificationLevel.FULL
        )
        assert logged.level_of(TransferKind.TOKEN) is VerificationLevel.PARTIAL
        assert (logged.level, logged.hold) == (VerificationLevel.PARTIAL, Hold.HITS)
        assert {one.check for one in logged.doubts} == {"logs", "internal-transfers"}
    async with asked(chain, facts=TronFacts(AGREEMENT)) as (node, provider):
        assert [one.level for one in await provider.fetch_blocks(1, 2)] == [VerificationLevel.CONSISTENT] * 2
        assert node.asked["/wallet/listwitnesses"] == 0


async def test_a_block_of_a_stranger_is_not_believed() -> None:
    chain = TronChain()
    stranger = PrivateKey(sha256(b"stranger").digest())
    forged = chain.make(chain.blocks[0].id, 1, (pay(SHOP, 5),), key=stranger)
    chain._enter(forged)
    async with asked(chain) as (_, provider):
        with pytest.raises(Inconsistent, match="not signed by the witness"):
            await fetch_one(provider)
    chain = TronChain()
    chain.keys = [stranger]
    chain.mine(pay(SHOP, 5))
    async with asked(chain) as (_, provider):
        with pytest.raises(Inconsistent, match="not scheduled"):
            await fetch_one(provider)
    chain.scheduled.add(address_of(stranger))
    async with asked(chain) as (_, provider):
        assert (await fetch_one(provider)).level is VerificationLevel.FULL


async def test_a_witness_may_let_another_key_sign() -> None:
    chain = TronChain()
    chain.delegates = {address_of(key): PrivateKey(sha256(key.secret).digest()) for key in chain.keys}
    for _ in range(6):
        chain.mine(pay(SHOP, 5))
    async with asked(chain) as (node, provider):
        assert {one.level for one in await provider.fetch_blocks(1, 6)} == {VerificationLevel.FULL}
        assert node.asked["/wallet/getaccount"] <= 2 * len(chain.keys)
        await provider.fetch_blocks(1, 6)
        assert node.asked["/wallet/listwitnesses"] <= 4


async def test_the_schedule_is_asked_once_a_period_and_older_blocks_are_not_held_to_it() -> None:
    chain = TronChain()
    for _ in range(4):
        chain.mine(pay(SHOP, 5))
    chain.maintenance_ms += 10**9
    async with asked(chain) as (node, provider):
        assert {one.level for one in await provider.fetch_blocks(1, 4)} == {VerificationLevel.FULL}
        assert node.asked["/wallet/listwitnesses"] == 1
    chain.scheduled = {address_of(chain.keys[1])}
    async with asked(chain) as (node, provider):
        (block,) = await provider.fetch_blocks(3, 3)
        assert [(one.check, one.reason) for one in block.doubts] == [("witness-schedule", "older-period")]
        assert (block.level, block.hold) == (VerificationLevel.PARTIAL, Hold.HITS)
        await provider.fetch_blocks(1, 4)
        assert node.asked["/wallet/listwitnesses"] == 1
    for path in ("/wallet/listwitnesses", "/wallet/getnextmaintenancetime"):
        async with asked(chain, lacks={path}) as (_, provider):
            (block,) = await provider.fetch_blocks(3, 3)
            assert [(one.check, one.reason) for one in block.doubts] == [("witness-schedule", "not-told")]


async def test_a_schedule_that_is_said_to_hold_for_ever_is_asked_for_again() -> None:
    chain = TronChain()
    chain.mine(pay(SHOP, 5))
    chain.maintenance_ms = 1 << 50
    now_s = 0.0
    async with start_tron_node(chain) as node:
        async with TronSource(chain.traits(), [node.endpoint()], clock=lambda: now_s) as source:
            for hour in range(13):
                now_s = hour * 3_600.0
                await source.choose_provider().fetch_blocks(1, 1)
        assert node.asked["/wallet/listwitnesses"] == 3


async def test_a_field_that_a_payer_invented_changes_nothing_wherever_it_stands() -> None:
    inside = replace(
        pay(SHOP, 5), ret={"contractRet": "SUCCESS", "1002": ["c83e"]}, ret_tail=text(1002, b"\xc8\x3e")
    )
    beside = replace(pay(SHOP, 6, nonce=1), strange={"77": [5, "0a"]}, tail=number(77, 5) + text(77, b"\x0a"))
    chain = TronChain()
    chain.mine(inside, beside)
    async with asked(chain) as (node, provider):
        block = await fetch_one(provider)
        assert (block.level, [amount for _, amount in paid(block)]) == (VerificationLevel.FULL, [5, 6])
        bent = chain.head.row
        bent["transactions"][0]["ret"][0].pop("1002")
        node.bend = of_height("1", bent)
        with pytest.raises(Inconsistent, match="root"):
            await fetch_one(provider)


async def test_a_result_that_nobody_knows_holds_everything_and_excuses_nothing() -> None:
    chain = TronChain()
    chain.mine(pay(SHOP, 5), replace(pay(SHOP, 6, nonce=1), ret={"contractRet": "SUCCESS", "newField": 5}))
    async with asked(chain) as (_, provider):
        block = await fetch_one(provider)
        assert (block.level, block.hold) == (VerificationLevel.PARTIAL, Hold.CHAIN)
        assert block.level_of(TransferKind.NATIVE) is VerificationLevel.PARTIAL
        assert [(one.check, one.reason) for one in block.doubts] == [("transactions-root", "unknown-field")]


async def test_another_network_is_refused_by_its_genesis_block() -> None:
    async with asked(TronChain("one")) as (node, provider):
        assert (await provider.fetch_network_id())[-4:].hex() == node.chain.chain[-8:]
        node.chain.blocks[0] = TronChain("other").blocks[0]
        with pytest.raises(WrongNetwork):
            await provider.fetch_network_id()


async def test_a_node_without_its_first_block_needs_another_identity() -> None:
    chain = TronChain()
    chain.mine()
    lite = "this API is closed because this node is a lite fullnode"
    for words in (lite, "{}"):
        async with asked(chain) as (node, provider):
            node.bend = of_height("0", words)
            with pytest.raises(NoIdentity, match="name another"):
                await provider.fetch_head_report()
    identity = BlockRef(1, BlockHash(chain.head.id))
    async with asked(chain, identity=identity) as (node, provider):
        node.bend = of_height("0", lite)
        assert (await provider.fetch_head_report()).head.height == 1

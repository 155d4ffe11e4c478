"""Cases of the catalogue that are Tron's own, each to a merchant's log."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from chains.errors import ChainError
from chains.model import Address, Asset, AssetId
from chains.tron.address import format_address
from tests.devnet.tron_chain import (
    PAYER,
    MadeTx,
    account,
    call,
    lie_about,
    log,
    log_event,
    make_raw,
    pay,
    pay_numbered,
    text,
)
from tests.live.tron_world import SHOP_ADDRESS as SHOP
from tests.live.tron_world import TronWorld, open_tron_world

COIN = Asset(AssetId("tron:made/trc10:1002000"), "BTT", 3, Address(b"1002000"))
BEYOND_DOUBLES = 9_007_199_254_740_993


async def bury(world: TronWorld) -> None:
    for _ in range(3):
        world.made.mine()
        await world.settle()


async def test_case_079_080_081_087_088_090_only_what_was_executed_is_a_deposit(database_url: str) -> None:
    limits = {COIN.asset_id: None}
    async with open_tron_world(database_url, tokens=[COIN], hold_limits=limits) as world:
        await world.watch_shop()
        reward = MadeTx(make_raw(13, "WithdrawBalanceContract", text(1, SHOP), nonce=1))
        silent = lie_about(replace(call(log(SHOP, 2), nonce=5), ret={}), receipt={})
        world.made.mine(
            pay(SHOP, BEYOND_DOUBLES),
            reward,
            *(
                call(log(SHOP, 1), outcome=outcome, nonce=at)
                for at, outcome in enumerate(("OUT_OF_ENERGY", "REVERT", "OUT_OF_TIME"), start=2)
            ),
            silent,
            call(log(SHOP, 3, contract=account("look-alike")), nonce=6),
            pay_numbered(SHOP, 4, b"USDT", nonce=7),
            pay_numbered(SHOP, 5, b"1002000", nonce=8),
            call(log(SHOP, 0), nonce=9),
            call(log(SHOP, 999_000_000), nonce=10),
        )
        await world.settle()
        await bury(world)
        assert await world.deposits() == [
            ("native", "final", BEYOND_DOUBLES),
            ("trc10", "final", 5),
            ("token", "final", 999_000_000),
        ]
        told = [event["data"]["deposit"] for event in await world.told()]
        assert {one["amount_base_units"] for one in told} == {str(BEYOND_DOUBLES), "5", "999000000"}


async def test_case_082_a_node_may_answer_in_either_dialect(database_url: str) -> None:
    async with open_tron_world(database_url) as world:
        await world.watch_shop()

        def show(path: str, _body: Any, answer: Any) -> Any:
            if path.endswith("infobyblocknum"):
                return [
                    {
                        **info,
                        "log": [
                            {**one, "address": format_address(_lengthen(one["address"]))}
                            for one in info["log"]
                        ],
                    }
                    for info in answer
                ]
            if path == "/wallet/getblock" and "block_header" in answer:
                raw = answer["block_header"]["raw_data"]
                named = {**raw, "witness_address": format_address(bytes.fromhex(raw["witness_address"]))}
                return {**answer, "block_header": {**answer["block_header"], "raw_data": named}}
            return answer

        world.made.mine(call(log(SHOP, 5)))
        await world.settle()
        world.node.bend = show
        world.made.mine(call(log(SHOP, 6), nonce=1))
        await world.settle()
        told = [
            event["data"]["deposit"] for event in await world.told() if event["type"] == "deposit.included"
        ]
        assert [one["amount_base_units"] for one in told] == ["5", "6"]
        assert {one["to"] for one in told} == {format_address(SHOP)}
        assert len({one["from"] for one in told}) == len({one["asset"] for one in told}) == 1


def _lengthen(short: str) -> Address:
    return Address(bytes.fromhex("41" + short))


def instead(path: str, shape: Any) -> Callable[[str, Any, Any], Any]:
    """Whole blocks, or receipts, are answered so."""
    return lambda at, body, honest: shape if at == path and body.get("detail", True) else honest


def newest_is(late: Any) -> Callable[[str, Any, Any], Any]:
    """The head that another machine behind the same address knows."""
    return lambda at, body, honest: late if at == "/wallet/getblock" and "id_or_num" not in body else honest


SHAPES = (
    "{}",
    '{"Error": "class java.lang.Exception : lack of computing resources"}',
    "this API is closed because this node is a lite fullnode",
    '{"Error": "class java.lang.NullPointerException : null"}',
    "[]",
)


async def test_case_084_085_091_what_a_node_says_instead_of_a_block_moves_nothing(database_url: str) -> None:
    async with open_tron_world(database_url) as world:
        await world.watch_shop()
        honest = world.made.mine(call(log(SHOP, 5)))
        other = world.made.make(honest.parent, 2, (call(log(SHOP, 6), nonce=1),), branch=1)
        for path in ("/wallet/getblock", "/wallet/gettransactioninfobyblocknum"):
            for shape in (*SHAPES, other.infos):
                world.node.bend = instead(path, shape)
                await world.step_in_weather()
                assert await world.told_types() == [], (path, shape)
                world.now += timedelta(hours=2)
        world.node.heal()
        await world.settle()
        (event,) = await world.told()
        assert event["data"]["deposit"]["amount_base_units"] == "5"


async def test_case_089_a_balance_frozen_or_destroyed_by_its_issuer_takes_no_deposit_back(
    database_url: str,
) -> None:
    async with open_tron_world(database_url) as world:
        await world.watch_shop()
        world.made.mine(call(log(SHOP, 5_000_000)))
        await world.settle()
        await bury(world)
        told = await world.told_types()
        who, amount = SHOP[1:].hex().rjust(64, "0"), f"{5_000_000:064x}"
        world.made.mine(
            call(log_event("AddedBlackList(address)", who), nonce=1),
            call(log_event("DestroyedBlackFunds(address,uint256)", who, data=amount), nonce=2),
            call(log_event("DestroyedBlackFunds(address,uint256)", who, who, data=amount), nonce=3),
            call(
                log_event("Issue(uint256)", data=amount), log_event("Redeem(uint256)", data=amount), nonce=4
            ),
        )
        await world.settle()
        await bury(world)
        assert await world.told_types() == told
        world.made.mine(call(log(SHOP, 7), nonce=5))
        await world.settle()
        await bury(world)
        assert await world.deposits() == [("token", "final", 5_000_000), ("token", "final", 7)]


async def test_case_091_heads_of_mixed_nodes_take_nothing_back(database_url: str) -> None:
    async with open_tron_world(database_url) as world:
        await world.watch_shop()
        world.made.mine(pay(SHOP, 5))
        await bury(world)
        late = world.made.blocks[2].bare
        told = await world.told_types()
        for turn in range(8):
            world.node.heal()
            if turn % 2:
                world.node.bend = newest_is(late)
            assert not isinstance(await world.step_in_weather(), ChainError)
        assert await world.told_types() == told


async def test_a_log_that_one_operator_invented_is_never_credited(database_url: str) -> None:
    async with open_tron_world(database_url, operators=2) as world:
        await world.watch_shop()
        liar, _ = world.nodes

        def invent(path: str, _body: Any, answer: Any) -> Any:
            if path.endswith("infobyblocknum"):
                return [{**info, "log": [*info.get("log", []), log(SHOP, 777)]} for info in answer]
            return answer

        liar.bend = invent
        world.made.mine(call(log(account("x"), 1)), pay(SHOP, 5, nonce=1))
        for _ in range(6):
            await world.step_in_weather()
            world.made.mine()
        assert all(event["data"]["deposit"].get("credited_base_units") == "0" for event in await world.told()
                   if event["data"].get("deposit", {}).get("amount_base_units") == "777")  # fmt: skip
        assert ("token", "confirmed", 777) not in await world.deposits()
        assert ("token", "final", 777) not in await world.deposits()


async def test_two_operators_who_show_the_same_logs_are_believed_at_once(database_url: str) -> None:
    async with open_tron_world(database_url, operators=2) as world:
        await world.watch_shop()
        world.made.mine(call(log(SHOP, 5_000_000_000, sender=PAYER)))
        await world.settle()
        await bury(world)
        await bury(world)
        assert await world.deposits() == [("token", "final", 5_000_000_000)]

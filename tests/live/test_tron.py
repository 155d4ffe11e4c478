"""A made Tron chain followed to a merchant's log: deposits to finality, reorganisations, a solid block that stands still."""

from __future__ import annotations

from tests.devnet.tron_chain import account, call, internal, log, pay
from tests.live.tron_world import SHOP_ADDRESS, open_tron_world


async def test_deposits_of_trx_and_tokens_are_followed_to_what_is_solidified(database_url: str) -> None:
    async with open_tron_world(database_url) as world:
        await world.watch_shop()
        world.made.mine(
            pay(SHOP_ADDRESS, 7_000_000, memo=b"order-17"), call(log(SHOP_ADDRESS, 1_500_000), nonce=1)
        )
        await world.settle()
        assert await world.told_types() == ["deposit.included"] * 2
        native, token = [event["data"]["deposit"] for event in await world.told()]
        assert (native["kind"], native["amount"], native["memo"]) == ("native", "7", "order-17")
        assert native["to"].startswith("T")
        assert (token["kind"], token["symbol"], token["amount"]) == ("token", "USDT", "1.5")
        assert token["from"] == native["from"]
        for _ in range(3):
            world.made.mine()
        await world.settle()
        assert sorted((await world.told_types())[2:]) == ["deposit.confirmed"] * 2 + ["deposit.final"] * 2
        assert await world.deposits() == [("native", "final", 7_000_000), ("token", "final", 1_500_000)]


async def test_a_reorganisation_takes_back_what_was_told_and_finds_it_again(database_url: str) -> None:
    async with open_tron_world(database_url, confirmations=2) as world:
        await world.watch_shop()
        payment = pay(SHOP_ADDRESS, 5)
        world.made.mine(payment)
        await world.settle()
        world.made.mine()
        await world.settle()
        assert await world.told_types() == ["deposit.included", "deposit.confirmed"]
        world.made.reorg(2, (), (), ())
        for _ in range(4):
            await world.settle()
        assert (await world.told_types())[2:] == ["deposit.reversed"]
        world.made.mine(payment)
        await world.settle()
        for _ in range(3):
            world.made.mine()
            await world.settle()
        assert (await world.told_types())[3:] == ["deposit.included", "deposit.confirmed", "deposit.final"]
        assert await world.deposits() == [("native", "final", 5)]


async def test_case_086_a_solid_block_may_stand_still_and_be_ahead_of_our_node(database_url: str) -> None:
    async with open_tron_world(database_url) as world:
        await world.watch_shop()
        world.made.mine(pay(SHOP_ADDRESS, 5))
        await world.settle()
        solid = world.made.solid_height
        for _ in range(6):
            world.made.mine()
            world.made.solid_height = solid
        await world.settle()
        assert await world.told_types() == ["deposit.included", "deposit.confirmed"]
        record = await world.store.load_chain(world.chain)
        assert record is not None
        assert (record.final_height or 0) <= solid

        stale = world.made.blocks[:-2]

        def lag(path: str, _body: object, answer: object) -> object:
            return stale[-1].bare if path == "/wallet/getblock" and not _wanted(_body) else answer

        world.made.solid_height = world.made.head.height
        world.node.bend = lag
        await world.settle()
        world.node.heal()
        await world.settle()
        assert (await world.told_types())[2:] == ["deposit.final"]
        # Backwards is never followed.
        world.made.solid_height = 1
        world.made.mine()
        await world.settle()
        record = await world.store.load_chain(world.chain)
        assert record is not None
        assert record.final_height is not None
        assert record.final_height > solid


def _wanted(body: object) -> object:
    assert isinstance(body, dict)
    return body.get("id_or_num")


async def test_case_083_trx_that_contracts_send_is_found_where_nodes_keep_it(database_url: str) -> None:
    async with open_tron_world(database_url) as world:
        await world.watch_shop()
        sent = [
            internal(SHOP_ADDRESS, 9_007_199_254_740_993),
            internal(SHOP_ADDRESS, 1, rejected=True),
            internal(SHOP_ADDRESS, 2, note="delegateResourceOfEnergy"),
            internal(account("other"), 3),
        ]
        world.made.mine(call(internals=sent))
        await world.settle()
        assert await world.told_types() == []
        (state,) = [one for one in world.source.describe_checks() if one.check == "internal-transfers"]
        assert (state.state, state.enforced_since_height) == ("not-shown", None)
        world.node.keeps_internal = True
        world.made.mine(call(internals=sent, nonce=1))
        await world.settle()
        (event,) = await world.told()
        assert event["data"]["deposit"]["kind"] == "internal"
        assert event["data"]["deposit"]["amount_base_units"] == "9007199254740993"
        (state,) = [one for one in world.source.describe_checks() if one.check == "internal-transfers"]
        assert (state.state, state.enforced_since_height) == ("shown", 3)

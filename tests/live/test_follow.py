"""The main job on a real node and a real database: included, confirmed, final, moved, reversed."""

from __future__ import annotations

from chains.traits import FinalByTag
from indexer.follow.outcomes import Advanced, Halted, Rewound, Suspecting
from tests.devnet.anvil import ACCOUNTS
from tests.live.followed import SHOP
from tests.live.world import OTHER_SHOP, mint_data, open_world, transfer_data

TILL = "0x9858EfFD232B4033E47d90003D41EC34EcaEda94"
SECOND_TILL = "0x6Fac4D18c912343BF86fa7049364Dd4E424Ab9C0"
ONE = 10**18


async def test_a_native_deposit_is_included_confirmed_and_final(database_url: str) -> None:
    async with open_world(database_url) as world:
        await world.watch(TILL, reference="order-17")
        await world.node.send(to=TILL, value=ONE)
        await world.node.mine()
        await world.settle()
        assert await world.told_types() == ["deposit.included"]
        await world.node.mine(2)
        await world.settle()
        assert await world.told_types() == ["deposit.included", "deposit.confirmed"]
        await world.node.mine(9)
        await world.settle()
        assert await world.told_types() == ["deposit.included", "deposit.confirmed", "deposit.final"]
        included, confirmed, final = (event["data"]["deposit"] for event in await world.told())
        assert included["credited_base_units"] == "0"
        assert confirmed["credited_base_units"] == final["credited_base_units"] == str(ONE)
        assert confirmed["confirmations"] == confirmed["confirmations_required"] == 3
        assert confirmed["reference"] == "order-17"
        assert confirmed["to"] == TILL
        assert [d["version"] for d in (included, confirmed, final)] == [1, 2, 3]


async def test_a_token_deposit_to_two_merchants_is_two_deposits(database_url: str) -> None:
    async with open_world(database_url, token=True, confirmations=1) as world:
        token = world.settings.traits.assets[0].contract
        assert token is not None
        await world.watch(TILL)
        await world.watch(TILL, merchant=OTHER_SHOP)
        contract = "0x" + token.hex()
        await world.node.send(to=contract, data=mint_data(ACCOUNTS[0], 5_000_000))
        await world.node.send(to=contract, data=transfer_data(TILL, 1_500_000))
        await world.node.mine()
        await world.settle()
        mine, theirs = await world.told(SHOP), await world.told(OTHER_SHOP)
        assert (
            [event["type"] for event in mine] == ["deposit.confirmed"] == [event["type"] for event in theirs]
        )
        assert mine[0]["data"]["deposit"]["id"] != theirs[0]["data"]["deposit"]["id"]
        assert mine[0]["data"]["deposit"]["amount"] == "1.5"
        assert mine[0]["data"]["previous_state"] is None


async def test_a_reorganisation_takes_back_what_it_took_away(database_url: str) -> None:
    async with open_world(database_url, confirmations=2) as world:
        await world.watch(TILL)
        await world.node.send(to=TILL, value=ONE)
        await world.node.mine(2)
        await world.settle()
        await world.node.call("anvil_reorg", 2, [])
        first = await world.step()
        assert isinstance(first, Suspecting), "one sight of a fork is not evidence"
        assert isinstance(await world.step(), Rewound)
        told = await world.told()
        assert [event["type"] for event in told] == ["deposit.confirmed", "deposit.reversed"]
        reversed_event = told[-1]
        assert reversed_event["data"]["deposit"]["state"] == "orphaned"
        assert reversed_event["data"]["deposit"]["credited_base_units"] == "0"
        assert reversed_event["data"]["deposit"]["block"] is None
        confirmed = next(event for event in told if event["type"] == "deposit.confirmed")
        assert reversed_event["data"]["reverses"] == confirmed["id"]


async def test_a_transaction_found_again_in_the_same_move_only_moves(database_url: str) -> None:
    async with open_world(database_url, confirmations=3) as world:
        await world.watch(TILL)
        tx_hash = await world.node.send(to=TILL, value=ONE)
        await world.node.mine(2)
        await world.settle()
        raw = await world.node.raw_transaction(tx_hash)
        await world.node.call("anvil_reorg", 2, [[raw, 1]])
        await world.settle()
        assert await world.told_types() == ["deposit.included", "deposit.moved"]
        before, moved = (event["data"]["deposit"] for event in await world.told())
        assert before["id"] == moved["id"]
        assert moved["block"]["height"] == before["block"]["height"] + 1


async def test_a_sibling_at_the_same_height_is_noticed_at_once(database_url: str) -> None:
    async with open_world(database_url, confirmations=1) as world:
        await world.watch(TILL)
        tip = await world.node.height()
        await world.node.send(to=TILL, value=ONE)
        await world.node.mine()
        await world.settle()
        await world.node.call("anvil_reorg", 1, [])
        assert await world.node.height() == tip + 1
        await world.settle()
        assert await world.told_types() == ["deposit.confirmed", "deposit.reversed"]


async def test_a_fork_below_what_was_final_halts_and_survives_a_restart(database_url: str) -> None:
    async with open_world(database_url, confirmations=1, finality=FinalByTag()) as world:
        await world.watch(TILL)
        await world.node.send(to=TILL, value=ONE)
        await world.node.mine(6)
        await world.settle()
        assert (await world.told_types())[-1] == "deposit.final"
        await world.node.call("anvil_reorg", 6, [])
        outcomes = [await world.step() for _ in range(2)]
        assert isinstance(outcomes[-1], Halted)
        world.restart()
        assert isinstance(await world.step(), Halted)
        assert (await world.told_types())[-1] == "chain.halted"


async def test_a_gap_after_downtime_is_caught_up_in_order(database_url: str) -> None:
    async with open_world(database_url, confirmations=3) as world:
        await world.watch(TILL)
        for _ in range(5):
            await world.node.send(to=TILL, value=ONE)
            await world.node.mine(30)
        world.restart()
        outcomes = await world.settle()
        assert sum(isinstance(outcome, Advanced) for outcome in outcomes) >= 2, (
            "a gap is read in bounded batches"
        )
        deposits = {event["data"]["deposit"]["id"] for event in await world.told()}
        assert len(deposits) == 5


async def test_an_address_added_right_before_its_block_is_not_missed(database_url: str) -> None:
    async with open_world(database_url, confirmations=1) as world:
        watched = await world.watch(SECOND_TILL)
        await world.node.send(to=SECOND_TILL, value=ONE)
        await world.node.mine()
        await world.settle()
        assert (
            watched.watching_from.height + 1 == (await world.told())[0]["data"]["deposit"]["block"]["height"]
        )

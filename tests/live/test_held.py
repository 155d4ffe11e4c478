"""Rows that could not be checked are told and credit nobody: until another operator shows the same, or ours says so."""

from __future__ import annotations

from typing import Any

from chains.errors import Inconsistent
from indexer.follow.outcomes import Idle
from indexer.move.halts import commit_trust
from tests.faultproxy.faults import Answer
from tests.live.followed import SHOP
from tests.live.world import World, mint_data, open_world

TILL = "0x9858EfFD232B4033E47d90003D41EC34EcaEda94"
FORGED = 10**12


def forge(_params: list[Any], answer: Answer) -> Answer:
    """A larger amount beside a receipt field nobody knows."""
    for receipt in answer["result"]:
        receipt["amsterdamField"] = "0x1"
        for log in receipt["logs"]:
            log["data"] = f"0x{FORGED:064x}"
    return answer


def renew(_params: list[Any], answer: Answer) -> Answer:
    """A header of a fork nobody knows: its hash covers more than we can hash."""
    answer["result"] |= {"stateRoot": "0x" + "07" * 32, "futureRoot": "0x" + "01" * 32}
    return answer


async def paid(world: World, amount: int = 500) -> None:
    """A payment to the till where there is a token, and five blocks."""
    if world.token:
        await world.node.send(to=world.token, data=mint_data(TILL, amount))
    await world.node.mine(5)
    await world.settle()
    await world.settle()


async def credited(world: World) -> int:
    """What the shop may count on."""
    total: int | None = await world.pool.fetchval(
        "select sum(amount_base_units) from deposits where state in ('confirmed', 'final') and merchant_id = $1",
        SHOP,
    )
    return int(total or 0)


async def test_a_forgery_beside_an_unknown_field_is_told_and_never_credited(database_url: str) -> None:
    async with open_world(database_url, token=True, operators=1) as world:
        await world.watch(TILL)
        world.proxies[0].bend("eth_getBlockReceipts", forge)
        await paid(world)
        record = await world.store.load_chain(world.chain)
        assert record is not None
        assert record.held_height is not None
        assert await world.told_types() == ["deposit.included"]
        world.proxies[0].heal()
        await paid(world, 700)
        assert await credited(world) == 0, "nothing above the doubt is credited either"
        record = await world.store.load_chain(world.chain)
        assert record is not None
        assert await commit_trust(world.desk, record, until_height=10**9, now=world.now)
        await world.settle()
        assert await credited(world) == FORGED + 700, "our operator vouched for it"


async def test_a_second_operator_that_shows_other_deposits_never_lifts_the_doubt(database_url: str) -> None:
    async with open_world(database_url, token=True, operators=2) as world:
        await world.watch(TILL)
        for liar in world.proxies:
            await world.settle()
            liar.bend("eth_getBlockReceipts", forge)
            await paid(world)
            liar.heal()
            if FORGED in await recorded(world):
                break
        assert FORGED in await recorded(world)
        outcomes = [outcome for _ in range(3) for outcome in await world.settle()]
        moved = [one.moved for one in outcomes if isinstance(one, Idle) and one.moved is not None]
        assert any(one.differing_heights for one in moved)
        assert await credited(world) == 0


async def recorded(world: World) -> set[int]:
    rows = await world.pool.fetch("select amount_base_units from deposits")
    return {int(row["amount_base_units"]) for row in rows}


async def test_a_fork_nobody_knows_is_credited_once_a_second_operator_shows_the_same(
    database_url: str,
) -> None:
    async with open_world(database_url, token=True, operators=2) as world:
        await world.watch(TILL)
        for proxy in world.proxies:
            for method in ("eth_getBlockByHash", "eth_getBlockByNumber"):
                proxy.bend(method, renew, when=lambda params: params[-1] is True)
        await paid(world)
        for _ in range(4):
            await world.settle()
        record = await world.store.load_chain(world.chain)
        assert record is not None
        assert record.held_height is None
        assert await world.told_types() == ["deposit.included", "deposit.confirmed"]
        assert await credited(world) == 500


async def test_another_sender_than_who_signed_is_refused_before_anything_is_recorded(
    database_url: str,
) -> None:
    async with open_world(database_url, operators=1) as world:
        await world.watch(TILL)

        def rename(_params: list[Any], answer: Answer) -> Answer:
            for transaction in answer["result"]["transactions"]:
                transaction["from"] = TILL.lower()
            return answer

        world.proxies[0].bend("eth_getBlockByHash", rename)
        await world.node.send(to=TILL, value=5)
        await world.node.mine()
        outcome = await world.step_in_weather()
        assert isinstance(outcome, Inconsistent)
        assert "was signed by" in str(outcome)
        assert await recorded(world) == set()
        world.proxies[0].heal()
        for _ in range(30):
            await world.step_in_weather()
        await paid(world)
        assert await recorded(world) == {5}, "it is the payer's own word that counts"

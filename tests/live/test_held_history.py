"""History that one operator forges: told, held, and credited as two operators tell it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from chains.port import Provider
from indexer.explain import Knowledge, Reason, explain_deposit
from indexer.history.backfill import Covered, step_backfill, step_doubts
from indexer.rows.storage import ChainRecord
from indexer.rows.work_store import PostgresBackfillStore, load_recorded
from indexer.rules.doubts import Findings
from indexer.views import load_doubted_heights
from tests.faultproxy.faults import Answer
from tests.live.test_held import FORGED, TILL, credited, forge
from tests.live.world import World, mint_data, open_world


def renew(_params: list[Any], answer: Answer) -> Answer:
    """The truth, beside a field nobody knows and a bloom of a rule nobody knows."""
    for receipt in answer["result"]:
        receipt["amsterdamField"] = "0x1"
        receipt["logsBloom"] = "0x" + "11" * 256
    return answer


async def paid_before(world: World) -> int:
    """A payment to a till that nobody watches yet, deep below the head; returns where it stands."""
    await world.node.send(to=world.token, data=mint_data(TILL, 500))
    receipt_height = int(await world.node.call("eth_blockNumber"), 16)
    await world.node.mine(1 if receipt_height == 0 else 8)
    for _ in range(3):
        await world.settle()
    await world.watch(TILL, from_height=0)
    return receipt_height


def provider_of(world: World, operator: str) -> Provider:
    first: Provider = world.source.choose_provider()
    asked: list[Provider] = [first, *world.source.second_opinions(first)]
    return next(one for one in asked if one.operator == operator)


async def read(world: World, provider: Provider) -> Findings:
    """All history that is wanted, from this provider."""
    store, found = PostgresBackfillStore(world.pool, world.store), Findings()
    while isinstance(
        outcome := await step_backfill(world.desk, store, provider, now=world.now, source=world.source),
        Covered,
    ):
        found.add(outcome.findings)
    return found


async def ask(world: World) -> Findings:
    """A while later, everybody is asked about what is in doubt; whoever rested has rested."""
    world.now += timedelta(hours=2)
    world.clock_s[0] = world.now.timestamp()
    store = PostgresBackfillStore(world.pool, world.store)
    outcome = await step_doubts(world.desk, store, world.source, now=world.now)
    return outcome.findings if isinstance(outcome, Covered) else Findings()


async def record_of(world: World) -> ChainRecord:
    record = await world.store.load_chain(world.chain)
    assert record is not None
    return record


async def test_forged_history_is_told_and_never_credited_and_honest_history_is_once_two_tell_it(
    database_url: str,
) -> None:
    async with open_world(database_url, token=True, operators=2) as world:
        await paid_before(world)
        world.proxies[0].bend("eth_getBlockReceipts", forge)
        world.proxies[1].bend("eth_getBlockReceipts", renew)
        found = await read(world, provider_of(world, "operator-0"))
        assert found.differing == found.doubted != set()
        await world.node.mine(15)
        await world.settle()
        found = await ask(world)
        assert found.liars == set()
        assert await credited(world) == 0
        record = await record_of(world)
        assert record.final_height is not None
        (deposit,) = await load_recorded(
            world.pool, world.chain, height_first=0, height_last=record.tip.height
        )
        assert deposit.occurrence is not None
        assert deposit.occurrence.height < min(record.final_height, record.agreed_height), "however deep"
        assert deposit.amount_base_units == FORGED
        doubted = await load_doubted_heights(world.pool, world.chain, [deposit])
        known = Knowledge(record, world.desk.naming, {}, None, [deposit], {}, None, doubted_heights=doubted)
        finding = explain_deposit(deposit, known)
        assert finding.reason is Reason.DISPUTED
        assert "chainbell chain trust" in finding.text
        world.proxies[0].heal()
        world.proxies[0].bend("eth_getBlockReceipts", renew)
        await ask(world)
        assert await credited(world) == 500
        assert await world.told_types() == ["deposit.included", "deposit.confirmed", "deposit.final"]


async def test_of_three_operators_the_one_that_forged_history_is_outvoted(database_url: str) -> None:
    async with open_world(database_url, token=True, operators=3) as world:
        await paid_before(world)
        world.proxies[0].bend("eth_getBlockReceipts", forge)
        liar = provider_of(world, "operator-0")
        await read(world, liar)
        found = await ask(world)
        assert found.liars == {"operator-0"}
        assert found.replaced != set()
        assert await credited(world) == 500
        assert await world.pool.fetchval("select count(*) from doubted_blocks") == 0
        resting = [one.name for one in world.source.second_opinions(provider_of(world, "operator-1"))]
        assert liar.name not in resting, "who was outvoted rests"
        others = {provider_of(world, f"operator-{one}").name for one in (1, 2)}
        served_by = await world.pool.fetchval(
            "select served_by from blocks where height = $1", min(found.replaced)
        )
        assert served_by in others


async def test_what_one_of_two_can_prove_needs_no_majority(database_url: str) -> None:
    async with open_world(database_url, token=True, operators=2) as world:
        await paid_before(world)
        world.proxies[0].bend("eth_getBlockReceipts", forge)
        await read(world, provider_of(world, "operator-0"))
        assert await credited(world) == 0
        found = await ask(world)
        assert found.liars == {"operator-0"}
        assert await credited(world) == 500


async def test_honest_history_with_a_receipt_of_tomorrow_is_credited_once_both_show_it(
    database_url: str,
) -> None:
    async with open_world(database_url, token=True, operators=2) as world:
        await paid_before(world)

        for proxy in world.proxies:
            proxy.bend("eth_getBlockReceipts", renew)
        found = await read(world, provider_of(world, "operator-0"))
        assert found.settled != set()
        assert found.doubted == found.differing == set()
        await world.settle()
        assert await credited(world) == 500

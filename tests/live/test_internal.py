"""Value that contracts send is a deposit where calls are traced, and no provider can invent it.

A real node, a real database, the whole indexer; one test a case (chains-and-cases B2).  The audit of balances, which
sees what no block tells, is in `test_audit_balances.py`.
"""

from __future__ import annotations

from typing import Any

import pytest

from chains.errors import ChainError, Inconsistent, Refused
from chains.evm.facts import change_facts
from chains.evm.provider import EvmProvider
from chains.model import VerificationLevel
from chains.traits import ChainTraits
from indexer.follow.outcomes import Advanced
from tests.devnet.anvil import ACCOUNTS
from tests.devnet.compiled import load_contract
from tests.faultproxy import faults
from tests.live.world import CHAIN, World, open_world

pytestmark = pytest.mark.live

ETHER = 10**18
TILLS = tuple(f"0x{0x7111 + number:040x}" for number in range(3))
TRACE = "debug_traceBlockByHash"


def traced(traits: ChainTraits) -> ChainTraits:
    """The local chain with its calls traced."""
    return change_facts(traits, traces=True)


async def deploy_multi(world: World) -> str:
    """The contract that sends, in a block that is followed."""
    at = await world.node.deploy(load_contract("Multi").creation())
    await world.settle()
    return at


async def run(world: World, at: str, function: str, *arguments: object, value: int = 0) -> None:
    """Call it in a block of its own."""
    await world.node.send(to=at, data=load_contract("Multi").call(function, *arguments), value=value)
    await world.node.mine()


async def deposits(world: World) -> list[tuple[str, str, str, int]]:
    """Kind, recipient, amount and event of everything the merchant was told, in order."""
    return [
        (one["kind"], one["to"].lower(), one["amount_base_units"], one["version"])
        for event in await world.told()
        for one in [event["data"]["deposit"]]
    ]


async def level_at(world: World, height: int) -> str:
    """How far the block we hold there was verified."""
    level = await world.pool.fetchval(
        "select level from blocks where chain = $1 and height = $2", CHAIN, height
    )
    return str(level)


async def test_case_024_value_sent_by_a_contract_is_a_deposit_each(database_url: str) -> None:
    async with open_world(database_url, adapt=traced) as world:
        at = await deploy_multi(world)
        for till in TILLS:
            await world.watch(till)
        await run(world, at, "send", list(TILLS), value=3 * ETHER)
        await world.settle()
        assert await deposits(world) == [("internal", till, str(ETHER), 1) for till in TILLS]
        assert await level_at(world, await world.node.height()) == "full", "the balances held"


async def test_case_024_three_parts_to_one_till_are_three_deposits(database_url: str) -> None:
    async with open_world(database_url, adapt=traced) as world:
        at = await deploy_multi(world)
        await world.watch(TILLS[0])
        await run(world, at, "send", [TILLS[0]] * 3, value=3 * ETHER)
        await world.settle()
        assert await deposits(world) == [("internal", TILLS[0], str(ETHER), 1)] * 3


async def test_case_024_without_traces_nothing_is_seen_and_no_balance_is_asked(database_url: str) -> None:
    async with open_world(database_url, operators=1) as world:
        at = await deploy_multi(world)
        await world.watch(TILLS[0])
        await run(world, at, "send", [TILLS[0]], value=ETHER)
        await world.node.send(to=TILLS[0], value=5)
        await world.node.mine()
        await world.settle()
        assert await deposits(world) == [("native", TILLS[0], "5", 1)]
        assert world.proxies[0].calls["eth_getBalance"] == 0


async def test_case_025_value_that_was_reverted_counts_nothing(database_url: str) -> None:
    async with open_world(database_url, adapt=traced) as world:
        at = await deploy_multi(world)
        await world.watch(TILLS[0])
        await run(world, at, "swallow", TILLS[0], value=ETHER)
        await run(world, at, "revertAll", TILLS[0], value=ETHER)
        await world.settle()
        assert await world.told() == []


async def test_case_026_value_of_a_delegated_call_counts_once(database_url: str) -> None:
    async with open_world(database_url, adapt=traced) as world:
        at = await deploy_multi(world)
        await world.watch(TILLS[0])
        await run(world, at, "dele", TILLS[0], value=ETHER)
        await world.settle()
        assert await deposits(world) == [("internal", TILLS[0], str(ETHER), 1)]


async def test_case_027_a_selfdestruct_and_an_endowment_are_deposits(database_url: str) -> None:
    async with open_world(database_url, adapt=traced) as world:
        at = await deploy_multi(world)
        await world.watch(TILLS[0])
        await run(world, at, "boom", TILLS[0], value=ETHER)
        await world.settle()
        assert await deposits(world) == [("internal", TILLS[0], str(ETHER), 1)]
        born = await foresee_endowed(world, at)
        for address in born:
            await world.watch(address)
        await run(world, at, "endow", b"\x01" * 32, value=2 * ETHER)
        await world.settle()
        assert (await deposits(world))[1:] == [("internal", address, str(ETHER), 1) for address in born]


async def foresee_endowed(world: World, at: str) -> list[str]:
    """Where `endow` will create its two contracts: the node is asked to try it."""
    data = load_contract("Multi").call("endow", b"\x01" * 32)
    call: dict[str, Any] = {"from": ACCOUNTS[0], "to": at, "data": data, "value": hex(2 * ETHER)}
    traced = await world.node.call(
        "debug_traceCall", call, "latest", {"tracer": "callTracer", "tracerConfig": {"withLog": False}}
    )
    return [str(frame["to"]).lower() for frame in traced["calls"]]


async def test_case_028_a_block_waits_for_its_trace_and_nothing_is_skipped(database_url: str) -> None:
    async with open_world(database_url, adapt=traced, operators=1) as world:
        at = await deploy_multi(world)
        await world.watch(TILLS[0])
        before = await world.node.height()
        (proxy,) = world.proxies
        for bend in (
            faults.nothing,
            faults.constant([]),
            faults.failing(-32000, "required historical state unavailable"),
            faults.failing(-32601, "the method debug_traceBlockByHash does not exist"),
        ):
            proxy.bend(TRACE, bend)
            await run(world, at, "send", [TILLS[0]], value=ETHER)
            for _ in range(3):
                assert isinstance(await world.step_in_weather(), ChainError)
            assert await world.told() == []
            record = await world.store.load_chain(CHAIN)
            assert record is not None
            assert record.tip.height == before
            proxy.heal()
        await catch_up(world)
        assert await deposits(world) == [("internal", TILLS[0], str(ETHER), 1)] * 4


async def catch_up(world: World, *, patience_steps: int = 60) -> None:
    """Steps a second apart until our tip is the node's."""
    height = await world.node.height()
    for _ in range(patience_steps):
        outcome = await world.step_in_weather()
        if isinstance(outcome, Advanced) and outcome.moved.record.tip.height == height:
            return
    raise AssertionError("not caught up")


def inflated(_params: list[Any], answer: faults.Answer) -> faults.Answer:
    """Every inner value grows by one wei."""
    for entry in answer["result"]:
        for frame in entry["result"].get("calls", ()):
            frame["value"] = hex(int(frame["value"], 16) + 1)
    return answer


def dropped(_params: list[Any], answer: faults.Answer) -> faults.Answer:
    """The last inner call is kept quiet."""
    for entry in answer["result"]:
        entry["result"]["calls"] = entry["result"].get("calls", [])[:-1]
    return answer


@pytest.mark.parametrize("lie", [inflated, dropped])
async def test_an_internal_amount_that_is_not_in_the_balance_is_refused(
    database_url: str, lie: faults.Bend
) -> None:
    async with open_world(database_url, adapt=traced, operators=1) as world:
        at = await deploy_multi(world)
        await world.watch(TILLS[0])
        world.proxies[0].bend(TRACE, lie)
        await run(world, at, "send", [TILLS[0]] * 2, value=2 * ETHER)
        refused = await world.step_in_weather()
        assert isinstance(refused, Inconsistent)
        assert "whose balance moved by" in str(refused)
        assert refused.provider == f"127.0.0.1:{world.proxies[0].port}"
        assert await world.told() == []
        world.proxies[0].heal()
        await catch_up(world)
        assert await deposits(world) == [("internal", TILLS[0], str(ETHER), 1)] * 2


async def test_history_is_held_against_balances_too(database_url: str) -> None:
    from indexer.history.backfill import Covered, step_backfill
    from indexer.rows.work_store import PostgresBackfillStore

    async with open_world(database_url, adapt=traced, operators=1) as world:
        at = await deploy_multi(world)
        await run(world, at, "send", [TILLS[0]], value=ETHER)
        await world.settle()
        await world.watch(TILLS[0], from_height=1)
        await world.settle()
        store = PostgresBackfillStore(world.pool, world.store)
        provider = world.source.choose_provider()
        world.proxies[0].bend(TRACE, inflated)
        with pytest.raises(Inconsistent):
            await step_backfill(world.desk, store, provider, now=world.now)
        assert await world.told() == []
        world.proxies[0].heal()
        assert isinstance(await step_backfill(world.desk, store, provider, now=world.now), Covered)
        assert await deposits(world) == [("internal", TILLS[0], str(ETHER), 1)]


async def test_a_till_that_pays_and_is_paid_in_one_block_is_reckoned_with_its_fees(
    database_url: str,
) -> None:
    async with open_world(database_url, adapt=traced) as world:
        at = await deploy_multi(world)
        payer = ACCOUNTS[3]
        await world.watch(payer)
        await world.node.call("anvil_setCoinbase", payer)
        for recipients, sender in (([TILLS[0], payer], payer), ([payer], ACCOUNTS[0])):
            data = load_contract("Multi").call("send", recipients)
            await world.node.send(to=at, data=data, value=2 * ETHER, sender=sender)
        await world.node.mine()
        await world.settle()
        kinds = [kind for kind, *_ in await deposits(world)]
        assert kinds == ["internal", "internal"]
        assert await level_at(world, await world.node.height()) == "full"


async def test_pruned_balances_lower_the_level_and_stop_nothing(database_url: str) -> None:
    async with open_world(database_url, adapt=traced, operators=1) as world:
        at = await deploy_multi(world)
        await world.watch(TILLS[0])
        world.proxies[0].bend("eth_getBalance", faults.failing(-32000, "missing trie node 01 (path )"))
        await run(world, at, "send", [TILLS[0]], value=ETHER)
        await world.settle()
        assert await deposits(world) == [("internal", TILLS[0], str(ETHER), 1)]
        assert await level_at(world, await world.node.height()) == VerificationLevel.PARTIAL
        world.proxies[0].heal()
        await run(world, at, "send", [TILLS[0]], value=ETHER)
        await world.settle()
        assert await level_at(world, await world.node.height()) == VerificationLevel.FULL


async def test_a_node_that_takes_no_hash_for_balances_is_asked_by_height(database_url: str) -> None:
    async with open_world(database_url, adapt=traced, operators=1) as world:
        at = await deploy_multi(world)
        await world.watch(TILLS[0])
        refusal = faults.failing(-32602, "invalid argument 1: json: cannot unmarshal object")
        world.proxies[0].bend("eth_getBalance", refusal, when=lambda params: isinstance(params[1], dict))
        await run(world, at, "send", [TILLS[0]], value=ETHER)
        await world.settle()
        assert await deposits(world) == [("internal", TILLS[0], str(ETHER), 1)]
        assert await level_at(world, await world.node.height()) == VerificationLevel.FULL
        provider = world.source.choose_provider()
        assert isinstance(provider, EvmProvider)
        assert provider.node.abilities.state_by_hash is False


async def test_a_balance_that_is_not_answered_delays_and_skips_nothing(database_url: str) -> None:
    async with open_world(database_url, adapt=traced, operators=1) as world:
        at = await deploy_multi(world)
        await world.watch(TILLS[0])
        world.proxies[0].bend("eth_getBalance", faults.failing(-32000, "no"))
        await run(world, at, "send", [TILLS[0]], value=ETHER)
        assert isinstance(await world.step_in_weather(), Refused)
        assert await world.told() == []
        world.proxies[0].heal()
        await catch_up(world)
        assert await deposits(world) == [("internal", TILLS[0], str(ETHER), 1)]

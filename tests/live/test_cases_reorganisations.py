"""Cases of reorganisations and of the order of things, to the merchant's log (43 to 51).

Real reorganisations on a real node; what is asserted is the deposit's
identity, its credit and the events that tell it.  Forks below what is final
are in `test_cases_finality.py`, providers that disagree in
`test_cases_infrastructure.py`.
"""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from chains.model import BlockHash, BlockRef
from indexer.follow.outcomes import Rewound, Suspecting
from indexer.move.commit import commit_move
from indexer.rules.plan import MovePlan, Superseded
from tests.devnet.anvil import ACCOUNTS
from tests.live.world import World, mint_data, open_world, transfer_data

pytestmark = pytest.mark.live

TILL = "0x9858EfFD232B4033E47d90003D41EC34EcaEda94"
ELSEWHERE = "0x6Fac4D18c912343BF86fa7049364Dd4E424Ab9C0"
ONE = 10**18

TRANSFER_TOPIC = "ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
PAYS_ITS_HEIGHT = "43600052" + "600035" + "33" + "7f" + TRANSFER_TOPIC + "60206000a300"
"""`emit Transfer(caller, calldata's first word, block.number)`, in EVM code."""
CREATES_IT = f"60{len(PAYS_ITS_HEIGHT) // 2:02x}80600b6000396000f3" + PAYS_ITS_HEIGHT


async def told_briefly(world: World) -> list[tuple[str, str, str]]:
    """Type, credit and amount of every deposit event."""
    return [
        (event["type"].removeprefix("deposit."), d["credited_base_units"], d["amount_base_units"])
        for event in await world.told()
        if (d := event["data"].get("deposit"))
    ]


async def newest(world: World) -> dict[str, dict[str, Any]]:
    """The newest version of each deposit."""
    return {
        event["data"]["deposit"]["id"]: event["data"]["deposit"]
        for event in await world.told()
        if "deposit" in event["data"]
    }


async def pay_natively(world: World, value: int = ONE, *, nonce: str | None = None) -> str:
    """A payment in a block of its own, followed."""
    chosen: dict[str, str] = {} if nonce is None else {"nonce": nonce}
    fields = {"from": ACCOUNTS[1], "to": TILL, "value": hex(value), "gas": hex(30_000)} | chosen
    tx_hash = str(await world.node.call("eth_sendTransaction", fields))
    await world.node.mine()
    await world.settle()
    return tx_hash


async def test_case_043_a_payment_that_disappears_is_taken_back(database_url: str) -> None:
    async with open_world(database_url, confirmations=2) as world:
        await world.watch(TILL)
        await pay_natively(world, 5)
        await world.node.mine()
        await world.settle()
        await pay_natively(world, 7)
        await world.node.call("anvil_reorg", 3, [])
        await world.settle()
        assert await told_briefly(world) == [
            ("included", "0", "5"),
            ("confirmed", "5", "5"),
            ("included", "0", "7"),
            ("reversed", "0", "5"),
            ("orphaned", "0", "7"),
        ]
        confirmed, reversal = (await world.told())[1], (await world.told())[3]
        assert reversal["data"]["reverses"] == confirmed["id"]
        assert {d["state"] for d in (await newest(world)).values()} == {"orphaned"}


async def test_case_044_a_payment_mined_again_elsewhere_is_confirmed_once(database_url: str) -> None:
    async with open_world(database_url, confirmations=2) as world:
        await world.watch(TILL)
        raw = await world.node.raw_transaction(await pay_natively(world))
        await world.node.mine(3)
        await world.settle()
        await world.node.call("anvil_reorg", 4, [[raw, 1]])
        await world.settle()
        told = await told_briefly(world)
        assert [kind for kind, _, _ in told] == ["included", "confirmed", "moved"]
        ((_, standing),) = (await newest(world)).items()
        assert (standing["state"], standing["credited_base_units"]) == ("confirmed", str(ONE))
        assert standing["block"]["hash"] == await world.node.block_hash(standing["block"]["height"])


async def test_case_044_a_payment_that_is_away_for_a_while_comes_back_as_itself(database_url: str) -> None:
    async with open_world(database_url, confirmations=1) as world:
        await world.watch(TILL)
        raw = await world.node.raw_transaction(await pay_natively(world))
        await world.node.call("anvil_reorg", 1, [])
        await world.settle()
        await world.node.call("eth_sendRawTransaction", raw)
        await world.node.mine()
        await world.settle()
        assert await told_briefly(world) == [
            ("confirmed", str(ONE), str(ONE)),
            ("reversed", "0", str(ONE)),
            ("confirmed", str(ONE), str(ONE)),
        ]
        assert len(await newest(world)) == 1


async def test_case_045_another_log_index_at_the_same_height_is_the_same_deposit(database_url: str) -> None:
    async with open_world(database_url, token=True, confirmations=1) as world:
        await world.watch(TILL)
        filler = await world.node.send(sender=ACCOUNTS[2], to=world.token, data=mint_data(ELSEWHERE, 1))
        filler_raw = await world.node.raw_transaction(filler)
        await world.node.call("anvil_dropTransaction", filler)
        raw = await world.node.raw_transaction(await world.node.send(to=world.token, data=mint_data(TILL, 5)))
        await world.node.mine()
        await world.settle()
        await world.node.call("anvil_reorg", 1, [[filler_raw, 0], [raw, 0]])
        await world.settle()
        before, after = (event["data"]["deposit"] for event in await world.told())
        assert [kind for kind, _, _ in await told_briefly(world)] == ["confirmed", "moved"]
        assert (before["position"], after["position"]) == ("000000.000000", "000001.000001")
        assert before["block"]["height"] == after["block"]["height"]
        assert before["id"] == after["id"]


async def test_case_046_another_amount_after_a_reorganisation_amends_the_credit(database_url: str) -> None:
    async with open_world(database_url, deploys=[CREATES_IT], confirmations=1) as world:
        await world.watch(TILL)
        data = "0x" + TILL[2:].lower().rjust(64, "0")
        tx_hash = await world.node.send(to=world.contracts[0], data=data)
        await world.node.mine()
        await world.settle()
        height = await world.node.height()
        await world.node.mine(2)
        await world.settle()
        raw = await world.node.raw_transaction(tx_hash)
        await world.node.call("anvil_reorg", 3, [[raw, 2]])
        await world.settle()
        assert await told_briefly(world) == [
            ("confirmed", str(height), str(height)),
            ("amended", str(height + 2), str(height + 2)),
        ]
        assert len(await newest(world)) == 1


async def test_case_046_a_payment_that_fails_when_it_is_run_again_is_taken_back(database_url: str) -> None:
    async with open_world(database_url, token=True, confirmations=1) as world:
        await world.watch(TILL)
        await world.node.send(to=world.token, data=mint_data(ACCOUNTS[1], 50))
        await world.node.mine()
        tx_hash = await world.node.send(sender=ACCOUNTS[1], to=world.token, data=transfer_data(TILL, 50))
        await world.node.mine()
        await world.settle()
        raw = await world.node.raw_transaction(tx_hash)
        await world.node.call("anvil_reorg", 2, [[raw, 1]])
        await world.settle()
        receipt = await world.node.call("eth_getTransactionReceipt", tx_hash)
        assert receipt["status"] == "0x0", "it is in the chain again, and pays nothing"
        assert await told_briefly(world) == [("confirmed", "50", "50"), ("reversed", "0", "50")]


async def test_case_047_a_payment_replaced_within_a_reorganisation_names_its_rival(database_url: str) -> None:
    async with open_world(database_url, confirmations=1) as world:
        await world.watch(TILL)
        nonce = await world.node.call("eth_getTransactionCount", ACCOUNTS[1], "latest")
        rival = await world.node.send(sender=ACCOUNTS[1], to=ELSEWHERE, value=1, nonce=nonce)
        rival_raw = await world.node.raw_transaction(rival)
        await world.node.call("anvil_dropTransaction", rival)
        paid_raw = await world.node.raw_transaction(await pay_natively(world, nonce=nonce))
        await world.node.call("anvil_reorg", 1, [[rival_raw, 0]])
        await world.settle()
        (deposit,) = (await newest(world)).values()
        assert (deposit["state"], deposit["replaced_by"]) == ("replaced", rival)
        await world.node.call("anvil_reorg", 1, [[paid_raw, 0]])
        await world.settle()
        (deposit,) = (await newest(world)).values()
        assert (deposit["state"], deposit["replaced_by"]) == ("confirmed", None)
        assert await told_briefly(world) == [
            ("confirmed", str(ONE), str(ONE)),
            ("reversed", "0", str(ONE)),
            ("confirmed", str(ONE), str(ONE)),
        ]


async def test_case_047_a_payment_whose_nonce_is_used_up_later_is_replaced_then(database_url: str) -> None:
    async with open_world(database_url, confirmations=3) as world:
        await world.watch(TILL)
        nonce = await world.node.call("eth_getTransactionCount", ACCOUNTS[1], "latest")
        await pay_natively(world, nonce=nonce)
        await world.node.call("anvil_reorg", 1, [])
        await world.settle()
        await world.node.mine(2)
        await world.settle()
        rival = await world.node.send(sender=ACCOUNTS[1], to=ELSEWHERE, value=1, nonce=nonce)
        await world.node.mine()
        await world.settle()
        assert [kind for kind, _, _ in await told_briefly(world)] == ["included", "orphaned", "replaced"]
        (deposit,) = (await newest(world)).values()
        assert deposit["replaced_by"] == rival


async def test_case_048_a_reorganisation_between_two_calls_mixes_no_forks(
    database_url: str, rng: random.Random
) -> None:
    async with open_world(database_url, confirmations=1, operators=1) as world:
        await world.watch(TILL)
        (proxy,) = world.proxies
        for method in ("eth_getBlockByNumber", "eth_getBlockByHash", "eth_getBlockReceipts"):
            for blocks in (1, 3):
                tx_hash = await world.node.send(to=TILL, value=rng.randint(1, 10**9))
                await world.node.mine(blocks)
                raw = await world.node.raw_transaction(tx_hash)

                async def reorganise(raw: str = raw) -> None:
                    await world.node.call("anvil_reorg", 1, [[raw, 0]] if rng.random() < 0.3 else [])

                proxy.after(method, reorganise)
                for _ in range(6):
                    await world.step_in_weather()
                proxy.heal()
                await world.settle()
                for deposit in (await newest(world)).values():
                    place = deposit["block"]
                    assert place is None or place["hash"] == await world.node.block_hash(place["height"])
                    receipt = await world.node.call("eth_getTransactionReceipt", deposit["tx_hash"])
                    on_chain = None if receipt is None else receipt["blockHash"]
                    assert (None if place is None else place["hash"]) == on_chain


async def test_case_049_a_side_block_that_still_answers_by_hash_credits_nothing(database_url: str) -> None:
    async with open_world(database_url, confirmations=1, operators=1) as world:
        await world.watch(TILL)
        world.proxies[0].remembers = True
        await pay_natively(world)
        place = (await world.told())[0]["data"]["deposit"]["block"]
        await world.node.call("anvil_reorg", 1, [])
        outcomes = [await world.step_in_weather() for _ in range(4)]
        assert any(isinstance(outcome, Rewound) for outcome in outcomes)
        provider = world.source.choose_provider()
        (side,) = await provider.fetch_blocks_at(
            [BlockRef(place["height"], BlockHash(bytes.fromhex(place["hash"][2:])))]
        )
        assert side.header.height == place["height"], "it is served still"
        assert [kind for kind, _, _ in await told_briefly(world)] == ["confirmed", "reversed"]


async def test_case_050_removed_logs_of_a_node_change_no_ledger(database_url: str) -> None:
    """Nothing is believed of them: a receipt that says so is an answer nobody can use."""

    def removed(_params: list[Any], answer: dict[str, Any]) -> dict[str, Any]:
        for receipt in answer["result"]:
            for log in receipt["logs"]:
                log["removed"] = True
        return answer

    async with open_world(database_url, token=True, confirmations=1, operators=1) as world:
        await world.watch(TILL)
        await world.node.send(to=world.token, data=mint_data(TILL, 5))
        await world.node.mine()
        await world.settle()
        world.proxies[0].bend("eth_getBlockReceipts", removed)
        await world.node.send(to=world.token, data=mint_data(TILL, 6))
        await world.node.mine()
        for _ in range(4):
            await world.step_in_weather()
        assert await told_briefly(world) == [("confirmed", "5", "5")], "neither taken back nor credited"
        world.proxies[0].heal()
        for _ in range(12):
            await world.step_in_weather()
        assert await told_briefly(world) == [("confirmed", "5", "5"), ("confirmed", "6", "6")]


async def test_case_051_heads_that_are_lost_repeated_or_old_leave_no_gap(
    database_url: str, rng: random.Random
) -> None:
    async with open_world(database_url, confirmations=1, operators=1) as world:
        await world.watch(TILL)
        heads: list[dict[str, Any]] = []

        def muddle(_params: list[Any], answer: dict[str, Any]) -> dict[str, Any]:
            heads.append(answer)
            return rng.choice(heads[-4:])

        world.proxies[0].bend("eth_getBlockByNumber", muddle, when=lambda params: params[0] == "latest")
        paid: set[str] = set()
        for _ in range(20):
            paid.add(await world.node.send(to=TILL, value=rng.randint(1, 10**9)))
            await world.node.mine()
            if rng.random() < 0.7:
                await world.step_in_weather()
        world.proxies[0].heal()
        for _ in range(12):
            await world.step_in_weather()
        credited = [
            event["data"]["deposit"] for event in await world.told() if event["type"] == "deposit.confirmed"
        ]
        assert len(credited) == 20
        assert {d["tx_hash"] for d in credited} == paid
        heights = [d["block"]["height"] for d in credited]
        assert heights == sorted(heights)
        assert set(await world.told_types()) <= {"deposit.confirmed", "deposit.final"}


async def test_a_fork_that_history_put_another_block_under_is_not_taken(database_url: str) -> None:
    # A branch may fork right under our start; while it was judged, history grew downwards on another branch.
    async with open_world(database_url) as world:
        await world.node.mine(3)
        await world.settle()
        record = await world.store.load_chain(world.chain)
        assert record is not None
        (block,) = await world.source.choose_provider().fetch_blocks(record.tip.height, record.tip.height)
        stranger = BlockRef(record.tip.height - 1, BlockHash(b"\x01" * 32))
        branch = replace(block, header=replace(block.header, parent=stranger))
        plan = MovePlan(expected_tip=record.tip, blocks=[branch], fork=stranger)
        assert isinstance(await commit_move(world.desk, plan, now=world.now), Superseded)
        assert await world.store.load_chain(world.chain) == record


async def test_two_hints_in_one_breath_are_one_look_at_a_fork(database_url: str) -> None:
    async with open_world(database_url) as world:
        await world.node.mine(3)
        await world.settle()
        await world.node.call("anvil_reorg", 1, [])
        assert isinstance(await world.follower.step(world.now), Suspecting)
        assert isinstance(await world.follower.step(world.now), Suspecting)
        world.now += timedelta(seconds=world.settings.poll_interval_s)
        assert isinstance(await world.follower.step(world.now), Rewound)


async def test_a_clock_set_back_does_not_keep_a_fork_waiting(database_url: str) -> None:
    async with open_world(database_url) as world:
        await world.node.mine(3)
        await world.settle()
        await world.node.call("anvil_reorg", 1, [])
        assert isinstance(await world.follower.step(world.now), Suspecting)
        world.now -= timedelta(hours=1)
        assert isinstance(await world.follower.step(world.now), Suspecting)
        world.now += timedelta(seconds=world.settings.poll_interval_s)
        assert isinstance(await world.follower.step(world.now), Rewound)

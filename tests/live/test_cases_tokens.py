"""Cases of tokens and native coin, from a real chain to the merchant's log (first release: 1 to 34).

Odd contracts are listed and paid through; what is asserted is what a merchant
is told and credited.  The same cases on single blocks are in
`tests/live_evm/test_transfers.py`; traces are in `test_internal.py`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chains.evm.address import parse_address
from chains.evm.facts import EvmFacts
from chains.traits import ChainTraits
from gateway.compose_chains import DecimalsMismatch, check_token_decimals
from gateway.config.settings import ChainSettings
from indexer.follow.surroundings import FollowedChain
from indexer.follow.turn import Turn
from tests.devnet.anvil import ACCOUNTS
from tests.devnet.compiled import load_contract
from tests.live.world import (
    OTHER_SHOP,
    World,
    deploy_token,
    list_tokens,
    mint_data,
    open_world,
    transfer_data,
)

pytestmark = pytest.mark.live

TILL = "0x9858EfFD232B4033E47d90003D41EC34EcaEda94"
SECOND_TILL = "0x6Fac4D18c912343BF86fa7049364Dd4E424Ab9C0"


async def deposits_of(world: World) -> list[dict[str, Any]]:
    """Every version of every deposit the merchant was told, in order."""
    return [event["data"]["deposit"] for event in await world.told() if "deposit" in event["data"]]


async def call(
    world: World, name: str, at: str, function: str, *arguments: object, sender: str = ACCOUNTS[0]
) -> str:
    """Call a contract and settle; returns the transaction's hash."""
    data = load_contract(name).call(function, *arguments)
    tx_hash = await world.node.send(sender=sender, to=at, data=data)
    await world.node.mine()
    await world.settle()
    return tx_hash


async def test_case_001_a_failed_transfer_is_told_to_nobody(database_url: str) -> None:
    async with open_world(database_url, token=True, confirmations=1) as world:
        await world.watch(TILL)
        tx_hash = await world.node.send(to=world.token, data=transfer_data(TILL, 5_000_000))
        await world.node.mine()
        await world.settle()
        receipt = await world.node.call("eth_getTransactionReceipt", tx_hash)
        assert receipt["status"] == "0x0"
        assert await world.told() == []


async def test_case_002_success_without_a_log_is_told_to_nobody(database_url: str) -> None:
    bytecode = load_contract("FalseReturningToken").creation()
    async with open_world(database_url, deploys=[bytecode], confirmations=1) as world:
        await world.watch(TILL)
        (at,) = world.contracts
        tx_hash = await call(world, "FalseReturningToken", at, "transfer", TILL, 5)
        receipt = await world.node.call("eth_getTransactionReceipt", tx_hash)
        assert receipt["status"] == "0x1"
        assert await world.told() == []
        await call(world, "FalseReturningToken", at, "mint", TILL, 7)
        assert [one["amount_base_units"] for one in await deposits_of(world)] == ["7"]


async def test_case_004_a_token_of_the_same_name_is_told_to_nobody(database_url: str) -> None:
    async with open_world(database_url, token=True, confirmations=1) as world:
        await world.watch(TILL)
        fake = await deploy_token(world.node)
        assert fake != world.token
        await call(world, "DemoToken", fake, "mint", TILL, 5_000_000)
        assert await world.told() == []


async def test_case_006_a_token_listed_no_more_credits_nothing_new(database_url: str) -> None:
    async with open_world(database_url, token=True, confirmations=2) as world:
        await world.watch(TILL)
        await call(world, "DemoToken", world.token, "mint", TILL, 5)
        listed = world.settings
        world.settings = replace(listed, traits=replace(listed.traits, assets=()))
        await start_anew(world)
        await call(world, "DemoToken", world.token, "mint", TILL, 6)
        told = await deposits_of(world)
        assert [(one["amount_base_units"], one["state"]) for one in told] == [
            ("5", "included"),
            ("5", "confirmed"),
        ], "what was there runs on, what comes is not credited"
        world.settings = listed
        await start_anew(world)
        await world.node.mine(2)
        await world.settle()
        assert len(await deposits_of(world)) == 2, "listing it again starts from now"
        await call(world, "DemoToken", world.token, "mint", TILL, 7)
        assert (await deposits_of(world))[-1]["amount_base_units"] == "7"


async def start_anew(world: World) -> None:
    """As a process does that starts with another configuration."""
    formerly = tuple(world.desk.naming.assets.values())
    world.restart()
    world.desk.naming = replace(
        world.desk.naming,
        assets={asset.asset_id: asset for asset in (*formerly, *world.desk.naming.assets.values())},
    )
    turn = Turn(FollowedChain(world.desk, world.source, world.store, list), holder="test")
    assert await turn.hold(world.now)


async def test_case_007_two_contracts_of_one_brand_are_two_assets(database_url: str) -> None:
    bridged = load_contract("DemoToken").creation("Tether USD", "USDT", 6)
    async with open_world(database_url, token=True, deploys=[bridged], confirmations=1) as world:
        await world.watch(TILL)
        await call(world, "DemoToken", world.token, "mint", TILL, 5)
        await call(world, "DemoToken", world.contracts[0], "mint", TILL, 5)
        first, second = await deposits_of(world)
        assert first["asset"].endswith(f"erc20:{world.token}")
        assert second["asset"].endswith(f"erc20:{world.contracts[0]}")
        assert first["id"] != second["id"]


async def test_case_008_a_chain_does_not_start_with_other_decimals_than_its_contracts(
    database_url: str,
) -> None:
    def misread(traits: ChainTraits) -> ChainTraits:
        return replace(traits, assets=tuple(replace(one, decimals=18) for one in traits.assets))

    async with open_world(database_url, token=True, adapt=misread) as world:
        with pytest.raises(DecimalsMismatch, match="says 6 decimals and the configuration 18"):
            await check_token_decimals(ChainSettings(world.settings, ()), world.source)


async def test_case_009_what_only_looks_like_a_transfer_is_told_to_nobody(database_url: str) -> None:
    async with open_world(
        database_url, deploys=[load_contract("NftLike").creation()], confirmations=1
    ) as world:
        await world.watch(TILL)
        for function in ("give", "giveUnindexed", "giveWide"):
            await call(world, "NftLike", world.contracts[0], function, TILL, 10**6)
        assert await world.told() == []


async def test_case_013_transfers_of_nothing_to_and_from_a_watched_address_are_told_to_nobody(
    database_url: str,
) -> None:
    async with open_world(database_url, token=True, confirmations=1) as world:
        await world.watch(TILL)
        await world.watch(ACCOUNTS[1])
        await call(world, "DemoToken", world.token, "transfer", TILL, 0, sender=ACCOUNTS[2])
        await call(world, "DemoToken", world.token, "transferFrom", ACCOUNTS[1], TILL, 0, sender=ACCOUNTS[2])
        await world.node.send(to=TILL, value=0)
        await world.node.mine()
        await world.settle()
        assert await world.told() == []


async def test_case_016_a_pulled_payment_is_credited_and_names_its_payer(database_url: str) -> None:
    async with open_world(database_url, token=True, confirmations=1) as world:
        await world.watch(TILL)
        await world.node.send(to=world.token, data=mint_data(ACCOUNTS[1], 50))
        approve = load_contract("DemoToken").call("approve", ACCOUNTS[2], 50)
        await world.node.send(sender=ACCOUNTS[1], to=world.token, data=approve)
        await world.node.mine()
        await call(world, "DemoToken", world.token, "transferFrom", ACCOUNTS[1], TILL, 50, sender=ACCOUNTS[2])
        (told,) = await deposits_of(world)
        assert (told["from"].lower(), told["credited_base_units"]) == (ACCOUNTS[1], "50")


async def test_case_017_equal_transfers_of_one_transaction_are_credited_each(database_url: str) -> None:
    bytecode = load_contract("TokenSprayer").creation()
    async with open_world(database_url, deploys=[bytecode], confirmations=1) as world:
        await world.watch(TILL)
        await call(world, "TokenSprayer", world.contracts[0], "spray", [TILL, SECOND_TILL, TILL, TILL], 7)
        told = await deposits_of(world)
        assert [(one["n"], one["credited_base_units"]) for one in told] == [(0, "7"), (1, "7"), (2, "7")]
        assert len({one["id"] for one in told}) == 3
        assert len({one["tx_hash"] for one in told}) == 1


async def test_case_018_a_transfer_between_own_addresses_is_told_and_credited_nothing(
    database_url: str,
) -> None:
    async with open_world(database_url, token=True, confirmations=1) as world:
        await world.watch(ACCOUNTS[1])
        await world.watch(TILL)
        await world.watch(TILL, merchant=OTHER_SHOP)
        await call(world, "DemoToken", world.token, "mint", ACCOUNTS[1], 50)
        await call(world, "DemoToken", world.token, "transfer", TILL, 30, sender=ACCOUNTS[1])
        await call(world, "DemoToken", world.token, "transfer", ACCOUNTS[1], 20, sender=ACCOUNTS[1])
        told = await deposits_of(world)
        assert [(one["amount_base_units"], one["own_transfer"]) for one in told] == [
            ("50", False),
            ("30", True),
            ("20", True),
        ]
        assert [one["credited_base_units"] for one in told] == ["50", "0", "0"]
        (theirs,) = [event["data"]["deposit"] for event in await world.told(OTHER_SHOP)]
        assert (theirs["own_transfer"], theirs["credited_base_units"]) == (False, "30"), (
            "another merchant's sender is a stranger"
        )


@pytest.mark.parametrize("amount", [2**53 + 1, 2**63, 2**256 - 1])
async def test_case_023_large_amounts_arrive_exactly(database_url: str, amount: int) -> None:
    async with open_world(database_url, token=True, confirmations=1) as world:
        await world.watch(TILL)
        await call(world, "DemoToken", world.token, "mint", TILL, amount)
        (told,) = await deposits_of(world)
        assert told["amount_base_units"] == told["credited_base_units"] == str(amount)
        assert told["amount"].replace(".", "").rstrip("0") == str(amount).rstrip("0")


async def test_case_034_a_mirror_of_the_native_coin_credits_once(database_url: str) -> None:
    mirror = "0x" + "00" * 18 + "1010"

    def exclude(traits: ChainTraits) -> ChainTraits:
        """Listed by mistake as well: excluding wins."""
        return replace(
            list_tokens(traits, [mirror]), facts=EvmFacts(excluded_emitters=(parse_address(mirror),))
        )

    async with open_world(database_url, adapt=exclude, confirmations=1) as world:
        await world.watch(TILL)
        sprayer = await world.node.deploy(load_contract("TokenSprayer").creation())
        code = await world.node.call("eth_getCode", sprayer, "latest")
        await world.node.call("anvil_setCode", mirror, code)
        await world.node.send(to=mirror, data=load_contract("TokenSprayer").call("spray", [TILL], 5))
        await world.node.send(to=TILL, value=5)
        await world.node.mine()
        await world.settle()
        (told,) = await deposits_of(world)
        assert (told["kind"], told["credited_base_units"]) == ("native", "5")

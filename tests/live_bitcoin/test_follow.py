"""Deposits of a real regtest node to a merchant's log: to final, through reorganisations, replaced."""

from __future__ import annotations

import pytest

from chains.bitcoin.addresses import SCRIPT_PREFIX
from tests.devnet.bitcoind import needs_bitcoind, start_bitcoind
from tests.live_bitcoin.world import TILL, open_world, spell

pytestmark = [pytest.mark.live, needs_bitcoind]

OTHER = b"\x00\x20" + b"\x72" * 32
BARE = b"\x21" + b"\x02" * 33 + b"\xac"
"""A public key and a signature's check: no address spells it."""


async def test_a_deposit_is_followed_to_final(database_url: str) -> None:
    async with open_world(database_url) as world:
        await world.watch(spell(TILL))
        tx = await world.node.pay((TILL, 70_000))
        await world.node.mine(txs=[tx])
        await world.settle()
        await world.node.mine(3)
        await world.settle()
        assert [told[:2] for told in await world.told_briefly()] == [
            ("included", "0"),
            ("confirmed", "70000"),
            ("final", "70000"),
        ]
        (deposit,) = (await world.newest()).values()
        assert (deposit["tx_hash"], deposit["kind"], deposit["n"]) == (tx.id[::-1].hex(), "utxo", 0)
        assert (deposit["to"], deposit["from"]) == (spell(TILL), None)


async def test_case_067_two_outputs_to_one_address_are_two_deposits(database_url: str) -> None:
    async with open_world(database_url) as world:
        await world.watch(spell(TILL))
        await world.node.mine(txs=[await world.node.pay((TILL, 5), (OTHER, 6), (TILL, 5))])
        await world.settle()
        assert sorted(d["n"] for d in (await world.newest()).values()) == [0, 2]


async def test_case_071_only_the_exact_script_is_paid(database_url: str) -> None:
    key = BARE[1:34]
    look_alikes = (
        b"\x51" + b"\x21" + key + b"\x51\xae",  # of one of one
        b"\x6a\x21" + key,  # data
        b"\x21" + b"\x03" + key[1:] + b"\xac",  # the other half of the curve
    )
    async with open_world(database_url) as world:
        await world.watch(SCRIPT_PREFIX + BARE.hex())
        await world.node.mine(txs=[await world.node.pay(*((one, 9) for one in look_alikes), (BARE, 9))])
        await world.settle()
        assert [d["n"] for d in (await world.newest()).values()] == [3]


async def test_a_reorganisation_takes_a_deposit_back_and_the_next_block_brings_it_again(
    database_url: str,
) -> None:
    async with open_world(database_url, confirmations=1) as world:
        await world.watch(spell(TILL))
        tx = await world.node.pay((TILL, 70_000))
        await world.node.mine(txs=[tx])
        await world.settle()
        await world.node.leave(1)
        await world.node.mine(2)
        await world.settle()
        await world.settle()
        await world.node.mine(txs=[tx])
        await world.settle()
        told = [name for name, _, _ in await world.told_briefly()]
        assert told == ["confirmed", "reversed", "confirmed"]
        assert len(await world.newest()) == 1


async def test_a_branch_that_comes_back_gives_its_deposit_back(database_url: str) -> None:
    async with open_world(database_url, confirmations=1) as world:
        await world.watch(spell(TILL))
        await world.node.mine(txs=[await world.node.pay((TILL, 70_000))])
        await world.settle()
        left = await world.node.leave(1)
        await world.node.mine(2)
        await world.settle()
        await world.settle()
        await world.node.call(
            "invalidateblock", await world.node.call("getblockhash", await world.node.height() - 1)
        )
        await world.node.call("reconsiderblock", left)
        await world.node.mine(2)
        await world.settle()
        await world.settle()
        (deposit,) = (await world.newest()).values()
        assert (deposit["state"], deposit["credited_base_units"]) == ("confirmed", "70000")


async def test_case_064_a_coin_spent_twice_across_a_reorganisation_says_what_replaced_the_deposit(
    database_url: str,
) -> None:
    async with open_world(database_url, confirmations=1) as world:
        await world.watch(spell(TILL))
        await world.node.mine(txs=[await world.node.pay((TILL, 70_000))])
        await world.settle()
        await world.node.leave(1)
        rival = await world.node.pay((OTHER, 70_000), coin=world.node.spent)
        await world.node.mine(2, txs=[rival])
        await world.settle()
        await world.settle()
        (deposit,) = (await world.newest()).values()
        assert (deposit["state"], deposit["credited_base_units"]) == ("replaced", "0")
        assert deposit["replaced_by"] == rival.id[::-1].hex()


async def test_a_longer_branch_of_another_node_moves_our_chain(database_url: str) -> None:
    async with (
        start_bitcoind(ripe=False) as other,
        open_world(database_url, confirmations=1, others=[other]) as world,
    ):
        await world.watch(spell(TILL))
        other.branch = 7
        await world.node.call("setnetworkactive", False)
        await world.node.mine(txs=[await world.node.pay((TILL, 70_000))])
        await other.mine(3)
        await world.settle()
        told = [name for name, _, _ in await world.told_briefly()]
        assert "confirmed" not in told, "one operator alone does not confirm where two are asked"
        await world.node.call("setnetworkactive", True)
        await world.node.connect(other)
        await world.node.wait_for(await other.call("getbestblockhash"))
        for _ in range(4):
            await world.settle()
        record = await world.store.load_chain(world.chain)
        assert record is not None
        assert record.tip.hash.hex() == await other.call("getbestblockhash")


async def test_case_069_a_reward_is_credited_when_it_can_be_spent_though_its_block_is_final(
    database_url: str,
) -> None:
    async with open_world(database_url, confirmations=2, final=4) as world:
        await world.watch(spell(TILL))
        await world.node.call("generateblock", spell(TILL), [])
        await world.settle()
        await world.node.ripen(98)
        await world.settle()
        assert await world.told_briefly() == [("included", "0", 1)]
        (deposit,) = (await world.newest()).values()
        assert (deposit["confirmations_required"], deposit["policy"]) == (100, "confirmations>=100")
        await world.node.mine()
        await world.settle()
        assert [told[:2] for told in await world.told_briefly()] == [
            ("included", "0"),
            ("confirmed", "5000000000"),
            ("final", "5000000000"),
        ]

"""Why a payment is or is not credited, asked of a real node about real transactions."""

from __future__ import annotations

import json
from pathlib import Path

from chains.families import rules_of
from chains.model import Address, TxHash
from chains.traits import Family
from indexer import views
from indexer.explain import Finding, Knowledge, Reason, explain_transaction
from indexer.move.registration import delete_address
from indexer.rules.matching import ListedAsset, Registration
from tests.devnet.anvil import ACCOUNTS
from tests.live.followed import SHOP
from tests.live.world import CHAIN, World, deploy_token, mint_data, open_world, transfer_data

TILL = "0x9858EfFD232B4033E47d90003D41EC34EcaEda94"
OTHER = "0x6Fac4D18c912343BF86fa7049364Dd4E424Ab9C0"
COMPILED = json.loads((Path(__file__).parents[1] / "devnet" / "contracts" / "compiled.json").read_text())


async def ask(world: World, tx_hash: str) -> list[Finding]:
    """Gather what the gateway gathers, and explain."""
    tx = TxHash(bytes.fromhex(tx_hash[2:]))
    story = await world.source.choose_provider().fetch_transaction(tx)
    deposits = [row.deposit for row in await views.load_deposits_of_tx(world.pool, SHOP, CHAIN, tx)]
    recipients: set[Address] = {d.recipient for d in deposits}
    ours = None
    if story is not None:
        recipients |= {m.recipient for m in story.movements if m.recipient is not None}
        if story.block is not None:
            ours = await views.load_canonical_hash(world.pool, CHAIN, story.block.height)
    registered = await views.load_registrations_of_merchant(world.pool, SHOP, CHAIN, list(recipients))
    registrations: dict[Address, list[Registration]] = {}
    for one in registered:
        registrations.setdefault(one.address, []).append(
            Registration(one.id, one.merchant_id, one.address, one.effective_start, one.watching_until)
        )
    starts = await views.load_asset_starts(world.pool, CHAIN)
    record = await views.load_chain(world.pool, CHAIN)
    assert record is not None
    naming = world.desk.naming
    return explain_transaction(
        Knowledge(
            record=record,
            naming=naming,
            assets={a: ListedAsset(naming.assets[a], starts[a]) for a in starts},
            story=story,
            deposits=deposits,
            registrations=registrations,
            ours_at_height=ours,
        )
    )


async def test_each_stage_of_a_payment_is_told_in_words(database_url: str) -> None:
    async with open_world(database_url, confirmations=3) as world:
        await world.watch(TILL)
        tx_hash = await world.node.send(to=TILL, value=10**18)
        assert [f.reason for f in await ask(world, tx_hash)] == [Reason.PENDING]
        await world.node.mine()
        assert [f.reason for f in await ask(world, tx_hash)] == [Reason.NOT_REACHED]
        await world.settle()
        (waiting,) = await ask(world, tx_hash)
        assert waiting.reason is Reason.WAITING
        assert "1 of 3 confirmations" in waiting.text
        await world.node.mine(2)
        await world.settle()
        (credited,) = await ask(world, tx_hash)
        assert credited.reason is Reason.CREDITED
        assert "1 ETH" in credited.text


async def test_a_transaction_nobody_knows_was_not_seen(database_url: str) -> None:
    async with open_world(database_url) as world:
        assert [f.reason for f in await ask(world, "0x" + "ab" * 32)] == [Reason.NOT_SEEN]


async def test_a_reverted_transfer_moved_nothing(database_url: str) -> None:
    async with open_world(database_url, token=True) as world:
        await world.watch(TILL)
        tx_hash = await world.node.send(to=world.token, data=transfer_data(TILL, 5_000_000))
        await world.node.mine()
        await world.settle()
        (finding,) = await ask(world, tx_hash)
        assert finding.reason is Reason.REVERTED


async def test_a_look_alike_is_named_beside_the_token_that_counts(database_url: str) -> None:
    async with open_world(database_url, token=True) as world:
        await world.watch(TILL)
        fake = await deploy_token(world.node)
        tx_hash = await world.node.send(to=fake, data=mint_data(TILL, 5_000_000))
        await world.node.mine()
        await world.settle()
        (finding,) = await ask(world, tx_hash)
        assert finding.reason is Reason.TOKEN_NOT_LISTED
        assert (
            rules_of(Family.EVM).format_address(world.chain, Address(bytes.fromhex(fake[2:]))) in finding.text
        )
        assert (
            rules_of(Family.EVM).format_address(world.chain, Address(bytes.fromhex(world.token[2:].lower())))
            in finding.text
        )


async def test_an_nft_is_not_a_token_transfer(database_url: str) -> None:
    async with open_world(database_url, token=True) as world:
        await world.watch(TILL)
        nft = await world.node.deploy(COMPILED["NftLike"]["bytecode"])
        data = "0x" + _selector("give(address,uint256)") + TILL[2:].lower().rjust(64, "0") + f"{10**6:064x}"
        tx_hash = await world.node.send(to=nft, data=data)
        await world.node.mine()
        await world.settle()
        (finding,) = await ask(world, tx_hash)
        assert finding.reason is Reason.NOT_A_TOKEN_TRANSFER


async def test_an_address_of_somebody_else_and_one_registered_too_late(database_url: str) -> None:
    async with open_world(database_url) as world:
        tx_hash = await world.node.send(to=TILL, value=10**18)
        await world.node.mine()
        await world.settle()
        assert [f.reason for f in await ask(world, tx_hash)] == [Reason.ADDRESS_NOT_WATCHED]
        await world.watch(TILL)
        (finding,) = await ask(world, tx_hash)
        assert finding.reason is Reason.BEFORE_START
        assert "from_height" in finding.text


async def test_a_deleted_address_and_a_zero_transfer(database_url: str) -> None:
    async with open_world(database_url, token=True) as world:
        watched = await world.watch(TILL)
        zero = await world.node.send(to=world.token, data=transfer_data(TILL, 0))
        await world.node.mine()
        await world.settle()
        assert [f.reason for f in await ask(world, zero)] == [Reason.ZERO_AMOUNT]
        await delete_address(world.pool, SHOP, watched.id, now=world.now)
        late = await world.node.send(to=TILL, value=1)
        await world.node.mine()
        await world.settle()
        assert [f.reason for f in await ask(world, late)] == [Reason.AFTER_DELETION]


async def test_an_own_transfer_an_orphan_and_a_replacement(database_url: str) -> None:
    async with open_world(database_url, confirmations=1) as world:
        await world.watch(ACCOUNTS[0])
        await world.watch(TILL)
        own = await world.node.send(to=TILL, value=5)
        await world.node.mine()
        await world.settle()
        assert [f.reason for f in await ask(world, own)] == [Reason.OWN_TRANSFER]
        lost = await world.node.send(sender=ACCOUNTS[1], to=TILL, value=7)
        nonce = (await world.node.call("eth_getTransactionByHash", lost))["nonce"]
        await world.node.mine()
        await world.settle()
        await world.node.call("anvil_reorg", 1, [])
        await world.settle()
        assert [f.reason for f in await ask(world, lost)][:1] == [Reason.ORPHANED]
        await world.node.send(sender=ACCOUNTS[1], to=OTHER, value=8, nonce=nonce)
        await world.node.mine()
        await world.settle()
        (replaced,) = (await ask(world, lost))[:1]
        assert replaced.reason is Reason.REPLACED


def _selector(signature: str) -> str:
    from sha3 import keccak_256

    return str(keccak_256(signature.encode()).hexdigest()[:8])

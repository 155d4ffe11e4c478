"""What every ChainSource must do, whatever chain is behind it.

The port's promises (`chains/port.py`), asked of the scripted chain and of a
real node alike.  Faults of providers are tested beside each family.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from hashlib import sha256

import pytest

from chains.bitcoin.rows.blocks import MerkleBranch, hash_twice
from chains.bitcoin.verify.merkle import follow_branch
from chains.errors import Missing, Refused, Unreachable, WrongNetwork
from chains.families import rules_of
from chains.model import (
    Address,
    Block,
    BlockHash,
    BlockRef,
    Sought,
    Transfer,
    TxHash,
    is_linked,
)
from chains.proofs import MerkleProof, TrieProof, Unprovable, UnprovableReason, WitnessedProof
from relay.kit.verify_deposit import keccak_256
from tests.conformance.worlds import World, anvil_world, bitcoind_world, scripted_world, tron_world
from tests.devnet.anvil import find_anvil
from tests.devnet.bitcoind import HOW_TO_GET_ONE, find_bitcoind


@pytest.fixture(params=["scripted", "anvil", "bitcoind", "tron"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    if request.param == "scripted":
        async with scripted_world() as one:
            yield one
        return
    if request.param == "tron":
        async with tron_world() as one:
            yield one
        return
    if request.param == "bitcoind":
        if find_bitcoind() is None:
            pytest.skip(HOW_TO_GET_ONE)
        async with bitcoind_world() as one:
            yield one
        return
    if find_anvil() is None:
        pytest.skip("anvil is not installed: run `npm ci` in the repository")
    async with anvil_world() as one:
        yield one


def payments_of(world: World, block: Block) -> list[Transfer]:
    """What was paid to those whom these tests pay, and not who mined it or was given change."""
    recipients = list(block.transfers.recipients)
    return [
        block.transfers.at(index) for index, one in enumerate(recipients) if one in {world.shop, world.other}
    ]


async def test_the_head_is_the_newest_block_and_finality_is_below_it(world: World) -> None:
    for _ in range(4):
        await world.mine()
    report = await world.source.choose_provider().fetch_head_report()
    assert report.head.height == world.floor + 4
    tells_safe = rules_of(world.traits.family).facts.tells_safe(world.traits)
    tags = [None if one is None else one.height for one in (report.safe, report.final)]
    assert tags == ([3 if tells_safe else None, 2] if world.has_tags else [None, None])


async def test_headers_come_ascending_and_linked_with_both_ends(world: World) -> None:
    for _ in range(3):
        await world.mine()
    headers = await world.source.choose_provider().fetch_headers(0, 3)
    assert [header.height for header in headers] == [0, 1, 2, 3]
    assert is_linked(headers)


async def test_headers_beyond_the_head_are_missing(world: World) -> None:
    with pytest.raises(Missing):
        await world.source.choose_provider().fetch_headers(0, world.floor + 5)


async def test_a_block_by_hash_and_by_height_is_the_same_block(world: World) -> None:
    await world.mine((world.shop, 5))
    await world.mine()
    provider = world.source.choose_provider()
    by_height = await provider.fetch_blocks(world.floor, world.floor + 2)
    by_hash = await provider.fetch_blocks_at([block.header.ref for block in by_height])
    assert [block.header for block in by_hash] == [block.header for block in by_height]
    assert is_linked([block.header for block in by_height])
    assert payments_of(world, by_hash[1]) == payments_of(world, by_height[1]) != []


async def test_blocks_come_in_the_order_they_were_asked_for(world: World) -> None:
    for _ in range(3):
        await world.mine()
    provider = world.source.choose_provider()
    refs = [header.ref for header in await provider.fetch_headers(0, 3)]
    blocks = await provider.fetch_blocks_at(refs[::-1])
    assert [block.header.ref for block in blocks] == refs[::-1]


async def test_a_block_that_is_spared_something_lacks_nothing_that_was_sought(world: World) -> None:
    await world.mine((world.other, 5))
    await world.mine((world.other, 5), (world.shop, 6))
    provider = world.source.choose_provider()
    first, last = world.floor, world.floor + 2
    whole = await provider.fetch_blocks(first, last)
    assert [block.spared for block in whole] == [None] * 3
    sought = Sought(frozenset({world.shop}), 4)
    by_hash = await provider.fetch_blocks_at([block.header.ref for block in whole], sought=sought)
    for blocks in (by_hash, await provider.fetch_blocks(first, last, sought=sought)):
        for told, full in zip(blocks, whole, strict=True):
            assert (told.header, told.tx_count) == (full.header, full.tx_count)
            assert set(told.transfers.spends) == set(full.transfers.spends)
            if told.spared is None:
                assert list(told.transfers.recipients) == list(full.transfers.recipients)
                continue
            assert (list(told.transfers.recipients), told.spared.version) == ([], 4)
            assert world.shop not in full.transfers.recipients
            assert all(told.spared.may_concern([Address(one)]) for one in full.transfers.recipients)
            assert not told.spared.may_concern([])


async def test_nothing_is_asked_for_where_nothing_is_wanted(world: World) -> None:
    provider = world.source.choose_provider()
    assert await provider.fetch_blocks_at([]) == []
    assert await provider.fetch_blocks(3, 2) == []
    assert await provider.fetch_headers(3, 2) == []


async def test_an_unknown_block_is_missing(world: World) -> None:
    with pytest.raises(Missing):
        await world.source.choose_provider().fetch_blocks_at([BlockRef(0, BlockHash(b"\x01" * 32))])
    with pytest.raises(Missing):
        await world.source.choose_provider().fetch_blocks(0, world.floor + 9)


async def test_payments_are_transfers_with_their_place_and_ordinal(world: World) -> None:
    await world.mine((world.shop, 5), (world.other, 6), (world.shop, 5))
    (block,) = await world.source.choose_provider().fetch_blocks(world.floor + 1, world.floor + 1)
    transfers = payments_of(world, block)
    assert [(one.recipient, one.amount_base_units) for one in transfers] == [
        (world.shop, 5),
        (world.other, 6),
        (world.shop, 5),
    ]
    assert [one.n for one in transfers] == [0, 0, 0]
    places = [one.position for one in transfers]
    assert places == sorted(set(places))
    assert {one.kind for one in transfers} == {world.kind}
    assert {one.asset for one in transfers} == {world.traits.native.asset_id}
    assert block.tx_count == 3 + world.own_txs


async def test_what_a_transaction_used_up_names_it(world: World) -> None:
    await world.mine((world.shop, 5))
    (block,) = await world.source.choose_provider().fetch_blocks(world.floor + 1, world.floor + 1)
    (transfer,) = payments_of(world, block)
    assert set(transfer.conflict_keys) <= set(block.transfers.spends)
    for key in transfer.conflict_keys:
        assert block.transfers.spent_by(key) == transfer.tx_hash


async def test_a_reorganised_chain_shows_other_blocks_from_the_fork_on(world: World) -> None:
    for _ in range(4):
        await world.mine()
    provider = world.source.choose_provider()
    before = await provider.fetch_headers(world.floor, world.floor + 4)
    await world.reorg(2, 3)
    after = await provider.fetch_headers(world.floor, world.floor + 5)
    assert [a == b for a, b in zip(after, before, strict=False)] == [True, True, True, False, False]
    assert is_linked(after)


async def test_every_block_names_who_served_it(world: World) -> None:
    provider = world.source.choose_provider()
    (block,) = await provider.fetch_blocks(0, 0)
    assert block.served_by == provider.name


async def test_a_second_opinion_is_another_operator(world: World) -> None:
    first = world.source.choose_provider()
    opinions = world.source.second_opinions(first)
    assert world.source.operators_count == 2
    assert [one.operator for one in opinions] == [{"a": "b", "b": "a"}[first.operator]]


async def test_a_failing_provider_gives_way_to_another(world: World) -> None:
    first = world.source.choose_provider()
    world.source.report_failure(first, Unreachable("gone", provider=first.name))
    assert world.source.choose_provider().name != first.name


async def test_the_one_that_serves_goes_on_serving(world: World) -> None:
    first = world.source.choose_provider()
    for _ in range(3):
        await first.fetch_head_report()
        world.source.report_success(first)
        assert world.source.choose_provider().name == first.name


async def test_case_103_a_provider_with_another_genesis_block_is_refused(world: World) -> None:
    provider = world.source.choose_provider()
    genesis = await provider.fetch_network_id()
    world.source.pin_network(genesis)
    await world.source.choose_provider().fetch_head_report()
    world.source.pin_network(BlockHash(b"\x02" * 32))
    with pytest.raises(WrongNetwork):
        await world.source.choose_provider().fetch_head_report()


async def test_waiting_for_a_hint_ends_without_one(world: World) -> None:
    async with asyncio.timeout(5):
        assert await world.source.wait_for_hint(0.05) is False


async def test_a_transaction_is_told_wherever_it_is_and_never_invented(world: World) -> None:
    await world.mine((world.shop, 5))
    provider = world.source.choose_provider()
    (block,) = await provider.fetch_blocks(world.floor + 1, world.floor + 1)
    (transfer,) = payments_of(world, block)
    story = await provider.fetch_transaction(transfer.tx_hash)
    assert story is not None
    assert story.block is not None
    assert (story.block.height, story.block.hash) == (world.floor + 1, block.header.hash)
    assert story.succeeded is True
    (movement,) = [one for one in story.movements if one.recipient == world.shop]
    assert (movement.kind, movement.asset) == (world.kind, world.traits.native.asset_id)
    assert (movement.recipient, movement.amount_base_units) == (world.shop, 5)
    assert await provider.fetch_transaction(TxHash(b"\x03" * 32)) is None


async def test_a_balance_is_of_the_block_that_was_asked(world: World) -> None:
    await world.mine((world.shop, 5))
    await world.mine((world.shop, 2), (world.other, 7))
    provider = world.source.choose_provider()
    blocks = [BlockRef(one.height, one.hash) for one in await provider.fetch_headers(0, 2)]
    pairs = [(world.shop, None), (world.other, None)]
    if world.has_balances:
        assert [await provider.fetch_balances(pairs, block) for block in blocks] == [[0, 0], [5, 0], [7, 7]]
    else:
        with pytest.raises(Refused):
            await provider.fetch_balances(pairs, blocks[0])
    assert await provider.fetch_balances([], blocks[0]) == []


async def test_there_are_no_balances_of_a_block_that_is_not_canonical(world: World) -> None:
    await world.mine((world.shop, 5))
    provider = world.source.choose_provider()
    with pytest.raises(Missing if world.has_balances else Refused):
        await provider.fetch_balances(
            [(world.shop, None)], BlockRef(world.floor + 1, BlockHash(b"\x01" * 32))
        )
    (header,) = await provider.fetch_headers(world.floor + 1, world.floor + 1)
    await world.reorg(1, 1)
    with pytest.raises(Missing if world.has_balances else Refused):
        await provider.fetch_balances([(world.shop, None)], BlockRef(world.floor + 1, header.hash))


async def test_a_transaction_is_proven_by_its_blocks_hash_or_a_reason_is_given(world: World) -> None:
    await world.mine((world.other, 6), (world.shop, 5))
    provider = world.source.choose_provider()
    (block,) = await provider.fetch_blocks(world.floor + 1, world.floor + 1)
    transfer, where = payments_of(world, block)[1], BlockRef(world.floor + 1, block.header.hash)
    match await provider.fetch_deposit_proof(where, transfer.tx_hash):
        case TrieProof(header=header, index=index, transaction=transaction, receipt=receipt):
            assert keccak_256(header) == block.header.hash
            assert transfer.position.startswith(f"{index:06d}")
            assert keccak_256(transaction[0]) in header
            assert keccak_256(receipt[0]) in header
        case MerkleProof(header=header, index=index, transaction=core, branch=branch):
            assert hash_twice(header)[::-1] == block.header.hash
            assert transfer.position.startswith(f"{index:06d}")
            assert hash_twice(core)[::-1] == transfer.tx_hash
            assert follow_branch(hash_twice(core), MerkleBranch(branch, index)) == header[36:68]
        case WitnessedProof(header=header, index=index, transaction=leaf):
            assert sha256(header).digest()[8:] == block.header.hash[8:]
            assert transfer.position.startswith(f"{index:06d}")
            assert bytes(transfer.recipient) in bytes(leaf)
        case Unprovable(reason=reason, detail=detail):
            assert reason is UnprovableReason.AGREEMENT_ONLY
            assert detail
    nothing = await provider.fetch_deposit_proof(where, TxHash(b"\x03" * 32))
    assert isinstance(nothing, Unprovable)
    assert nothing.reason is UnprovableReason.NOT_IN_BLOCK


async def test_there_is_no_proof_in_a_block_that_is_not_canonical(world: World) -> None:
    await world.mine((world.shop, 5))
    provider = world.source.choose_provider()
    (block,) = await provider.fetch_blocks(world.floor + 1, world.floor + 1)
    tx_hash = payments_of(world, block)[0].tx_hash
    with pytest.raises(Missing):
        await provider.fetch_deposit_proof(BlockRef(world.floor + 1, BlockHash(b"\x01" * 32)), tx_hash)
    await world.reorg(1, 1)
    with pytest.raises(Missing):
        await provider.fetch_deposit_proof(BlockRef(world.floor + 1, block.header.hash), tx_hash)

"""What every ChainSource must do, whatever chain is behind it.

The port's promises (`chains/port.py`), asked of the scripted chain and of a
real node alike.  Faults of providers are tested beside each family.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from chains.errors import Missing, Unreachable, WrongNetwork
from chains.families import rules_of
from chains.model import (
    Address,
    BlockHash,
    BlockRef,
    Sought,
    TransferKind,
    TrieProof,
    TxHash,
    Unprovable,
    UnprovableReason,
    is_linked,
)
from relay.kit.verify_deposit import keccak_256
from tests.conformance.worlds import World, anvil_world, scripted_world, tron_world
from tests.devnet.anvil import find_anvil


@pytest.fixture(params=["scripted", "anvil", "tron"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    if request.param == "scripted":
        async with scripted_world() as one:
            yield one
        return
    if request.param == "tron":
        async with tron_world() as one:
            yield one
        return
    if find_anvil() is None:
        pytest.skip("anvil is not installed: run `npm ci` in the repository")
    async with anvil_world() as one:
        yield one


async def test_the_head_is_the_newest_block_and_finality_is_below_it(world: World) -> None:
    for _ in range(4):
        await world.mine()
    report = await world.source.choose_provider().fetch_head_report()
    assert report.head.height == 4
    assert report.final is not None
    assert report.final.height == 2
    tells_safe = rules_of(world.traits.family).facts.tells_safe(world.traits)
    assert (report.safe and report.safe.height) == (3 if tells_safe else None)


async def test_headers_come_ascending_and_linked_with_both_ends(world: World) -> None:
    for _ in range(3):
        await world.mine()
    headers = await world.source.choose_provider().fetch_headers(0, 3)
    assert [header.height for header in headers] == [0, 1, 2, 3]
    assert is_linked(headers)


async def test_headers_beyond_the_head_are_missing(world: World) -> None:
    with pytest.raises(Missing):
        await world.source.choose_provider().fetch_headers(0, 5)


async def test_a_block_by_hash_and_by_height_is_the_same_block(world: World) -> None:
    await world.mine((world.shop, 5))
    await world.mine()
    provider = world.source.choose_provider()
    by_height = await provider.fetch_blocks(0, 2)
    by_hash = await provider.fetch_blocks_at([block.header.ref for block in by_height])
    assert [block.header for block in by_hash] == [block.header for block in by_height]
    assert is_linked([block.header for block in by_height])
    assert by_hash[1].transfers.at(0) == by_height[1].transfers.at(0)


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
    whole = await provider.fetch_blocks(0, 2)
    assert [block.spared for block in whole] == [None] * 3
    sought = Sought(frozenset({world.shop}), 4)
    by_hash = await provider.fetch_blocks_at([block.header.ref for block in whole], sought=sought)
    for blocks in (by_hash, await provider.fetch_blocks(0, 2, sought=sought)):
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
        await world.source.choose_provider().fetch_blocks(0, 9)


async def test_payments_are_transfers_with_their_place_and_ordinal(world: World) -> None:
    await world.mine((world.shop, 5), (world.other, 6), (world.shop, 5))
    (block,) = await world.source.choose_provider().fetch_blocks(1, 1)
    transfers = [block.transfers.at(index) for index in range(len(block.transfers.recipients))]
    assert [(one.recipient, one.amount_base_units) for one in transfers] == [
        (world.shop, 5),
        (world.other, 6),
        (world.shop, 5),
    ]
    assert [one.n for one in transfers] == [0, 0, 0]
    places = [one.position for one in transfers]
    assert places == sorted(set(places))
    assert {one.kind for one in transfers} == {TransferKind.NATIVE}
    assert {one.asset for one in transfers} == {world.traits.native.asset_id}
    assert list(block.transfers.recipients) == [world.shop, world.other, world.shop]
    assert block.tx_count == 3


async def test_what_a_transaction_used_up_names_it(world: World) -> None:
    await world.mine((world.shop, 5))
    (block,) = await world.source.choose_provider().fetch_blocks(1, 1)
    transfer = block.transfers.at(0)
    assert set(transfer.conflict_keys) == set(block.transfers.spends)
    for key in transfer.conflict_keys:
        assert block.transfers.spent_by(key) == transfer.tx_hash


async def test_a_reorganised_chain_shows_other_blocks_from_the_fork_on(world: World) -> None:
    for _ in range(4):
        await world.mine()
    provider = world.source.choose_provider()
    before = await provider.fetch_headers(0, 4)
    await world.reorg(2, 3)
    after = await provider.fetch_headers(0, 5)
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
    (block,) = await provider.fetch_blocks(1, 1)
    transfer = block.transfers.at(0)
    story = await provider.fetch_transaction(transfer.tx_hash)
    assert story is not None
    assert story.block is not None
    assert (story.block.height, story.block.hash) == (1, block.header.hash)
    assert story.succeeded is True
    (movement,) = story.movements
    assert (movement.kind, movement.asset) == (TransferKind.NATIVE, world.traits.native.asset_id)
    assert (movement.recipient, movement.amount_base_units) == (world.shop, 5)
    assert await provider.fetch_transaction(TxHash(b"\x03" * 32)) is None


async def test_a_balance_is_of_the_block_that_was_asked(world: World) -> None:
    await world.mine((world.shop, 5))
    await world.mine((world.shop, 2), (world.other, 7))
    provider = world.source.choose_provider()
    blocks = [BlockRef(one.height, one.hash) for one in await provider.fetch_headers(0, 2)]
    pairs = [(world.shop, None), (world.other, None)]
    assert [await provider.fetch_balances(pairs, block) for block in blocks] == [[0, 0], [5, 0], [7, 7]]
    assert await provider.fetch_balances([], blocks[0]) == []


async def test_there_are_no_balances_of_a_block_that_is_not_canonical(world: World) -> None:
    await world.mine((world.shop, 5))
    provider = world.source.choose_provider()
    with pytest.raises(Missing):
        await provider.fetch_balances([(world.shop, None)], BlockRef(1, BlockHash(b"\x01" * 32)))
    (header,) = await provider.fetch_headers(1, 1)
    await world.reorg(1, 1)
    with pytest.raises(Missing):
        await provider.fetch_balances([(world.shop, None)], BlockRef(1, header.hash))


async def test_a_transaction_is_proven_by_its_blocks_hash_or_a_reason_is_given(world: World) -> None:
    await world.mine((world.other, 6), (world.shop, 5))
    provider = world.source.choose_provider()
    (block,) = await provider.fetch_blocks(1, 1)
    transfer, where = block.transfers.at(1), BlockRef(1, block.header.hash)
    match await provider.fetch_deposit_proof(where, transfer.tx_hash):
        case TrieProof(header=header, index=index, transaction=transaction, receipt=receipt):
            assert keccak_256(header) == block.header.hash
            assert transfer.position.startswith(f"{index:06d}")
            assert keccak_256(transaction[0]) in header
            assert keccak_256(receipt[0]) in header
        case Unprovable(reason=reason, detail=detail):
            assert reason is UnprovableReason.AGREEMENT_ONLY
            assert detail
    nothing = await provider.fetch_deposit_proof(where, TxHash(b"\x03" * 32))
    assert isinstance(nothing, Unprovable)
    assert nothing.reason is UnprovableReason.NOT_IN_BLOCK


async def test_there_is_no_proof_in_a_block_that_is_not_canonical(world: World) -> None:
    await world.mine((world.shop, 5))
    provider = world.source.choose_provider()
    (block,) = await provider.fetch_blocks(1, 1)
    tx_hash = block.transfers.at(0).tx_hash
    with pytest.raises(Missing):
        await provider.fetch_deposit_proof(BlockRef(1, BlockHash(b"\x01" * 32)), tx_hash)
    await world.reorg(1, 1)
    with pytest.raises(Missing):
        await provider.fetch_deposit_proof(BlockRef(1, block.header.hash), tx_hash)

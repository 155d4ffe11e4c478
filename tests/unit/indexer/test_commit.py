"""One move against a store that others use at the same time."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

from chains.model import BlockHash, BlockRef, ChainId
from indexer.move.commit import ChainDesk, commit_move
from indexer.rules.deposits import DepositState
from indexer.rules.identity import AddressId
from indexer.rules.moves import Repeat
from indexer.rules.plan import Moved, MovePlan
from indexer.rules.watchset import WatchSet
from tests.simulation.blocks import SimBlock
from tests.simulation.chain import SimChain
from tests.simulation.log import MerchantLogs
from tests.simulation.memory import MemoryStore
from tests.simulation.setups import MERCHANTS, WATCHABLE, draw_setup
from tests.simulation.troubles import Tally

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def _do_nothing() -> None:
    pass


class Meanwhile:
    """Does one thing the moment a transaction waits for its lock."""

    def __init__(self) -> None:
        self.act: Callable[[], object] = _do_nothing

    def pause(self, where: str, chain: ChainId | None = None) -> None:
        """Somebody else has their turn first."""
        act, self.act = self.act, _do_nothing
        act()

    def wants_retry(self) -> bool:
        """Every transaction goes through."""
        return False


async def follow_one_chain() -> tuple[MemoryStore, Meanwhile, ChainDesk, SimChain]:
    """A chain whose first block is recorded, and a desk with nothing watched yet."""
    rng = random.Random(3)
    setup, meanwhile = draw_setup(0, rng), Meanwhile()
    chain = SimChain(0, rng, setup.economy, Tally(), final_depth=9)
    store = MemoryStore(meanwhile, MerchantLogs(), lambda *_: None)
    assets = (*setup.settings.traits.assets, setup.settings.traits.native)
    first = chain.genesis.block
    await store.create_chain(
        setup.chain, alias="x", network_id=first.header.hash, assets=assets, first=first, at=NOW
    )
    desk = ChainDesk(setup.settings, store, setup.naming, setup.deposit_id, WatchSet(), 0)
    return store, meanwhile, desk, chain


def next_paying_block(chain: SimChain) -> tuple[SimBlock, SimBlock]:
    """A block with a transfer to the first watchable address, and the block before it."""
    while True:
        chain.extend()
        if any(one.recipient == WATCHABLE[0] for one in chain.tip.transfers):
            return chain.tip.path[-2], chain.tip


async def test_an_address_registered_while_the_move_waits_for_its_lock_is_matched() -> None:
    store, meanwhile, desk, chain = await follow_one_chain()
    chain_id = desk.settings.traits.chain
    _, paying = next_paying_block(chain)
    plan = MovePlan(store.rows[chain_id].record.tip, [block.block for block in paying.path[1:]])

    def register() -> None:
        store.register(
            chain_id,
            AddressId(UUID(int=1)),
            MERCHANTS[0],
            WATCHABLE[0],
            effective_start=1,
            pending_start=None,
        )

    meanwhile.act = register
    moved = await commit_move(desk, plan, now=NOW)
    assert isinstance(moved, Moved)
    assert moved.changes


async def test_an_address_that_history_added_to_the_set_meanwhile_is_matched() -> None:
    store, meanwhile, desk, chain = await follow_one_chain()
    chain_id = desk.settings.traits.chain
    _, paying = next_paying_block(chain)
    plan = MovePlan(store.rows[chain_id].record.tip, [block.block for block in paying.path[1:]])

    def register_and_read_history() -> None:
        store.register(
            chain_id,
            AddressId(UUID(int=1)),
            MERCHANTS[0],
            WATCHABLE[0],
            effective_start=1,
            pending_start=None,
        )
        # What a chunk of history does under the same lock, with the same set.
        desk.watched.add([WATCHABLE[0]], version=1)

    meanwhile.act = register_and_read_history
    moved = await commit_move(desk, plan, now=NOW)
    assert isinstance(moved, Moved)
    assert moved.changes


async def test_a_move_whose_tip_has_moved_meanwhile_writes_nothing() -> None:
    store, _, desk, chain = await follow_one_chain()
    chain_id = desk.settings.traits.chain
    chain.extend()
    rows = store.rows[chain_id]
    plan = MovePlan(rows.record.tip, [chain.tip.block])
    rows.record = replace(rows.record, tip=replace(rows.record.tip, hash=BlockHash(b"elsewhere")))
    assert not isinstance(await commit_move(desk, plan, now=NOW), Moved)
    assert len(rows.blocks) == 1


async def test_when_an_accepted_reorganisation_takes_the_place_the_lower_occurrence_holds_the_deposit() -> (
    None
):
    store, _, desk, chain = await follow_one_chain()
    chain_id = desk.settings.traits.chain
    rows = store.rows[chain_id]
    store.register(
        chain_id, AddressId(UUID(int=1)), MERCHANTS[0], WATCHABLE[0], effective_start=1, pending_start=None
    )
    next_paying_block(chain)
    chain.extend(2)
    tip = chain.tip
    await commit_move(desk, MovePlan(rows.record.tip, [block.block for block in tip.path[1:]]), now=NOW)
    lowest = min(rows.deposits.values(), key=lambda one: one.occurrence.height if one.occurrence else 0)
    assert lowest.occurrence is not None
    # Final above, as if its lower place had been found by history.
    place = replace(lowest.occurrence, height=tip.height, block_hash=tip.hash)
    rows.deposits[lowest.id] = replace(lowest, occurrence=place, state=DepositState.FINAL)
    below = Repeat(lowest.id, lowest.occurrence, lowest.senders, lowest.amount_base_units)
    rows.repeats[lowest.id, lowest.occurrence.height] = below
    rows.record = replace(rows.record, final_height=tip.height)
    other = chain.mine(tip.path[-2])
    fork = BlockRef(tip.height - 1, tip.path[-2].hash)
    plan = MovePlan(rows.record.tip, [other.block], fork=fork, accept_final_above=True)
    assert isinstance(await commit_move(desk, plan, now=NOW), Moved)
    after = rows.deposits[lowest.id]
    assert after.occurrence == lowest.occurrence
    assert after.state is not DepositState.ORPHANED

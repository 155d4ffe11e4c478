"""Blocks that were spared a part are written only for a watch list that their proof covers."""

from __future__ import annotations

from uuid import UUID

from chains.model import Address, Sought
from indexer.move.commit import commit_move
from indexer.move.sparing import find_concerned
from indexer.rules.identity import AddressId
from indexer.rules.plan import Moved, MovePlan, Superseded
from indexer.rules.watchset import SOUGHT_MAX, WatchSet
from tests.simulation.blocks import SimSpared
from tests.simulation.setups import MERCHANTS, WATCHABLE
from tests.unit.indexer.test_commit import NOW, follow_one_chain, next_paying_block

NOBODY = Sought(frozenset(), 0)


def addresses(count: int) -> list[Address]:
    return [Address(number.to_bytes(20, "big")) for number in range(count)]


async def test_a_block_that_may_concern_who_was_registered_meanwhile_is_not_written() -> None:
    store, meanwhile, desk, chain = await follow_one_chain()
    rows = store.rows[desk.settings.traits.chain]
    _, paying = next_paying_block(chain)
    told = [one.tell(NOBODY) for one in paying.path[1:]]
    assert told[-1].spared is not None

    def register() -> None:
        store.register(
            rows.record.chain, AddressId(UUID(int=1)), MERCHANTS[0], WATCHABLE[0], effective_start=1, pending_start=None
        )  # fmt: skip

    meanwhile.act = register
    outcome = await commit_move(desk, MovePlan(rows.record.tip, told), now=NOW)
    assert isinstance(outcome, Superseded)
    assert paying.hash in outcome.concerned
    assert (len(rows.blocks), rows.deposits) == (1, {})
    whole = [one.block if one.hash in outcome.concerned else one.tell(NOBODY) for one in paying.path[1:]]
    moved = await commit_move(desk, MovePlan(rows.record.tip, whole), now=NOW)
    assert isinstance(moved, Moved)
    assert moved.changes


async def test_a_branch_that_must_be_read_again_has_moved_no_start() -> None:
    store, _, desk, chain = await follow_one_chain()
    rows = store.rows[desk.settings.traits.chain]
    chain.extend(3)
    await commit_move(desk, MovePlan(rows.record.tip, [one.block for one in chain.tip.path[1:]]), now=NOW)
    old_tip = rows.record.tip
    fork = chain.tip.path[0]
    chain.reorganise(3, 3)
    while not any(one.recipient == WATCHABLE[0] for one in chain.tip.transfers):
        chain.extend()

    def register() -> None:
        store.register(
            rows.record.chain, AddressId(UUID(int=1)), MERCHANTS[0], WATCHABLE[0],
            effective_start=old_tip.height + 1, pending_start=None,
        )  # fmt: skip

    register()
    told = [one.tell(NOBODY) for one in chain.tip.path[1:]]
    plan = MovePlan(old_tip, told, fork=fork.header.ref)
    assert isinstance(await commit_move(desk, plan, now=NOW), Superseded)
    assert [one.effective_start for one in rows.registrations] == [old_tip.height + 1]
    assert rows.record.tip == old_tip


def test_a_proof_for_the_list_as_it_is_needs_no_second_look() -> None:
    watched = WatchSet()
    watched.add(WATCHABLE, version=3)
    sought = watched.list_sought()
    assert sought is not None
    assert sought.version == 3
    assert sought.addresses == set(WATCHABLE)


async def test_a_list_that_grew_too_long_concerns_every_spared_block() -> None:
    _, _, _, chain = await follow_one_chain()
    _, paying = next_paying_block(chain)
    told = [one.tell(NOBODY) for one in paying.path]
    spared = {one.header.hash for one in told if one.spared is not None}
    watched = WatchSet()
    assert find_concerned(told, watched) == frozenset()
    watched.add([Address(b"somebody else at all")], version=1)
    assert find_concerned(told, watched) < spared
    watched.add(addresses(SOUGHT_MAX), version=2)
    assert find_concerned(told, watched) == spared


def test_only_a_short_list_is_sought() -> None:
    watched = WatchSet()
    assert watched.list_sought() == NOBODY
    watched.add(addresses(SOUGHT_MAX), version=1)
    assert watched.list_sought() == Sought(frozenset(addresses(SOUGHT_MAX)), 1)
    watched.add([Address(b"one more than that  ")], version=2)
    assert watched.list_sought() is None
    compact = WatchSet(compact_above=2)
    compact.add(addresses(3), version=1)
    assert compact.list_sought() is None, "fingerprints cannot be held against a bloom"


def test_a_simulated_block_is_told_apart_from_one_that_pays() -> None:
    paid = SimSpared(frozenset({WATCHABLE[0]}), noise=7, version=0)
    assert paid.may_concern([WATCHABLE[0]])
    assert not paid.may_concern([WATCHABLE[1]])

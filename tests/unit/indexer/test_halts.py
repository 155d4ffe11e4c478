"""A halt and the two ways out of it."""

from __future__ import annotations

from dataclasses import replace

from chains.model import BlockHash, BlockRef
from indexer.move.halts import commit_accept_reorg, commit_halt, commit_resume
from tests.unit.indexer.making import NOW, block_hash
from tests.unit.indexer.test_commit import follow_one_chain

FORK = BlockRef(0, block_hash("fork"))
LEAVE = BlockHash(block_hash("leave"))


async def test_a_halt_stands_until_an_operator_decides_and_is_told_once() -> None:
    store, _, desk, _ = await follow_one_chain()
    rows = store.rows[desk.settings.traits.chain]
    await commit_halt(desk, rows.record, fork=FORK, provider_name="node", now=NOW)
    halted = rows.record
    assert halted.is_halted
    assert halted.halted_fork_height == 0
    await commit_halt(desk, rows.record, fork=FORK, provider_name="other", now=NOW)
    assert rows.record == halted
    assert await commit_resume(desk, rows.record, now=NOW)
    assert not rows.record.is_halted
    assert not await commit_resume(desk, rows.record, now=NOW)


async def test_accepting_a_reorganisation_gives_leave_for_that_fork() -> None:
    store, _, desk, _ = await follow_one_chain()
    rows = store.rows[desk.settings.traits.chain]
    assert not await commit_accept_reorg(desk, rows.record, fork_hash=LEAVE, now=NOW)
    await commit_halt(desk, rows.record, fork=FORK, provider_name="node", now=NOW)
    assert await commit_accept_reorg(desk, rows.record, fork_hash=LEAVE, now=NOW)
    assert (rows.record.is_halted, rows.record.accepted_fork_hash) == (False, LEAVE)


async def test_resuming_takes_back_a_leave_that_was_not_used() -> None:
    store, _, desk, _ = await follow_one_chain()
    rows = store.rows[desk.settings.traits.chain]
    rows.record = replace(rows.record, accepted_fork_hash=LEAVE)
    await commit_halt(desk, rows.record, fork=FORK, provider_name="node", now=NOW)
    assert await commit_resume(desk, rows.record, now=NOW)
    assert rows.record.accepted_fork_hash is None

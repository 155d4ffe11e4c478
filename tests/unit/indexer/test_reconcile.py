"""Another policy applies to what is recorded, and gives nothing while a chain is halted."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest

from chains.model import BlockRef, ChainId
from chains.traits import FinalAtDepth
from indexer.move.commit import ChainDesk, commit_move
from indexer.move.reconcile import reconcile_policy
from indexer.rules.deposits import DepositState
from indexer.rules.identity import AddressId
from indexer.rules.plan import MovePlan
from indexer.rules.policy import ConfirmRule
from indexer.rules.watchset import WatchSet
from tests.simulation.chain import SimChain
from tests.simulation.log import MerchantLogs
from tests.simulation.memory import MemoryStore, load_unsettled
from tests.simulation.setups import MERCHANTS, WATCHABLE, draw_setup
from tests.simulation.troubles import Tally
from tests.unit.indexer.making import depth

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Quiet:
    """Nothing interrupts a test."""

    def pause(self, where: str, chain: ChainId | None = None) -> None:
        """Nobody acts."""

    def wants_retry(self) -> bool:
        """Every transaction goes through."""
        return False


async def recorded_deposits() -> tuple[MemoryStore, ChainDesk]:
    """Twelve blocks with deposits that need forty confirmations."""
    rng = random.Random(5)
    setup = draw_setup(0, rng)
    chain = SimChain(0, rng, setup.economy, Tally(), final_depth=99)
    chain.extend(12)
    store = MemoryStore(Quiet(), MerchantLogs(), lambda *_: None)
    first = chain.genesis.block
    assets = (*setup.settings.traits.assets, setup.settings.traits.native)
    await store.create_chain(
        setup.chain, alias="x", network_id=first.header.hash, assets=assets, first=first, at=NOW
    )
    for number, address in enumerate(WATCHABLE):
        store.register(
            setup.chain,
            AddressId(UUID(int=number)),
            MERCHANTS[0],
            address,
            effective_start=0,
            pending_start=None,
        )
    settings = replace(setup.settings, confirm_rules=(ConfirmRule(depth(40)),), finality=FinalAtDepth(99))
    desk = ChainDesk(settings, store, setup.naming, setup.deposit_id, WatchSet(), 0)
    blocks = [block.block for block in chain.tip.path[1:]]
    await commit_move(desk, MovePlan(BlockRef(0, first.header.hash), blocks), now=NOW)
    return store, desk


def states(store: MemoryStore) -> set[DepositState]:
    (rows,) = store.rows.values()
    return {deposit.state for deposit in rows.deposits.values()}


async def test_a_looser_policy_confirms_what_is_recorded() -> None:
    store, desk = await recorded_deposits()
    assert states(store) == {DepositState.INCLUDED}
    desk.settings = replace(desk.settings, confirm_rules=(ConfirmRule(depth(1)),))
    assert await reconcile_policy(desk, load_unsettled, now=NOW)
    assert states(store) == {DepositState.CONFIRMED}
    assert await reconcile_policy(desk, load_unsettled, now=NOW) == 0


async def test_a_stricter_policy_takes_back_what_it_would_not_have_given() -> None:
    store, desk = await recorded_deposits()
    for rule in (ConfirmRule(depth(1)), ConfirmRule(depth(40))):
        desk.settings = replace(desk.settings, confirm_rules=(rule,))
        await reconcile_policy(desk, load_unsettled, now=NOW)
    assert states(store) == {DepositState.INCLUDED}


@pytest.mark.parametrize("halted", [True, False])
async def test_nothing_is_credited_on_a_halted_chain(halted: bool) -> None:
    store, desk = await recorded_deposits()
    (rows,) = store.rows.values()
    if halted:
        rows.record = replace(rows.record, halt_reason="a fork", halted_at=NOW, halted_fork_height=1)
    desk.settings = replace(desk.settings, confirm_rules=(ConfirmRule(depth(1)),))
    await reconcile_policy(desk, load_unsettled, now=NOW)
    assert states(store) == {DepositState.INCLUDED if halted else DepositState.CONFIRMED}

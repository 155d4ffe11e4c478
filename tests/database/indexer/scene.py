"""One chain in a real database, with the product's own store and a scripted chain behind it.

Lives here: opening pool, store, desk and lease for tests of the indexer's storage. Does not live here: worlds that go
on for many steps (`tests.simulation.postgres`).
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from chains.model import Address, ChainId
from indexer.follow.step import Follower
from indexer.move.commit import ChainDesk
from indexer.move.registration import RegistrationRequest, WatchedAddress, register
from indexer.rows.store import PostgresFollowStore
from indexer.rules.identity import MerchantId
from indexer.rules.watchset import WatchSet
from migrations.connect import open_pool
from migrations.handles import Connection, Pool
from migrations.ids import new_id
from relay.log import eventlog as relay_log
from tests.simulation.chain import SimChain
from tests.simulation.providers import ServedBook, SimProvider, SimSource
from tests.simulation.setups import WATCHABLE, ChainSetup, draw_setup
from tests.simulation.troubles import Tally

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SHOP = MerchantId(UUID(int=0x5409))


@dataclass(slots=True)
class Scene:
    """A chain that is followed, and everything that follows it."""

    pool: Pool
    setup: ChainSetup
    chain: SimChain
    provider: SimProvider
    source: SimSource
    store: PostgresFollowStore
    desk: ChainDesk
    follower: Follower
    now: datetime = NOW

    @property
    def id(self) -> ChainId:
        """CAIP-2."""
        return self.setup.chain

    async def follow(self, *, steps_max: int = 60) -> None:
        """Step once a poll until our tip is the truth's."""
        self.provider.view = self.chain.tip
        for _ in range(steps_max):
            await self.follower.step(self.now)
            self.now += timedelta(seconds=self.setup.settings.poll_interval_s)
            record = await self.store.load_chain(self.id)
            assert record is not None
            if self.desk.lease_epoch == 0:
                self.desk.lease_epoch = await self.store.acquire_lease(self.id, holder="x", lease_s=3600) or 0
            if record.tip.hash == self.chain.tip.hash:
                return
        raise AssertionError("not caught up")

    async def watch(
        self,
        address: Address = WATCHABLE[0],
        *,
        from_height: int | None = None,
        merchant: MerchantId = SHOP,
        memo: bytes | None = None,
    ) -> WatchedAddress:
        """Register one address."""
        request = RegistrationRequest(
            new_id(1), merchant, self.id, address, from_height=from_height, memo=memo
        )
        return (await register(self.pool, [request], now=NOW))[0].address


@asynccontextmanager
async def open_scene(database_url: str, *, seed: int = 1, blocks: int = 6) -> AsyncIterator[Scene]:
    """A scripted chain of `blocks` blocks, not followed yet."""
    rng = random.Random(seed)
    setup = draw_setup(0, rng)
    chain = SimChain(0, rng, setup.economy, Tally(), final_depth=setup.final_depth)
    chain.extend(blocks)
    provider = SimProvider("node", "a", chain, rng, ServedBook(), lambda: None)
    source = SimSource([provider], rng)
    pool = await open_pool(database_url, size=6, application_name="test")

    async def publish(conn: Connection, facts: Sequence[Any]) -> None:
        await relay_log.append(conn, facts, now=NOW)

    store = PostgresFollowStore(pool, publish)
    desk = ChainDesk(setup.settings, store, setup.naming, setup.deposit_id, WatchSet(), 0)
    try:
        yield Scene(pool, setup, chain, provider, source, store, desk, Follower(desk, source))
    finally:
        await pool.close()

"""Whose turn it is to write a chain: the lease, and what is loaded once it is ours.

One process follows a chain at a time; every write says the lease's epoch, so
one that was paused and comes back late writes nothing.
"""

from __future__ import annotations

import asyncio
from datetime import datetime

import structlog

from chains.model import Address
from indexer.follow.surroundings import FollowedChain
from indexer.move.reconcile import reconcile_policy
from indexer.rows.storage import MoveTransaction
from indexer.rows.store import PostgresMove
from indexer.rows.work_store import load_unsettled_page
from indexer.rules.deposits import Deposit
from indexer.rules.identity import DepositId

log = structlog.get_logger(__name__)


class Turn:
    """One process's claim on one chain; `taken` is set while it holds and is prepared, `renews_at_s` when the lease is due."""

    def __init__(self, chain: FollowedChain, *, holder: str) -> None:
        self._chain = chain
        self._holder = holder
        self.renews_at_s = 0.0
        self._prepared = False
        self._judged = False
        self.taken = asyncio.Event()

    async def hold(self, now: datetime) -> bool:
        """Take or renew the lease, and prepare when it is new; False while another process has it."""
        traits = self._chain.desk.settings.traits
        lease_s = self._chain.desk.settings.lease_s
        loop = asyncio.get_running_loop()
        if loop.time() >= self.renews_at_s:
            epoch = await self._chain.store.acquire_lease(traits.chain, holder=self._holder, lease_s=lease_s)
            if epoch is None:
                self.lose()
                return False
            if epoch != self._chain.desk.lease_epoch:
                self._prepared = self._judged = False
            self._chain.desk.lease_epoch = epoch
            self.renews_at_s = loop.time() + lease_s / 3
        if not self._prepared:
            await self._prepare()
            self._prepared = True
        if not self._judged:
            self._judged = await self._judge_anew(now)
        self.taken.set()
        return True

    def lose(self) -> None:
        """Another process writes now: nothing is prepared any more."""
        self.renews_at_s = 0.0
        self._prepared = self._judged = False
        self.taken.clear()

    async def give_back(self) -> None:
        """Let another process begin at once; for a clean stop."""
        if not self.taken.is_set():
            return
        try:
            await self._chain.store.release_lease(self._chain.desk.settings.traits.chain, holder=self._holder)
        except Exception as error:  # noqa: BLE001  # it runs out by itself; others are stopping too
            log.warning(
                "lease-not-given-back", chain=self._chain.desk.settings.traits.alias, error=repr(error)
            )

    async def _prepare(self) -> None:
        """The pinned network, the asset list and the watch set."""
        chain, traits = self._chain, self._chain.desk.settings.traits
        record = await chain.store.load_chain(traits.chain)
        assert record is not None, "a lease exists only with its chain"
        chain.source.pin_network(record.network_id)
        assets = [*traits.assets, traits.native]
        await chain.store.sync_assets(traits.chain, assets, start_height=record.tip.height + 1)
        await self._load_watch_set()
        log.info("chain-prepared", chain=traits.alias, watched=len(chain.desk.watched), tip=record.tip.height)

    async def _judge_anew(self, now: datetime) -> bool:
        """Apply the policy as configured now; False while the chain is halted, since nothing is credited then."""
        chain, traits = self._chain, self._chain.desk.settings.traits
        record = await chain.store.load_chain(traits.chain)
        if record is None or record.is_halted:
            return False
        changed = await reconcile_policy(chain.desk, _load_unsettled, now=now)
        if changed:
            log.info("deposits-judged-anew", chain=traits.alias, changed=changed)
        return True

    async def _load_watch_set(self) -> None:
        """Every address that has committed, in pages; what comes meanwhile is each move's to add."""
        chain, watched = self._chain.desk.settings.traits.chain, self._chain.desk.watched
        horizon = await self._chain.store.load_watch_horizon(chain)
        while watched.version < horizon:
            page = await self._chain.store.load_watch_page(
                chain, after_version=watched.version, up_to_version=horizon
            )
            watched.add((Address(address) for address in page.addresses), version=page.version)
            if not page.addresses:
                return


async def _load_unsettled(move: MoveTransaction, *, after: DepositId, limit: int) -> list[Deposit]:
    assert isinstance(move, PostgresMove)
    return await load_unsettled_page(move.connection, move.record.chain, after=after, limit=limit)

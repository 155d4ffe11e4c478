"""The room's TaskGroup: for each chain one loop that follows, one that reads history, one that listens; one a mempool.

Tasks are born here and nowhere else.  Every chain has its own loops, so one
chain's catch-up or outage slows nobody else (Law 8).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from indexer.follow.asset_watch import AssetWatch
from indexer.follow.damping import Damper
from indexer.follow.loop import FollowLoop
from indexer.follow.mempools.watch import MempoolWatch
from indexer.follow.prefetch import Prefetch
from indexer.follow.steady import run_steadily
from indexer.follow.step import Follower
from indexer.follow.surroundings import FollowedChain, Surroundings
from indexer.follow.turn import Turn
from indexer.history.loop import run_backfill
from indexer.rows.work_store import listen_for_history
from migrations.errors import DatabaseAway

LISTEN_AGAIN_S = 1.0

log = structlog.get_logger(__name__)


class IndexerService:
    """Follows chains until `around.stop` is set."""

    def __init__(self, around: Surroundings, chains: Sequence[FollowedChain]) -> None:
        self._around = around
        self._chains = chains

    async def run(self) -> None:
        """Returns after the stop signal, when every step in hand is done."""
        async with asyncio.TaskGroup() as beside:
            listener = beside.create_task(self._run_listener(), name="indexer-listener")
            async with asyncio.TaskGroup() as group:
                for chain in self._chains:
                    alias = chain.desk.settings.traits.alias
                    group.create_task(self._run_chain(chain), name=f"chain-{alias}")
            listener.cancel()

    async def _run_chain(self, chain: FollowedChain) -> None:
        alias = chain.desk.settings.traits.alias
        turn = Turn(chain, holder=self._around.holder)
        async with asyncio.TaskGroup() as group:
            prefetch = Prefetch(group.create_task, batches_max=chain.desk.settings.prefetch_batches_max)
            follower = Follower(chain.desk, chain.source, prefetch=prefetch, spawn=group.create_task)
            loop = FollowLoop(self._around, chain, turn)
            backfill = group.create_task(
                self._run(chain, "backfill", lambda: run_backfill(self._around, chain, turn)),
                name=f"backfill-{alias}",
            )
            hints = group.create_task(
                self._run(chain, "hints", chain.source.run_hints), name=f"hints-{alias}"
            )
            assets = AssetWatch(self._around, chain, turn)
            watching = group.create_task(self._run(chain, "assets", assets.run), name=f"assets-{alias}")
            mempools = [
                group.create_task(
                    self._run(chain, "mempool", MempoolWatch(self._around, chain, turn, one).run),
                    name=f"mempool-{alias}-{one.name}",
                )
                for one in chain.mempools
            ]
            await self._run(chain, "follow", lambda: loop.run(follower))
            prefetch.forget()
            follower.forget()
            backfill.cancel()
            hints.cancel()
            watching.cancel()
            for one in mempools:
                one.cancel()
        await turn.give_back()

    async def _run_listener(self) -> None:
        """Who is told that more history is wanted looks at once; what was told while nobody listened is looked for."""
        news = {str(one.desk.settings.traits.chain): one.history_news for one in self._chains}

        def look_at_all() -> None:
            for one in news.values():
                one.set()

        def take(chain: str) -> None:
            if chain in news:
                news[chain].set()

        while True:
            try:
                await listen_for_history(self._around.pool, take, ready=look_at_all)
            except DatabaseAway as error:
                log.warning("history-listener-lost", error=str(error))
            except Exception:  # history looks by itself, if later; following goes on
                log.exception("history-listener-broken")
            await asyncio.sleep(LISTEN_AGAIN_S)

    async def _run(self, chain: FollowedChain, stage: str, work: Callable[[], Awaitable[object]]) -> None:
        """One of a chain's loops: what nobody expected there is told, and it begins again."""
        alias, damper = chain.desk.settings.traits.alias, Damper()
        await run_steadily(work, lambda error: self._around.tell_surprise(alias, stage, error, damper))

"""The loop that reads history of one chain, chunk by chunk, behind the head's requests.

What a chunk is and means: `backfill`.  It runs only while this process holds
the chain's lease.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

import structlog

from chains.errors import ChainError
from indexer.follow.damping import Damper
from indexer.follow.surroundings import Alert, FollowedChain, Surroundings
from indexer.follow.turn import Turn
from indexer.history.backfill import BackfillOutcome, Covered, NothingPending, step_backfill, step_doubts
from indexer.rows.storage import LeaseLost
from indexer.rows.work_store import PostgresBackfillStore
from migrations.errors import DatabaseAway

FAILURE_WAIT_MAX_S = 10.0
IDLE_S = 1.0
"""Between two looks, however much is told."""
LOOK_AGAIN_S = 300.0
"""What wakes us is a notice, a block, a doubt that is due; beside them, by itself."""
BLOCKS_TOLD_MAX = 32

log = structlog.get_logger(__name__)


class Bell:
    """Rings once where history begins to wait for a second operator, and for each block that two tell differently."""

    def __init__(self, alert: Alert, alias: str) -> None:
        self._alert = alert
        self._alias = alias
        self._rang_held = False
        self._rang_differing: int | None = None

    def tell(self, outcome: BackfillOutcome) -> None:
        """What a chunk, or asking about blocks in doubt, showed."""
        if not isinstance(outcome, Covered):
            return
        found = outcome.findings
        if found.doubted and not self._rang_held:
            self._rang_held = True
            height = min(found.doubted)
            log.warning("history-held", chain=self._alias, height=height, blocks=len(found.doubted))
            self._alert("chain.credit-held", {"chain": self._alias, "height": height, "history": True})
        elif found.settled and not found.doubted:
            self._rang_held = False
        if not found.differing:
            return
        height = min(found.differing)
        detail: dict[str, object] = {"height": height}
        if found.replaced:
            detail |= {"replaced": sorted(found.replaced)[:BLOCKS_TOLD_MAX]}
        if found.liars:
            detail |= {"outvoted": sorted(found.liars)}
        if height != self._rang_differing or found.liars:
            log.error("deposits-differ", chain=self._alias, **detail)
            self._alert("chain.deposits-differ", {"chain": self._alias} | detail)
        self._rang_differing = height


async def run_backfill(around: Surroundings, chain: FollowedChain, turn: Turn) -> None:
    """Read what is pending until the service stops."""
    alias = chain.desk.settings.traits.alias
    store = PostgresBackfillStore(around.pool, chain.store)
    damper = Damper()
    bell = Bell(around.alert, alias)
    failures = 0
    while not around.stop.is_set():
        await turn.taken.wait()
        chain.history_news.clear()
        try:
            asked = await step_doubts(chain.desk, store, chain.source, now=around.now())
            bell.tell(asked)
            provider = chain.source.choose_provider().for_backfill()
            outcome = await step_backfill(chain.desk, store, provider, now=around.now(), source=chain.source)
            bell.tell(outcome)
        except (ChainError, DatabaseAway, LeaseLost) as error:
            failures += 1
            kind = error.kind if isinstance(error, DatabaseAway) else type(error).__name__
            around.observer.failed(alias, f"backfill-{kind}")
            if damper.ripe(kind):
                log.warning("backfill-failed", chain=alias, kind=kind, detail=str(error))
            await around.wait(min(0.5 * 2 ** min(failures, 5), FAILURE_WAIT_MAX_S))
            continue
        except Exception as error:  # noqa: BLE001  # history's surprise ends neither the head's loop nor other chains
            failures += 1
            around.tell_surprise(alias, "backfill", error, damper)
            await around.wait(min(0.5 * 2 ** min(failures, 5), FAILURE_WAIT_MAX_S))
            continue
        failures = 0
        if damper.over():
            log.info("backfill-restored", chain=alias)
        await _after(outcome, around, chain, store)


async def _after(
    outcome: BackfillOutcome, around: Surroundings, chain: FollowedChain, store: PostgresBackfillStore
) -> None:
    naming = chain.desk.naming
    match outcome:
        case NothingPending():
            await around.wait(IDLE_S)
            await _wait_for_news(around, chain, store)
        case outcome:
            around.tell_repeats(naming, outcome.repeats)
            around.tell_on_one_word(naming, outcome.changes)
            log.info(
                "history-read",
                chain=naming.alias,
                first=outcome.height_first,
                last=outcome.height_last,
                changes=len(outcome.changes),
            )


async def _wait_for_news(around: Surroundings, chain: FollowedChain, store: PostgresBackfillStore) -> None:
    """Until something may be to be read; a chain that stands still costs nothing meanwhile."""
    wait_s = LOOK_AGAIN_S
    try:
        due_at = await store.load_next_due_doubt(chain.desk.settings.traits.chain)
    except DatabaseAway:
        return
    if due_at is not None:
        wait_s = min(wait_s, (due_at - around.now()).total_seconds())
    with suppress(TimeoutError):
        async with asyncio.timeout(wait_s):
            await chain.history_news.wait()

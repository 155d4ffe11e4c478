"""The loop that reads history of one chain, chunk by chunk, behind the head's requests.

What a chunk is and means: `backfill`.  It runs only while this process holds
the chain's lease.
"""

from __future__ import annotations

import structlog

from chains.errors import ChainError
from indexer.backfill import BackfillOutcome, NothingPending, step_backfill
from indexer.damping import Damper
from indexer.events import Naming
from indexer.storage import LeaseLost, Retryable
from indexer.surroundings import FollowedChain, Surroundings
from indexer.turn import Turn
from indexer.work_store import PostgresBackfillStore

FAILURE_WAIT_MAX_S = 10.0
IDLE_S = 1.0

log = structlog.get_logger(__name__)


async def run_backfill(around: Surroundings, chain: FollowedChain, turn: Turn) -> None:
    """Read what is pending until the service stops."""
    alias = chain.desk.settings.traits.alias
    store = PostgresBackfillStore(around.pool, chain.store)
    damper = Damper()
    failures = 0
    while not around.stop.is_set():
        await turn.taken.wait()
        try:
            provider = chain.source.choose_provider().for_backfill()
            outcome = await step_backfill(chain.desk, store, provider, now=around.now())
        except (ChainError, Retryable, LeaseLost) as error:
            failures += 1
            kind = type(error).__name__
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
        await _after(outcome, around, chain.desk.naming)


async def _after(outcome: BackfillOutcome, around: Surroundings, naming: Naming) -> None:
    match outcome:
        case NothingPending():
            await around.wait(IDLE_S)
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

"""The loop that looks at one node's mempool: when something came in, and now and then at everything.

It only waits, wakes, counts and calls `MempoolLooker.step`, beside the loop that follows blocks and never in its way: a
node that does not answer here delays nothing there.  Where hints come in time the whole is looked at as a watchdog, and
when a payment of ours is said to be put away; else every second.  Never so often that a look takes more than a tenth of
the time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from chains.errors import ChainError, Unreachable
from chains.mempool import MempoolSource
from chains.model import TxHash
from indexer.follow.damping import Damper
from indexer.follow.mempools.look import HINTS_MAX, Apart, Looked, LookOutcome, MempoolLooker, NotNow
from indexer.follow.surroundings import FollowedChain, Surroundings
from indexer.follow.turn import Turn
from indexer.rows.storage import LeaseLost
from migrations.errors import DatabaseAway

TICK_S = 0.5
"""At least so often it is looked whether somebody registered an address, or a block was applied."""

WHOLE_EVERY_S = 1.0
WATCHDOG_S = 30.0
LOOK_SHARE = 10
"""A look at the whole that takes long is made so much seldomer."""

HINTS_COLLECT_S = 0.2
FEES_EVERY_S = 30.0
APART_WAIT_S = 0.25
LOOK_MAX_S = 30.0
FAILURE_WAIT_MAX_S = 10.0

log = structlog.get_logger(__name__)


class MempoolWatch:
    """One node's mempool, for as long as the service runs."""

    def __init__(
        self, around: Surroundings, chain: FollowedChain, turn: Turn, mempool: MempoolSource
    ) -> None:
        self._around = around
        self._chain = chain
        self._turn = turn
        self._mempool = mempool
        self._looker = MempoolLooker(chain.desk, mempool, chain.mempool_board)
        self._alias = chain.desk.settings.traits.alias
        self._log = log.bind(chain=self._alias, mempool=mempool.name)
        self._damper = Damper()
        self._failures = 0
        self._whole_at_s = self._whole_again_s = 0.0
        self._fees_at_s = 0.0

    async def run(self) -> None:
        """Look until the service stops."""
        waits_s, entered = 0.0, list[TxHash]()
        while not self._around.stop.is_set():
            await self._turn.taken.wait()
            try:
                entered = [*entered, *await self._wait(waits_s)][-HINTS_MAX:]
                self._hear_of_left()
                async with asyncio.timeout(LOOK_MAX_S):
                    outcome = await self._look(entered)
            except (ChainError, DatabaseAway, LeaseLost, TimeoutError) as error:
                await self._after_failure(error)
                continue
            self._note(outcome)
            entered = entered if isinstance(outcome, NotNow) else []
            waits_s = self._next_wait(outcome)

    async def _wait(self, waits_s: float) -> Sequence[TxHash]:
        entered = await self._mempool.wait_for_entered(waits_s)
        if entered and waits_s:
            await self._around.wait(HINTS_COLLECT_S)
            entered = [*entered, *await self._mempool.wait_for_entered(0.0)]
        return entered

    def _hear_of_left(self) -> None:
        """Where a payment of ours is said to be put away, the whole is looked at as soon as it may be."""
        if self._looker.note_left(self._mempool.take_left()):
            self._whole_at_s = min(self._whole_at_s, self._whole_again_s)

    async def _look(self, entered: Sequence[TxHash]) -> LookOutcome:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        is_whole = began_s >= self._whole_at_s
        asks_fees = began_s >= self._fees_at_s
        outcome = await self._looker.step(
            self._around.now(), is_whole=is_whole, entered=entered, asks_fees=asks_fees
        )
        if isinstance(outcome, Looked):
            ended_s = loop.time()
            if is_whole:
                every_s = WATCHDOG_S if self._mempool.are_hints_live else WHOLE_EVERY_S
                rests_s = LOOK_SHARE * (ended_s - began_s)
                self._whole_at_s = began_s + max(every_s, rests_s)
                self._whole_again_s = began_s + max(WHOLE_EVERY_S, rests_s)
            if asks_fees:
                self._fees_at_s = ended_s + FEES_EVERY_S
        return outcome

    def _next_wait(self, outcome: LookOutcome) -> float:
        match outcome:
            case Looked(is_more=True):
                return 0.0
            case Looked() | NotNow():
                due_s = self._whole_at_s - asyncio.get_running_loop().time()
                return TICK_S if due_s <= 0 else min(TICK_S, due_s)
            case Apart():
                return APART_WAIT_S

    def _note(self, outcome: LookOutcome) -> None:
        self._failures = 0
        book = self._looker.book
        book.last_error = None
        if self._damper.over():
            self._log.info("mempool-restored")
        if not isinstance(outcome, Looked):
            return
        if outcome.unreadable_count:
            self._log.warning("transactions-unreadable", count=outcome.unreadable_count)
            self._around.observer.failed(self._alias, "mempool-unreadable")
        if outcome.changes:
            self._around.observer.moved(self._alias, applied=0, left=0, changes=len(outcome.changes))

    async def _after_failure(self, error: Exception) -> None:
        """A longer wait with each failure in a row; the chain's blocks are followed all the while."""
        if isinstance(error, TimeoutError):
            error = Unreachable("no answer in time", provider=self._mempool.name)
        self._failures += 1
        book = self._looker.book
        book.answers, book.last_error = False, str(error)
        kind = error.kind if isinstance(error, DatabaseAway) else type(error).__name__
        self._around.observer.failed(self._alias, f"mempool-{kind}")
        if self._damper.ripe(kind):
            self._log.warning("mempool-failed", kind=kind, detail=str(error))
        await self._around.wait(min(TICK_S * 2 ** min(self._failures - 1, 6), FAILURE_WAIT_MAX_S))

"""The loop that follows one chain: step, tell, wait for the next head.

It only waits, wakes, counts and calls `Follower.step`; failures are logged
once a minute and told when they are over.  What nobody expected, in the step
or in what is done around it, ends one round of this chain, and rings.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import structlog

from chains.errors import ChainError, Unreachable
from chains.model import BlockRef
from chains.traits import FinalByTag
from indexer.follow.damping import Damper
from indexer.follow.outcomes import (
    Advanced,
    Halted,
    Idle,
    Lagging,
    Rewound,
    Started,
    StepOutcome,
    Suspecting,
    describe_standstill,
)
from indexer.follow.pace import HeadPace, Occasion
from indexer.follow.status import Vitals, leave_out_pace
from indexer.follow.step import Follower
from indexer.follow.surroundings import FollowedChain, Surroundings
from indexer.follow.turn import Turn
from indexer.move.notices import Pulse, commit_conditions, decide_conditions
from indexer.rows.storage import ChainRecord, LeaseLost
from indexer.rows.work_store import ChainStatus, write_checks, write_status
from indexer.rules.plan import Moved
from migrations.errors import DatabaseAway, DatabaseFull

log = structlog.get_logger(__name__)

CLOCK_TICK_S = 0.001
"""The loop counts milliseconds: a wait that ends within one too early would find nothing due, again and again."""
STATUS_EVERY_S = 1.0
STATUS_WHOLE_EVERY_S = 300.0
"""What moves with every look, the calls a day, is written at least so often."""
FAILURE_WAIT_MAX_S = 10.0
HELD_PATIENCE_S = 30.0
HELD_PATIENCE_BLOCKS = 3
"""Another operator is a little behind as a rule; credit that waits longer for it is told."""

DIFFERING_TOLD_MAX = 1_000
"""Heights that are remembered, so that each rings once; beyond them all is told anew."""

HEIGHT_MAX = 2**62
"""What anybody may claim and a database can hold."""


class FollowLoop:
    """Steps one chain, tells how it does, and waits for the next head."""

    def __init__(self, around: Surroundings, chain: FollowedChain, turn: Turn) -> None:
        self._around = around
        self._chain = chain
        self._turn = turn
        self._desk = chain.desk
        self._settings = chain.desk.settings
        self._alias = chain.desk.settings.traits.alias
        self._log = log.bind(chain=self._alias)
        self._vitals = Vitals(chain.describe_providers, chain.mempool_board)
        self._held: int | None = None
        self._held_since_s = 0.0
        self._is_held_told = False
        self._differing_told: set[int] = set()
        self._checks_told: list[Mapping[str, Any]] | None = None
        self._damper = Damper()
        self._status_at_s = 0.0
        self._record_seen: ChainRecord | None = None
        self._status_told: tuple[int | None, dict[str, object]] | None = None
        self._status_again_s = 0.0
        self._at_head = False
        self._statements: dict[str, BlockRef] = {}
        self._pace = HeadPace(self._settings.traits.block_time_s, self._settings.poll_interval_s)
        self._is_hinted = False

    async def run(self, follower: Follower) -> None:
        """Follow until the service stops."""
        failures = 0
        occasion = Occasion.HEAD
        while not self._around.stop.is_set():
            try:
                outcome = await self._step_and_count(follower, occasion)
            except Exception as error:  # noqa: BLE001  # one chain's surprise must not end the others (Law 8)
                failures += 1
                await self._after_failure(error, failures)
                occasion = Occasion.HEAD
                continue
            failures = 0
            occasion = await self._wait_after(outcome, follower)

    async def _step_and_count(self, follower: Follower, occasion: Occasion) -> StepOutcome | None:
        loop = asyncio.get_running_loop()
        started = loop.time()
        outcome = await self._step(follower, occasion)
        if outcome is None:
            self._around.observer.stood_aside(self._alias)
            return None
        if self._vitals.last_error is None and self._damper.over():
            self._log.info("chain-restored")
        self._around.observer.follow_step(self._alias, type(outcome).__name__, loop.time() - started)
        return outcome

    async def _step(self, follower: Follower, occasion: Occasion) -> StepOutcome | None:
        """One step of following, or None while another process holds the chain."""
        now = self._around.now()
        record = await self._chain.store.load_chain(self._settings.traits.chain)
        if record is not None and not await self._turn.hold(now):
            self._checks_told = self._status_told = None  # whoever follows meanwhile says what it learnt
            return None
        looked_at_s = asyncio.get_running_loop().time()
        outcome = await follower.step(now, occasion=occasion)
        if follower.head_read is not None:
            self._pace.note_look(looked_at_s, follower.head_read.height, is_hinted=self._is_hinted)
        elif occasion is Occasion.HEAD:
            self._pace.put_off(looked_at_s)
        self._at_head = False
        self._vitals.last_error = describe_standstill(outcome)
        self._note_outcome(outcome)
        self._statements = follower.statements
        await self._tend_beside(now)
        return outcome

    async def _tend_beside(self, now: datetime) -> None:
        """Status and conditions; what surprises there is told, and no reason to stop following."""
        try:
            await self._tend(now)
        except (ChainError, DatabaseAway, LeaseLost):
            raise
        except Exception as error:  # noqa: BLE001  # as above
            self.note_surprise(error, stage="tend")

    def _note_outcome(self, outcome: StepOutcome) -> None:
        observer = self._around.observer
        match outcome:
            case Advanced(moved=moved, head_height=head_height):
                self._vitals.head_height = min(head_height, HEIGHT_MAX)
                self._note_moved(moved)
            case Rewound(moved=moved, fork=fork):
                self._vitals.head_height = moved.record.tip.height
                self._log.warning(
                    "chain-rewound",
                    fork=fork.height,
                    left=moved.left_blocks_count,
                    tip=moved.record.tip.height,
                )
                self._note_moved(moved)
            case Idle(moved=moved):
                self._at_head = True
                if moved is not None:
                    self._note_moved(moved)
            case Started(first=first):
                self._vitals.head_height = first.height
                self._log.info("chain-started", height=first.height)
            case Halted(reason=reason):
                if self._damper.ripe("halted"):
                    self._log.error("chain-halted", reason=reason)
                    self._around.alert("chain.halted", {"chain": self._alias, "reason": reason})
            case Suspecting(suspicion=suspicion, opinion=opinion):
                if self._damper.ripe(f"suspected-{opinion.value}"):
                    self._log.info("fork-suspected", fork=suspicion.fork.height, opinion=opinion.value)
            case Lagging(head_height=head_height):
                observer.failed(self._alias, "lagging")
                if self._damper.ripe("lagging"):
                    self._log.info("provider-lags", head=head_height)
            case _:
                pass

    def _note_moved(self, moved: Moved) -> None:
        record = moved.record
        self._chain.history_news.set()
        for doubt in self._vitals.note_blocks(moved.applied_blocks):
            detail: dict[str, object] = {"check": doubt.check, "reason": doubt.reason}
            self._log.warning("check-unavailable", **detail, tip=record.tip.height)
            self._around.alert("chain.check-unavailable", {"chain": self._alias} | detail)
        self._tell_held(moved)
        self._around.tell_repeats(self._desk.naming, moved.repeats)
        self._around.tell_on_one_word(self._desk.naming, moved.changes)
        self._around.observer.moved(
            self._alias,
            applied=moved.applied_blocks_count,
            left=moved.left_blocks_count,
            changes=len(moved.changes),
        )
        self._around.observer.heights(
            self._alias,
            head=self._vitals.head_height,
            tip=record.tip.height,
            final=record.final_height,
            agreed=record.agreed_height,
        )

    def _tell_held(self, moved: Moved) -> None:
        """Ring once for each height where a witness shows other deposits, and where credit waits."""
        self._tell_waiting(moved.record.held_height)
        new = [height for height in moved.differing_heights if height not in self._differing_told]
        if new:
            self._log.error("deposits-differ", height=new[0], count=len(new))
            self._around.alert("chain.deposits-differ", {"chain": self._alias, "height": new[0]})
            if len(self._differing_told) > DIFFERING_TOLD_MAX:
                self._differing_told.clear()
            self._differing_told.update(new)

    def _tell_waiting(self, held: int | None) -> None:
        """Ring once where credit waits: at once if only a person can lift it, else when other operators take long."""
        clock_s = asyncio.get_running_loop().time()
        if held != self._held:
            self._held, self._held_since_s = held, clock_s
            self._is_held_told = self._is_held_told and held is not None
        if held is None or self._is_held_told:
            return
        patience_s = 0.0
        if self._chain.source.operators_count > 1:
            patience_s = max(HELD_PATIENCE_S, HELD_PATIENCE_BLOCKS * self._settings.traits.block_time_s)
        if clock_s - self._held_since_s >= patience_s:
            self._is_held_told = True
            self._log.warning("credit-held", height=held)
            self._around.alert("chain.credit-held", {"chain": self._alias, "height": held})

    async def _tend(self, now: datetime) -> None:
        """Status and conditions, at most once a second each."""
        loop = asyncio.get_running_loop()
        if loop.time() < self._status_at_s:
            return
        self._status_at_s = loop.time() + STATUS_EVERY_S
        record = await self._chain.store.load_chain(self._settings.traits.chain)
        if record != self._record_seen:  # an operator's word, too
            self._record_seen = record
            self._chain.history_news.set()
        if record is not None:
            self._tell_waiting(record.held_height)
            if self._at_head or self._vitals.head_height is None:
                self._vitals.head_height = record.tip.height
            self._vitals.note_record(record, now=now)
            by_tag = isinstance(self._settings.finality, FinalByTag)
            pulse = self._vitals.pulse(record, by_tag=by_tag, now=now)
            conditions = decide_conditions(record, pulse, self._settings)
            self._around.observer.conditions(
                self._alias, conditions | ({"halted"} if record.is_halted else set())
            )
            if not record.is_halted and self._turn.taken.is_set():
                detail = self._describe_conditions(record, pulse)
                for notice in await commit_conditions(self._desk, record, conditions, detail, now=now):
                    self._log.warning("chain-condition", notice=notice.event, condition=notice.condition)
                    self._around.alert(
                        f"chain.{notice.event}", {"chain": self._alias, "condition": notice.condition}
                    )
        self._count_strangers()
        if record is None:  # then no lease says that somebody is at work
            self._status_told = None
        await self._tell_status(
            self._vitals.detail(record) | {"assets_held": dict(self._chain.assets_held)}, now
        )
        checks = list(self._chain.describe_checks())
        if checks != self._checks_told:
            await write_checks(self._around.pool, self._settings.traits.chain, checks)
            self._checks_told = checks

    def _describe_conditions(self, record: ChainRecord, pulse: Pulse) -> dict[str, object]:
        """What merchants are told beside a condition."""
        detail: dict[str, object] = {"head_height": self._vitals.head_height}
        if pulse.fee_rungs:
            detail["fee_rate_wanted_per_kvb"] = str(pulse.fee_rungs[0].fee_rate_per_kvb)
        if record.disputed_fork_height is not None:
            spell = self._desk.naming.block_hash_text
            statements = {
                name: f"height {said.height}: {spell(said.hash)}" for name, said in self._statements.items()
            }
            detail |= {"fork_height": record.disputed_fork_height, "statements": statements}
        return detail

    def _count_strangers(self) -> None:
        """What providers are asked, and how much waits in their mempools."""
        for one in self._chain.describe_providers():
            if (calls := one.get("calls_per_day")) is not None:
                self._around.observer.calls_per_day(self._alias, str(one["host"]), calls)
        for book in self._chain.mempool_board.books.values():
            self._around.observer.waiting(self._alias, book.name, book.waiting_count)

    async def _tell_status(self, detail: dict[str, object], now: datetime) -> None:
        """Write what is seen where it changed; that it still holds is said with each renewal of the lease."""
        loop_s = asyncio.get_running_loop().time()
        seen = self._vitals.head_height, leave_out_pace(detail)
        if seen == self._status_told and loop_s < self._status_again_s:
            return
        status = ChainStatus(self._settings.traits.chain, self._alias, self._vitals.head_height, detail, now)
        self._status_told = None
        await write_status(self._around.pool, status)
        self._status_told, self._status_again_s = seen, loop_s + STATUS_WHOLE_EVERY_S

    def _note_failure(self, error: Exception) -> None:
        kind = error.kind if isinstance(error, DatabaseAway) else type(error).__name__
        self._vitals.last_error = str(error)
        self._around.observer.failed(self._alias, kind)
        if isinstance(error, LeaseLost):
            self._turn.lose()
        if isinstance(error, DatabaseFull) and self._damper.ripe("disk"):
            self._around.alert("database.full", {"chain": self._alias, "detail": str(error)})
        if self._damper.ripe(kind):
            self._log.warning("step-failed", kind=kind, detail=str(error))

    def note_surprise(self, error: BaseException, *, stage: str = "step") -> None:
        """A broken invariant: what it was doing was undone, and this chain stands still until it is repaired."""
        kind = type(error).__name__
        self._vitals.last_error = f"{kind}: {error}"
        self._around.tell_surprise(self._alias, stage, error, self._damper)

    async def _after_failure(self, error: Exception, failures: int) -> None:
        """A longer wait with each failure in a row; conditions are still judged, so a stall is told."""
        if isinstance(error, ChainError | DatabaseAway | LeaseLost):
            self._note_failure(error)
        else:
            self.note_surprise(error)
        try:
            await self._tend_beside(self._around.now())
        except (ChainError, DatabaseAway, LeaseLost):
            self._log.debug("status-not-written")
        base = self._settings.poll_interval_s
        if isinstance(error, Unreachable):
            base = max(base, 0.2)
        await self._around.wait(min(base * 2 ** min(failures - 1, 6), FAILURE_WAIT_MAX_S))

    def _more_to_do(self, outcome: StepOutcome) -> bool:
        match outcome:
            case Advanced(moved=moved, head_height=head_height):
                return moved.record.tip.height < head_height
            case Rewound() | Started():
                return True
            case _:
                return False

    async def _wait_after(self, outcome: StepOutcome | None, follower: Follower) -> Occasion:
        """Until a hint of a new head, or something is due; not at all where more is to be done.

        Beside a look that is the lease, the status, and others who have not agreed.
        """
        self._is_hinted = False
        poll_s = self._settings.poll_interval_s
        if outcome is None:
            await self._around.wait(poll_s)
        elif not self._more_to_do(outcome) and not self._around.stop.is_set():
            loop, source = asyncio.get_running_loop(), self._chain.source
            deaf_s = self._pace.compute_next_hint() - loop.time()
            if deaf_s > 0:
                await self._around.wait(min(deaf_s, poll_s))
            began_s = loop.time()
            look_at_s = self._pace.compute_next_look(
                are_hints_live=source.are_hints_live, would_hint=source.would_hint
            )
            tick_s = max(poll_s, STATUS_EVERY_S) if follower.is_still else poll_s
            until_s = min(look_at_s, self._turn.renews_at_s, began_s + tick_s)
            waits_s = max(until_s - began_s, 0.0)
            self._is_hinted = await source.wait_for_hint(waits_s + CLOCK_TICK_S)
            if self._is_hinted or loop.time() >= look_at_s:
                return Occasion.HEAD
            return Occasion.TICK if loop.time() - began_s >= waits_s else Occasion.WORD
        return Occasion.HEAD

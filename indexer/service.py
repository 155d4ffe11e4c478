"""The room's TaskGroup: one loop that follows and one that reads history, per chain.

Loops only wait, wake, count and call a bounded step; they log a failure once a
minute and say when it is over.  Every chain has its own loops, so one chain's
catch-up or outage slows nobody else (Law 8).  Decisions are in `follow` and
`backfill`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

import structlog

from chains.errors import ChainError, Unreachable
from chains.model import Address
from chains.port import ChainSource
from chains.traits import FinalByTag
from indexer.backfill import NothingPending, step_backfill
from indexer.commit import ChainDesk, Moved
from indexer.deposits import Deposit
from indexer.follow import Advanced, Follower, Halted, Idle, Lagging, Outcome, Rewound, Started, Suspecting
from indexer.identity import DepositId
from indexer.notices import commit_conditions, decide_conditions
from indexer.prefetch import Prefetch
from indexer.reconcile import reconcile_policy
from indexer.status import DescribeProviders, Vitals
from indexer.storage import LeaseLost, MoveTransaction, Retryable, StorageFull
from indexer.store import PostgresFollowStore, PostgresMove
from indexer.work_store import ChainStatus, PostgresBackfillStore, load_unsettled_page, write_status
from migrations.handles import Pool

log = structlog.get_logger(__name__)

STATUS_EVERY_S = 1.0
FAILURE_WAIT_MAX_S = 10.0
BACKFILL_IDLE_S = 1.0
CONDITIONS_EVERY_S = 1.0
DAMPED_LOG_S = 60.0

Alert = Callable[[str, dict[str, object]], None]


class Observer(Protocol):
    """Where the loops report what they did; metrics live in the gateway."""

    def follow_step(self, alias: str, outcome: str, seconds: float) -> None:
        """One step of following ended with this outcome."""
        ...

    def moved(self, alias: str, *, applied: int, left: int, changes: int) -> None:
        """One move was committed."""
        ...

    def heights(self, alias: str, *, head: int | None, tip: int, final: int | None, agreed: int) -> None:
        """Where the chain stands."""
        ...

    def failed(self, alias: str, kind: str) -> None:
        """One step failed with this kind of weather."""
        ...


@dataclass(slots=True)
class FollowedChain:
    """Everything one chain's loops need."""

    desk: ChainDesk
    source: ChainSource
    store: PostgresFollowStore
    describe_providers: DescribeProviders


class IndexerService:
    """Follows chains until `stop` is set; tasks are born here and nowhere else."""

    def __init__(
        self,
        pool: Pool,
        chains: list[FollowedChain],
        *,
        holder: str,
        observer: Observer,
        alert: Alert,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._pool = pool
        self._chains = chains
        self._holder = holder
        self._observer = observer
        self._alert = alert
        self._clock = clock
        self.stop = asyncio.Event()

    async def run(self) -> None:
        """Follow every chain; returns after `stop` was set and every step in hand is done."""
        async with asyncio.TaskGroup() as group:
            for chain in self._chains:
                group.create_task(
                    ChainLoops(self, chain).run(group), name=f"chain-{chain.desk.settings.traits.alias}"
                )

    @property
    def pool(self) -> Pool:
        """The pool the loops share."""
        return self._pool

    @property
    def holder(self) -> str:
        """Who this process is to the leases."""
        return self._holder

    @property
    def observer(self) -> Observer:
        """Where to report."""
        return self._observer

    @property
    def alert(self) -> Alert:
        """Calls the operator."""
        return self._alert

    def now(self) -> datetime:
        """Aware UTC time; the only clock of the room."""
        return self._clock()


class ChainLoops:
    """The two loops of one chain."""

    def __init__(self, service: IndexerService, chain: FollowedChain) -> None:
        self._service = service
        self._chain = chain
        self._desk = chain.desk
        self._settings = chain.desk.settings
        self._alias = chain.desk.settings.traits.alias
        self._log = log.bind(chain=self._alias)
        self._vitals = Vitals(chain.describe_providers)
        self._damper = Damper()
        self._leased = asyncio.Event()
        self._lease_until = 0.0
        self._status_at = 0.0
        self._conditions_at = 0.0
        self._prepared = False

    async def run(self, group: asyncio.TaskGroup) -> None:
        """Both loops, until the service stops."""
        prefetch = Prefetch(group.create_task, batches_max=self._settings.prefetch_batches_max)
        follower = Follower(self._desk, self._chain.source, prefetch=prefetch)
        backfill = group.create_task(self._run_backfill(), name=f"backfill-{self._alias}")
        hints = group.create_task(self._chain.source.run_hints(), name=f"hints-{self._alias}")
        try:
            await self._run_follow(follower)
        finally:
            prefetch.forget()
            backfill.cancel()
            hints.cancel()
            if self._leased.is_set():
                try:
                    await self._chain.store.release_lease(self._settings.traits.chain, holder=self._service.holder)
                except Retryable:
                    self._log.warning("lease-not-released")

    async def _run_follow(self, follower: Follower) -> None:
        loop = asyncio.get_running_loop()
        failures = 0
        while not self._service.stop.is_set():
            started = loop.time()
            try:
                outcome = await self._step(follower)
            except (ChainError, Retryable, LeaseLost) as error:
                failures += 1
                self._note_failure(error)
                await self._after_failure(error, failures)
                continue
            failures = 0
            if outcome is None:
                await self._wait(self._settings.poll_interval_s)
                continue
            if self._damper.over():
                self._log.info("chain-restored")
            self._vitals.last_error = None
            self._service.observer.follow_step(self._alias, type(outcome).__name__, loop.time() - started)
            if not self._more_to_do(outcome):
                await self._wait_for_head()

    async def _step(self, follower: Follower) -> Outcome | None:
        """One step of following, or None while another process holds the chain."""
        now = self._service.now()
        record = await self._chain.store.load_chain(self._settings.traits.chain)
        if record is not None and not await self._hold_lease():
            self._leased.clear()
            self._prepared = False
            return None
        if record is not None and not self._prepared:
            await self._prepare(now)
        outcome = await follower.step(now)
        self._note_outcome(outcome)
        await self._tend(now)
        return outcome

    async def _hold_lease(self) -> bool:
        loop = asyncio.get_running_loop()
        if loop.time() < self._lease_until:
            return True
        epoch = await self._chain.store.acquire_lease(
            self._settings.traits.chain, holder=self._service.holder, lease_s=self._settings.lease_s
        )
        if epoch is None:
            return False
        self._desk.lease_epoch = epoch
        self._lease_until = loop.time() + self._settings.lease_s / 3
        self._leased.set()
        return True

    async def _prepare(self, now: datetime) -> None:
        """Once after the lease is ours: the watch set, the asset list, the pinned network, the policy."""
        traits = self._settings.traits
        record = await self._chain.store.load_chain(traits.chain)
        assert record is not None
        self._chain.source.pin_genesis(record.genesis_hash)
        await self._chain.store.sync_assets(
            traits.chain, [*traits.assets, traits.native], start_height=record.tip.height + 1
        )
        await self._load_watch_set()
        changed = await reconcile_policy(self._desk, _load_unsettled, now=now)
        self._log.info(
            "chain-prepared", watched=len(self._desk.watched), tip=record.tip.height, judged_anew=changed
        )
        self._prepared = True

    async def _load_watch_set(self) -> None:
        watched = self._desk.watched
        while True:
            page = await self._chain.store.load_watch_page(self._settings.traits.chain, after_version=watched.version)
            if page.version == watched.version:
                return
            watched.add((Address(address) for address in page.addresses), version=page.version)

    def _note_outcome(self, outcome: Outcome) -> None:
        observer = self._service.observer
        match outcome:
            case Advanced(moved=moved, head_height=head_height):
                self._vitals.head_height = head_height
                self._note_moved(moved)
            case Rewound(moved=moved, fork=fork):
                self._vitals.head_height = moved.record.tip.height
                self._log.warning(
                    "chain-rewound", fork=fork.height, left=moved.left_blocks_count, tip=moved.record.tip.height
                )
                self._note_moved(moved)
            case Idle(moved=moved):
                if moved is not None:
                    self._note_moved(moved)
            case Started(first=first):
                self._vitals.head_height = first.height
                self._log.info("chain-started", height=first.height)
            case Halted(reason=reason):
                if self._damper.ripe("halted"):
                    self._log.error("chain-halted", reason=reason)
                    self._service.alert("chain.halted", {"chain": self._alias, "reason": reason})
            case Suspecting(suspicion=suspicion, opinion=opinion):
                self._log.info("fork-suspected", fork=suspicion.fork.height, opinion=opinion.value)
            case Lagging(head_height=head_height):
                observer.failed(self._alias, "lagging")
                if self._damper.ripe("lagging"):
                    self._log.info("provider-lags", head=head_height)
            case _:
                pass

    def _note_moved(self, moved: Moved) -> None:
        record = moved.record
        self._vitals.note_blocks(moved.applied_blocks)
        self._service.observer.moved(
            self._alias, applied=moved.applied_blocks_count, left=moved.left_blocks_count, changes=len(moved.changes)
        )
        self._service.observer.heights(
            self._alias,
            head=self._vitals.head_height,
            tip=record.tip.height,
            final=record.final_height,
            agreed=record.agreed_height,
        )

    async def _tend(self, now: datetime) -> None:
        """Status and conditions, at most once a second each."""
        loop = asyncio.get_running_loop()
        if loop.time() < self._status_at:
            return
        self._status_at = loop.time() + STATUS_EVERY_S
        record = await self._chain.store.load_chain(self._settings.traits.chain)
        if record is not None:
            self._vitals.note_record(record, now=now)
            by_tag = isinstance(self._settings.finality, FinalByTag)
            pulse = self._vitals.pulse(record, by_tag=by_tag, now=now)
            conditions = decide_conditions(record, pulse, self._settings)
            if not record.is_halted and self._leased.is_set():
                for notice in await commit_conditions(
                    self._desk, record, conditions, {"head_height": self._vitals.head_height}, now=now
                ):
                    self._log.warning("chain-condition", notice=notice.event, condition=notice.condition)
                    self._service.alert(f"chain.{notice.event}", {"chain": self._alias, "condition": notice.condition})
        await write_status(
            self._service.pool,
            ChainStatus(
                self._settings.traits.chain,
                self._alias,
                self._vitals.head_height,
                self._vitals.detail(record),
                now,
            ),
        )

    def _note_failure(self, error: Exception) -> None:
        kind = type(error).__name__
        self._vitals.last_error = str(error)
        self._service.observer.failed(self._alias, kind)
        if isinstance(error, LeaseLost):
            self._lease_until = 0.0
            self._leased.clear()
            self._prepared = False
        if isinstance(error, StorageFull) and self._damper.ripe("disk"):
            self._service.alert("database.full", {"chain": self._alias, "detail": str(error)})
        if self._damper.ripe(kind):
            self._log.warning("step-failed", kind=kind, detail=str(error))

    async def _after_failure(self, error: Exception, failures: int) -> None:
        """A longer wait with each failure in a row; conditions are still judged, so a stall is told."""
        try:
            await self._tend(self._service.now())
        except (ChainError, Retryable, LeaseLost):
            self._log.debug("status-not-written")
        base = self._settings.poll_interval_s
        if isinstance(error, Unreachable):
            base = max(base, 0.2)
        await self._wait(min(base * 2 ** min(failures - 1, 6), FAILURE_WAIT_MAX_S))

    def _more_to_do(self, outcome: Outcome) -> bool:
        match outcome:
            case Advanced(moved=moved, head_height=head_height):
                return moved.record.tip.height < head_height
            case Rewound() | Started():
                return True
            case _:
                return False

    async def _wait_for_head(self) -> None:
        stop = self._service.stop
        if not stop.is_set():
            await self._chain.source.wait_for_hint(self._settings.poll_interval_s)

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._service.stop.wait()
        except TimeoutError:
            return

    async def _run_backfill(self) -> None:
        store = PostgresBackfillStore(self._service.pool, self._chain.store)
        failures = 0
        damper = Damper()
        while not self._service.stop.is_set():
            await self._leased.wait()
            if not self._prepared:
                await self._wait(self._settings.poll_interval_s)
                continue
            try:
                provider = self._chain.source.choose_provider().for_backfill()
                outcome = await step_backfill(self._desk, store, provider, now=self._service.now())
            except (ChainError, Retryable, LeaseLost) as error:
                failures += 1
                self._service.observer.failed(self._alias, f"backfill-{type(error).__name__}")
                if damper.ripe(type(error).__name__):
                    self._log.warning("backfill-failed", kind=type(error).__name__, detail=str(error))
                await self._wait(min(0.5 * 2 ** min(failures, 5), FAILURE_WAIT_MAX_S))
                continue
            failures = 0
            if isinstance(outcome, NothingPending):
                await self._wait(BACKFILL_IDLE_S)
            else:
                self._log.info(
                    "history-read",
                    first=outcome.height_first,
                    last=outcome.height_last,
                    changes=len(outcome.changes),
                )


class Damper:
    """Lets a repeated message through once a minute, and tells when the trouble is over."""

    def __init__(self) -> None:
        self._next_at: dict[str, float] = {}

    def ripe(self, kind: str) -> bool:
        """Whether a message of this kind should be written now."""
        now_s = asyncio.get_running_loop().time()
        if now_s < self._next_at.get(kind, 0.0):
            return False
        self._next_at[kind] = now_s + DAMPED_LOG_S
        return True

    def over(self) -> bool:
        """Whether there was trouble that is over now; True once."""
        troubled = bool(self._next_at)
        self._next_at.clear()
        return troubled


async def _load_unsettled(move: MoveTransaction, *, after: DepositId, limit: int) -> list[Deposit]:
    assert isinstance(move, PostgresMove)
    return await load_unsettled_page(move.connection, move.record.chain, after=after, limit=limit)

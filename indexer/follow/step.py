"""Following one chain: one bounded step at a time, with a handful of outcomes.

A step reads one provider's head, lets `canonical` place it and `evidence`
judge it, fetches verified blocks and hands one move to `commit`.  Nothing of
two providers is mixed in a step except opinions.  A step that fails advances
nothing; waiting, waking and counting are `service`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from chains.errors import ChainError, Inconsistent
from chains.model import Block, BlockHash, BlockRef, Header, HeadReport, is_placed
from chains.port import ChainSource, Provider
from indexer.follow.forks import Branch, ForkSearch
from indexer.follow.looks import Looks
from indexer.follow.outcomes import Advanced, Halted, Idle, Lagging, Rewound, StepOutcome, Suspecting
from indexer.follow.pace import Occasion
from indexer.follow.prefetch import Prefetch
from indexer.follow.start import start_chain
from indexer.follow.voices import Spawn, Voices, compute_patience_s
from indexer.move.balance_check import HOLD_TRIES
from indexer.move.commit import ChainDesk, commit_move
from indexer.move.halts import commit_halt
from indexer.rows.storage import ChainRecord
from indexer.rules.canonical import (
    Behind,
    CatchUp,
    Extend,
    Known,
    SearchFork,
    decide_head,
    extends_tip,
)
from indexer.rules.evidence import (
    Dismiss,
    Dispute,
    Halt,
    Opinion,
    Rewind,
    Suspicion,
    Wait,
    decide_evidence,
)
from indexer.rules.finality import read_tags
from indexer.rules.maturing import compute_doubted, may_mature
from indexer.rules.plan import DisputeChange, Moved, MovePlan, Superseded


class Follower:
    """One chain's follower; `step` is called by one loop at a time."""

    def __init__(
        self,
        desk: ChainDesk,
        source: ChainSource,
        *,
        prefetch: Prefetch | None = None,
        spawn: Spawn | None = None,
    ) -> None:
        self._desk = desk
        self._source = source
        self._prefetch = prefetch
        self._forks = ForkSearch(desk.store, desk.settings)
        self._voices = Voices(desk.store, source, desk.settings.traits.skipped_heights_max, spawn)
        self._patience_s = compute_patience_s(desk.settings.traits.block_time_s)
        self._skipped_heights_max = desk.settings.traits.skipped_heights_max
        self._looks = Looks(desk.settings, source, None if spawn is None else self._patience_s)
        self._suspicion: Suspicion | None = None
        self._suspected_at: datetime | None = None
        self.head_read: Header | None = None
        """What the last step saw as the head, where it looked."""
        self.is_still = False
        """The last step found the head to be our tip, and nobody else is to be asked about it."""

    @property
    def desk(self) -> ChainDesk:
        """What this follower's moves work with."""
        return self._desk

    @property
    def source(self) -> ChainSource:
        """The providers that are asked."""
        return self._source

    @property
    def statements(self) -> dict[str, BlockRef]:
        """What each operator last said where they disagree with us, by host."""
        return self._voices.statements

    def forget(self) -> None:
        """Ask nobody any more: the service stops."""
        self._voices.forget()

    async def step(self, now: datetime, *, occasion: Occasion = Occasion.HEAD) -> StepOutcome:
        """At most one move; raises `ChainError` after the provider was blamed for it.

        On another occasion than `HEAD` the head is not read again where the
        last one is our tip and nothing about it is in doubt.
        """
        self.head_read, self.is_still = None, False
        traits = self._desk.settings.traits
        record = await self._desk.store.load_chain(traits.chain)
        if record is not None and record.halt_reason is not None:
            self._suspicion = None
            return Halted(record.halt_reason)
        if record is None:
            return await start_chain(self._desk, self._source, now)
        seen = self._looks.recall(record.tip) if occasion is not Occasion.HEAD else None
        if seen is not None and self._suspicion is None:
            return await self._mature(record, *seen, now, asks=occasion is Occasion.TICK, wakes=True)
        provider, report = await self._looks.fetch_head(record, now, self._desk.watched.list_sought())
        self.head_read = report.head
        try:
            outcome = await self._follow(record, provider, report, now)
        except ChainError as error:
            self._source.report_failure(provider, error)
            raise
        self._source.report_success(provider)
        return outcome

    async def _follow(
        self, record: ChainRecord, provider: Provider, report: HeadReport, now: datetime
    ) -> StepOutcome:
        head = report.head
        if not is_placed(head, skipped_heights_max=self._skipped_heights_max):
            raise Inconsistent(
                f"the head {head.height} names a parent at {head.parent.height}", provider=provider.name
            )
        ours = record.tip.hash if head.height == record.tip.height else None
        if record.start_height <= head.height < record.tip.height:
            at_height = await self._desk.store.load_hashes(record.chain, head.height, head.height)
            ours = at_height.get(head.height)
        decision = decide_head(
            record.tip,
            head,
            start_height=record.start_height,
            ours_at_head_height=ours,
            step_heights_max=self._desk.settings.step_heights_max,
        )
        match decision:
            case Known():
                self._suspicion = None
                self._looks.look_elsewhere_when_quiet(record, provider, now)
                return await self._mature(record, provider, report, now)
            case Behind():
                self._suspicion = None
                self._source.report_lag(provider, head_height=head.height, tip_height=record.tip.height)
                return Lagging(head.height)
            case Extend():
                sought = self._desk.watched.list_sought()
                blocks = await provider.fetch_blocks_at([head.ref], sought=sought)
                return await self._extend(record, provider, report, blocks, now)
            case CatchUp(height_first=first, height_last=last):
                blocks = await self._fetch_range(provider, first, last, head.height)
                if not self._extends(record.tip, blocks):
                    if self._prefetch is not None:
                        self._prefetch.forget()
                    return await self._weigh_fork(record, provider, report, record.tip.height, now)
                return await self._extend(record, provider, report, blocks, now)
            case SearchFork(height_last=last):
                return await self._weigh_fork(record, provider, report, last, now)

    async def _fetch_range(self, provider: Provider, first: int, last: int, head_height: int) -> list[Block]:
        sought = self._desk.watched.list_sought()
        if self._prefetch is None:
            return await provider.fetch_blocks(first, last, sought=sought)
        return await self._prefetch.take(provider, first, last, head_height=head_height, sought=sought)

    def _extends(self, tip: BlockRef, blocks: Sequence[Block]) -> bool:
        headers = [block.header for block in blocks]
        return extends_tip(tip, headers, skipped_heights_max=self._skipped_heights_max)

    async def _extend(
        self,
        record: ChainRecord,
        provider: Provider,
        report: HeadReport,
        blocks: Sequence[Block],
        now: datetime,
    ) -> StepOutcome:
        self._suspicion = None
        if not self._extends(record.tip, blocks):
            raise Inconsistent("blocks do not link to the headers they were asked by", provider=provider.name)
        tip_is_theirs = await self._still_serves(provider, blocks[-1].header, report)
        plan = MovePlan(
            expected_tip=record.tip,
            blocks=blocks,
            tags=read_tags(report, tip_is_theirs=tip_is_theirs),
            agreed_height=self._agreed_without_asking(record),
            dispute=self._dispute_without_asking(),
        )
        moved = await self._hold_and_commit(provider, plan, now)
        if isinstance(moved, Superseded):
            return Idle()
        if self._voices.are_several:
            moved = await self._settle_agreement(moved, provider, report, now)
        return Advanced(moved, report.head.height)

    async def _still_serves(self, provider: Provider, last: Header, report: HeadReport) -> bool:
        """Whether the provider still calls `last` canonical, asked only where its finality would rest on that.

        Blocks that were read ahead are older than the tags of this step.
        """
        highest_tag = max((tag.height for tag in (report.safe, report.final) if tag is not None), default=-1)
        if self._prefetch is None or highest_tag <= last.height or last.hash == report.head.hash:
            return True
        return await provider.fetch_headers(last.height, last.height) == [last]

    def _agreed_without_asking(self, record: ChainRecord) -> int | None:
        return None if not self._voices.are_several else record.agreed_height

    def _dispute_without_asking(self) -> DisputeChange:
        """One operator is trusted: what others disputed before they were taken out of the configuration is over."""
        return DisputeChange.STANDS if self._voices.are_several else DisputeChange.SETTLED

    async def _settle_agreement(
        self, moved: Moved, provider: Provider, report: HeadReport, now: datetime
    ) -> Moved:
        """After new blocks were told as included: ask others, and let deposits mature on their word."""
        outcome = await self._mature(moved.record, provider, report, now, wakes=True)
        if isinstance(outcome, Idle) and outcome.moved is not None:
            later = outcome.moved
            return replace(
                moved,
                record=later.record,
                changes=moved.changes + later.changes,
                differing_heights=moved.differing_heights + later.differing_heights,
            )
        return moved

    async def _mature(
        self,
        record: ChainRecord,
        provider: Provider,
        report: HeadReport,
        now: datetime,
        *,
        asks: bool = True,
        wakes: bool = False,
    ) -> StepOutcome:
        """Raise agreed, safe and final heights without a new block, as far as others have been heard."""
        self.is_still = not self._voices.are_several
        agreed: int | None = None
        dispute: int | DisputeChange = self._dispute_without_asking()
        if self._voices.are_several:
            doubted = compute_doubted(record)
            is_open = doubted.agreed_height < record.tip.height
            agreement = await self._voices.ask_agreement(
                doubted, provider, asks=asks and is_open, wakes=wakes
            )
            agreed = agreement.height
            if agreement.contradicting is not None:
                # Their side is looked at next, as a fork from our point of view.
                self._looks.next_provider = agreement.contradicting
            elif agreement.is_whole:
                dispute = DisputeChange.SETTLED
        witness = await self._voices.fetch_witness(
            record, provider, heights_max=self._desk.settings.step_heights_max
        )
        second_look = await self._voices.look_again(record, provider) if asks else ()
        ripens = may_mature(record, report, agreed, is_settled=dispute is DisputeChange.SETTLED)
        if not witness and not second_look and not ripens:
            return Idle()
        plan = MovePlan(
            expected_tip=record.tip,
            tags=read_tags(report, tip_is_theirs=False),
            agreed_height=agreed,
            dispute=dispute,
            witness=witness,
            second_look=second_look,
        )
        moved = await commit_move(self._desk, plan, now=now)
        return Idle() if isinstance(moved, Superseded) else Idle(moved)

    async def _weigh_fork(
        self, record: ChainRecord, provider: Provider, report: HeadReport, height_last: int, now: datetime
    ) -> StepOutcome:
        """A head that does not link to our tip: find the fork, ask, and act only on evidence."""
        async with self._looks.soon_where_chosen(provider):
            # Who shows another chain may lead to another network by now.
            await provider.fetch_network_id()
            branch = await self._forks.find_branch(record, provider, report.head, height_last)
        seen = Suspicion(branch.fork, branch.headers[0].hash, branch.below_final, branch.is_lighter)
        previous = self._sighted_a_poll_ago(seen, now)
        opinion = Opinion.SILENT
        if previous is not None and not seen.is_lighter:
            opinion = await self._voices.ask_opinion(
                record, provider, branch.fork, branch.headers[0].ref, patience_s=self._patience_s
            )
        decision = decide_evidence(previous, seen, opinion)
        self._suspicion = seen
        match decision:
            case Wait():
                self._looks.next_provider = provider
                return Suspecting(seen, opinion)
            case Dismiss():
                self._suspicion = None
                self._source.report_lag(
                    provider, head_height=branch.fork.height, tip_height=record.tip.height
                )
                return Suspecting(seen, opinion)
            case Dispute():
                self._suspicion = None
                await self._open_dispute(record, branch, now)
                return Suspecting(seen, opinion)
            case Halt():
                self._suspicion = None
                reason = await commit_halt(
                    self._desk, record, fork=branch.fork, provider_name=provider.name, now=now
                )
                return Halted(reason)
            case Rewind():
                self._suspicion = None
                return await self._rewind(record, provider, report, branch, now)

    def _sighted_a_poll_ago(self, seen: Suspicion, now: datetime) -> Suspicion | None:
        """The same suspicion from a poll before, or None; two hints in one breath are one look."""
        previous = self._suspicion
        if previous is None or (previous.fork, previous.first_hash) != (seen.fork, seen.first_hash):
            self._suspected_at = now
            return None
        assert self._suspected_at is not None
        apart_s = (now - self._suspected_at).total_seconds()
        if apart_s < 0:  # the clock was set back: count from here, or the fork waits until it has caught up
            self._suspected_at = now
        return previous if apart_s >= self._desk.settings.poll_interval_s else None

    async def _open_dispute(self, record: ChainRecord, branch: Branch, now: datetime) -> None:
        if record.disputed_fork_height is not None and record.disputed_fork_height <= branch.fork.height:
            return
        plan = MovePlan(
            expected_tip=record.tip, agreed_height=record.agreed_height, dispute=branch.fork.height
        )
        await commit_move(self._desk, plan, now=now)
        self._voices.forget()

    async def _rewind(
        self, record: ChainRecord, provider: Provider, report: HeadReport, branch: Branch, now: datetime
    ) -> StepOutcome:
        blocks: list[Block] = []
        step_blocks = self._desk.settings.batch_blocks_max
        for index in range(0, len(branch.headers), step_blocks):
            refs = [header.ref for header in branch.headers[index : index + step_blocks]]
            blocks += await provider.fetch_blocks_at(refs, sought=self._desk.watched.list_sought())
        if [block.header for block in blocks] != list(branch.headers):
            raise Inconsistent("blocks differ from the headers they were asked by", provider=provider.name)
        agreed: int | None = None
        if self._voices.are_several:
            tip_after = BlockRef(blocks[-1].header.height, blocks[-1].header.hash)
            candidate = replace(
                record, tip=tip_after, agreed_height=min(record.agreed_height, branch.fork.height)
            )
            agreement = await self._voices.ask_agreement(
                candidate, provider, branch.headers, patience_s=self._patience_s
            )
            agreed = agreement.height
        plan = MovePlan(
            expected_tip=record.tip,
            blocks=blocks,
            fork=branch.fork,
            tags=read_tags(report, tip_is_theirs=True),
            agreed_height=agreed,
            dispute=DisputeChange.SETTLED,
            accept_final_above=branch.fork.hash == record.accepted_fork_hash,
        )
        moved = await self._hold_and_commit(provider, plan, now)
        return Idle() if isinstance(moved, Superseded) else Rewound(moved, branch.fork)

    async def _hold_and_commit(self, provider: Provider, plan: MovePlan, now: datetime) -> Moved | Superseded:
        """Write the move, after traced amounts held; again where the watch list grew by what it may pay."""
        moved: Moved | Superseded = Superseded()
        for _ in range(HOLD_TRIES):
            held = await self._desk.balances.hold(provider, plan.blocks, self._desk.watched)
            ready = replace(plan, blocks=held.blocks, held=held.recipients)
            moved = await commit_move(self._desk, ready, now=now)
            if isinstance(moved, Moved):
                break
            if moved.concerned:
                plan = replace(plan, blocks=await _read_whole(provider, plan.blocks, moved.concerned))
            elif not moved.unheld:
                break
        if isinstance(moved, Moved):
            self._looks.note_changes(moved.changes)
        return moved


async def _read_whole(
    provider: Provider, blocks: Sequence[Block], concerned: frozenset[BlockHash]
) -> list[Block]:
    """The same blocks, of which these lack nothing any more."""
    refs = [block.header.ref for block in blocks if block.header.hash in concerned]
    whole = {block.header.hash: block for block in await provider.fetch_blocks_at(refs)}
    return [whole.get(block.header.hash, block) for block in blocks]

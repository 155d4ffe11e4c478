"""One move as one database transaction: blocks, deposits, facts and the tip together.

Everything a merchant is told about a move commits with the move or not at all
(Laws 1, 4 and 6).  What to do is decided before, in `follow.step` and `history.backfill`;
what it means for deposits is decided by `moves`; this module only reads,
decides and writes in the one lock order: chain, addresses, deposits, merchant
logs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from chains.model import AssetId, BlockHash, BlockRef, Transfer, is_placed
from indexer.move.balance_check import BalanceCheck
from indexer.move.hearing import doubt_differing, hear_witness
from indexer.move.judging import deposits_in, load_view
from indexer.move.payers import load_payers
from indexer.move.sparing import find_concerned, reread_spared
from indexer.rows.storage import ChainRecord, FollowStore, MoveTransaction, TouchQuery
from indexer.rules.balances import are_covered
from indexer.rules.deposits import Change, Deposit
from indexer.rules.events import Fact, Naming, deposit_fact
from indexer.rules.finality import HashAt, compute_final_height, compute_safe_height
from indexer.rules.identity import AddressId, DepositId, MerchantId
from indexer.rules.matching import (
    NEVER,
    Hit,
    ListedAsset,
    MatchRules,
    ReadSpent,
    find_hits,
    group_by_address,
    match_hits,
    parties,
    possible_ids,
    recall,
)
from indexer.rules.moves import (
    NOTHING_TOUCHED,
    Repeat,
    Touched,
    decide_move,
    find_lifted,
    find_repeats,
    find_rivals_moved,
    lift,
)
from indexer.rules.plan import Decided, DisputeChange, Moved, MovePlan, Superseded
from indexer.rules.policy import choose_requirement
from indexer.rules.watchset import WatchSet
from indexer.rules.witness import compute_settled, decide_held
from indexer.settings import FollowSettings


@dataclass(slots=True)
class ChainDesk:
    """What every move of one chain works with; one per followed chain.

    `watched` is the in-memory set, which moves bring up to date;
    `deposit_id` computes identities in this family's text forms; `balances`
    holds traced amounts against balances before a move; `read_spent` is the
    family's.
    """

    settings: FollowSettings
    store: FollowStore
    naming: Naming
    deposit_id: Callable[[MerchantId, Transfer], DepositId]
    watched: WatchSet = field(default_factory=WatchSet)
    lease_epoch: int = 0
    read_spent: ReadSpent | None = None
    balances: BalanceCheck = field(init=False)

    def __post_init__(self) -> None:
        self.balances = BalanceCheck(self.naming)

    def rules(self, starts: Mapping[AssetId, int], *, doubted_above: int | None = None) -> MatchRules:
        """Matching rules with the asset starts that the database holds now.

        Assets that are listed no more keep running for deposits that exist:
        their start lies beyond every height.  `doubted_above`: where one
        operator's word is good for small amounts only.
        """
        confirm_rules = self.settings.confirm_rules
        return MatchRules(
            chain=self.settings.traits.chain,
            assets={
                asset_id: ListedAsset(asset, starts.get(asset_id, NEVER))
                for asset_id, asset in self.naming.assets.items()
            },
            deposit_id=self.deposit_id,
            requirement=lambda asset, amount: choose_requirement(confirm_rules, asset, amount),
            hold_limits=self.settings.hold_limits,
            doubted_above=doubted_above,
        )


async def commit_move(desk: ChainDesk, plan: MovePlan, *, now: datetime) -> Moved | Superseded:
    """Write one move; raises `LeaseLost` and `DatabaseAway` from the store."""
    searched_version = desk.watched.version
    hits = find_hits(plan.blocks, desk.watched)
    async with desk.store.open_move(desk.settings.traits.chain, lease_epoch=desk.lease_epoch) as move:
        before = move.record
        if before.tip != plan.expected_tip or before.is_halted:
            return Superseded()
        if plan.fork is not None and not await _holds(move, plan.fork):
            return Superseded()
        _assert_linked(plan, desk.settings.traits.skipped_heights_max)
        if plan.fork is not None:
            _assert_may_leave(before, plan)
        if await refresh_watched(desk, move, searched_version):
            hits = find_hits(plan.blocks, desk.watched)
        if plan.held is not None and not are_covered(plan.held, hits):
            return Superseded(unheld=True)
        if concerned := find_concerned(plan.blocks, desk.watched):
            return Superseded(concerned=concerned)
        # Only what is sure to be written moves starts: what was superseded up to here has changed nothing.
        if plan.fork is not None:
            await move.lower_starts(plan.fork.height)
        heard = await hear_witness(move, plan.witness, desk.watched, desk.rules)
        looked = await hear_witness(move, plan.second_look, desk.watched, desk.rules)
        for told, testimony in ((plan.witness, heard), (plan.second_look, looked)):
            await doubt_differing(move, told, testimony.differing_heights, now=now)
        after = await _place_record(move, desk.settings, before, plan, heard.differing_heights, now=now)
        decided = await _decide_changes(
            desk, move, hits, plan, before, after, (*heard.vouched, *looked.vouched), now=now
        )
        left, repeats = await _write(desk, move, plan, before, after, decided, now=now)
    differing = (*heard.differing_heights, *looked.differing_heights)
    return Moved(after, decided.changes, left, tuple(plan.blocks), tuple(repeats), differing)


async def refresh_watched(desk: ChainDesk, move: MoveTransaction, searched_version: int) -> bool:
    """Complete the watch set under the lock; True if it grew since it was searched.

    Not only by this move: history is read beside the head with the same set,
    and what it added while this move waited for the lock has not been searched.
    """
    delta = await move.load_watch_delta(desk.watched.version)
    if delta.version > desk.watched.version:
        desk.watched.add(delta.addresses, version=delta.version)
    return desk.watched.version > searched_version


async def _holds(move: MoveTransaction, fork: BlockRef) -> bool:
    """Whether the fork is our block; right under our start there is none, unless history was read meanwhile."""
    if fork.height < move.record.start_height:
        return True
    return (await move.load_hashes({fork.height})).get(fork.height) == fork.hash


def _assert_linked(plan: MovePlan, skipped_heights_max: int) -> None:
    """Law 1: what is applied is hash-linked to what stays."""
    parent = plan.expected_tip if plan.fork is None else plan.fork
    for block in plan.blocks:
        assert is_placed(block.header, skipped_heights_max=skipped_heights_max), (
            "a move must not skip a height"
        )
        assert block.header.parent == parent, "a move must link to its parent"
        parent = block.header.ref


def _assert_may_leave(before: ChainRecord, plan: MovePlan) -> None:
    assert plan.fork is not None
    assert plan.blocks, "a chain is left for another branch, never for nothing"
    assert plan.blocks[0].header.height >= before.start_height, "nothing below our start is ours to leave"
    if before.final_height is not None and plan.fork.height < before.final_height:
        assert plan.accept_final_above, "what was final may only leave with an operator's leave"


async def _place_record(
    move: MoveTransaction,
    settings: FollowSettings,
    before: ChainRecord,
    plan: MovePlan,
    differing: Sequence[int],
    *,
    now: datetime,
) -> ChainRecord:
    """The chain's row after the move."""
    fork_height = None if plan.fork is None else plan.fork.height
    tip = before.tip
    if plan.fork is not None:
        tip = plan.fork
    if plan.blocks:
        tip = plan.blocks[-1].header.ref
    hash_at = await _hashes_for_tags(move, plan)
    agreed_before = before.agreed_height if fork_height is None else min(before.agreed_height, fork_height)
    agreed = (
        tip.height if plan.agreed_height is None else max(agreed_before, min(plan.agreed_height, tip.height))
    )
    held = decide_held(
        before.held_height,
        fork_height=fork_height,
        settled_height=compute_settled(plan.witness, differing),
        trusted_height=before.trusted_height,
        tip_height=tip.height,
        blocks=plan.blocks,
        are_several=plan.agreed_height is not None,
    )
    if held is not None:
        agreed = max(min(agreed, held - 1), agreed_before)
    final_before = before.final_height
    if plan.accept_final_above and fork_height is not None and final_before is not None:
        final_before = min(final_before, fork_height)
    disputed = _disputed_after(before, plan)
    ceiling = agreed if disputed is None else min(agreed, disputed)
    moved = bool(plan.blocks) or plan.fork is not None
    final = compute_final_height(
        previous=final_before,
        tip=tip,
        start_height=before.start_height,
        rule=settings.finality,
        tags=plan.tags,
        hash_at=hash_at,
        ceiling=ceiling,
    )
    if final is not None and final != final_before:
        held_there = await _block_up_to(move, plan, final, settings.traits.skipped_heights_max)
        final = final_before if held_there is None else held_there
    # An operator's leave is for the fork at hand: used once, or gone when finality moves on without it.
    leave_used = plan.accept_final_above and plan.fork is not None
    leave_is_stale = final is not None and (final_before is None or final > final_before)
    return replace(
        before,
        start_height=_start_after(before, plan),
        tip=tip,
        agreed_height=agreed,
        final_height=final,
        safe_height=compute_safe_height(
            previous=before.safe_height, fork_height=fork_height, tip=tip, tags=plan.tags, hash_at=hash_at
        ),
        disputed_fork_height=disputed,
        held_height=held,
        accepted_fork_hash=None if leave_used or leave_is_stale else before.accepted_fork_hash,
        move_count=before.move_count + 1 if moved else before.move_count,
        moved_at=now if moved else before.moved_at,
    )


def _start_after(before: ChainRecord, plan: MovePlan) -> int:
    """Right above the fork, where it lies below our start: a branch that shares none of our blocks covers from there."""
    return before.start_height if plan.fork is None else min(before.start_height, plan.fork.height + 1)


async def _block_up_to(
    move: MoveTransaction, plan: MovePlan, height: int, skipped_heights_max: int
) -> int | None:
    """The highest height up to this one at which we hold a block after the move; None where none of ours is so low."""
    if not skipped_heights_max:
        return height
    stays_up_to = plan.expected_tip.height if plan.fork is None else plan.fork.height
    lowest = max(0, height - skipped_heights_max)
    heights = set(await move.load_hashes(range(lowest, min(height, stays_up_to) + 1)))
    heights |= {block.header.height for block in plan.blocks if block.header.height <= height}
    return max(heights, default=None)


def _disputed_after(before: ChainRecord, plan: MovePlan) -> int | None:
    match plan.dispute:
        case DisputeChange.STANDS:
            return before.disputed_fork_height
        case DisputeChange.SETTLED:
            return None
        case height:
            return height


async def _hashes_for_tags(move: MoveTransaction, plan: MovePlan) -> HashAt:
    known: dict[int, BlockHash] = {block.header.height: block.header.hash for block in plan.blocks}
    stays_up_to = plan.expected_tip.height if plan.fork is None else plan.fork.height
    known[plan.expected_tip.height if plan.fork is None else plan.fork.height] = (
        plan.expected_tip.hash if plan.fork is None else plan.fork.hash
    )
    wanted = {
        tag.height
        for tag in (plan.tags.safe, plan.tags.final)
        if tag is not None and tag.height <= stays_up_to and tag.height not in known
    }
    if wanted:
        known.update(await move.load_hashes(wanted))
    return known.get


async def _decide_changes(
    desk: ChainDesk,
    move: MoveTransaction,
    hits: Sequence[Hit],
    plan: MovePlan,
    before: ChainRecord,
    after: ChainRecord,
    vouched: Sequence[Deposit],
    *,
    now: datetime,
) -> Decided:
    # With several operators whatever pays somebody and is not covered waits for another's word.
    doubted_above = after.trusted_height if plan.agreed_height is None else None
    hits = await load_payers(move, hits, desk.read_spent)
    payable, starts = await move.load_payable(parties(hits)) if hits else ([], {})
    rules, registrations = desk.rules(starts, doubted_above=doubted_above), group_by_address(payable)
    ids = possible_ids(hits, registrations, rules)
    touched = await move.load_touched(
        TouchQuery(
            ids=ids,
            displaced_above=None if plan.fork is None else plan.fork.height,
            tip_height=after.tip.height,
            final_height=after.final_height,
            safe_height=after.safe_height,
            agreed_height=after.agreed_height,
            heights_fell=_heights_fell(before, after),
            spends=[block.transfers for block in plan.blocks],
        )
    )
    touched = lift(touched, vouched)
    if not hits and touched == NOTHING_TOUCHED:
        return Decided()
    known = known_registrations(touched)
    senders = {sender for one in touched.repeats for sender in one.senders} - registrations.keys()
    if senders:
        registrations |= group_by_address(await move.load_registrations(senders))
    sightings = recall(touched.repeats, {one.id: one for one in touched.displaced}, registrations, rules)
    sightings += match_hits(hits, registrations, known, rules)
    view = await load_view(move, after, deposits_in(touched), [one.header.height for one in sightings])
    changes = decide_move(touched, sightings, plan.blocks, view, now=now)
    fork_height = None if plan.fork is None else plan.fork.height
    rivals_moved = find_rivals_moved(touched, plan.blocks, fork_height=fork_height, changes=changes)
    return Decided(
        tuple(changes),
        tuple(find_repeats(touched, sightings)),
        (*find_lifted(vouched, touched, sightings, changes), *rivals_moved),
    )


def _heights_fell(before: ChainRecord, after: ChainRecord) -> bool:
    return after.tip.height < before.tip.height or (after.safe_height or 0) < (before.safe_height or 0)


def known_registrations(touched: Touched) -> dict[DepositId, AddressId]:
    """Which registration each recorded deposit belongs to."""
    groups = (touched.by_id.values(), touched.displaced, touched.maturing, touched.off_chain)
    return {deposit.id: deposit.address_id for group in groups for deposit in group}


async def _write(
    desk: ChainDesk,
    move: MoveTransaction,
    plan: MovePlan,
    before: ChainRecord,
    after: ChainRecord,
    decided: Decided,
    *,
    now: datetime,
) -> tuple[int, list[Repeat]]:
    """How many blocks left, and which repeats nobody knew of."""
    left = 0
    if plan.fork is not None:
        left = await move.leave_blocks(plan.fork.height, left_for=plan.blocks[0].header.hash, at=now)
    if plan.blocks:
        await move.insert_blocks(plan.blocks, at=now, watch_version=desk.watched.version)
        await reread_spared(move, plan.blocks, now=now)
    if rows := decided.rows():
        await move.write_deposits(rows)
    unknown = await move.insert_repeats(decided.repeats, at=now) if decided.repeats else []
    if after != before:
        await move.write_chain(after)
    facts = await facts_of(desk, move, decided.changes, tip_height=after.tip.height)
    if facts:
        await move.publish(facts)
    return left, unknown


async def facts_of(
    desk: ChainDesk, move: MoveTransaction, changes: Sequence[Change], *, tip_height: int
) -> list[Fact]:
    """The facts that tell `changes`, in their order."""
    told = [change for change in changes if change.deposit.published]
    if not told:
        return []
    references = await move.load_references({change.deposit.address_id for change in told})
    facts = [
        deposit_fact(change, desk.naming, references=references, tip_height=tip_height) for change in told
    ]
    return [fact for fact in facts if fact is not None]

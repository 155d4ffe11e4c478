"""Halting a chain, and what an operator may say: resume, accept the reorganisation, trust rows in doubt.

A halt survives restarts: it is a state of the chain's row.  Deciding that a
fork contradicts what was final is `evidence`; the operator's commands call
this module through the gateway.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from chains.model import BlockHash, BlockRef
from indexer.move.commit import ChainDesk, facts_of
from indexer.move.judging import load_view
from indexer.rows.storage import ChainRecord, MoveTransaction
from indexer.rules.deposits import Change, decide_matured
from indexer.rules.events import chain_fact
from indexer.rules.moves import last_versions
from indexer.rules.witness import decide_held

PAGE_DEPOSITS = 500


async def commit_halt(
    desk: ChainDesk, record: ChainRecord, *, fork: BlockRef, provider_name: str, now: datetime
) -> str:
    """Stop the chain at its tip and tell every merchant who watches it; returns the reason."""
    reason = (
        f"{provider_name} serves a branch that leaves our chain at or below height {fork.height} "
        f"({desk.naming.block_hash_text(fork.hash)}), "
        f"while height {record.final_height if record.final_height is not None else record.tip.height} counted as final"
    )
    async with desk.store.open_move(record.chain, lease_epoch=desk.lease_epoch) as move:
        if move.record.is_halted or move.record.tip != record.tip:
            return move.record.halt_reason or reason
        halted = replace(move.record, halt_reason=reason, halted_at=now, halted_fork_height=fork.height)
        await commit_notice(
            desk, move, halted, "halted", {"reason": reason, "fork_height": fork.height}, now=now
        )
    return reason


async def commit_resume(desk: ChainDesk, record: ChainRecord, *, now: datetime) -> bool:
    """Follow our own chain again; False when it was not halted."""
    async with desk.store.open_move(record.chain, lease_epoch=desk.lease_epoch) as move:
        if not move.record.is_halted:
            return False
        resumed = replace(
            move.record,
            halt_reason=None,
            halted_at=None,
            halted_fork_height=None,
            # Our own chain it is: a leave given before, and not used, is taken back.
            accepted_fork_hash=None,
        )
        await commit_notice(desk, move, resumed, "resumed", {"accepted_reorg": False}, now=now)
    return True


async def commit_accept_reorg(
    desk: ChainDesk, record: ChainRecord, *, fork_hash: BlockHash, now: datetime
) -> bool:
    """Allow one rewind below what was final, down to `fork_hash`; False when not halted."""
    async with desk.store.open_move(record.chain, lease_epoch=desk.lease_epoch) as move:
        if not move.record.is_halted:
            return False
        resumed = replace(
            move.record,
            halt_reason=None,
            halted_at=None,
            halted_fork_height=None,
            accepted_fork_hash=fork_hash,
        )
        await commit_notice(desk, move, resumed, "resumed", {"accepted_reorg": True}, now=now)
    return True


async def commit_trust(desk: ChainDesk, record: ChainRecord, *, until_height: int, now: datetime) -> bool:
    """Our operator vouches for rows in doubt up to a height; False where they did so before.

    Single deposits that waited for it are judged here, history by its next block, the chain by the follower's next look.
    """
    async with desk.store.open_move(record.chain, lease_epoch=desk.lease_epoch) as move:
        ours = move.record
        await move.doubts.delete_up_to(until_height)
        is_new = ours.trusted_height != until_height
        if is_new:
            held_height = decide_held(
                ours.held_height,
                fork_height=None,
                settled_height=None,
                trusted_height=until_height,
                tip_height=ours.tip.height,
                blocks=(),
                are_several=False,
            )
            await move.write_chain(replace(ours, trusted_height=until_height, held_height=held_height))
    # In pages; whoever was killed between two asks again.
    while (lifted := await _lift_page(desk, record, until_height, now)) == PAGE_DEPOSITS:
        is_new = True
    return is_new or lifted > 0


async def _lift_page(desk: ChainDesk, record: ChainRecord, until_height: int, now: datetime) -> int:
    async with desk.store.open_move(record.chain, lease_epoch=desk.lease_epoch) as move:
        page = await move.load_on_one_word(until_height, limit=PAGE_DEPOSITS)
        lifted = [replace(deposit, on_one_word=False) for deposit in page]
        changes: list[Change] = []
        if not move.record.is_halted:  # while it is, nothing is credited: they mature afterwards
            view = await load_view(move, move.record, lifted)
            changes = [change for one in lifted for change in decide_matured(one, view, now=now)]
        if lifted:
            judged = {change.deposit.id for change in changes}
            unchanged = [one for one in lifted if one.id not in judged]
            await move.write_deposits(unchanged + last_versions(changes))
        facts = await facts_of(desk, move, changes, tip_height=move.record.tip.height)
        if facts:
            await move.publish(facts)
    return len(page)


async def commit_notice(
    desk: ChainDesk,
    move: MoveTransaction,
    record: ChainRecord,
    notice: str,
    detail: dict[str, object],
    *,
    now: datetime,
) -> None:
    """Write `record` and tell each watching merchant one `chain.*` fact."""
    numbered = replace(record, notice_version=record.notice_version + 1)
    await move.write_chain(numbered)
    merchants = await move.load_watching_merchants()
    facts = [
        chain_fact(
            merchant, desk.naming, version=numbered.notice_version, notice=notice, detail=detail, at=now
        )
        for merchant in merchants
    ]
    if facts:
        await move.publish(facts)

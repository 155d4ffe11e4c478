"""Judging recorded deposits by the policy that is configured now.

Confirmed, included and final are what the chain and the policy say now, so a
changed policy applies to every deposit that is not final yet.  A raised limit
of what one operator's word is good for lifts what is below it now; a lowered
one counts for what is placed from then on.  Runs once when a chain's follower
starts, in pages.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Protocol
from uuid import UUID

from indexer.move.commit import ChainDesk, facts_of
from indexer.move.judging import load_view
from indexer.rows.storage import MoveTransaction
from indexer.rules.deposits import Change, Deposit, decide_matured
from indexer.rules.identity import DepositId
from indexer.rules.moves import last_versions
from indexer.rules.policy import choose_requirement, is_too_large, ripen

PAGE_DEPOSITS = 500
NO_HEIGHT = -1
"""Below every block: everything above it is held."""

FIRST_ID = DepositId(UUID(int=0))


class LoadUnsettled(Protocol):
    """Loads a page of deposits that are not final, by id, inside a move."""

    async def __call__(self, move: MoveTransaction, *, after: DepositId, limit: int) -> list[Deposit]:
        """At most `limit` deposits with an id above `after`."""
        ...


async def reconcile_policy(desk: ChainDesk, load_unsettled: LoadUnsettled, *, now: datetime) -> int:
    """Apply the configured rules to every unsettled deposit; returns how many changed their state."""
    after = FIRST_ID
    changed_count = 0
    while True:
        async with desk.store.open_move(desk.settings.traits.chain, lease_epoch=desk.lease_epoch) as move:
            page = await load_unsettled(move, after=after, limit=PAGE_DEPOSITS)
            view = await load_view(move, move.record, page)
            if move.record.is_halted:
                # Nothing is credited while halted; what the new policy would confirm matures after the halt.
                view = replace(view, held_above=NO_HEIGHT)
            changes: list[Change] = []
            rewritten: list[Deposit] = []
            for deposit in page:
                chosen = choose_requirement(
                    desk.settings.confirm_rules, deposit.asset, deposit.amount_base_units
                )
                requirement = ripen(chosen, deposit.matures_after_blocks)
                on_one_word = deposit.on_one_word and is_too_large(
                    desk.naming.assets[deposit.asset], deposit.amount_base_units, desk.settings.hold_limits
                )
                judged = replace(deposit, requirement=requirement, on_one_word=on_one_word)
                if judged == deposit:
                    continue
                steps = decide_matured(judged, view, now=now)
                changes += steps
                if not steps:
                    rewritten.append(judged)
            if changes or rewritten:
                await move.write_deposits(rewritten + last_versions(changes))
            facts = await facts_of(desk, move, changes, tip_height=move.record.tip.height)
            if facts:
                await move.publish(facts)
            changed_count += len(changes)
        if len(page) < PAGE_DEPOSITS:
            return changed_count
        after = page[-1].id

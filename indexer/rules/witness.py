"""Rows in doubt, and what lifts the doubt: another operator's own answer, or our operator's word.

Pure.  Which doubts hold credit is decided where blocks are verified; asking
the other operators is `voices`, writing is `commit`.  From the first held
block on nothing is agreed, so nothing is confirmed; what lies above it is held
with it, until the deposits of each block were seen to be the same.
"""

from __future__ import annotations

from collections.abc import Sequence

from chains.model import Block, Hold, VerificationLevel
from indexer.rules.deposits import Deposit, Sighting, senders_of

Particulars = tuple[object, ...]


def is_held(block: Block, *, are_several: bool) -> bool:
    """Whether a block's rows hold credit.

    `are_several`: more than one operator is configured, so what no hash ties
    to the block need not rest on one word: neither what it shows nor what it
    leaves out.  With one, a chain's known gaps are its operator's word like the
    rest: it could show a whole branch of its own making, and nobody could be
    asked.
    """
    return block.hold is Hold.CHAIN or (are_several and block.level is not VerificationLevel.FULL)


def decide_held(
    held_height: int | None,
    *,
    fork_height: int | None,
    settled_height: int | None,
    trusted_height: int,
    tip_height: int,
    blocks: Sequence[Block],
    are_several: bool,
) -> int | None:
    """Where held credit begins after a move, or None where nothing is held.

    `settled_height`: up to here another operator showed the same deposits.
    `tip_height` is that after the move.
    """
    if held_height is not None and fork_height is not None and held_height > fork_height:
        held_height = None
    if held_height is None:
        held_height = next(
            (
                height
                for block in blocks
                if (height := block.header.height) > trusted_height
                and is_held(block, are_several=are_several)
            ),
            None,
        )
    if held_height is None:
        return None
    reached = max(trusted_height, -1 if settled_height is None else settled_height)
    held_height = max(held_height, reached + 1)
    return held_height if held_height <= tip_height else None


def compute_settled(witness: Sequence[Block], differing: Sequence[int]) -> int | None:
    """Up to which height a witness shows what we recorded; None without one."""
    if not witness:
        return None
    return witness[-1].header.height if not differing else min(differing) - 1


def find_differing_heights(recorded: Sequence[Deposit], sightings: Sequence[Sighting]) -> list[int]:
    """Heights at which a witness shows other deposits than we recorded, or the same with other particulars."""
    ours = {recorded_particulars(deposit) for deposit in recorded}
    theirs = {seen_particulars(sighting) for sighting in sightings}
    return sorted({height for height, *_ in ours ^ theirs if isinstance(height, int)})


def recorded_particulars(deposit: Deposit) -> Particulars:
    """What two operators must tell alike of a deposit, as we recorded it; its height comes first."""
    at = deposit.occurrence
    assert at is not None, "only what stands in a block is compared"
    return (at.height, at.block_hash, deposit.id, deposit.amount_base_units, deposit.senders, deposit.memo)


def seen_particulars(sighting: Sighting) -> Particulars:
    """The same of a deposit as somebody shows it."""
    header, transfer = sighting.header, sighting.transfer
    return (
        header.height,
        header.hash,
        sighting.deposit_id,
        transfer.amount_base_units,
        senders_of(transfer),
        transfer.memo,
    )

"""A witness heard under the chain's lock: are its deposits the ones we recorded?

What follows for credit is `witness.decide_held` in the same move.  Asking for
the witness's blocks is `voices`; what it contradicts is in doubt from then on,
and `second_reading` asks everybody.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from chains.model import AssetId, Block
from indexer.rows.storage import MoveTransaction
from indexer.rules.deposits import Deposit
from indexer.rules.matching import MatchRules, find_hits, group_by_address, match_hits, parties
from indexer.rules.watchset import WatchSet
from indexer.rules.witness import compute_settled, find_differing_heights


@dataclass(frozen=True, slots=True)
class Heard:
    """What came of hearing a witness.

    `differing_heights` are where it contradicts what we recorded; its own,
    where it tells of other blocks.  `vouched` are the deposits that it shows as
    we do, below all of those.
    """

    differing_heights: tuple[int, ...] = ()
    vouched: tuple[Deposit, ...] = ()


async def hear_witness(
    move: MoveTransaction,
    witness: Sequence[Block],
    watched: WatchSet,
    rules: Callable[[Mapping[AssetId, int]], MatchRules],
) -> Heard:
    """Hold blocks that another operator tells against what we recorded of them."""
    if not witness:
        return Heard()
    first, last = witness[0].header.height, witness[-1].header.height
    ours = await move.load_hashes(range(first, last + 1))
    told = {block.header.height: block.header.hash for block in witness}
    other = sorted(height for height in ours | told if ours.get(height) != told.get(height))
    if other:
        return Heard(tuple(other))
    hits = find_hits(witness, watched)
    recorded = await move.load_standing(first, last)
    known = {deposit.id: deposit.address_id for deposit in recorded}
    payable, starts = await move.load_payable(parties(hits))
    sightings = match_hits(hits, group_by_address(payable), known, rules(starts))
    differing = find_differing_heights(recorded, sightings)
    settled = compute_settled(witness, differing)
    vouched = [
        one
        for one in recorded
        if settled is not None and one.occurrence is not None and one.occurrence.height <= settled
    ]
    return Heard(tuple(differing), tuple(vouched))


async def doubt_differing(
    move: MoveTransaction, witness: Sequence[Block], differing: Sequence[int], *, now: datetime
) -> None:
    """Blocks of ours of which a witness tells otherwise are read again, by everybody who can be asked."""
    if not differing:
        return
    told = {block.header.height: block.header.hash for block in witness}
    ours = await move.load_hashes(differing)
    servers = await move.doubts.load_servers(
        [height for height in differing if height in told and ours.get(height) == told[height]]
    )
    if servers:
        await move.doubts.insert(servers, due_at=now)

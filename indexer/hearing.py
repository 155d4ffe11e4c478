"""A witness heard under the chain's lock: are its deposits the ones we recorded?

What follows for credit is `witness.decide_held` in the same move.  Asking for
the witness's blocks is `voices`; what it contradicts is in doubt from then on,
and `second_reading` asks everybody.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from chains.model import AssetId, Block
from indexer.matching import MatchRules, find_hits, group_by_address, match_hits, parties
from indexer.storage import MoveTransaction
from indexer.watchset import WatchSet
from indexer.witness import find_differing_heights


async def hear_witness(
    move: MoveTransaction,
    witness: Sequence[Block],
    watched: WatchSet,
    rules: Callable[[Mapping[AssetId, int]], MatchRules],
) -> list[int]:
    """The heights at which the witness contradicts what we recorded; its own, where it tells of other blocks."""
    if not witness:
        return []
    heights = [block.header.height for block in witness]
    ours = await move.load_hashes(heights)
    other = [block.header.height for block in witness if ours.get(block.header.height) != block.header.hash]
    if other:
        return other
    hits = find_hits(witness, watched)
    recorded = await move.load_standing(heights[0], heights[-1])
    known = {deposit.id: deposit.address_id for deposit in recorded}
    registrations = group_by_address(await move.load_registrations(parties(hits)))
    sightings = match_hits(hits, registrations, known, rules(await move.load_listed_assets()))
    return find_differing_heights(recorded, sightings)


async def doubt_differing(
    move: MoveTransaction, witness: Sequence[Block], differing: Sequence[int], *, now: datetime
) -> None:
    """Blocks of ours of which a witness tells otherwise are read again, by everybody who can be asked."""
    if not differing:
        return
    told = {block.header.height: block.header.hash for block in witness}
    ours = await move.load_hashes(differing)
    servers = await move.doubts.load_servers(
        [height for height in differing if ours.get(height) == told[height]]
    )
    if servers:
        await move.doubts.insert(servers, due_at=now)

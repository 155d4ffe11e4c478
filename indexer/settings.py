"""Frozen settings of this room: how one chain is followed here.

Facts of the chain itself are `chains.traits`; reading configuration is the
gateway's.  Every bound of this room stands here with its unit in its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from chains.model import AssetId
from chains.traits import ChainTraits, FinalityRule
from indexer.rules.policy import ConfirmRule


@dataclass(frozen=True, slots=True)
class FollowSettings:
    """One chain's following.

    `start_height` None starts at the head; it counts at the first start only.
    `batch_blocks_max` bounds one step; `write_target_ms` is what a write
    transaction should take, and batches shrink towards it.  `hold_limits`:
    above so many base units (None: never) no deposit rests on one operator's
    word; assets that are not named have `policy`'s defaults.
    """

    traits: ChainTraits
    confirm_rules: tuple[ConfirmRule, ...]
    finality: FinalityRule
    start_height: int | None = None
    poll_interval_s: float = 1.0
    stalled_after_s: float = 60.0
    ready_lag_blocks: int = 3
    batch_blocks_max: int = 64
    prefetch_batches_max: int = 3
    rewind_blocks_max: int = 4096
    backfill_blocks_max: int = 64
    write_target_ms: int = 250
    lease_s: float = 10.0
    finality_delayed_after_s: float = 1800.0
    congested_factor: float = 4.0
    hold_limits: Mapping[AssetId, int | None] = field(default_factory=dict)

    @property
    def reorg_window_blocks(self) -> int:
        """How deep a rewind may go while nothing is known to be final."""
        return self.traits.reorg_window_blocks

    @property
    def step_heights_max(self) -> int:
        """How many heights one step reads: never so few that all of them may have been skipped."""
        return max(self.batch_blocks_max, self.traits.skipped_heights_max + 1)

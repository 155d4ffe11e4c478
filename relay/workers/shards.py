"""Which worker sends for which endpoints: 64 shards, leased, each lease with an epoch that every settle names.

Lives here: how many shards a worker should hold (pure) and `Shards`, which keeps them. A worker that cannot renew stops
sending before anybody else may start; if its clock fooled it, its settles are refused by epoch. Does not live here: the
rows (`store`), the lanes of a shard (`dispatch`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from relay.model import SHARDS
from relay.workers.storage import RelayStore, ShardCensus

LEASE_MARGIN = 0.2
"""Of a lease: how much earlier than the store a worker counts it as over."""


@dataclass(frozen=True, slots=True)
class Share:
    """What a worker should change: shards to take, shards to let go of once their lanes are empty."""

    claim: tuple[int, ...]
    release: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class LeaseChange:
    """What one step changed: shards won and lost, and shards whose lanes should be emptied."""

    gained: tuple[int, ...]
    lost: Mapping[int, int]  # and the epoch that is over
    leaving: tuple[int, ...]


def decide_share(census: ShardCensus) -> Share:
    """An equal share for each worker, rounded up: take free shards up to it, let go of the highest above it."""
    fair = -(-SHARDS // max(1, census.workers))
    held = [lease.shard for lease in census.held]
    return Share(claim=census.free[: max(0, fair - len(held))], release=tuple(held[fair:]))


class Shards:
    """The shards one worker holds."""

    def __init__(self, store: RelayStore, worker_id: UUID, lease_s: float) -> None:
        self._store = store
        self._worker_id = worker_id
        self._lease_s = lease_s
        self._valid_until: datetime | None = None
        self.epochs: dict[int, int] = {}
        self.leaving: set[int] = set()

    def valid(self, now: datetime) -> bool:
        """The leases hold for certain: sending is allowed."""
        return self._valid_until is not None and now < self._valid_until

    async def step_leases(self, now: datetime) -> LeaseChange:
        """Renew, compare with what was believed, and move towards an equal share."""
        census = await self._store.renew_leases(self._worker_id, self._lease_s)
        before = dict(self.epochs)
        self.epochs = {lease.shard: lease.epoch for lease in census.held}
        share = decide_share(census)
        if share.claim:
            claimed = await self._store.claim_shards(self._worker_id, share.claim, self._lease_s)
            self.epochs |= {lease.shard: lease.epoch for lease in claimed}
        self.leaving = set(share.release)
        self._valid_until = now + timedelta(seconds=self._lease_s * (1 - LEASE_MARGIN))
        return LeaseChange(
            gained=tuple(shard for shard, epoch in self.epochs.items() if before.get(shard) != epoch),
            lost={shard: epoch for shard, epoch in before.items() if self.epochs.get(shard) != epoch},
            leaving=tuple(sorted(self.leaving)),
        )

    async def release(self, shards: Collection[int]) -> None:
        """Let go of shards whose lanes are empty."""
        if shards:
            await self._store.release_shards(self._worker_id, sorted(shards))
            for shard in shards:
                self.epochs.pop(shard, None)
                self.leaving.discard(shard)

    def forget(self, lost: Mapping[int, int]) -> None:
        """Somebody else holds these (shard → our epoch of it, now over); the store said so."""
        for shard, epoch in lost.items():
            if self.epochs.get(shard) == epoch:
                del self.epochs[shard]
                self.leaving.discard(shard)

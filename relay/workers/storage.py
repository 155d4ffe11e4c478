"""What sending needs of a store, as a protocol: reads in batches, and one write, `settle`.

The PostgreSQL implementation is `store`. A simulation brings its own, whose coroutines never wait, so that the same
`dispatch` runs under thousands of schedules a minute. Lives here: the protocol and the values it speaks. Does not live
here: what merchants do with endpoints (`endpoints`, `redeliver`), which is SQL on their own connection.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from relay.model import DueRow, EndpointState, LanePosition, LogEvent, Settlement


class SettlementRefused(Exception):
    """The database refuses what was to be written: a broken invariant of one endpoint. Nothing was written."""


ROWS_GATHERED = timedelta(seconds=0.25)
"""Less than any wait of a schedule is spread by."""


@dataclass(frozen=True, slots=True)
class SealedSecret:
    """One HMAC secret or Ed25519 seed as stored; it signs until `expires_at`, or for good while that is None.

    `row` is the rest of its row's key: the secret's id, or the public half of the seed.
    """

    sealed: bytes
    expires_at: datetime | None
    row: bytes = b""


@dataclass(frozen=True, slots=True)
class EndpointRecord:
    """One endpoint with what is needed to send to it; secrets and signing keys newest first."""

    endpoint_id: UUID
    merchant_id: UUID
    shard: int
    url: str
    headers_sealed: bytes | None
    max_in_flight: int
    rate_per_s: int | None
    secrets: tuple[SealedSecret, ...]
    signing_keys: tuple[SealedSecret, ...]
    state: EndpointState
    enabled: bool  # the merchant's
    revision: int
    filter_revision: int
    wakes: int
    replaying: bool
    event_types: frozenset[str] | None  # the filter of `filter_revision`; None: all
    verified: bool = True


@dataclass(frozen=True, slots=True)
class ReadBehind:
    """Ask for up to `limit` events of this endpoint's log behind `after_sequence`."""

    endpoint_id: UUID
    merchant_id: UUID
    after_sequence: int
    limit: int


@dataclass(frozen=True, slots=True)
class DueRows:
    """Rows whose time has come, oldest first, and when the next of the others is due (None: there is none)."""

    rows: tuple[DueRow, ...]
    next_retry_at: datetime | None

    def look_again_at(self, now: datetime) -> datetime | None:
        """Rows that come due in a moment are read together, one read for each would be half of a worker's time."""
        if self.next_retry_at is None or self.next_retry_at <= now:
            return self.next_retry_at
        return max(self.next_retry_at, now + ROWS_GATHERED)


@dataclass(frozen=True, slots=True)
class ShardLease:
    """One shard a worker holds, and the epoch it settles with."""

    shard: int
    epoch: int


@dataclass(frozen=True, slots=True)
class ShardCensus:
    """What a worker needs to know to take its share: what it holds, what is free, how many workers there are."""

    held: tuple[ShardLease, ...]
    free: tuple[int, ...]
    workers: int


@dataclass(frozen=True, slots=True)
class SettleResult:
    """What of a batch did not happen: `fenced` shards belong to somebody else now; `stale` endpoints were given
    another filter or deleted, and their lanes must begin again from the cursor. So must those of `draining`
    endpoints, of which everything was written: an outage ended, and rows were covered.
    """

    fenced: frozenset[int] = frozenset()
    stale: frozenset[UUID] = frozenset()
    draining: frozenset[UUID] = frozenset()


class RelayStore(Protocol):
    """Every method may raise DatabaseAway; whoever called calls again."""

    async def renew_leases(self, worker_id: UUID, lease_s: float) -> ShardCensus:
        """Say that this worker lives, extend its leases, and look around. Time is the store's own."""
        ...

    async def claim_shards(self, worker_id: UUID, shards: Sequence[int], lease_s: float) -> list[ShardLease]:
        """Take those of `shards` that are free; each gets a new epoch."""
        ...

    async def release_shards(self, worker_id: UUID, shards: Sequence[int]) -> None:
        """Give back shards whose lanes are empty, for others to take at once."""
        ...

    async def load_endpoints(
        self, *, shards: Collection[int] = (), endpoints: Collection[UUID] = ()
    ) -> list[EndpointRecord]:
        """The endpoints of these shards, and these endpoints; deleted ones are left out."""
        ...

    async def load_revisions(self, shards: Collection[int]) -> dict[UUID, int]:
        """Endpoint → revision, of all endpoints of these shards; deleted ones are left out."""
        ...

    async def load_positions(
        self, endpoints: Collection[UUID], *, reversal_type: str
    ) -> dict[UUID, LanePosition]:
        """Where the lanes of these endpoints begin; an endpoint without a cursor (deleted) is left out.

        An object is `failed` when a row of it is retrying after an attempt; its `reversal_sequence` is the newest
        waiting row of that type. Replays do not count there; `rowed` has the sequences of all rows beyond the cursor.
        """
        ...

    async def load_heads(self, merchants: Collection[UUID]) -> dict[UUID, int]:
        """Merchant → head sequence of its log; left out where nothing was ever told."""
        ...

    async def load_events(self, reads: Sequence[ReadBehind]) -> dict[UUID, list[LogEvent]]:
        """Endpoint → the events behind its place, without holes; the body only of those its filter matches and nothing
        newer covers. While an outage is drained of the latest only, each says what covers it, or what rows it covers.
        """
        ...

    async def load_due_rows(self, endpoint_id: UUID, now: datetime, limit: int) -> DueRows:
        """Rows sending or retrying with `retry_at` ≤ now, by `retry_at` and sequence."""
        ...

    async def load_oldest_row(self, endpoint_id: UUID) -> DueRow | None:
        """The head row of lowest sequence that is no replay, due or not: what probes a failing endpoint."""
        ...

    async def advance_replay(self, endpoint_id: UUID, *, now: datetime, limit: int, rows_max: int) -> bool:
        """Turn up to `limit` more events of the oldest replay into rows that are due now, unless `rows_max` are
        unfinished already; True while the endpoint has a replay left. Reads and rows are one transaction.
        """
        ...

    async def settle(self, batch: Sequence[Settlement], *, now: datetime) -> SettleResult:
        """Write these settlements in one transaction, each only if its shard still has its epoch and its endpoint
        its filter. Writing one twice changes nothing. Transitions are told in the merchant's log, in the same
        transaction. An endpoint that became active again and is drained of the latest only begins that drain in it.
        SettlementRefused where an invariant would break: then nothing of the batch was written.
        """
        ...


HeadSequences = Mapping[UUID, int]
"""Merchant → head sequence: what a wake-up says. Empty: any log may have grown."""

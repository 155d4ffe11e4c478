"""The JSON of chains and of health: what is given out about where this server and its chains stand.

Lives here, pure: one Struct for each object, as everywhere beside it. Does not live here: turning
rows into them (`resources.chains`, `resources.health`).
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from gateway.http.shapes.forms import Given
from indexer.rules.waiting import MempoolState


class ChainBlock(Given, frozen=True):
    """A block by height and hash."""

    height: int
    hash: str


ChainState = Literal[
    "following", "starting", "stalled", "disputed", "halted", "not_followed", "not_configured"
]
CheckState = Literal["enforced", "on-trial", "best-effort", "absent", "shown", "not-shown"]
Trust = Literal["single", "agreed", "disputed"]
SeenState = Literal["block", "header", "node", "nothing"]


class ChainProvider(Given, frozen=True):
    """One provider, by host; URLs are never shown. `calls_per_day`: at the pace of the last one, retries included."""

    host: str
    operator: str
    head_height: int | None
    lag_blocks: int
    failures: int
    distrusted: bool
    last_error: str | None
    calls_per_day: int | None = None


class ChainCheck(Given, frozen=True):
    """One check: how the running follower reads a mismatch now, and why it could not be made lately.

    `shown` and `not-shown` are said of what no hash covers and some nodes tell. `enforced_since_height`: the block that
    first proved a check which was on trial, since the follower started.
    """

    check: str
    state: CheckState
    reason: str | None
    enforced_since_height: int | None = None


class ChainMempool(Given, frozen=True):
    """One node's mempool, by host. `apart`: the node stands on another block than we do, so that it says nothing of ours."""

    host: str
    state: MempoolState
    waiting_count: int
    unread_count: int
    last_error: str | None


class ChainFee(Given, frozen=True):
    """Whoever offers so much, in base units for 1,000 virtual bytes, is expected within so many blocks."""

    blocks: int
    fee_rate_per_kvb: Annotated[str, Meta(pattern="^[0-9]+$")]


class ChainDoubt(Given, frozen=True):
    """What of a chain's blocks could not be checked or understood since its follower started."""

    check: str
    reason: str
    since_height: int
    blocks_count: int


class ChainObject(Given, frozen=True):
    """Where a chain stands. `trust`: one operator (single), several that agree, or operators that contradict each other.

    From `held_height` on credit waits, because rows could not be checked; up to `trusted_height` the operator vouches.
    `unverified`: one operator is configured and not all of the newest 64 blocks were verified in full, so what those pay rests
    on its word alone; null before the first block. `seen`: the most that this program's own tests have read of the network,
    null for one that is not in its catalogue.
    """

    chain: str
    alias: str
    family: str
    state: ChainState
    head_height: int | None
    tip: ChainBlock | None
    final_height: int | None
    safe_height: int | None
    agreed_height: int | None
    lag_blocks: int | None
    trust: Trust
    verification: str | None
    unverified: bool | None
    seen: SeenState | None
    checks: list[ChainCheck]
    doubts: list[ChainDoubt]
    held_height: int | None
    trusted_height: int | None
    providers: list[ChainProvider]
    mempools: list[ChainMempool]
    fees: list[ChainFee]
    congested: bool
    conditions: list[str]
    block_interval_s: float | None
    halt_reason: str | None
    halted_fork_height: int | None
    last_error: str | None
    reported_at: str | None
    moved_at: str | None
    assets_held: dict[str, str]


class ChainList(Given, frozen=True):
    """Every chain."""

    items: list[ChainObject]
    next: str | None = None


class Health(Given, frozen=True):
    """The process answers."""

    status: Literal["ok"]


class ChainReadiness(Given, frozen=True):
    """Whether a chain is close to its head."""

    alias: str
    ready: bool
    reason: str | None
    state: str
    lag_blocks: int | None


class Readiness(Given, frozen=True):
    """Whether this server can do its work."""

    status: Literal["ready", "not ready"]
    database: Literal["ok", "read only", "away"]
    chains: list[ChainReadiness]

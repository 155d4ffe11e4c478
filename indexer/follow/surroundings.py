"""What every loop of this room is given: pool, clock, stop signal, metrics and the operator's bell.

Handed in by the gateway's composition; the loops are `loop` and
`history.loop`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import structlog

from chains.mempool import MempoolSource
from chains.model import AssetId
from chains.port import ChainSource
from indexer.follow.damping import Damper
from indexer.follow.status import DescribeProviders
from indexer.move.commit import ChainDesk
from indexer.rows.store import PostgresFollowStore
from indexer.rules.deposits import Change
from indexer.rules.events import Naming
from indexer.rules.moves import Repeat
from indexer.rules.waiting import MempoolBoard
from migrations.handles import Pool

log = structlog.get_logger(__name__)

REPEATS_TOLD_MAX = 20
"""Of one move; the metric counts them all, and each is a row."""

HELD_TOLD_MAX = 20
"""Of one move or chunk; the rest is counted in one line, and explained deposit by deposit."""

Alert = Callable[[str, dict[str, object]], None]
"""Rings the operator: a kind such as ``chain.halted`` and its detail."""


class Observer(Protocol):
    """Where the loops report what they did; metrics live in the gateway."""

    def follow_step(self, alias: str, outcome: str, seconds: float) -> None:
        """One step of following ended with this outcome."""
        ...

    def moved(self, alias: str, *, applied: int, left: int, changes: int) -> None:
        """One move was committed."""
        ...

    def heights(self, alias: str, *, head: int | None, tip: int, final: int | None, agreed: int) -> None:
        """Where the chain stands."""
        ...

    def conditions(self, alias: str, in_force: Collection[str]) -> None:
        """What holds of the chain now: the words of `notices`, and "halted"."""
        ...

    def calls_per_day(self, alias: str, provider: str, count: int) -> None:
        """What a provider, by host, is asked in a day at the pace of the last one."""
        ...

    def waiting(self, alias: str, mempool: str, count: int) -> None:
        """So many transactions wait in a node's mempool, by host."""
        ...

    def stood_aside(self, alias: str) -> None:
        """Another process follows the chain: what was measured here says nothing any more."""
        ...

    def failed(self, alias: str, kind: str) -> None:
        """One step failed with this kind of weather."""
        ...

    def surprised(self, alias: str, stage: str) -> None:
        """One round of this stage ended with what nobody expected."""
        ...

    def repeated(self, alias: str, count: int) -> None:
        """So many deposits turned out to stand in a second canonical block."""
        ...

    def held(self, alias: str, count: int) -> None:
        """So many deposits came to wait for a second word."""
        ...


@dataclass(slots=True)
class FollowedChain:
    """Everything one chain's loops need.

    `describe_checks` says how each check stands, with what was learnt since
    the start, ready for JSON; a handful of entries.
    `judge_assets` says of listed assets whether their contracts fit them: None,
    or what is wrong; `assets_held` are those that count no more because of it.
    `history_news` is set where more history may be wanted, or may be read.
    `mempools` are looked at, and `mempool_board` says what they show.
    """

    desk: ChainDesk
    source: ChainSource
    store: PostgresFollowStore
    describe_providers: DescribeProviders
    judge_assets: Callable[[], Awaitable[Mapping[AssetId, str | None]]] | None = None
    assets_held: Mapping[AssetId, str] = field(default_factory=dict)
    describe_checks: Callable[[], Sequence[Mapping[str, Any]]] = tuple
    history_news: asyncio.Event = field(default_factory=asyncio.Event)
    mempools: Sequence[MempoolSource] = ()
    mempool_board: MempoolBoard = field(default_factory=MempoolBoard)


@dataclass(slots=True)
class Surroundings:
    """Shared by all loops; `holder` names this process to the leases."""

    pool: Pool
    holder: str
    observer: Observer
    alert: Alert
    clock: Callable[[], datetime]
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    def now(self) -> datetime:
        """Aware UTC time; the only clock of the room."""
        return self.clock()

    def tell_surprise(self, alias: str, stage: str, error: BaseException, damper: Damper) -> None:
        """What nobody expected is counted, written down with its trace, and rings; once a minute for a stage."""
        kind = type(error).__name__
        kind = kind if stage == "step" else f"{stage}-{kind}"
        self.observer.failed(alias, kind)
        self.observer.surprised(alias, stage)
        if damper.ripe(f"surprise-{stage}"):
            log.error("chain-broken", chain=alias, stage=stage, exc_info=error)
            self.alert("chain.broken", {"chain": alias, "kind": kind})

    def tell_repeats(self, naming: Naming, repeats: Sequence[Repeat]) -> None:
        """A second occurrence counts for nothing, and is never silence."""
        if not repeats:
            return
        self.observer.repeated(naming.alias, len(repeats))
        for repeat in repeats[:REPEATS_TOLD_MAX]:
            deposit_id = naming.encode_id("dep", repeat.deposit_id)
            height = repeat.occurrence.height
            log.error("deposit-repeated", chain=naming.alias, deposit=deposit_id, height=height)
            self.alert(
                "deposit.repeated", {"chain": naming.alias, "deposit_id": deposit_id, "also_in_block": height}
            )

    def tell_on_one_word(self, naming: Naming, changes: Sequence[Change]) -> None:
        """Each deposit that came to wait for a second word rings, where it was placed."""
        waiting = [one.deposit for one in changes if one.deposit.on_one_word and one.deposit.published]
        self.observer.held(naming.alias, len(waiting))
        for deposit in waiting[:HELD_TOLD_MAX]:
            assert deposit.occurrence is not None, "only what stands in a block waits for another's word"
            deposit_id = naming.encode_id("dep", deposit.id)
            height = deposit.occurrence.height
            log.warning("deposit-held", chain=naming.alias, deposit=deposit_id, height=height)
            detail: dict[str, object] = {"chain": naming.alias, "deposit_id": deposit_id, "height": height}
            self.alert("deposit.held", detail)
        if len(waiting) > HELD_TOLD_MAX:
            log.warning("deposits-held", chain=naming.alias, count=len(waiting))

    async def wait(self, seconds: float) -> None:
        """Sleep, or return at once when the service stops."""
        try:
            async with asyncio.timeout(seconds):
                await self.stop.wait()
        except TimeoutError:
            return

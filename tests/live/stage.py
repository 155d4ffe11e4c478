"""A stage for lies: blocks are paid, lied about by one operator, buried, and left again where the lie was told.

What must hold of each lie is `Stage.play`: none is ever a confirmed deposit, and the honest ones are confirmed as soon as
somebody shows them. Which chain it is played on is the `Ground`'s, which lies the tests'.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Protocol

from chains.source import HedgeDelay
from indexer.follow.outcomes import Advanced, Idle
from indexer.history.backfill import step_doubts
from indexer.rows.storage import ChainRecord
from indexer.rows.work_store import PostgresBackfillStore
from tests.faultproxy.played import play
from tests.faultproxy.proxy import FaultProxy
from tests.live.followed import Followed
from tests.unit.chains.verify.excuses import EXCUSES
from tests.unit.chains.verify.lies import LIES

CONFIRMATIONS = 2
ZERO = "0x" + "00" * 20

Payment = tuple[str, str, int, str]
"""Transaction, recipient, amount in base units, sender; nobody where it is minted."""


@dataclass(frozen=True, slots=True)
class Paid:
    """One block as an honest node tells it, and what it pays those who are watched."""

    block: dict[str, Any]
    receipts: list[Any]
    payments: frozenset[Payment]

    @property
    def height(self) -> int:
        return int(self.block["number"], 16)


class NeverHedged(HedgeDelay):
    """Who is asked must be known, or the liar is not: on a busy machine a head may take long."""

    def record(self, duration_s: float) -> None:
        """Any delay is usual."""


class Ground(Protocol):
    """The chain behind the proxies."""

    async def mine(self, blocks: int = 1) -> None:
        """So many blocks that pay nobody."""

    async def pay(self) -> Paid:
        """One block with all that happens on this chain."""

    async def leave(self, paid: Paid) -> frozenset[Payment]:
        """Another branch from this block on, as high; returns what of its payments stands in it."""


@dataclass(slots=True)
class Stage:
    """One followed chain on which one lie after the other is told.

    `limit`: where nothing but its operator's word is to be had, up to which amount it is good; then a lie may be believed
    up to there, and no more is known of its block.
    """

    followed: Followed
    ground: Ground
    limit: int | None = None
    honest: set[Payment] = field(default_factory=set)
    heights_on_one_word: list[int] = field(default_factory=list)
    heard_count: int = 0
    held_count: int = 0
    differed: bool = False

    def __post_init__(self) -> None:
        self.followed.source._hedge = NeverHedged()

    async def rest(self) -> None:
        """Let distrust pass, and stand at the head."""
        followed = self.followed
        for proxy in followed.proxies:
            proxy.heal()
        followed.now += timedelta(hours=2)
        await self.ground.mine()
        await self.steps(3)
        history = PostgresBackfillStore(followed.pool, followed.store)
        await step_doubts(followed.desk, history, followed.source, now=followed.now)
        await followed.settle()
        held_height = -1
        while held_height != (held_height := (await self.record()).held_height or -1):
            await self.steps(2)

    async def steps(self, count: int) -> None:
        for _ in range(count):
            outcome = await self.followed.step_in_weather()
            if isinstance(outcome, Idle | Advanced) and outcome.moved is not None:
                self.differed |= bool(outcome.moved.differing_heights)

    def liar(self, *, is_first: bool) -> FaultProxy:
        """The proxy that the program asks next, or the other one."""
        looked_at = self.followed.follower._looks.next_provider
        first = (looked_at or self.followed.source.choose_provider()).name
        asked = [proxy for proxy in self.followed.proxies if first.endswith(str(proxy.port))]
        others = [proxy for proxy in self.followed.proxies if proxy not in asked]
        return (asked if is_first else others)[0]

    async def credited(self) -> set[Payment]:
        """What the shop may count on."""
        rows = await self.followed.pool.fetch(
            "select tx_hash, recipient, amount_base_units, senders from deposits"
            " where state in ('confirmed', 'final') and height <> all($1)",
            self.heights_on_one_word,
        )
        return {
            ("0x" + row["tx_hash"].hex(), "0x" + row["recipient"].hex(), int(row["amount_base_units"]),
             "0x" + (row["senders"][1:] or bytes(20)).hex())
            for row in rows
        }  # fmt: skip

    async def record(self) -> ChainRecord:
        record = await self.followed.store.load_chain(self.followed.chain)
        assert record is not None
        assert record.halt_reason is None
        return record

    def expect(self, payments: frozenset[Payment]) -> None:
        """From now on these are honest credit."""
        self.honest |= {one for one in payments if self.limit is None or one[2] <= self.limit}

    async def pay_honestly(self) -> None:
        """A block that nobody lies about is credited, and held by nobody for long."""
        await self.rest()
        self.expect((await self.ground.pay()).payments)
        await self.steps(3)
        await self.ground.mine(CONFIRMATIONS + 1)
        await self.steps(4)
        await self.rest()
        assert (await self.record()).held_height is None
        assert await self.credited() == self.honest

    async def play(self, lie: str, excuse: str, *, is_first: bool) -> None:
        """A block is paid and lied about, and buried; then the liar is found out or its block is left."""
        await self.rest()
        before = set(self.honest)
        paid = await self.ground.pay()
        self.expect(paid.payments)
        bent, bent_receipts = copy.deepcopy(paid.block), copy.deepcopy(paid.receipts)
        if not LIES[lie](bent, bent_receipts) or not EXCUSES[excuse](bent, bent_receipts):
            raise AssertionError(f"{lie}: nothing to bend")
        self.differed = False
        heard = play(self.liar(is_first=is_first), paid.block, bent, bent_receipts)
        await self.steps(3)
        await self.ground.mine(CONFIRMATIONS + 1)
        await self.steps(4)
        self.heard_count += bool(heard["block"])  # a block that is refused is not asked for its receipts
        assert not is_first or heard["block"], f"{lie}: nobody asked the liar"
        await self._see_nothing_wrong(f"{lie}, {excuse}", paid, is_first=is_first)
        if self.limit is not None:
            self.heights_on_one_word.append(paid.height)
            self.honest = before
        await self.rest()
        if (await self.record()).held_height is not None:
            assert self.differed or len(self.followed.proxies) == 1, (
                f"{lie}, {excuse}: held, and nobody says why"
            )
            self.honest = before
            self.heights_on_one_word = [at for at in self.heights_on_one_word if at != paid.height]
            self.expect(await self.ground.leave(paid))
            await self.steps(8)
            await self.rest()
            assert (await self.record()).held_height is None, f"{lie}, {excuse}: its block is left"
        standing = await self.credited()
        assert standing == self.honest, f"{lie}, {excuse}: {standing ^ self.honest}"

    async def _see_nothing_wrong(self, told: str, paid: Paid, *, is_first: bool) -> None:
        credited, record = await self.credited(), await self.record()
        wrong = credited - self.honest
        if self.limit is not None:
            wrong = {one for one in wrong if one[2] > self.limit}
        assert not wrong, f"{told}: {wrong}"
        self.held_count += record.held_height is not None
        if not is_first and self.honest != credited:
            assert record.held_height is not None, f"{told}: neither credited nor held"

"""What `doctor` says of how a provider can be asked: what works, what is done instead, what that costs, and what to do.

Lives here: trying what the follower will need, on a provider whose head was read. It asks as the follower does, so what
the follower would learn is learnt here and told. Does not live here: reaching it at all, its network, its head and tags
(`chains`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from chains.errors import ChainError, Inconsistent, Missing, Throttled, Unreachable, WrongNetwork
from chains.evm.node import NoIdentity
from chains.evm.provider import EvmProvider
from chains.evm.traces import TRACE_METHOD
from chains.model import Block, HeadReport
from gateway.config.settings import ChainSettings
from gateway.doctor.machine import Finding, Grade
from indexer.rows.storage import ChainRecord

HEADERS_TRIED = 32
BLOCKS_TRIED = 4
RATE_MARGIN = 1.25


@dataclass(slots=True)
class Ways:
    """One provider on trial; findings are appended as they are made, so that a time-out loses none."""

    name: str
    settings: ChainSettings
    provider: EvmProvider
    findings: list[Finding]

    async def try_all(self, report: HeadReport, record: ChainRecord | None) -> None:
        """Everything the follower may need, one after the other."""
        newest = await self._try_newest(report)
        await self._try_batches(report.head.height)
        catching_up = await self._try_catching_up(report.head.height)
        self._judge_receipts([*newest, *catching_up])
        await self._try_start(report.head.height, record)
        self._judge_rate([*newest, *catching_up])

    def say(self, what: str, grade: Grade, found: str, advice: str = "") -> None:
        """One more finding of this provider."""
        self.findings.append(Finding(f"{self.name} {what}", grade, found, advice))

    def fail(self, what: str, error: ChainError) -> None:
        """What was refused, and what to do about it."""
        self.say(what, Grade.FAIL, error.detail, advise(error, self.settings.alias))

    async def _try_newest(self, report: HeadReport) -> list[Block]:
        try:
            (block,) = await self.provider.fetch_blocks_at([report.head.ref])
        except ChainError as error:
            self.fail("blocks", error)
            return []
        traced = ", traced" if self.settings.follow.traits.traces else ""
        self.say("blocks", Grade.OK, f"blocks with receipts by hash{traced}, verified: {block.level.value}")
        return [block]

    async def _try_batches(self, head_height: int) -> None:
        count = min(HEADERS_TRIED, head_height + 1)
        try:
            await self.provider.fetch_headers(head_height - count + 1, head_height)
        except ChainError as error:
            self.fail("batches", error)
            return
        most = self.provider.node.batches.size.calls_max
        if most >= count:
            self.say("batches", Grade.OK, f"{count} calls in one request")
        elif most > 1:
            advice = "nothing must be done; a provider that takes more answers sooner"
            self.say(
                "batches", Grade.OK, f"{most} calls in one request at most: more are sent in parts", advice
            )
        else:
            advice = "it works and costs a round trip a call; near the head of a fast chain choose another"
            self.say("batches", Grade.WARN, "takes no batches: every call is a request of its own", advice)

    async def _try_catching_up(self, head_height: int) -> list[Block]:
        first = max(0, head_height - BLOCKS_TRIED + 1)
        try:
            blocks = await self.provider.fetch_blocks(first, head_height)
        except ChainError as error:
            self.fail("catching up", error)
            return []
        self.say("catching up", Grade.OK, f"blocks {first} to {head_height} by height")
        return blocks

    def _judge_receipts(self, blocks: Sequence[Block]) -> None:
        way = self.provider.node.abilities.receipts
        fullest = max((block.tx_count for block in blocks), default=0)
        if way.last_refusal:
            found = (
                f"refuses all receipts of a block at once ({way.last_refusal}): they are asked for one by one, "
                f"{1 + fullest} calls for a block of {fullest} transactions instead of 2"
            )
            advice = (
                "deposits are found all the same; a plan or provider with eth_getBlockReceipts costs less"
            )
            self.say("receipts", Grade.WARN, found, advice)
        elif fullest == 0 and blocks:
            self.say("receipts", Grade.OK, "not tried: the newest blocks have no transactions")

    async def _try_start(self, head_height: int, record: ChainRecord | None) -> None:
        """The block following begins with: pruned providers do not have it."""
        start = self.settings.follow.start_height if record is None else record.tip.height + 1
        if start is None or start > head_height:
            return
        try:
            await self.provider.fetch_blocks(start, start)
        except ChainError as error:
            advice = "use a provider that keeps old blocks until this chain has caught up, or begin later (`start`)"
            self.say("history", Grade.FAIL, f"block {start} comes next: {error.detail}", advice)
        else:
            self.say("history", Grade.OK, f"has block {start}, which comes next")

    def _judge_rate(self, blocks: Sequence[Block]) -> None:
        traits, node = self.settings.follow.traits, self.provider.node
        rate_per_s = node.budget.rate_per_s
        if math.isinf(rate_per_s) or not blocks:
            return
        calls = 2 + traits.traces
        if node.abilities.receipts.last_refusal:
            calls = 1 + traits.traces + max(block.tx_count for block in blocks)
        # A head of four calls comes with each block.
        needed_per_s = RATE_MARGIN * (calls + 4) / traits.block_time_s
        found = f"about {rate_per_s:.0f} calls a second; this chain takes {needed_per_s:.1f}"
        if rate_per_s >= needed_per_s:
            self.say("rate", Grade.OK, found)
        else:
            advice = "it will fall behind: a larger plan, another provider, or more of them"
            self.say("rate", Grade.WARN, found, advice)


def advise(error: ChainError, alias: str) -> str:
    """What to do about a refusal, by what it means."""
    if TRACE_METHOD in error.detail or "trace" in error.detail:
        return f"it does not trace blocks: set chains.{alias}.traces = false, or use a provider that traces"
    match error:
        case WrongNetwork():
            return f"this is not {alias} as we know it: correct the URL, the chain_id, or the identity"
        case NoIdentity():
            return (
                f"set chains.{alias}.identity to the height and hash of a block that it serves, "
                "taken from a source you trust"
            )
        case Throttled():
            return "it refuses the rate: a larger plan, or requests_per_s in the endpoint's table"
        case Inconsistent():
            return (
                "its answers contradict themselves or this chain's rules: use another provider; "
                'where the chain has rules of its own, verification = "agreement"'
            )
        case Missing():
            return "it lacks blocks it should hold: it may be syncing, or be several machines that differ"
        case Unreachable():
            return "check the URL, its key and the provider's own status page"
        case _:
            return "check the URL, its key and what its plan allows"

"""What `doctor` says of how a provider can be asked: what works, what is done instead, what that costs, and what to do.

Lives here: trying what the follower will need, on a provider whose head was read. It asks as the follower does, so what
the follower would learn is learnt here and told. Does not live here: reaching it at all, its network, its head and tags
(`chains`), what a family's nodes can do and what that costs (chains.trial).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from chains.errors import ChainError, Inconsistent, Missing, Throttled, Unreachable, WrongNetwork
from chains.families import rules_of
from chains.model import Block, HeadReport
from chains.port import Provider
from chains.trial import Remark, Trial
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
    provider: Provider
    findings: list[Finding]
    trial: Trial = field(init=False)

    def __post_init__(self) -> None:
        traits = self.settings.follow.traits
        self.trial = rules_of(traits.family).load_trial().start(self.provider, traits)

    async def try_all(self, report: HeadReport, record: ChainRecord | None) -> None:
        """Everything the follower may need, one after the other."""
        newest = await self._try_newest(report)
        await self._try_batches(report.head.height)
        catching_up = await self._try_catching_up(report.head.height)
        for remark in self.trial.judge_blocks([*newest, *catching_up]):
            self.pass_on(remark)
        await self._try_start(report.head.height, record)
        self._judge_rate([*newest, *catching_up])

    def say(self, what: str, grade: Grade, found: str, advice: str = "") -> None:
        """One more finding of this provider."""
        self.findings.append(Finding(f"{self.name} {what}", grade, found, advice))

    def pass_on(self, remark: Remark) -> None:
        """What the family says of this provider."""
        self.say(remark.about, Grade.OK if remark.is_well else Grade.WARN, remark.found, remark.advice)

    def fail(self, what: str, error: ChainError) -> None:
        """What was refused, and what to do about it."""
        self.say(what, Grade.FAIL, error.detail, advise(error, self.settings))

    async def _try_newest(self, report: HeadReport) -> list[Block]:
        try:
            (block,) = await self.provider.fetch_blocks_at([report.head.ref])
        except ChainError as error:
            self.fail("blocks", error)
            return []
        self.say("blocks", Grade.OK, f"{self.trial.blocks_are}, verified: {block.level.value}")
        return [block]

    async def _try_batches(self, head_height: int) -> None:
        count = min(HEADERS_TRIED, head_height + 1)
        try:
            await self.provider.fetch_headers(head_height - count + 1, head_height)
        except ChainError as error:
            self.fail("batches", error)
            return
        self.pass_on(self.trial.judge_batches(count))

    async def _try_catching_up(self, head_height: int) -> list[Block]:
        first = max(0, head_height - BLOCKS_TRIED + 1)
        try:
            blocks = await self.provider.fetch_blocks(first, head_height)
        except ChainError as error:
            self.fail("catching up", error)
            return []
        self.say("catching up", Grade.OK, f"blocks {first} to {head_height} by height")
        return blocks

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
        rate_per_s = self.trial.rate_per_s
        if math.isinf(rate_per_s) or not blocks:
            return
        needed_per_s = RATE_MARGIN * self.trial.count_calls(blocks) / self.settings.follow.traits.block_time_s
        found = f"about {rate_per_s:.0f} calls a second; this chain takes {needed_per_s:.1f}"
        if rate_per_s >= needed_per_s:
            self.say("rate", Grade.OK, found)
        else:
            advice = "it will fall behind: a larger plan, another provider, or more of them"
            self.say("rate", Grade.WARN, found, advice)


def advise(error: ChainError, settings: ChainSettings) -> str:
    """What to do about a refusal: what its family says, else by what it means."""
    alias = settings.alias
    own = rules_of(settings.follow.traits.family).load_trial().advise(error, alias)
    if own is not None:
        return own
    match error:
        case WrongNetwork():
            return f"this is not {alias} as we know it: correct the URL, the chain_id, or the identity"
        case Throttled():
            return "it refuses the rate: a larger plan, or requests_per_s in the endpoint's table"
        case Inconsistent():
            return "its answers contradict themselves or this chain's rules: use another provider"
        case Missing():
            return "it lacks blocks it should hold: it may be syncing, or be several machines that differ"
        case Unreachable():
            return "check the URL, its key and the provider's own status page"
        case _:
            return "check the URL, its key and what its plan allows"

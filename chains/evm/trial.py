"""A provider on trial: what its node showed itself able to do, and what that costs.

Lives here: the words for batches, receipts, traces and rates, and what to do about refusals only this family has.  What
is fetched meanwhile is the doctor's to choose; how abilities are learnt is `node`, `receipts` and `chains.rpc.batches`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from chains.errors import ChainError, Inconsistent, NoIdentity
from chains.evm.facts import facts_of
from chains.evm.nodes.heads import HeadWatch
from chains.evm.nodes.node import EvmNode
from chains.evm.provider import EvmProvider
from chains.evm.value.traces import TRACE_METHOD
from chains.model import Block
from chains.port import Provider
from chains.rpc.node_endpoint import NodeEndpoint
from chains.traits import ChainTraits
from chains.trial import Remark, TrialRules

HEAD_CALLS = 4
"""A head comes with each block: by tag, and whose network it is."""


HEAD_EARLY_S = 15.0
"""What rules allow a block's maker, and clocks that are nearly right."""


class _Heard(Exception):
    """A head was heard; ends the waiting."""


@dataclass(frozen=True, slots=True)
class EvmTrial:
    """One node after it was asked."""

    node: EvmNode
    is_traced: bool

    @property
    def blocks_are(self) -> str:
        return "blocks with receipts by hash" + (", traced" if self.is_traced else "")

    @property
    def rate_per_s(self) -> float:
        return self.node.budget.rate_per_s

    def judge_batches(self, headers_count: int) -> Remark:
        most = self.node.batches.size.calls_max
        if most >= headers_count:
            return Remark("batches", is_well=True, found=f"{headers_count} calls in one request")
        if most > 1:
            found = f"{most} calls in one request at most: more are sent in parts"
            advice = "nothing must be done; a provider that takes more answers sooner"
            return Remark("batches", is_well=True, found=found, advice=advice)
        advice = "it works and costs a round trip a call; near the head of a fast chain choose another"
        found = "takes no batches: every call is a request of its own"
        return Remark("batches", is_well=False, found=found, advice=advice)

    def judge_blocks(self, blocks: Sequence[Block]) -> Sequence[Remark]:
        refusal = self.node.abilities.receipts.last_refusal
        fullest = _count_fullest(blocks)
        if refusal:
            found = (
                f"refuses all receipts of a block at once ({refusal}): they are asked for one by one, "
                f"{1 + fullest} calls for a block of {fullest} transactions instead of 2"
            )
            advice = (
                "deposits are found all the same; a plan or provider with eth_getBlockReceipts costs less"
            )
            return [Remark("receipts", is_well=False, found=found, advice=advice)]
        if fullest == 0 and blocks:
            found = "not tried: the newest blocks have no transactions"
            return [Remark("receipts", is_well=True, found=found)]
        return []

    def count_calls(self, blocks: Sequence[Block]) -> int:
        receipts = _count_fullest(blocks) if self.node.abilities.receipts.last_refusal else 1
        return 1 + receipts + self.is_traced + HEAD_CALLS


def _count_fullest(blocks: Sequence[Block]) -> int:
    return max((block.tx_count for block in blocks), default=0)


def _start(provider: Provider, traits: ChainTraits) -> EvmTrial:
    assert isinstance(provider, EvmProvider), "a trial is of the family's own provider"
    return EvmTrial(provider.node, facts_of(traits).traces)


def _advise(error: ChainError, alias: str) -> str | None:
    if TRACE_METHOD in error.detail or "trace" in error.detail:
        return f"it does not trace blocks: set chains.{alias}.traces = false, or use a provider that traces"
    match error:
        case NoIdentity():
            return (
                f"set chains.{alias}.identity to the height and hash of a block that it serves, "
                "taken from a source you trust"
            )
        case Inconsistent():
            return (
                "its answers contradict themselves or this chain's rules: use another provider; "
                'where the chain has rules of its own, verification = "agreement"'
            )
        case _:
            return None


async def _hear_head(traits: ChainTraits, endpoint: NodeEndpoint, timeout_s: float) -> str | None:
    def heard(_head: str) -> None:
        raise _Heard

    watch = HeadWatch(traits.alias, [endpoint], traits.block_time_s, heard)
    try:
        async with asyncio.timeout(timeout_s):
            await watch.run()
    except _Heard:
        return None
    except TimeoutError:
        pass
    return watch.last_trouble


HINTS_ADVICE = "check the URL and what its plan allows"

TRIAL = TrialRules(_start, _advise, _hear_head, HEAD_EARLY_S, HINTS_ADVICE)

"""A provider on trial: what its node showed itself able to do, and what that costs.

Lives here: the words for receipts, contract-sent TRX and rates, and what to do about refusals only this family has.
What is fetched meanwhile is the doctor's to choose.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chains.errors import ChainError, Inconsistent, NoIdentity
from chains.model import Block, VerificationLevel
from chains.port import Provider
from chains.rpc.node_endpoint import NodeEndpoint
from chains.traits import ChainTraits
from chains.trial import Remark, TrialRules
from chains.tron.nodes.node import TronNode
from chains.tron.provider import TronProvider
from chains.tron.rows.answers import LITE

HEAD_CALLS = 2
"""A head comes with each block, and what is solidified."""

BLOCK_CALLS, RUN_CALLS = 1, 2
"""A block, and where a contract ran its receipts and its id once more."""


@dataclass(frozen=True, slots=True)
class TronTrial:
    """One node after it was asked."""

    node: TronNode

    @property
    def blocks_are(self) -> str:
        return "blocks with receipts by number"

    @property
    def rate_per_s(self) -> float:
        return self.node.budget.rate_per_s

    def judge_batches(self, headers_count: int) -> Remark:
        return Remark("headers", is_well=True, found=f"{headers_count} headers, each asked for by itself")

    def judge_blocks(self, blocks: Sequence[Block]) -> Sequence[Remark]:
        if not any(_has_runs(block) for block in blocks):
            found = "not tried: no contract ran in the newest blocks"
            return [Remark("contract-sent TRX", is_well=True, found=found)]
        if self.node.shows_internal_since is not None:
            return [
                Remark("contract-sent TRX", is_well=True, found="is told, and counts as internal transfers")
            ]
        found = (
            "was not told in these blocks: TRX that a contract sends on to a watched address will not be seen"
        )
        advice = "a node of your own tells it with vm.saveInternalTx = true; otherwise say so to whoever pays from contracts"
        return [Remark("contract-sent TRX", is_well=False, found=found, advice=advice)]

    def count_calls(self, blocks: Sequence[Block]) -> int:
        return HEAD_CALLS + BLOCK_CALLS + (RUN_CALLS if any(_has_runs(block) for block in blocks) else 0)


def _has_runs(block: Block) -> bool:
    return block.level is not VerificationLevel.FULL


def _start(provider: Provider, _traits: ChainTraits) -> TronTrial:
    assert isinstance(provider, TronProvider), "a trial is of the family's own provider"
    return TronTrial(provider.node)


def _advise(error: ChainError, alias: str) -> str | None:
    if LITE in error.detail:
        return "it keeps no history: use a full node, or set openHistoryQueryWhenLiteFN = true on it"
    match error:
        case NoIdentity():
            return (
                f"set chains.{alias}.identity to the height and id of a block that it serves, "
                "taken from a source you trust"
            )
        case Inconsistent():
            return (
                "its answers contradict themselves or this chain's rules: use another provider; "
                'where the network has rules of its own, verification = "agreement"'
            )
        case _:
            return None


async def _hear_head(_traits: ChainTraits, _endpoint: NodeEndpoint, _timeout_s: float) -> str | None:
    return "nodes of this family announce no heads"


HEAD_EARLY_S = 15.0
"""Witnesses take their turns by the clock, every three seconds."""

HINTS_ADVICE = "remove the endpoint"

TRIAL = TrialRules(_start, _advise, _hear_head, HEAD_EARLY_S, HINTS_ADVICE)

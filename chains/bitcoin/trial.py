"""A provider of this family on trial: what its node showed itself able to do, and what that costs.

Lives here: the words for batches and rates, what to do about refusals that only this family has, and whether ZMQ is
heard.  What is fetched meanwhile is the doctor's to choose.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from chains.bitcoin.nodes.node import BELIEVED_FALSE, BitcoinNode
from chains.bitcoin.nodes.tips import TipWatch
from chains.bitcoin.provider import DOWNLOADING, BitcoinProvider
from chains.errors import ChainError, Inconsistent, Unreachable, WrongNetwork
from chains.model import Block
from chains.port import Provider
from chains.rpc.node_endpoint import NodeEndpoint
from chains.traits import ChainTraits
from chains.trial import Remark, TrialRules

HEAD_CALLS = 2
"""A head comes with each block: the state of the chain, and the header."""


HEAD_EARLY_S = 7_200.0
"""Nodes take a block whose maker's clock is two hours fast."""


class _Heard(Exception):
    """The publisher answered; ends the waiting."""


@dataclass(frozen=True, slots=True)
class BitcoinTrial:
    """One node after it was asked."""

    node: BitcoinNode

    @property
    def blocks_are(self) -> str:
        return "whole blocks by hash"

    @property
    def rate_per_s(self) -> float:
        return self.node.budget.rate_per_s

    def judge_batches(self, headers_count: int) -> Remark:
        most = self.node.batches.size.calls_max
        if most >= headers_count:
            return Remark("batches", is_well=True, found=f"{headers_count} calls in one request")
        found = f"{most} calls in one request at most: more are sent in parts"
        return Remark(
            "batches", is_well=most > 1, found=found, advice="a node of your own takes more at once"
        )

    def judge_blocks(self, blocks: Sequence[Block]) -> Sequence[Remark]:  # noqa: ARG002  # there is one way only
        return []

    def count_calls(self, blocks: Sequence[Block]) -> int:  # noqa: ARG002
        return 1 + HEAD_CALLS


def _start(provider: Provider, traits: ChainTraits) -> BitcoinTrial:  # noqa: ARG001
    assert isinstance(provider, BitcoinProvider), "a trial is of the family's own provider"
    return BitcoinTrial(provider.node)


def _advise(error: ChainError, alias: str) -> str | None:
    if "HTTP 401" in error.detail or "cookie" in error.detail:
        return (
            f"set user and password in the URL of chains.{alias}.endpoints, or `cookie_file` to the node's .cookie, "
            "which this process must be allowed to read"
        )
    if "HTTP 403" in error.detail:
        return "the node answers other addresses only: see its rpcallowip"
    if "pruned" in error.detail:
        return "it keeps only new blocks: start later, or set prune=0"
    if BELIEVED_FALSE in error.detail:
        return "upgrade the node to the version that is named, or a newer one, and let it check its chain again (reindex)"
    if DOWNLOADING in error.detail:
        return "wait until it has the whole chain, and name another node until then"
    if isinstance(error, WrongNetwork):
        return f"this node does not serve {alias}: correct its URL, or `identity` where one is set"
    if isinstance(error, Unreachable):
        return "see that the node runs with server=1, and that its rpcport, rpcbind and rpcallowip let this process reach it"
    if isinstance(error, Inconsistent):
        return "its answers are not blocks of this chain: use another provider"
    return None


async def _hear_head(traits: ChainTraits, endpoint: NodeEndpoint, timeout_s: float) -> str | None:
    """A block takes minutes to come: that the publisher is there is all that can be heard in time."""

    def opened() -> None:
        raise _Heard

    watch = TipWatch(traits.alias, [endpoint], lambda _: None, on_open=opened)
    try:
        async with asyncio.timeout(timeout_s):
            await watch.run()
    except _Heard:
        return None
    except TimeoutError:
        pass
    return watch.last_trouble


HINTS_ADVICE = (
    "start the node with zmqpubsequence or zmqpubhashblock at this address, where this process reaches it"
)

TRIAL = TrialRules(_start, _advise, _hear_head, HEAD_EARLY_S, HINTS_ADVICE)

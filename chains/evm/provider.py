"""One EVM provider as the port sees it: heads, headers and checked blocks.

Thin: sending, budgets and identity are `chains.evm.nodes.node`, whole blocks are
`chains.evm.nodes.blocks`, choosing between providers is `chains.evm.source`.
"""

from __future__ import annotations

from collections.abc import Sequence

from chains.errors import ChainError, Inconsistent, Missing
from chains.evm.facts import facts_of
from chains.evm.nodes.balances import fetch_balances
from chains.evm.nodes.blocks import fetch_by_hash, fetch_by_height
from chains.evm.nodes.node import EvmNode
from chains.evm.nodes.proof import fetch_deposit_proof
from chains.evm.nodes.reading import Reading
from chains.evm.nodes.story import fetch_story
from chains.evm.nodes.window import describe_block, plan_rows
from chains.evm.rows.structs import decode_header
from chains.model import Address, Block, BlockRef, Header, HeadReport, Sought, TransactionStory, TxHash
from chains.proofs import DepositProof, Unprovable
from chains.provider import HEAD_DEADLINE_S, NodeProvider
from chains.rpc.jsonrpc import Call, Reply, expect_result, is_null
from chains.traits import FinalByTag

OPINION_HEADERS_MAX = 8
"""Few headers are an opinion, for which nobody waits; many are a search, which a refused rate should not undo."""


class EvmProvider(NodeProvider[EvmNode, Reading]):
    """One node of this family, asked with one priority."""

    __slots__ = ()

    async def fetch_head_report(
        self,
        *,
        safe: bool = True,
        final: bool = True,
        announced: str | None = None,
        sought: Sought | None = None,
    ) -> HeadReport:
        """As the port says; the block that was `announced` by its hash is asked for in the same exchange.

        It is at hand afterwards.  What fails may have failed for it, so heads
        are then asked for alone for a while.
        """
        traits = self.reading.traits
        tags = ["latest"]
        if safe and facts_of(traits).safe_tag:
            tags.append("safe")
        if final and isinstance(traits.finality, FinalByTag):
            tags.append("finalized")
        calls = [Call("eth_getBlockByNumber", (tag, False)) for tag in tags]
        next_block: Sequence[Call] = ()
        if announced is not None:
            next_block = plan_rows(self.node, self.reading, [announced], sought).calls
        if len(calls) + len(next_block) > self.node.batch_calls_max:
            next_block = ()
        with self._blamed():
            with self.node.ahead.asking(next_block) as along:
                outcomes = await self.node.ask([*calls, *along], self.priority, deadline_s=HEAD_DEADLINE_S)
            latest, *others = outcomes[: len(calls)]
            raw = expect_result(latest)
            if is_null(raw):
                raise Missing("does not know its newest block")
            finality = dict(zip(tags[1:], map(_read_tag, others), strict=True))
            report = HeadReport(decode_header(raw), finality.get("safe"), finality.get("finalized"))
            self.node.head_height = report.head.height
            self.node.ahead.keep(along, outcomes[len(calls) :])
            self.on_head(self.name, report.head)
            return report

    async def fetch_headers(self, height_first: int, height_last: int) -> list[Header]:
        heights = range(height_first, height_last + 1)
        calls = [Call("eth_getBlockByNumber", (hex(height), False)) for height in heights]
        with self._blamed():
            patient = len(calls) > OPINION_HEADERS_MAX
            outcomes = await self.node.ask(calls, self.priority, patient=patient) if calls else []
            return [
                self._read_header(height, outcome) for height, outcome in zip(heights, outcomes, strict=True)
            ]

    async def fetch_transaction(self, tx_hash: TxHash) -> TransactionStory | None:
        with self._blamed():
            return await fetch_story(self.node, self.priority, self.reading, tx_hash)

    async def fetch_balances(
        self, wanted: Sequence[tuple[Address, Address | None]], block: BlockRef
    ) -> list[int]:
        with self._blamed():
            return await fetch_balances(self.node, self.priority, wanted, block)

    async def fetch_deposit_proof(self, block: BlockRef, tx_hash: TxHash) -> DepositProof | Unprovable:
        with self._blamed():
            return await fetch_deposit_proof(self.node, self.priority, self.reading, block, tx_hash)

    async def fetch_blocks_at(self, refs: Sequence[BlockRef], *, sought: Sought | None = None) -> list[Block]:
        with self._blamed():
            hashes = [one.hash for one in refs]
            blocks = await fetch_by_hash(self.node, self.priority, self.reading, hashes, sought)
            for block, ref in zip(blocks, refs, strict=True):
                if block.header.height != ref.height:
                    raise Inconsistent(f"shows a block of height {block.header.height} at {ref.height}")
            return blocks

    async def fetch_blocks(
        self, height_first: int, height_last: int, *, sought: Sought | None = None
    ) -> list[Block]:
        with self._blamed():
            return await fetch_by_height(
                self.node, self.priority, self.reading, height_first, height_last, sought
            )

    def _read_header(self, height: int, outcome: Reply) -> Header:
        raw = expect_result(outcome)
        if is_null(raw):
            raise Missing(f"does not hold the {describe_block(self.node, hex(height))}")
        header = decode_header(raw)
        if header.height != height:
            raise Inconsistent(f"answered height {height} with block {header.height}")
        return header


def _read_tag(outcome: Reply) -> Header | None:
    """A finality tag's header; None while the node does not know it.

    Nodes answer null or an error of their own after a restart, chains without
    the tag refuse it, and some bill it apart: all of that is "unknown".  A head
    that is there is not given up for its tags.
    """
    if isinstance(outcome, ChainError) or is_null(outcome):
        return None
    return decode_header(outcome)

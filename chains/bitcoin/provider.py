"""One provider of this family as the port sees it: heads, headers and checked blocks.

Thin: sending, budgets and identity are `chains.bitcoin.nodes.node`, whole blocks
are `chains.bitcoin.nodes.blocks`, choosing between providers is
`chains.bitcoin.source`.
"""

from __future__ import annotations

from collections.abc import Sequence

from chains.bitcoin.nodes.answers import ChainInfo, read_answer, read_hash, read_height
from chains.bitcoin.nodes.blocks import fetch_by_height, fetch_by_ref, fetch_hashes, fetch_raw_headers
from chains.bitcoin.nodes.node import BitcoinNode
from chains.bitcoin.nodes.proof import fetch_deposit_proof
from chains.bitcoin.nodes.reading import Reading, place_header
from chains.bitcoin.nodes.story import fetch_story
from chains.errors import Refused, Unreachable
from chains.model import Address, Block, BlockRef, Header, HeadReport, Sought, TransactionStory, TxHash
from chains.proofs import DepositProof, Unprovable
from chains.provider import HEAD_DEADLINE_S, NodeProvider
from chains.rpc.jsonrpc import Call

DOWNLOADING = "still downloads the chain"
"""How the refusal of such a node begins."""

HEADERS_AHEAD_MAX = 144
"""Of a node that does not say whether it still downloads: so many blocks that it knows of and lacks are no head."""


class BitcoinProvider(NodeProvider[BitcoinNode, Reading]):
    """One node of this family, asked with one priority."""

    __slots__ = ()

    async def fetch_head_report(
        self,
        *,
        safe: bool = True,  # noqa: ARG002  # nodes of this family have no such tags
        final: bool = True,  # noqa: ARG002
    ) -> HeadReport:
        with self._blamed():
            (outcome,) = await self.node.ask(
                [Call("getblockchaininfo")], self.priority, deadline_s=HEAD_DEADLINE_S
            )
            info = read_answer(outcome, ChainInfo, "state of the chain")
            _refuse_downloading(info)
            best = read_hash(info.bestblockhash, "the newest block")
            (header,) = await fetch_raw_headers(self.node, self.priority, self.reading, [best])
            head = place_header(header, read_height(info.blocks))
            self.on_head(self.name, head)
            return HeadReport(head, None, None)

    async def fetch_headers(self, height_first: int, height_last: int) -> list[Header]:
        heights = range(height_first, height_last + 1)
        if not heights:
            return []
        with self._blamed():
            hashes = await fetch_hashes(self.node, self.priority, heights)
            headers = await fetch_raw_headers(self.node, self.priority, self.reading, hashes)
            return [place_header(header, height) for height, header in zip(heights, headers, strict=True)]

    async def fetch_blocks_at(
        self,
        refs: Sequence[BlockRef],
        *,
        sought: Sought | None = None,  # noqa: ARG002  # every block is read whole
    ) -> list[Block]:
        with self._blamed():
            return await fetch_by_ref(self.node, self.priority, self.reading, refs)

    async def fetch_blocks(
        self,
        height_first: int,
        height_last: int,
        *,
        sought: Sought | None = None,  # noqa: ARG002
    ) -> list[Block]:
        if height_first > height_last:
            return []
        with self._blamed():
            return await fetch_by_height(self.node, self.priority, self.reading, height_first, height_last)

    async def fetch_transaction(self, tx_hash: TxHash) -> TransactionStory | None:
        with self._blamed():
            return await fetch_story(self.node, self.priority, self.reading, tx_hash)

    async def fetch_balances(
        self,
        wanted: Sequence[tuple[Address, Address | None]],
        block: BlockRef,  # noqa: ARG002
    ) -> list[int]:
        if not wanted:
            return []
        raise Refused("nodes of this family keep no balances of addresses", provider=self.name)

    async def fetch_deposit_proof(self, block: BlockRef, tx_hash: TxHash) -> DepositProof | Unprovable:
        with self._blamed():
            return await fetch_deposit_proof(self.node, self.priority, self.reading, block, tx_hash)


def _refuse_downloading(info: ChainInfo) -> None:
    """A node that still downloads the chain has a newest block which is years old, and no head."""
    is_downloading = info.initialblockdownload
    if is_downloading is None:
        is_downloading = info.headers - info.blocks > HEADERS_AHEAD_MAX
    if is_downloading:
        raise Unreachable(f"{DOWNLOADING}: it has {info.blocks} blocks and {info.headers} headers")

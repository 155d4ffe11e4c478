"""One Tron provider as the port sees it: heads, headers and checked blocks.

Thin: sending, budgets and identity are `chains.tron.nodes.node`, whole blocks
are `chains.tron.nodes.blocks`, choosing between providers is `chains.tron.source`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from chains.errors import ChainError, Missing, WrongNetwork
from chains.model import (
    Address,
    Block,
    BlockRef,
    Header,
    HeadReport,
    Sought,
    TransactionStory,
    TxHash,
)
from chains.proofs import DepositProof, Unprovable
from chains.provider import HEAD_DEADLINE_S, NodeProvider
from chains.traits import FinalByTag
from chains.tron.nodes.balances import fetch_balances
from chains.tron.nodes.blocks import fetch_by_height, fetch_by_ref
from chains.tron.nodes.node import TronNode, ask_together
from chains.tron.nodes.proof import fetch_deposit_proof
from chains.tron.nodes.reading import Reading
from chains.tron.nodes.solid import fetch_solid
from chains.tron.nodes.story import fetch_story

HEADERS_AT_ONCE: Final = 8


class TronProvider(NodeProvider[TronNode, Reading]):
    """One node of this family, asked with one priority."""

    __slots__ = ()

    async def fetch_head_report(self, *, safe: bool = True, final: bool = True) -> HeadReport:  # noqa: ARG002
        """As the port says; there are no `safe` blocks, and what is solidified is final."""
        wants_final = final and isinstance(self.reading.traits.finality, FinalByTag)
        with self._blamed():
            head, solid = await ask_together(
                [self._fetch_newest(), self._fetch_solid() if wants_final else _fetch_nothing()]
            )
            if head is None:
                raise Missing("does not know its newest block")
            self.on_head(self.name, head)
            return HeadReport(head, None, solid)

    async def fetch_headers(self, height_first: int, height_last: int) -> list[Header]:
        with self._blamed():
            headers: list[Header] = []
            for first in range(height_first, height_last + 1, HEADERS_AT_ONCE):
                heights = range(first, min(first + HEADERS_AT_ONCE, height_last + 1))
                found = await ask_together(
                    [self.node.fetch_header(str(one), self.priority) for one in heights]
                )
                for height, header in zip(heights, found, strict=True):
                    if header is None:
                        raise Missing(f"does not hold block {height}")
                    headers.append(header)
            return headers

    async def fetch_blocks_at(self, refs: Sequence[BlockRef], *, sought: Sought | None = None) -> list[Block]:  # noqa: ARG002
        with self._blamed():
            return await fetch_by_ref(self.node, self.priority, self.reading, refs)

    async def fetch_blocks(
        self,
        height_first: int,
        height_last: int,
        *,
        sought: Sought | None = None,  # noqa: ARG002  # nothing is spared here
    ) -> list[Block]:
        with self._blamed():
            return await fetch_by_height(self.node, self.priority, self.reading, height_first, height_last)

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

    async def _fetch_newest(self) -> Header | None:
        return await self.node.fetch_header(None, self.priority, deadline_s=HEAD_DEADLINE_S)

    async def _fetch_solid(self) -> Header | None:
        """What is solidified; None where it is not told, for a head that is there is not given up for it."""
        try:
            return await fetch_solid(self.node, self.priority, deadline_s=HEAD_DEADLINE_S)
        except WrongNetwork:
            raise
        except ChainError:
            return None


async def _fetch_nothing() -> None:
    return None

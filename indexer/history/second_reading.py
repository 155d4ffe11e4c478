"""Asking several operators about the same blocks of history, with a deadline for each.

Who cannot be heard counts for nobody.  What their answers mean is `doubts`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chains.errors import ChainError, Missing
from chains.model import Block
from chains.port import ChainSource, Provider
from indexer.follow.voices import soon

PATIENCE_S = 30.0
"""How long one operator may take for one chunk."""

TELLERS_MAX = 5
"""How many operators are asked about a block in doubt."""

Teller = tuple[Provider, Sequence[Block]]


@dataclass(frozen=True, slots=True)
class Reading:
    """Blocks as one provider told them, and what others told of the same ones.

    They are all that it calls canonical at `heights`, both ends included.
    `is_again`: they are in doubt and read for that; nothing that was wanted is
    covered by it.  `is_heard`: others were asked, whether they answered or
    not.  `source` None: there is nobody but the provider.
    """

    provider: Provider
    heights: tuple[int, int]
    blocks: Sequence[Block]
    source: ChainSource | None = None
    witnesses: Sequence[Teller] = ()
    is_again: bool = False
    is_heard: bool = False

    @property
    def are_several(self) -> bool:
        """Whether more than one operator is configured."""
        return self.source is not None and self.source.operators_count > 1

    def operator_of(self, host: str) -> str | None:
        """Who runs the provider of this name; None where it is not configured any more."""
        return None if self.source is None else self.source.operator_of(host)


async def fetch_witnesses(source: ChainSource, reading: Reading) -> list[Teller]:
    """The same blocks from the first other operator who can tell them."""
    for other in source.second_opinions(reading.provider)[: TELLERS_MAX - 1]:
        blocks = await _hear(source, other, *reading.heights)
        if blocks is not None:
            return [(other, blocks)]
    return []


async def fetch_tellers(source: ChainSource, first: int, last: int) -> list[Teller]:
    """These blocks from every operator who can tell them."""
    chosen = source.choose_provider()
    tellers: list[Teller] = []
    for provider in [chosen, *source.second_opinions(chosen)][:TELLERS_MAX]:
        blocks = await _hear(source, provider, first, last)
        if blocks is not None:
            tellers.append((provider, blocks))
    return tellers


async def _hear(source: ChainSource, provider: Provider, first: int, last: int) -> Sequence[Block] | None:
    try:
        async with soon(provider, PATIENCE_S):
            return await provider.for_backfill().fetch_blocks(first, last)
    except Missing:
        return None
    except ChainError as error:
        source.report_failure(provider, error)
        return None

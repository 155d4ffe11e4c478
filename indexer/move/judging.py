"""The heights by which a move judges deposits, with the blocks in doubt among them.

What a view means is `policy`; it is loaded under the chain's lock, so that a
doubt and what it holds back are never told apart.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from indexer.rows.storage import ChainRecord, MoveTransaction
from indexer.rules.deposits import Deposit
from indexer.rules.moves import Touched
from indexer.rules.policy import ChainView


def view_of(record: ChainRecord) -> ChainView:
    """The heights by which deposits are judged."""
    return ChainView(
        tip_height=record.tip.height,
        final_height=record.final_height,
        safe_height=record.safe_height,
        agreed_height=record.agreed_height,
        held_above=record.disputed_fork_height,
    )


async def load_view(
    move: MoveTransaction, record: ChainRecord, deposits: Iterable[Deposit], heights: Iterable[int] = ()
) -> ChainView:
    """The view after the move; asked for the blocks in which these deposits stand, and for `heights`."""
    wanted = {one.occurrence.height for one in deposits if one.occurrence is not None} | set(heights)
    doubted = await move.doubts.load(wanted) if wanted else {}
    return replace(view_of(record), doubted_heights=frozenset(doubted))


def deposits_in(touched: Touched) -> list[Deposit]:
    """Every recorded deposit that a move may change."""
    return [*touched.by_id.values(), *touched.displaced, *touched.maturing, *touched.off_chain]

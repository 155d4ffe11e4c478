"""Whose money a transaction spends, where transfers name no sender: asked of the deposits that are recorded.

What it means for a deposit is `rules.matching`.  Money that came to an address before it was watched is on no record
here, so that spending it is a stranger's payment like any other.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from chains.model import TxHash
from indexer.rules.deposits import Deposit
from indexer.rules.matching import Hit, ReadSpent, list_spent, name_payers


class RecordedByTx(Protocol):
    """Where recorded deposits are found by their transactions: a move, or an audit's snapshot."""

    async def load_of_txs(self, tx_hashes: Collection[TxHash]) -> list[Deposit]:
        """Every deposit by one of these transactions."""
        ...


async def load_payers(rows: RecordedByTx, hits: Sequence[Hit], read_spent: ReadSpent | None) -> Sequence[Hit]:
    """The hits with their payers; one statement, and none where the family's transfers name their senders."""
    if read_spent is None or not hits:
        return hits
    spent = list_spent(hits, read_spent)
    return name_payers(hits, await rows.load_of_txs(spent) if spent else (), read_spent)

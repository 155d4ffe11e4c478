"""The second, small port: transactions that no block holds yet, as one node's mempool tells them.

For families whose payers wait in a mempool that can be read.  Nothing here is
proof of anything: what waits may never be mined, and every node has its own.
So it may be told and never be credited (`indexer.rules.unconfirmed`).  The
scripted chain implements it; what a canonical block holds is `port`'s.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from chains.model import ConflictKey, Transfer, TxHash


@dataclass(frozen=True, slots=True)
class WaitingTx:
    """One transaction that waits: what it would move and what it would use up.

    Its transfers have no place in a block: their `position` is empty.
    """

    tx_hash: TxHash
    transfers: tuple[Transfer, ...]
    spends: tuple[ConflictKey, ...]


class MempoolSource(Protocol):
    """One node's mempool.  All methods raise `chains.errors` only; an error says nothing about what waits."""

    @property
    def name(self) -> str:
        """The host as shown to people, as `Provider.name`."""
        ...

    async def fetch_waiting(self) -> Collection[TxHash]:
        """Every transaction that waits there now.

        Whatever was in an earlier answer and is not in this one has left: into
        a block, for a rival that uses up the same, or because the node forgot
        it. Which of these, blocks and `fetch_spenders` tell.
        """
        ...

    async def fetch_waiting_txs(self, tx_hashes: Sequence[TxHash]) -> list[WaitingTx]:
        """These transactions, in the order asked; those that do not wait there any more are left out."""
        ...

    async def fetch_spenders(self, keys: Sequence[ConflictKey]) -> dict[ConflictKey, TxHash]:
        """Which waiting transaction would use up each of these keys, where one would."""
        ...

    async def wait_for_entered(self, timeout_s: float) -> Sequence[TxHash]:
        """Hints: transactions that came in since the last call, or nothing after `timeout_s`.

        Some may be left out: `fetch_waiting` is what counts.
        """
        ...

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

from chains.model import BlockHash, ConflictKey, Transfer, TxHash


@dataclass(frozen=True, slots=True)
class WaitingTx:
    """One transaction that waits: what it would move and what it would use up.

    Its transfers have no place in a block: their `position` is empty.
    `fee_rate_per_kvb` is what it offers who mines it, in base units for 1,000
    virtual bytes, with its unconfirmed parents reckoned in where that is less;
    None where the node does not say.
    """

    tx_hash: TxHash
    transfers: tuple[Transfer, ...]
    spends: tuple[ConflictKey, ...]
    fee_rate_per_kvb: int | None = None
    has_unconfirmed_parents: bool = False


@dataclass(frozen=True, slots=True)
class FeeRung:
    """Whoever offers at least this, in base units for 1,000 virtual bytes, is expected within so many blocks."""

    blocks: int
    fee_rate_per_kvb: int


class MempoolSource(Protocol):
    """One node's mempool.  All methods raise `chains.errors` only; an error says nothing about what waits."""

    @property
    def name(self) -> str:
        """The host as shown to people, as `Provider.name`."""
        ...

    @property
    def are_hints_live(self) -> bool:
        """Whether all that comes in is hinted at in time, so that looking at the whole is a watchdog only."""
        ...

    async def fetch_tip(self) -> BlockHash:
        """The block on which what waits there would stand: the node's newest."""
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

    async def fetch_fee_rungs(self) -> Sequence[FeeRung]:
        """What the next blocks want, by what waits there: more blocks and lower rates from rung to rung.

        Empty where the node does not know (yet).
        """
        ...

    async def wait_for_entered(self, timeout_s: float) -> Sequence[TxHash]:
        """Hints: transactions that came in since the last call, or nothing after `timeout_s`.

        Some may be left out: `fetch_waiting` is what counts.
        """
        ...

    def take_left(self) -> Collection[TxHash]:
        """Hints: transactions that nodes put away since the last call, and not into a block; never waits.

        As with those that came in, some may be left out, and none is believed.
        """
        ...

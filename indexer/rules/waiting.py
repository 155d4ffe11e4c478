"""What is remembered of the transactions that wait in nodes' mempools: their ids, whom they pay, since when one is missing.

Pure, and in memory only: whoever begins anew reads all of it again and tells
nothing twice, since deposits have identities.  Of a transaction are kept its
32 bytes and a number for each payee, so that one who registers later is found
without reading all again.  Reading a mempool is `follow.mempools.look`; what a
deposit becomes is `unconfirmed`.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import islice

from chains.mempool import FeeRung, WaitingTx
from chains.model import Address, TxHash

HELD_MAX = 300_000
"""Transactions of one mempool: more than nodes hold by default, and at most some 100 MB here."""

PAYEES_MAX = 2_000_000
"""Of all transactions of one mempool, 8 bytes each; beyond, who registers later is told by the block."""

TOO_MANY = array("q")

SILENCE_MAX = timedelta(minutes=2)
"""Between two looks at the whole: longer, and what was missing before may have come and gone unseen."""


class MempoolState(StrEnum):
    """Whether what a node shows is taken for what waits."""

    READ = "read"
    APART = "apart"
    """It stands on another block than we do."""

    SILENT = "silent"
    """It has not answered, or not yet."""


@dataclass(slots=True)
class WaitingBook:
    """One node's mempool as far as it was read.

    `known` were read: to each the numbers of its payees.  `unread` wait there
    and were not, those that were hinted at first.  `answers`: the last look at
    the whole went through, on the block that is our tip.
    """

    name: str
    known: dict[TxHash, array[int]] = field(default_factory=dict)
    unread: dict[TxHash, None] = field(default_factory=dict)
    rungs: tuple[FeeRung, ...] = ()
    answers: bool = False
    is_apart: bool = False
    last_error: str | None = None
    _payees: int = 0

    @property
    def waiting_count(self) -> int:
        """How many wait there, read or not."""
        return len(self.known) + len(self.unread)

    @property
    def state(self) -> MempoolState:
        """One word for how the node does."""
        if self.is_apart:
            return MempoolState.APART
        return MempoolState.READ if self.answers else MempoolState.SILENT

    def __contains__(self, tx_hash: TxHash) -> bool:
        return tx_hash in self.known or tx_hash in self.unread

    def note_waiting(self, waiting: Collection[TxHash]) -> None:
        """Everything that waits there now; at most `HELD_MAX` of it, which the caller sees to."""
        there = frozenset(waiting)
        for gone in [one for one in self.known if one not in there]:
            self._payees -= len(self.known.pop(gone))
        hinted = {one: None for one in self.unread if one in there}
        self.unread = hinted | {one: None for one in there if one not in self.known and one not in hinted}
        self.answers = True

    def note_hinted(self, entered: Iterable[TxHash]) -> None:
        """These came in; they are read first."""
        new = {one: None for one in entered if one not in self.known}
        if new and len(self.known) + len(self.unread) + len(new) <= HELD_MAX:
            self.unread = new | {one: None for one in self.unread if one not in new}

    def next_unread(self, count: int) -> list[TxHash]:
        """Those to read next."""
        return list(islice(self.unread, count))

    def note_read(self, asked: Iterable[TxHash], txs: Iterable[WaitingTx]) -> None:
        """These were asked for and dealt with; who was not among the answers does not wait any more."""
        for one in asked:
            self.unread.pop(one, None)
        for tx in txs:
            prints = array("q", {hash(transfer.recipient) for transfer in tx.transfers})
            if self._payees + len(prints) > PAYEES_MAX:
                prints = TOO_MANY
            self._payees += len(prints) - len(self.known.get(tx.tx_hash, TOO_MANY))
            self.known[tx.tx_hash] = prints

    def find_paying(self, addresses: Iterable[Address]) -> list[TxHash]:
        """The transactions that were read and may pay one of these."""
        wanted = {hash(address) for address in addresses}
        return [one for one, prints in self.known.items() if prints and not wanted.isdisjoint(prints)]

    def read_again(self, tx_hashes: Iterable[TxHash]) -> None:
        """These are to be read once more, before all others."""
        again = {one: None for one in tx_hashes if one in self.known}
        for one in again:
            self._payees -= len(self.known.pop(one))
        self.unread = again | self.unread

    def forget(self) -> None:
        """Nothing of this is to be relied on: it begins anew."""
        self.known, self.unread, self._payees, self.answers = {}, {}, 0, False


@dataclass(slots=True)
class MempoolBoard:
    """All mempools of one chain; `missing_since` of transactions that matter to us and that no node shows."""

    books: dict[str, WaitingBook] = field(default_factory=dict)
    missing_since: dict[TxHash, datetime] = field(default_factory=dict)
    looked_at: datetime | None = None

    def open_book(self, name: str) -> WaitingBook:
        """The book of one more node."""
        book = self.books[name] = WaitingBook(name)
        return book

    @property
    def rungs(self) -> tuple[FeeRung, ...]:
        """What the next blocks want, by the first node that says."""
        return next((one.rungs for one in self.books.values() if one.rungs), ())

    def note_undecided(self, undecided: Iterable[TxHash], now: datetime) -> Mapping[TxHash, datetime]:
        """Which of these no node shows that answers, and since when; nothing is missing where none does."""
        answering = [book for book in self.books.values() if book.answers]
        if not answering:
            return {}
        missing = [one for one in undecided if not any(one in book for book in answering)]
        if self.looked_at is None or now - self.looked_at > SILENCE_MAX:
            self.missing_since = {}
        self.looked_at = now
        self.missing_since = {one: self.missing_since.get(one, now) for one in missing}
        return self.missing_since

    def forget_txs(self, tx_hashes: Iterable[TxHash]) -> None:
        """These were told as gone: a node that shows one of them again has something to tell."""
        for one in tx_hashes:
            for book in self.books.values():
                book.read_again([one])

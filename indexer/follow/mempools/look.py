"""Looking at one node's mempool: what came in is told as seen, and what is gone is found out.

A look is one bounded step beside the follower's: so many transactions are read, and at most one short transaction is
written.  It says something only while the node stands on the block that is our tip; whatever else it shows says nothing
of what waits on our chain.  What is remembered is `rules.waiting`, what is written is `move.waiting`, when to look is
`watch`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from chains.errors import ChainError, Inconsistent
from chains.mempool import FeeRung, MempoolSource
from chains.model import BlockRef, ConflictKey, TxHash
from indexer.move.commit import ChainDesk
from indexer.move.waiting import MempoolLook, Told, commit_look, complete_watched, find_waiting_hits
from indexer.rows.storage import ChainRecord, Undecided
from indexer.rules.deposits import Change, DepositState
from indexer.rules.plan import Superseded
from indexer.rules.unconfirmed import EVICTED_AFTER, Wait, accept_rungs, is_readable
from indexer.rules.waiting import HELD_MAX, MempoolBoard, WaitingBook

TXS_READ_MAX = 500
"""Transactions that one look reads; the rest waits for the next, which follows at once."""

HITS_MAX = 1_000
"""Transfers to watched addresses that one look records, and at least one transaction's: what waits costs its payer nothing."""

UNDECIDED_MAX = 10_000
"""Deposits of one chain that wait at a time: with so many none is begun, and the block tells of it."""

LATER_MAX = 1_000
"""Transactions of one mempool that pay somebody whose address or asset does not count yet: read again with each block."""

HINTS_MAX = 5_000
"""Of one look: what more came in at once is found by the next look at the whole."""

RIVALS_ASKED_MAX = 5_000
"""Keys whose spender one look asks for, of those that are missing for the shortest time first."""


@dataclass(frozen=True, slots=True)
class Looked:
    """The look went through; `is_more`: there is more to read at once.  `unreadable_count`: what no rule can judge."""

    changes: Sequence[Change] = ()
    is_more: bool = False
    unreadable_count: int = 0


@dataclass(frozen=True, slots=True)
class Apart:
    """The node stands on another block than we do: what waits there may not wait on our chain."""


@dataclass(frozen=True, slots=True)
class NotNow:
    """The chain has not begun, is halted, or moved while it was looked: nothing was told."""


LookOutcome = Looked | Apart | NotNow


class MempoolLooker:
    """Steps of one node's mempool; `board` is shared by all nodes of the chain."""

    def __init__(self, desk: ChainDesk, mempool: MempoolSource, board: MempoolBoard) -> None:
        self._desk = desk
        self._chain = desk.settings.traits.chain
        self._mempool = mempool
        self._board = board
        self.book: WaitingBook = board.open_book(mempool.name)
        self._lease_epoch = desk.lease_epoch
        self._watch_version = desk.watched.version
        self._undecided_count = 0
        self._seen: list[TxHash] = []
        self._ours: set[TxHash] = set()
        self._left: set[TxHash] = set()
        self._rungs_said: Sequence[FeeRung] = ()
        self._later: set[TxHash] = set()
        self._tip_read: BlockRef | None = None

    async def step(
        self, now: datetime, *, is_whole: bool, entered: Sequence[TxHash] = (), asks_fees: bool = False
    ) -> LookOutcome:
        """Look once: at what came in, and where `is_whole` at everything that waits; `asks_fees` of the next blocks too.

        Raises `ChainError` of the node, and `LeaseLost` and `DatabaseAway` of the store; then nothing is told.
        """
        record = await self._desk.store.load_chain(self._chain)
        if record is None or record.is_halted:
            return NotNow()
        try:
            return await self._look(record, now, is_whole=is_whole, entered=entered, asks_fees=asks_fees)
        except ChainError:
            self.book.answers = False
            raise

    def note_left(self, left: Collection[TxHash]) -> bool:
        """These are said to be put away; whether a look at the whole would tell anything of ours.

        It is held against what nodes show then, so a lie costs one look, and what strangers' payments do costs none.
        """
        ours = self._ours.intersection(left)
        self._left |= ours
        return bool(ours)

    async def _look(
        self,
        record: ChainRecord,
        now: datetime,
        *,
        is_whole: bool,
        entered: Sequence[TxHash],
        asks_fees: bool,
    ) -> LookOutcome:
        if self._lease_epoch != self._desk.lease_epoch:
            # Whatever was told meanwhile was another's: nothing that is remembered is known to have been told.
            self.book.forget()
            self._lease_epoch = self._desk.lease_epoch
        self.book.note_hinted(entered[:HINTS_MAX])
        await self._hear_of_addresses()
        self.book.is_apart = await self._mempool.fetch_tip() != record.tip.hash
        if self.book.is_apart:
            self.book.answers = False
            return Apart()
        if self._tip_read != record.tip:
            # What did not count before this block may count in the next; what was told may have been taken back.
            self.book.read_again(self._later)
            is_whole = True
        if asks_fees:
            await self._ask_fees()
        waits: Mapping[TxHash, Wait] = {}
        if is_whole:
            waits = await self._look_at_all(now)
            self._tip_read = record.tip
        asked = self.book.next_unread(TXS_READ_MAX)
        answered = await self._mempool.fetch_waiting_txs(asked) if asked else []
        wanted = set(asked)
        txs = [tx for tx in answered if tx.tx_hash in wanted]
        readable = [tx for tx in txs if is_readable(tx)]
        if len(paid := find_waiting_hits(MempoolLook(record.tip, readable), self._desk.watched)) > HITS_MAX:
            # The rest is asked for again; a transaction is judged as a whole.
            first = {hit.transfer.tx_hash for hit in paid[:HITS_MAX]}
            readable = [tx for tx in readable if tx.tx_hash in first]
            txs = readable
            asked = [tx.tx_hash for tx in txs]
        look = MempoolLook(
            record.tip,
            readable,
            waits,
            self._seen if self._board.rungs != self._rungs_said else (),
            self._board.rungs,
            may_begin=self._undecided_count < UNDECIDED_MAX,
        )
        told = Told()
        if waits or look.seen or paid:
            if await self._mempool.fetch_tip() != record.tip.hash:
                # It took or left a block while it was read: what it showed since stood on that.
                self.book.is_apart, self.book.answers = True, False
                return Apart()
            written = await commit_look(self._desk, look, now=now)
            if isinstance(written, Superseded):
                return NotNow()
            told = written
        if is_whole:
            self._left.clear()
        self._note_told(look, told)
        self.book.note_read(asked, txs)
        return Looked(told.changes, bool(self.book.unread), len(txs) - len(readable))

    def _note_told(self, look: MempoolLook, told: Told) -> None:
        """What has to be read again, and when; nothing of it before the look was written."""
        if look.seen:
            self._rungs_said = look.rungs
        seen = [one.deposit.tx_hash for one in told.changes if one.deposit.state is DepositState.SEEN]
        self._undecided_count += len(seen)
        self._ours.update(seen)
        self._later.difference_update(tx.tx_hash for tx in look.txs)
        self._later.update(islice(told.later, LATER_MAX - len(self._later)))
        dropped = {one.deposit.tx_hash for one in told.changes if one.deposit.state is DepositState.DROPPED}
        self._board.forget_txs(dropped)

    async def _hear_of_addresses(self) -> None:
        """Whoever registered since the last look may have been paid by what waits already."""
        store, watched = self._desk.store, self._desk.watched
        if await store.load_watch_version(self._chain) > watched.version:
            await complete_watched(self._desk)
        if not self.book.known:
            self._watch_version = watched.version
        if self._watch_version < watched.version:
            page = await store.load_watch_page(
                self._chain, after_version=self._watch_version, up_to_version=watched.version
            )
            self.book.read_again(self.book.find_paying(page.addresses))
            self._watch_version = page.version if page.addresses else watched.version

    async def _ask_fees(self) -> None:
        """What the node says of the next blocks; one that refuses says nothing."""
        try:
            self.book.rungs = accept_rungs(await self._mempool.fetch_fee_rungs())
        except ChainError:
            self.book.rungs = ()

    async def _look_at_all(self, now: datetime) -> dict[TxHash, Wait]:
        """Bring the book up to date; of our transactions that nobody shows, those of which that says something."""
        waiting = await self._mempool.fetch_waiting()
        if len(waiting) > HELD_MAX:
            raise Inconsistent(
                f"lists {len(waiting)} waiting transactions, more than {HELD_MAX}",
                provider=self._mempool.name,
            )
        undecided = await self._desk.store.load_undecided(self._chain, limit=UNDECIDED_MAX)
        self._undecided_count = sum(one.deposits_count for one in undecided)
        self._seen = [one.tx_hash for one in undecided if one.is_seen]
        self._ours = {one.tx_hash for one in undecided}
        self.book.note_waiting(waiting)
        # What was read before its block left is read again: it was told as something else meanwhile.
        self.book.read_again([one.tx_hash for one in undecided if not one.is_seen])
        missing = self._board.note_undecided([one.tx_hash for one in undecided], now)
        rivals = await self._ask_rivals(undecided, missing)
        waits = {
            one: Wait(waits=False, missing_since=since, rival=rivals.get(one), put_away=one in self._left)
            for one, since in missing.items()
            if one in rivals or one in self._left or now - since >= EVICTED_AFTER
        }
        return {one: wait for one, wait in waits.items() if wait.rival != one}

    async def _ask_rivals(
        self, undecided: Sequence[Undecided], missing: Mapping[TxHash, datetime]
    ) -> dict[TxHash, TxHash]:
        """Who waits in the stead of what is missing; it may be itself, where it has just come back."""
        gone = sorted(
            (one for one in undecided if one.tx_hash in missing),
            key=lambda one: missing[one.tx_hash],
            reverse=True,
        )
        keys: set[ConflictKey] = set()
        for one in gone:
            if len(keys) + len(one.spends) <= RIVALS_ASKED_MAX:
                keys.update(one.spends)
        spenders = await self._mempool.fetch_spenders(list(keys)) if keys else {}
        return {
            one.tx_hash: spenders[key]
            for one in gone
            for key in one.spends
            if key in keys and key in spenders
        }

"""One node's mempool: what waits there, read from each transaction's own bytes, and who would spend what.

The port's `MempoolSource`.  Hints are the node's `sequence` over ZMQ (`tips`); what was missed of them, the next look
at the whole shows.  Fees are asked as decimals and never counted as anybody's money.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal

import structlog
from msgspec import Struct

from chains.bitcoin.coins import COIN_BASE_UNITS
from chains.bitcoin.nodes.answers import is_unknown_transaction, read_answer, read_hash, read_transaction
from chains.bitcoin.nodes.node import BitcoinNode
from chains.bitcoin.nodes.reading import Reading
from chains.bitcoin.rows.blocks import Transaction
from chains.bitcoin.value.outputs import UtxoTransfers, list_conflict_keys
from chains.errors import ChainError, Inconsistent, name_provider
from chains.mempool import FeeRung, WaitingTx
from chains.model import BlockHash, ConflictKey, Transfer, TxHash
from chains.rpc.jsonrpc import Call, Reply, expect_result
from chains.rpc.throttle import Priority

TRANSACTIONS_AT_ONCE = 250
OUTPOINTS_AT_ONCE = 500
ENTERED_MAX = 20_000
"""So many hints are kept for whoever reads slowly; more are looked for in the whole."""

FEE_TARGETS_BLOCKS = (2, 3, 6, 12, 24, 144)

_log = structlog.get_logger(__name__)


class _Fees(Struct, gc=False):
    base: Decimal
    ancestor: Decimal


class _Entry(Struct, gc=False):
    """Of `getmempoolentry` what is used; older nodes say it otherwise, and then nothing is said of fees."""

    vsize: int = 0
    ancestorcount: int = 1
    ancestorsize: int = 0
    fees: _Fees | None = None


class _Spender(Struct, gc=False):
    txid: str
    vout: int
    spendingtxid: str | None = None


class _Estimate(Struct, gc=False):
    blocks: int
    feerate: Decimal | None = None


class BitcoinMempool:
    """What one node knows of the transactions that wait."""

    def __init__(self, node: BitcoinNode, reading: Reading) -> None:
        self.node = node
        self.reading = reading
        self._entered: deque[TxHash] = deque()
        self._left: set[TxHash] = set()
        self._called = asyncio.Event()
        self._is_heard = self._has_missed = False

    @property
    def name(self) -> str:
        return self.node.name

    @property
    def are_hints_live(self) -> bool:
        return self._is_heard and not self._has_missed

    def note_entered(self, tx_hash: bytes, *, here: bool) -> None:
        """A node published that this one came in: this one, or another, where it may come later or never."""
        self._is_heard = here
        if len(self._entered) < ENTERED_MAX:
            self._entered.append(TxHash(tx_hash))
            self._called.set()
        else:
            self.note_missed()

    def note_left(self, tx_hash: bytes) -> None:
        """A node published that it put this one away, for another reason than a block."""
        if len(self._left) < ENTERED_MAX:
            self._left.add(TxHash(tx_hash))
        else:
            self.note_missed()

    def note_missed(self) -> None:
        """Some hints were lost: only the whole shows what came in."""
        self._has_missed = True
        self._called.set()

    def note_lost(self) -> None:
        """Nobody listens to the node now."""
        self._is_heard = False
        self.note_missed()

    async def fetch_tip(self) -> BlockHash:
        with self._blamed():
            (outcome,) = await self._ask([Call("getbestblockhash")])
            return read_hash(read_answer(outcome, str, "hash"), "the newest block")

    async def fetch_waiting(self) -> Collection[TxHash]:
        self._has_missed = False
        with self._blamed():
            (outcome,) = await self._ask([Call("getrawmempool", (False,))])
            ids = read_answer(outcome, list[str], "list of transactions")
            return {TxHash(read_hash(one, "a transaction")) for one in ids}

    async def fetch_waiting_txs(self, tx_hashes: Sequence[TxHash]) -> list[WaitingTx]:
        found: list[WaitingTx] = []
        with self._blamed():
            for begin in range(0, len(tx_hashes), TRANSACTIONS_AT_ONCE):
                found += await self._fetch_window(tx_hashes[begin : begin + TRANSACTIONS_AT_ONCE])
        return found

    async def fetch_spenders(self, keys: Sequence[ConflictKey]) -> dict[ConflictKey, TxHash]:
        found: dict[ConflictKey, TxHash] = {}
        with self._blamed():
            for begin in range(0, len(keys), OUTPOINTS_AT_ONCE):
                window = keys[begin : begin + OUTPOINTS_AT_ONCE]
                asked = [
                    {"txid": key[:32][::-1].hex(), "vout": int.from_bytes(key[32:], "little")}
                    for key in window
                ]
                (outcome,) = await self._ask([Call("gettxspendingprevout", (asked,))])
                told = read_answer(outcome, list[_Spender], "list of spenders")
                if [(one.txid, one.vout) for one in told] != [(one["txid"], one["vout"]) for one in asked]:
                    raise Inconsistent("tells the spenders of other outputs than were asked for")
                for key, one in zip(window, told, strict=True):
                    if one.spendingtxid is not None:
                        found[key] = TxHash(read_hash(one.spendingtxid, "a transaction"))
        return found

    async def fetch_fee_rungs(self) -> Sequence[FeeRung]:
        with self._blamed():
            outcomes = await self._ask([Call("estimatesmartfee", (blocks,)) for blocks in FEE_TARGETS_BLOCKS])
        rungs: list[FeeRung] = []
        for outcome in outcomes:
            if isinstance(outcome, ChainError):
                continue
            told = read_answer(outcome, _Estimate, "estimate")
            rate = None if told.feerate is None else _to_base_units(told.feerate)
            if rate and (not rungs or (told.blocks > rungs[-1].blocks and rate < rungs[-1].fee_rate_per_kvb)):
                rungs.append(FeeRung(told.blocks, rate))
        return rungs

    async def wait_for_entered(self, timeout_s: float) -> Sequence[TxHash]:
        try:
            async with asyncio.timeout(timeout_s):
                await self._called.wait()
        except TimeoutError:
            return []
        self._called.clear()
        entered = list(self._entered)
        self._entered.clear()
        return entered

    def take_left(self) -> Collection[TxHash]:
        left, self._left = self._left, set()
        return left

    async def _fetch_window(self, tx_hashes: Sequence[TxHash]) -> list[WaitingTx]:
        calls = [
            call
            for one in tx_hashes
            for call in (Call("getmempoolentry", (one.hex(),)), Call("getrawtransaction", (one.hex(), False)))
        ]
        outcomes = await self._ask(calls) if calls else []
        found: list[WaitingTx] = []
        for place, tx_hash in enumerate(tx_hashes):
            entry, raw = outcomes[2 * place : 2 * place + 2]
            # One that a block holds meanwhile is known, too, and waits no more.
            if is_unknown_transaction(entry) or is_unknown_transaction(raw):
                continue
            waiting = self._read(tx_hash, entry, read_answer(raw, str, "transaction"))
            if waiting is not None:
                found.append(waiting)
        return found

    def _read(self, tx_hash: TxHash, entry: Reply, text: str) -> WaitingTx | None:
        """What waits; None for one that carries an extension, whose outputs only its block tells (Litecoin)."""
        try:
            transaction = read_transaction(self.reading.coin, text, tx_hash)
        except Inconsistent as error:
            if not self.reading.coin.extension_flag:
                raise
            _log.info(
                "waiting-transaction-unread", provider=self.name, tx_hash=tx_hash.hex(), reason=error.detail
            )
            return None
        told = read_answer(expect_result(entry), _Entry, "entry of the mempool")
        return WaitingTx(
            tx_hash=tx_hash,
            transfers=self._list_transfers(transaction),
            spends=list_conflict_keys(transaction),
            fee_rate_per_kvb=_compute_rate(told),
            has_unconfirmed_parents=told.ancestorcount > 1,
        )

    def _list_transfers(self, transaction: Transaction) -> tuple[Transfer, ...]:
        table = UtxoTransfers(self.reading.coin, self.reading.asset, [transaction])
        return tuple(replace(table.at(index), position="") for index in range(len(table.recipients)))

    async def _ask(self, calls: Sequence[Call]) -> list[Reply]:
        return await self.node.ask(calls, Priority.BACKFILL, patient=True)

    @contextmanager
    def _blamed(self) -> Iterator[None]:
        try:
            yield
        except ChainError as error:
            raise name_provider(error, self.name) from error.__cause__


def _compute_rate(told: _Entry) -> int | None:
    """What it offers, or it with its unconfirmed parents where that is less."""
    if told.fees is None or told.vsize < 1 or told.ancestorsize < 1:
        return None
    alone = _to_base_units(told.fees.base) * 1000 // told.vsize
    together = _to_base_units(told.fees.ancestor) * 1000 // told.ancestorsize
    return min(alone, together)


def _to_base_units(coins: Decimal) -> int:
    """Coins as nodes write them in JSON, read from their digits."""
    if not coins.is_finite() or not 0 <= coins < COIN_BASE_UNITS:
        raise Inconsistent("no fee where one was due")
    return int(coins * COIN_BASE_UNITS)

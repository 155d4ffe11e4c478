"""What a block paid to which script, and what it used up.  Pure.

Every output that holds something is a transfer to its exact script; its place
among the transaction's outputs is its ordinal.  Who paid stands in no block:
an input names the output it spends and not whose that was.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from chains.bitcoin.coins import Coin
from chains.bitcoin.rows.blocks import COINBASE_OUTPOINT, Transaction
from chains.model import (
    Address,
    AssetId,
    ConflictKey,
    Movement,
    Transfer,
    TransferKind,
    TxHash,
    format_position,
)


class UtxoTransfers:
    """A block's outputs as the port's `TransferTable`."""

    __slots__ = ("_asset", "_coin", "_places", "_spent", "_transactions", "recipients")

    def __init__(self, coin: Coin, asset: AssetId, transactions: Sequence[Transaction]) -> None:
        self._coin = coin
        self._asset = asset
        self._transactions = transactions
        self._places = [
            (place, n)
            for place, one in enumerate(transactions)
            for n, output in enumerate(one.outputs)
            if output.value_base_units
        ]
        self.recipients: Sequence[bytes] = [
            transactions[place].outputs[n].script for place, n in self._places
        ]
        self._spent: dict[bytes, int] | None = None

    def at(self, index: int) -> Transfer:
        place, n = self._places[index]
        transaction = self._transactions[place]
        output = transaction.outputs[n]
        return Transfer(
            tx_hash=TxHash(transaction.shown_id),
            kind=TransferKind.UTXO,
            asset=self._asset,
            recipient=Address(output.script),
            senders=(),
            n=n,
            amount_base_units=output.value_base_units,
            position=format_position(place, n),
            conflict_keys=list_conflict_keys(transaction),
            matures_after_blocks=_compute_maturity(self._coin, transaction),
        )

    @property
    def spends(self) -> Collection[ConflictKey]:
        return self._index_spent().keys()  # type: ignore[return-value]  # bytes are what a key is made of

    def spent_by(self, key: ConflictKey) -> TxHash | None:
        place = self._index_spent().get(key)
        return None if place is None else TxHash(self._transactions[place].shown_id)

    def _index_spent(self) -> dict[bytes, int]:
        if self._spent is None:
            self._spent = {
                outpoint: place for place, one in enumerate(self._transactions) for outpoint in one.outpoints
            }
            self._spent.pop(COINBASE_OUTPOINT, None)
        return self._spent


def list_conflict_keys(transaction: Transaction) -> tuple[ConflictKey, ...]:
    """What the transaction uses up: the outpoints it spends. A coinbase spends none."""
    return () if transaction.is_coinbase else tuple(map(ConflictKey, transaction.outpoints))


def read_spent(key: ConflictKey) -> tuple[TxHash, int]:
    """The output that an outpoint names: its transaction, as people read it, and its place there."""
    return TxHash(key[:32][::-1]), int.from_bytes(key[32:], "little")


def _compute_maturity(coin: Coin, transaction: Transaction) -> int:
    """How many confirmations its outputs need to be spent: those of a reward, and those that came out of an extension."""
    if transaction.is_coinbase:
        return coin.coinbase_maturity_blocks
    return coin.extension_maturity_blocks if transaction.is_extension else 0


def list_movements(asset: AssetId, transaction: Transaction) -> tuple[Movement, ...]:
    """What a transaction claims to pay, for explaining."""
    return tuple(
        Movement(
            kind=TransferKind.UTXO,
            asset=asset,
            contract=None,
            claimed_symbol=None,
            sender=None,
            recipient=Address(output.script),
            amount_base_units=output.value_base_units,
        )
        for output in transaction.outputs
        if output.value_base_units
    )

"""Which addresses are held against their balance, and what a difference means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from chains.model import (
    Address,
    AssetId,
    Block,
    BlockHash,
    BlockRef,
    Header,
    ListedTransfers,
    NativeChange,
    Transfer,
    TransferKind,
    TxHash,
    VerificationLevel,
)
from indexer.rules.balances import Verdict, are_covered, choose_held, judge_change, native_recipients
from indexer.rules.matching import Hit

SHOP, OTHER = Address(b"\x55" * 20), Address(b"\x66" * 20)
HEADER = Header(7, BlockHash(b"\xb1" * 32), BlockRef(6, BlockHash(b"\xb0" * 32)), 0)


@dataclass(slots=True)
class Ledger:
    """A ledger that says what a test says."""

    is_traced: bool = True
    told: dict[Address, NativeChange] = field(default_factory=dict)

    def changes(self) -> Mapping[Address, NativeChange]:
        return self.told


def hit(recipient: Address, kind: TransferKind) -> Hit:
    transfer = Transfer(TxHash(b"\x01" * 32), kind, AssetId("a"), recipient, (), 0, 5, "", ())
    return Hit(HEADER, transfer)


def block(ledger: Ledger | None) -> Block:
    return Block(HEADER, 1, 0, 0, VerificationLevel.FULL, "node", ListedTransfers(), ledger)


def test_only_native_coin_is_held_and_each_recipient_once() -> None:
    hits = [
        hit(SHOP, TransferKind.NATIVE),
        hit(SHOP, TransferKind.INTERNAL),
        hit(OTHER, TransferKind.TOKEN),
    ]
    assert native_recipients(hits) == {HEADER.hash: {SHOP}}


def test_only_traced_blocks_are_held() -> None:
    recipients = {HEADER.hash: {SHOP}}
    change = {SHOP: NativeChange(5)}
    assert choose_held([block(None), block(Ledger(is_traced=False, told=change))], recipients) == []
    (held,) = choose_held([block(Ledger(told=change | {OTHER: NativeChange(1)}))], recipients)
    assert held.changes == change
    assert choose_held([block(Ledger(told=change))], {}) == []


def test_an_address_that_was_registered_meanwhile_is_not_covered() -> None:
    held = {HEADER.hash: {SHOP}}
    assert are_covered(held, [hit(SHOP, TransferKind.INTERNAL), hit(OTHER, TransferKind.TOKEN)])
    assert not are_covered(held, [hit(OTHER, TransferKind.NATIVE)])
    assert not are_covered({}, [hit(SHOP, TransferKind.NATIVE)])


@pytest.mark.parametrize(
    ("change", "after", "verdict"),
    [
        (NativeChange(5), 15, Verdict.HOLDS),
        (NativeChange(5), 14, Verdict.CONTRADICTS),
        (NativeChange(5), 16, Verdict.CONTRADICTS),
        (NativeChange(-4), 6, Verdict.HOLDS),
        (NativeChange(5, "fees"), 14, Verdict.UNKNOWN),
        (NativeChange(5, "fees"), 15, Verdict.HOLDS),
    ],
)
def test_a_difference_contradicts_unless_a_term_is_unknown(
    change: NativeChange, after: int, verdict: Verdict
) -> None:
    assert judge_change(change, 10, after) is verdict

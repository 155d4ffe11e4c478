"""What is remembered of a mempool: bounded, complete, and found again by payee."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from datetime import timedelta

import pytest

from chains.mempool import WaitingTx
from chains.model import Address, TxHash
from indexer.rules import waiting
from indexer.rules.waiting import SILENCE_MAX, MempoolBoard, WaitingBook
from tests.unit.indexer.making import NOW, TILL, transfer

MEMPOOL_TXS = 50_000
MEMORY_MAX_BYTES = 150_000_000
SHARE = 10
"""What is measured is a tenth of it: each transaction costs as much as the next."""


def name(number: int) -> TxHash:
    return TxHash(number.to_bytes(32, "big"))


def tx(number: int, *payees: Address) -> WaitingTx:
    return WaitingTx(name(number), tuple(transfer(tx=str(number), recipient=one) for one in payees), ())


def read(book: WaitingBook, *txs: WaitingTx) -> None:
    book.note_read([one.tx_hash for one in txs], txs)


def test_fifty_thousand_transactions_fit_in_the_memory_they_are_given() -> None:
    book = WaitingBook("node")
    tracemalloc.start()
    try:
        book.note_waiting([name(one) for one in range(MEMPOOL_TXS // SHARE)])
        while asked := book.next_unread(500):
            txs = [
                WaitingTx(one, tuple(transfer(recipient=Address(one + bytes([n]))) for n in range(3)), ())
                for one in asked
            ]
            book.note_read(asked, txs)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert book.waiting_count == MEMPOOL_TXS // SHARE
    assert peak_bytes * SHARE < MEMORY_MAX_BYTES / 3
    assert book.find_paying([Address(name(77) + b"\x01")]) == [name(77)]


def test_everything_that_waits_is_read_once_and_what_left_is_forgotten() -> None:
    book = WaitingBook("node")
    book.note_waiting([name(1), name(2)])
    assert set(book.next_unread(10)) == {name(1), name(2)}
    read(book, tx(1, TILL), tx(2))
    book.note_waiting([name(1), name(3)])
    assert book.next_unread(10) == [name(3)]
    assert name(2) not in book
    book.note_read([name(3)], [])
    assert name(3) not in book, "it left before it was read"


def test_hints_go_first_and_are_no_end_of_work(monkeypatch: pytest.MonkeyPatch) -> None:
    book = WaitingBook("node")
    book.note_waiting([name(1), name(2)])
    book.note_hinted([name(9)])
    assert book.next_unread(1) == [name(9)]
    monkeypatch.setattr(waiting, "HELD_MAX", 4)
    book.note_hinted([name(10), name(11)])
    assert book.waiting_count == 3, "what is too much the next look at the whole finds"


def test_payees_are_found_up_to_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "PAYEES_MAX", 2)
    book, other = WaitingBook("node"), Address(b"another till".ljust(20))
    read(book, tx(1, TILL, other), tx(2, TILL))
    assert book.find_paying([TILL]) == [name(1)]
    book.note_waiting([name(2)])
    book.read_again([name(2)])
    read(book, tx(2, TILL))
    assert book.find_paying([TILL]) == [name(2)], "there is room again"


def on_board(*held: Sequence[int]) -> MempoolBoard:
    board = MempoolBoard()
    for number, txs in enumerate(held):
        board.open_book(f"node-{number}").note_waiting([name(one) for one in txs])
    return board


def test_missing_is_what_no_node_shows_that_answers() -> None:
    board = on_board([1], [2])
    assert dict(board.note_undecided([name(1), name(2), name(3)], NOW)) == {name(3): NOW}
    board.books["node-0"].answers = False
    later = NOW + timedelta(seconds=30)
    assert dict(board.note_undecided([name(1), name(2), name(3)], later)) == {name(1): later, name(3): NOW}
    board.books["node-1"].answers = False
    assert dict(board.note_undecided([name(1)], later)) == {}


def test_what_is_shown_again_or_undecided_no_more_begins_anew() -> None:
    board = on_board([1])
    board.note_undecided([name(2), name(3)], NOW)
    board.books["node-0"].note_waiting([name(2)])
    later = NOW + timedelta(seconds=30)
    assert dict(board.note_undecided([name(2)], later)) == {}
    board.books["node-0"].note_waiting([])
    assert dict(board.note_undecided([name(2), name(3)], later)) == {name(2): later, name(3): later}


def test_time_in_which_nobody_looked_does_not_count() -> None:
    board = on_board([])
    board.note_undecided([name(1)], NOW)
    in_time = NOW + SILENCE_MAX
    assert dict(board.note_undecided([name(1)], in_time)) == {name(1): NOW}
    late = in_time + SILENCE_MAX + timedelta(seconds=1)
    assert dict(board.note_undecided([name(1)], late)) == {name(1): late}


def test_what_was_told_as_gone_is_news_wherever_it_is_shown() -> None:
    board = on_board([1], [])
    read(board.books["node-0"], tx(1, TILL))
    board.forget_txs([name(1)])
    assert board.books["node-0"].next_unread(5) == [name(1)]
    assert board.books["node-1"].next_unread(5) == []

"""Whose coins a transaction spends: from recorded deposits and from the same blocks, whatever the keys say.

Here: naming payers, and what is made of them. Not here: a node's own transactions (`tests/live_bitcoin/test_own_money.py`).
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chains.bitcoin.value.outputs import read_spent
from chains.model import Address, ConflictKey, TxHash
from indexer.rules.deposits import Deposit, DepositState
from indexer.rules.matching import Hit, list_spent, name_payers, parties
from tests.unit.indexer.making import TILL, header, recorded, transfer

OTHER = Address(b"another-till-of-shop")


def key_of(tx_hash: TxHash, n: int) -> ConflictKey:
    return ConflictKey(tx_hash[::-1] + n.to_bytes(4, "little"))


def hash_of(number: int) -> TxHash:
    return TxHash(number.to_bytes(32, "big"))


def hit(number: int, *spends: tuple[int, int], n: int = 0, to: Address = TILL) -> Hit:
    keys = tuple(key_of(hash_of(tx), place) for tx, place in spends)
    moved = replace(transfer(), tx_hash=hash_of(number), n=n, recipient=to, conflict_keys=keys, senders=())
    return Hit(header(10), moved)


def deposit(number: int, n: int = 0, to: Address = TILL) -> Deposit:
    return replace(recorded(), tx_hash=hash_of(number), n=n, recipient=to)


@given(st.binary(min_size=32, max_size=32), st.integers(0, 2**32 - 1))
def test_an_outpoint_names_the_transaction_as_people_read_it(tx_hash: bytes, n: int) -> None:
    assert read_spent(key_of(TxHash(tx_hash), n)) == (tx_hash, n)


@pytest.mark.parametrize("state", DepositState)
def test_what_became_of_a_deposit_does_not_change_whose_coins_it_is(state: DepositState) -> None:
    (named,) = name_payers([hit(2, (1, 0))], [replace(deposit(1), state=state)], read_spent)
    assert named.payers == {TILL}


@pytest.mark.parametrize(
    "spends",
    [(), ((1, 1),), ((1, 2**32 - 1),), ((9, 0),), ((2, 0),), ((0, 0),)],
    ids=["nothing", "another output", "no output", "a stranger's", "itself otherwise", "a hash of zeros"],
)
def test_other_outputs_are_nobodys(spends: tuple[tuple[int, int], ...]) -> None:
    (named,) = name_payers([hit(2, *spends, n=7)], [deposit(1)], read_spent)
    assert named.payers == frozenset()


def test_one_own_coin_among_strangers_is_enough_and_all_outputs_share_it() -> None:
    spends = ((8, 0), (9, 3), (1, 0))
    named = name_payers([hit(2, *spends), hit(2, *spends, n=1, to=OTHER)], [deposit(1)], read_spent)
    assert [one.payers for one in named] == [{TILL}, {TILL}]
    assert parties(named) == {TILL, OTHER}


def test_a_child_that_is_read_before_its_parent_is_named_as_well() -> None:
    child, parent = name_payers([hit(2, (1, 0)), hit(1, (8, 0), to=OTHER)], (), read_spent)
    assert [child.payers, parent.payers] == [frozenset({OTHER}), frozenset()]


def test_each_transaction_is_looked_up_once_however_many_inputs_it_has() -> None:
    hits = [hit(2, *((1, place) for place in range(20_000)), n=n) for n in range(2)]
    assert list_spent(hits, read_spent) == {hash_of(1)}
    assert list_spent([hit(3)], read_spent) == set()

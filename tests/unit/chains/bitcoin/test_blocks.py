"""A block of this family is believed for its bytes alone, and any byte changed is noticed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chains.bitcoin.coins import Coin
from chains.bitcoin.rows.blocks import decode_block, decode_header, decode_transaction
from chains.bitcoin.rows.wire import Cursor, Malformed
from chains.bitcoin.verify.block import check_block
from chains.errors import Inconsistent
from tests.unit.chains.bitcoin.making import (
    EASY_BITS,
    EASY_DOGECOIN,
    EASY_LITECOIN,
    OTHER,
    REGTEST,
    Tx,
    coinbase_for,
    header,
    length,
    make_block,
    make_merged,
    outpoint,
    output,
    pay,
    root_of,
    twice,
    work,
)

TILL = bytes.fromhex("0014") + b"\7" * 20
PAYMENT = pay((1_000, TILL), (2_000, b"\x51"), witness=True)
OLD_PAYMENT = pay((5, TILL), spends="older")
EXTENSION = Tx(
    ((outpoint("peg"), b""),), (output(9, b"\x58\x20" + b"\1" * 32), output(4, TILL)), is_extension=True
)


def shown(coin: Coin, raw: bytes) -> bytes:
    return decode_block(raw, coin).header.hash[::-1]


@pytest.mark.parametrize(
    ("coin", "raw"),
    [
        (REGTEST, make_block(REGTEST)),
        (REGTEST, make_block(REGTEST, OLD_PAYMENT)),
        (REGTEST, make_block(REGTEST, PAYMENT, OLD_PAYMENT, pay((1, b""), spends="third", witness=True))),
        (EASY_LITECOIN, make_block(EASY_LITECOIN, PAYMENT, EXTENSION, extension=b"\1and more")),
        (EASY_DOGECOIN, make_block(EASY_DOGECOIN, OLD_PAYMENT)),
        (EASY_DOGECOIN, make_merged(EASY_DOGECOIN, OLD_PAYMENT)),
    ],
    ids=["alone", "old", "witnesses", "extension", "scrypt", "merged"],
)
def test_a_true_block_is_believed_and_read(coin: Coin, raw: bytes) -> None:
    block = decode_block(raw, coin)
    check_block(coin, block, shown(coin, raw))
    paid = [one.value_base_units for tx in block.transactions for one in tx.outputs if one.script == TILL]
    assert paid == [
        value for value, tx in ((1_000, PAYMENT), (5, OLD_PAYMENT), (4, EXTENSION)) if tx.raw in raw
    ]
    for tx in (PAYMENT, OLD_PAYMENT, EXTENSION):
        if tx.raw in raw:
            assert (tx.id, tx.full_id) in [(one.id, one.full_id) for one in block.transactions]


@given(st.data())
def test_any_byte_changed_is_noticed(data: st.DataObject) -> None:
    coin, raw = data.draw(st.sampled_from(WHOLE))
    place = data.draw(st.integers(0, len(raw) - 1))
    bent = bytearray(raw)
    bent[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises((Malformed, Inconsistent)):
        check_block(coin, decode_block(bytes(bent), coin), shown(coin, raw))


WHOLE = [
    (REGTEST, make_block(REGTEST, OLD_PAYMENT)),
    (REGTEST, make_block(REGTEST, PAYMENT, OLD_PAYMENT)),
    (EASY_DOGECOIN, make_block(EASY_DOGECOIN, OLD_PAYMENT)),
]


@given(st.data())
def test_bytes_cut_off_or_added_are_refused(data: st.DataObject) -> None:
    coin, raw = data.draw(st.sampled_from(WHOLE))
    keep = data.draw(st.integers(0, len(raw) - 1))
    for bent in (raw[:keep], raw + b"\0", raw + raw[:keep]):
        if bent != raw:
            with pytest.raises(Malformed):
                decode_block(bent, coin)


@given(st.binary(max_size=400))
def test_no_bytes_are_a_surprise(raw: bytes) -> None:
    for coin in (REGTEST, EASY_LITECOIN, EASY_DOGECOIN):
        for decode in (decode_block, decode_header, decode_transaction):
            try:
                decode(raw, coin)
            except Malformed:
                continue


@pytest.mark.parametrize(
    "raw",
    [b"\xfd\xfc\0", b"\xfe\xff\xff\0\0", b"\xff" + b"\xff" * 4 + bytes(4), b"", b"\xfd\1", b"\xff" * 8],
)
def test_a_length_has_one_spelling(raw: bytes) -> None:
    with pytest.raises(Malformed):
        Cursor(raw).read_length("it")


def test_a_few_bytes_never_promise_gigabytes() -> None:
    raw = bytes(80) + b"\xfe\xff\xff\xff\xff"
    with pytest.raises(Malformed, match="do not fit"):
        decode_block(raw, REGTEST)


def rebuild(*everything: Tx, root: bytes | None = None) -> bytes:
    made = work(REGTEST, bytes(32), root_of([tx.id for tx in everything]) if root is None else root)
    return made + length(len(everything)) + b"".join(tx.raw for tx in everything)


FIRST = coinbase_for([], commits=False)
TRUE_COMMITMENT = coinbase_for([PAYMENT], commits=True)
OTHER_WITNESS = replace(PAYMENT, witnesses=((b"another signature", b"key"),))
LIES: dict[str, bytes] = {
    "no-coinbase": rebuild(OLD_PAYMENT),
    "two-coinbases": rebuild(FIRST, FIRST, OLD_PAYMENT),
    "coinbase-last": rebuild(OLD_PAYMENT, FIRST),
    "another-payment": rebuild(FIRST, pay((9, TILL)), root=root_of([FIRST.id, OLD_PAYMENT.id])),
    "left-out": rebuild(FIRST, root=root_of([FIRST.id, OLD_PAYMENT.id])),
    "said-twice": rebuild(
        FIRST, OLD_PAYMENT, PAYMENT, PAYMENT, root=root_of([FIRST.id, OLD_PAYMENT.id, PAYMENT.id])
    ),
    "witness-uncommitted": rebuild(FIRST, PAYMENT),
    "another-witness": rebuild(TRUE_COMMITMENT, OTHER_WITNESS),
    "commitment-unopened": rebuild(replace(TRUE_COMMITMENT, witnesses=()), PAYMENT),
    "more-than-there-is": rebuild(FIRST, pay((21_000_000 * 10**8 + 1, TILL))),
    "more-in-sum": rebuild(FIRST, pay((20_000_000 * 10**8, TILL), (20_000_000 * 10**8, TILL))),
    "negative": rebuild(FIRST, pay((2**64 - 1, TILL))),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_block_that_its_header_does_not_cover_is_refused(lie: str) -> None:
    with pytest.raises(Inconsistent):
        check_block(REGTEST, decode_block(LIES[lie], REGTEST))


def test_a_repeated_end_is_seen_where_the_root_is_the_same() -> None:
    repeated = decode_block(LIES["said-twice"], REGTEST)
    assert repeated.header.merkle_root == root_of([one.id for one in repeated.transactions])
    with pytest.raises(Inconsistent, match="alike"):
        check_block(REGTEST, repeated)


@pytest.mark.parametrize(
    "bent",
    [
        lambda raw: header(bytes(32), root_of([FIRST.id]), bits=0x1D00FFFF) + raw[80:],
        lambda raw: header(bytes(32), root_of([FIRST.id]), bits=0) + raw[80:],
        lambda raw: header(bytes(32), root_of([FIRST.id]), bits=0x21008000) + raw[80:],
        lambda raw: header(bytes(32), root_of([FIRST.id]), bits=0x20FFFFFF) + raw[80:],
    ],
    ids=["not-done", "zero", "too-easy", "negative"],
)
def test_work_that_was_not_done_is_refused(bent: Callable[[bytes], bytes]) -> None:
    raw = rebuild(FIRST)
    with pytest.raises(Inconsistent, match="bits"):
        check_block(REGTEST, decode_block(bent(raw), REGTEST))


def test_another_block_than_the_one_asked_for_is_refused() -> None:
    with pytest.raises(Inconsistent, match="asked for"):
        check_block(REGTEST, decode_block(rebuild(FIRST), REGTEST), bytes(32))


MARK = b"\xfa\xbemm"
SIZE = (1).to_bytes(4, "little") + bytes(4)


@pytest.mark.parametrize(
    "script",
    [
        lambda root: b"",
        lambda root: MARK + twice(root) + SIZE,
        lambda root: MARK + root + SIZE + MARK,
        lambda root: MARK + b"\1" + root + SIZE,
        lambda root: bytes(20) + root + SIZE,
        lambda root: MARK + root + SIZE[:7],
        lambda root: MARK + root + (2).to_bytes(4, "little") + bytes(4),
    ],
    ids=["nobody", "another", "twice", "behind-something", "late", "short", "of-two"],
)
def test_work_that_does_not_name_the_block_is_not_ours(script: Callable[[bytes], bytes]) -> None:
    raw = make_merged(EASY_DOGECOIN, OLD_PAYMENT, script=script)
    with pytest.raises(Inconsistent, match="another chain's work"):
        check_block(EASY_DOGECOIN, decode_block(raw, EASY_DOGECOIN))


def test_a_name_at_the_very_beginning_needs_no_mark() -> None:
    raw = make_merged(EASY_DOGECOIN, OLD_PAYMENT, script=lambda root: bytes(9) + root + SIZE)
    check_block(EASY_DOGECOIN, decode_block(raw, EASY_DOGECOIN))


def test_a_coinbase_that_is_in_no_block_names_nothing() -> None:
    raw = make_merged(EASY_DOGECOIN, OLD_PAYMENT)
    bent = raw.replace(OTHER.id, twice(OTHER.id))
    with pytest.raises(Inconsistent, match="not in the other chain's block"):
        check_block(EASY_DOGECOIN, decode_block(bent, EASY_DOGECOIN))


def test_work_easier_than_the_coin_allows_is_none() -> None:
    strict = replace(REGTEST, limit_bits=0x1F00FFFF)
    raw = make_block(REGTEST, OLD_PAYMENT)
    check_block(REGTEST, decode_block(raw, REGTEST))
    with pytest.raises(Inconsistent, match="has the bits"):
        check_block(strict, decode_block(raw, strict))


def test_a_block_of_another_merged_chain_is_not_ours() -> None:
    raw = make_merged(EASY_DOGECOIN, OLD_PAYMENT, merge_id=0x63)
    with pytest.raises(Inconsistent, match="merged chain 99"):
        check_block(EASY_DOGECOIN, decode_block(raw, EASY_DOGECOIN))


def test_bits_of_a_merged_block_ask_the_other_chain_for_the_work() -> None:
    hard = replace(EASY_DOGECOIN, limit_bits=EASY_BITS)
    raw = make_merged(hard, OLD_PAYMENT)
    bent = raw[:72] + (0x1E0FFFFF).to_bytes(4, "little") + raw[76:]
    with pytest.raises(Inconsistent):
        check_block(hard, decode_block(bent, hard))


@pytest.mark.parametrize("tail", [b"", b"\0", b"\2abc"])
def test_an_extension_that_is_left_out_is_refused(tail: bytes) -> None:
    raw = make_block(EASY_LITECOIN, PAYMENT, EXTENSION)
    with pytest.raises(Malformed):
        decode_block(raw + tail, EASY_LITECOIN)


def test_flags_that_nobody_knows_are_refused() -> None:
    raw = PAYMENT.raw
    for flags in (2, 3, 8, 9, 0x80):
        with pytest.raises(Malformed):
            decode_transaction(raw[:5] + bytes([flags]) + raw[6:], REGTEST)

"""What a block of this family paid and used up, and the height that its coinbase says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chains.bitcoin.coins import COINS, Coin
from chains.bitcoin.facts import FACTS, chain_of, coin_of
from chains.bitcoin.family import BITCOIN
from chains.bitcoin.rows.blocks import RawBlock, decode_block
from chains.bitcoin.value.outputs import UtxoTransfers
from chains.bitcoin.verify.block import check_due_bits, check_height
from chains.errors import Inconsistent
from chains.model import AssetId, ConflictKey
from tests.unit.chains.bitcoin.making import (
    EASY_DOGECOIN,
    EASY_LITECOIN,
    REGTEST,
    Tx,
    coinbase_for,
    length,
    make_block,
    outpoint,
    output,
    pay,
    root_of,
    work,
)

TILL = b"\0\x14" + b"\7" * 20
COIN = AssetId("bip122:0/slip44:1")
MOST = 2**63 - 1


def table_of(coin: Coin, *txs: Tx, extension: bytes = b"") -> UtxoTransfers:
    return UtxoTransfers(
        coin, COIN, decode_block(make_block(coin, *txs, extension=extension), coin).transactions
    )


def test_outputs_of_nothing_are_left_out_and_the_others_keep_their_index() -> None:
    table = table_of(REGTEST, pay((0, TILL), (7, TILL), (0, b""), (8, b"")))
    assert list(table.recipients) == [b"\x51", TILL, b""]
    assert [(table.at(i).n, table.at(i).amount_base_units) for i in range(3)] == [(0, 50), (1, 7), (3, 8)]
    assert [table.at(i).position for i in range(3)] == ["000000.000000", "000001.000001", "000001.000003"]


def test_case_078_an_amount_beyond_two_to_the_53_is_read_to_the_last_unit() -> None:
    table = table_of(EASY_DOGECOIN, pay((MOST - 1, TILL)))
    assert table.at(1).amount_base_units == MOST - 1


def test_every_outpoint_that_is_spent_names_who_spent_it_and_a_coinbase_spends_none() -> None:
    first, second = pay((1, TILL), spends="a"), pay((1, TILL), spends="b")
    table = table_of(REGTEST, first, second)
    assert set(table.spends) == {outpoint("a"), outpoint("b")}
    assert table.spent_by(ConflictKey(outpoint("b"))) == second.id[::-1]
    assert table.spent_by(ConflictKey(outpoint("c"))) is None
    assert (table.at(0).conflict_keys, table.at(2).conflict_keys) == ((), (outpoint("b"),))


def test_case_069_rewards_and_peg_outs_say_how_long_they_cannot_be_spent() -> None:
    hogex = Tx(
        ((outpoint("peg"), b""),), (output(9, b"\x58\x20" + b"\1" * 32), output(4, TILL)), is_extension=True
    )
    table = table_of(EASY_LITECOIN, pay((5, TILL), spends="older"), hogex, extension=b"\1and more")
    assert [table.at(i).matures_after_blocks for i in range(4)] == [100, 0, 6, 6]
    assert table_of(EASY_DOGECOIN).at(0).matures_after_blocks == 240


def block_saying(coin: Coin, script: bytes) -> RawBlock:
    coinbase = coinbase_for((), commits=False, script=script)
    return decode_block(work(coin, bytes(32), root_of([coinbase.id])) + length(1) + coinbase.raw, coin)


@pytest.mark.parametrize(
    ("height", "script"),
    [
        (1, b"\x51\0"),
        (16, b"\x60\0"),
        (17, b"\1\x11"),
        (127, b"\1\x7f"),
        (128, b"\2\x80\0"),
        (0x7FFF, b"\2\xff\x7f"),
        (0x8000, b"\3\0\x80\0"),
        (955_017, b"\3\x89\x92\x0e/pool/"),
    ],
)
def test_a_coinbase_says_its_height_as_scripts_push_numbers(height: int, script: bytes) -> None:
    block = block_saying(REGTEST, script)
    check_height(REGTEST, block, height)
    for other in (height - 1, height + 1, height + 256, height + 65_536):
        if other > 0:
            with pytest.raises(Inconsistent, match="says another"):
                check_height(REGTEST, block, other)


def test_blocks_from_before_they_said_their_height_are_taken_at_any() -> None:
    old = replace(REGTEST, heights_from=100)
    check_height(old, block_saying(old, b"\3abc"), 99)
    with pytest.raises(Inconsistent):
        check_height(old, block_saying(old, b"\3abc"), 100)


def test_the_first_block_and_no_other_is_at_height_0() -> None:
    block = block_saying(REGTEST, b"\3abc")
    begun = replace(REGTEST, genesis_hash=block.header.hash[::-1])
    check_height(begun, block, 0)
    with pytest.raises(Inconsistent, match="the first is another"):
        check_height(REGTEST, block, 0)
    with pytest.raises(Inconsistent, match="the first is another"):
        check_height(replace(begun, heights_from=100), block, 9)


def test_other_bits_than_were_due_are_refused() -> None:
    header = block_saying(REGTEST, b"\x51").header
    check_due_bits(header, header.bits)
    with pytest.raises(Inconsistent, match="were due"):
        check_due_bits(header, header.bits - 1)


def test_a_chain_is_named_by_its_genesis_block_and_no_two_are_one() -> None:
    assert len({chain_of(coin) for coin in COINS.values()}) == len(COINS)
    for coin in COINS.values():
        assert coin_of(chain_of(coin)) is coin
        assert FACTS.parse_chain(coin.genesis_hash.hex()[:32]) == chain_of(coin)
    for wrong in (0, 31337, "", "bitcoin", "0" * 32, "0f9188f13cb7b2c71f2a335e3a4fc32"):
        with pytest.raises(ValueError, match="0f9188f13cb7b2c71f2a335e3a4fc328"):
            FACTS.parse_chain(wrong)


def test_an_address_is_read_and_written_for_its_own_network_only() -> None:
    main, test = chain_of(COINS["bitcoin"]), chain_of(REGTEST)
    text = BITCOIN.format_address(
        test, BITCOIN.parse_address(test, "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080")
    )
    assert text == "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
    with pytest.raises(ValueError, match="regtest"):
        BITCOIN.parse_address(main, text)
    for hashed in ("0x" + "1" * 64, "1" * 63, "g" * 64):
        with pytest.raises(ValueError, match="64"):
            BITCOIN.parse_tx_hash(hashed)

"""What is built from a block proves its transactions to the merchant's own program; recorded blocks are in `test_recorded`."""

from __future__ import annotations

from typing import Any

from chains.bitcoin.coins import Coin
from chains.bitcoin.rows.blocks import decode_block, hash_twice
from chains.bitcoin.verify.proof import build_proof
from chains.model import TxHash
from chains.proofs import MerkleProof, Unprovable, UnprovableReason
from relay.kit.verify_deposit import verify_deposit
from tests.unit.chains.bitcoin.making import EASY_DOGECOIN, REGTEST, Tx, make_block, make_merged, pay
from tests.unit.relay.output_cases import write_proof


def hold_against_kit(coin: Coin, raw: bytes, places: list[int], following: list[bytes]) -> None:
    chain = f"bip122:{coin.genesis_hash.hex()[:32]}"
    block = decode_block(raw, coin)
    for place in places:
        transaction = block.transactions[place]
        found = build_proof(coin, raw, TxHash(transaction.shown_id), following)
        assert isinstance(found, MerkleProof)
        assert (found.index, hash_twice(found.transaction)) == (place, transaction.id)
        for n, output in enumerate(transaction.outputs):
            if output.value_base_units:
                amount, to = output.value_base_units, output.script
                told: Any = write_proof(
                    chain, 7, found.header, found.index, found.transaction, list(found.branch), list(found.headers),
                    n, amount, to,
                )  # fmt: skip
                assert verify_deposit(told, block.header.hash[::-1]).amount_base_units == amount
                break


def test_every_transaction_of_made_blocks_is_proven() -> None:
    for count in range(1, 9):
        txs = [
            pay((number + 1, b"\x51"), spends=str(number), witness=number % 2 == 0) for number in range(count)
        ]
        hold_against_kit(REGTEST, make_block(REGTEST, *txs), list(range(count + 1)), [])
    merged = make_merged(EASY_DOGECOIN, pay((1, b"\x51")), pay((2, b"\x51"), spends="b"))
    hold_against_kit(EASY_DOGECOIN, merged, [0, 1, 2], [])


def test_what_is_not_in_the_block_or_may_be_read_twice_is_not_proven() -> None:
    raw = make_block(REGTEST, pay((1, b"\x51")))
    found = build_proof(REGTEST, raw, TxHash(bytes(32)))
    assert isinstance(found, Unprovable)
    assert found.reason is UnprovableReason.NOT_IN_BLOCK
    short = Tx(((b"\1" * 36, b""),), (b"\5" + bytes(7) + b"\x04" + b"\x51" * 4,))
    found = build_proof(REGTEST, make_block(REGTEST, short), TxHash(short.id[::-1]))
    assert isinstance(found, Unprovable)
    assert found.reason is UnprovableReason.NOT_COVERED

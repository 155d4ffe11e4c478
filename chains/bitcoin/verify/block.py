"""Is this block what its hash says?  Pure.

A header proves the work and the transactions; a coinbase proves the
witnesses.  What a block of this family shows is nothing but its own bytes, so
there is nothing that only a node's word stands behind, but for what the coins
that are spent were worth.  Consensus rules that need the set of unspent coins
(double spends, scripts, the reward) are the node's.  Sources: Bitcoin Core
`validation.cpp`; BIP 34, 141.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from chains.bitcoin.coins import Coin
from chains.bitcoin.rows.blocks import BlockHeader, RawBlock, Transaction, hash_twice
from chains.bitcoin.verify.auxiliary import find_fault
from chains.bitcoin.verify.merkle import Repeated, compute_root
from chains.bitcoin.verify.work import compute_work_hash, expand_bits
from chains.errors import Inconsistent

_COMMITMENT_PREFIX: Final = bytes.fromhex("6a24aa21a9ed")


def check_header(coin: Coin, header: BlockHeader) -> None:
    """Raise `Inconsistent` unless the work that the header asks for was done."""
    target, limit = expand_bits(header.bits), expand_bits(coin.limit_bits)
    assert limit is not None
    if target is None or target > limit:
        raise Inconsistent(f"block {_show(header)} has the bits {header.bits:#010x}")
    worked = header.raw
    if header.auxiliary is not None:
        fault = find_fault(coin, header, header.auxiliary)
        if fault is not None:
            raise Inconsistent(f"block {_show(header)} claims another chain's work: {fault}")
        worked = header.auxiliary.header
    if compute_work_hash(coin, worked) > target:
        raise Inconsistent(f"block {_show(header)} has not the work of its bits")


def check_height(coin: Coin, block: RawBlock, height: int) -> None:
    """Raise `Inconsistent` unless the coinbase says this height, where it must (BIP 34), or the first block is at 0."""
    if (height == 0) != (block.header.hash[::-1] == coin.genesis_hash):
        raise Inconsistent(
            f"block {_show(block.header)} was shown at height {height}, and the first is another"
        )
    if height < coin.heights_from:
        return
    if not block.transactions[0].coinbase_script.startswith(_encode_height(height)):
        raise Inconsistent(f"block {_show(block.header)} was shown at height {height}, and says another")


def check_due_bits(header: BlockHeader, due: int) -> None:
    """Raise `Inconsistent` unless the header asks for the work that was due."""
    if header.bits != due:
        raise Inconsistent(
            f"block {_show(header)} has the bits {header.bits:#010x}, and {due:#010x} were due"
        )


def check_block(coin: Coin, block: RawBlock, asked_hash: bytes | None = None) -> None:
    """Raise `Inconsistent` unless the block is the one asked for, with its work and exactly its transactions.

    `asked_hash` as people read it.
    """
    header, transactions = block.header, block.transactions
    if asked_hash is not None and header.hash[::-1] != asked_hash:
        raise Inconsistent(f"asked for block {asked_hash.hex()}, told about {_show(header)}")
    check_header(coin, header)
    if not transactions or not transactions[0].is_coinbase:
        raise Inconsistent(f"block {_show(header)} does not begin with a coinbase")
    if any(one.is_coinbase for one in transactions[1:]):
        raise Inconsistent(f"block {_show(header)} has two coinbases")
    if any(one.is_extension for one in transactions[:-1]):
        raise Inconsistent(f"block {_show(header)} has an extension before its end")
    _check_amounts(coin, header, transactions)
    try:
        holds = compute_root([one.id for one in transactions]) == header.merkle_root
    except Repeated as error:
        raise Inconsistent(f"block {_show(header)}: {error}") from None
    if not holds:
        raise Inconsistent(f"the {len(transactions)} transactions of {_show(header)} do not give its root")
    _check_witnesses(header, transactions)


def _encode_height(height: int) -> bytes:
    """A number as a script pushes it: the small ones have a letter of their own."""
    if height <= 16:
        return bytes([0x50 + height])
    digits = height.to_bytes(height.bit_length() // 8 + 1, "little")
    return bytes([len(digits)]) + digits


def _check_amounts(coin: Coin, header: BlockHeader, transactions: Sequence[Transaction]) -> None:
    for transaction in transactions:
        total = 0
        for output in transaction.outputs:
            total += output.value_base_units
            if output.value_base_units > coin.money_max_base_units:
                raise Inconsistent(
                    f"an output of {transaction.shown_id.hex()} in {_show(header)} holds more than there is"
                )
        if total > coin.money_max_base_units:
            raise Inconsistent(f"{transaction.shown_id.hex()} in {_show(header)} pays more than there is")


def _check_witnesses(header: BlockHeader, transactions: Sequence[Transaction]) -> None:
    """The coinbase commits to all witnesses; without a commitment there are none."""
    commitment = _find_commitment(transactions[0])
    if commitment is None:
        if any(one.has_witness for one in transactions):
            raise Inconsistent(f"block {_show(header)} has witnesses and does not commit to them")
        return
    reserved = transactions[0].coinbase_witness
    if len(reserved) != 1 or len(reserved[0]) != 32:
        if not any(one.has_witness for one in transactions):
            return  # An output that looks like a commitment, from before there were any.
        raise Inconsistent(f"the coinbase of {_show(header)} does not open its commitment")
    # The coinbase's own witness cannot be in what it commits to: zeros stand for it.
    try:
        root = compute_root([bytes(32), *(one.full_id for one in transactions[1:])])
    except Repeated as error:
        raise Inconsistent(f"block {_show(header)}: {error}") from None
    if hash_twice(root + reserved[0]) != commitment:
        raise Inconsistent(f"the witnesses of {_show(header)} are not those it commits to")


def _find_commitment(coinbase: Transaction) -> bytes | None:
    """The last output of its form counts (BIP 141)."""
    for output in reversed(coinbase.outputs):
        if output.script.startswith(_COMMITMENT_PREFIX) and len(output.script) >= 38:
            return output.script[6:38]
    return None


def _show(header: BlockHeader) -> str:
    return header.hash[::-1].hex()

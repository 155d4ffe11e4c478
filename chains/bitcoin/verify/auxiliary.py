"""Work that was done for another chain, and counts here because that chain's coinbase names this block.  Pure.

Source: the merged mining specification as Dogecoin Core and Namecoin check it
(`auxpow.cpp`), with the rules that are strict since the fork.
"""

from __future__ import annotations

from typing import Final

from chains.bitcoin.coins import Coin
from chains.bitcoin.rows.blocks import AuxiliaryWork, BlockHeader
from chains.bitcoin.verify.merkle import follow_branch

MARK: Final = b"\xfa\xbemm"
"""What stands before the root of the merged chains in a coinbase's script."""

UNMARKED_WITHIN: Final = 20
"""Without the mark, the root must begin in the first so many bytes."""

_U32: Final = 1 << 32


def find_fault(coin: Coin, header: BlockHeader, auxiliary: AuxiliaryWork) -> str | None:
    """What does not hold of another chain's work; None where it stands for this block."""
    assert coin.merge_id is not None, "a coin without merged mining has no auxiliary work"
    if header.version >> 16 != coin.merge_id:
        return f"it is a block of the merged chain {header.version >> 16}"
    if int.from_bytes(auxiliary.header[:4], "little") >> 16 == coin.merge_id:
        return "its work is this chain's own, dressed as another's"
    if auxiliary.to_coinbase.index:
        return "what names it is no coinbase"
    if follow_branch(auxiliary.coinbase.id, auxiliary.to_coinbase) != auxiliary.header[36:68]:
        return "the coinbase is not in the other chain's block"
    root = follow_branch(header.hash, auxiliary.to_chain)
    if root is None:
        return "its place among the merged chains is outside their tree"
    return _find_fault_in_script(coin, auxiliary, root[::-1])


def _find_fault_in_script(coin: Coin, auxiliary: AuxiliaryWork, root: bytes) -> str | None:
    assert coin.merge_id is not None
    script = auxiliary.coinbase.coinbase_script
    marked, at = script.find(MARK), script.find(root)
    if at < 0:
        return "the coinbase does not name it"
    if marked >= 0:
        if script.find(MARK, marked + 1) >= 0:
            return "the coinbase names merged chains twice"
        if marked + len(MARK) != at:
            return "the coinbase names something else"
    elif at > UNMARKED_WITHIN:
        return "the coinbase names it too late to be meant"
    tail = script[at + len(root) : at + len(root) + 8]
    if len(tail) < 8:
        return "the coinbase does not say how many chains are merged"
    steps = len(auxiliary.to_chain.hashes)
    size, nonce = int.from_bytes(tail[:4], "little"), int.from_bytes(tail[4:], "little")
    if size != 1 << steps:
        return "the coinbase says another number of merged chains"
    if auxiliary.to_chain.index != _compute_slot(nonce, coin.merge_id, steps):
        return "it stands in another chain's place"
    return None


def _compute_slot(nonce: int, merge_id: int, steps: int) -> int:
    """Which place a chain has, so that it cannot have two."""
    value = (nonce * 1103515245 + 12345) % _U32
    value = ((value + merge_id) * 1103515245 + 12345) % _U32
    return value % (1 << steps)

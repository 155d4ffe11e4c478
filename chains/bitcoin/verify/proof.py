"""What proves a transaction to somebody who knows only its block's hash.  Pure.

Built from the bytes of one block that was checked, and kept nowhere.  Headers
that follow show how much work stands behind it.  Checking it is the merchant's
(`relay.kit.verify_deposit`); what a full node makes of the same is BIP 37's
merkle block (`gettxoutproof`).
"""

from __future__ import annotations

from collections.abc import Sequence

from chains.bitcoin.coins import Coin
from chains.bitcoin.rows.blocks import HEADER_BYTES, decode_block, find_core
from chains.bitcoin.verify.merkle import compute_branch
from chains.model import TxHash
from chains.proofs import MerkleProof, Unprovable, UnprovableReason

AMBIGUOUS_CORE_BYTES = 64
"""A transaction as long as two hashes may be an inner node of the tree (CVE-2017-12842), so verifiers refuse it."""


def build_proof(
    coin: Coin, data: bytes, tx_hash: TxHash, headers: Sequence[bytes] = ()
) -> MerkleProof | Unprovable:
    """The proof of one transaction out of a whole block; `headers` are those that follow.

    Raises `Malformed`.
    """
    found = find_core(data, coin, tx_hash[::-1])
    if found is None:
        return Unprovable(UnprovableReason.NOT_IN_BLOCK, "the block holds no such transaction")
    index, core = found
    if len(core) == AMBIGUOUS_CORE_BYTES:
        return Unprovable(
            UnprovableReason.NOT_COVERED, "a transaction of 64 bytes may be an inner node of the block's tree"
        )
    ids = [one.id for one in decode_block(data, coin).transactions]
    following = tuple(one[:HEADER_BYTES] for one in headers)
    return MerkleProof(data[:HEADER_BYTES], index, core, compute_branch(ids, index), following)

"""What proves a transaction to somebody who knows only its block's id.  Pure.

Built from one block that was checked, and kept nowhere.  Its leaf holds the
result, so success is under the root; what a contract logged is under nothing,
so of a token only the call that asked for it is shown (`Check.LOGS`).  Checking
the proof is the merchant's (`relay.kit.verify_deposit`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Final

from chains.model import TxHash
from chains.proofs import Unprovable, UnprovableReason, WitnessedProof
from chains.tron.rows.blocks import Transaction, TronHeader
from chains.tron.verify.block import compute_branch, recover_signer

UNWRITABLE: Final = Unprovable(
    UnprovableReason.NOT_COVERED,
    "a result in this block has a field that is not known here, so its root cannot be recomputed",
)


def build_proof(
    header: TronHeader,
    transactions: Sequence[Transaction],
    bodies: Sequence[bytes] | None,
    shows_itself: Callable[[Transaction], bool],
    tx_hash: TxHash,
) -> WitnessedProof | Unprovable:
    """The proof of one transaction of a block; `bodies` are what its root covers, None where they cannot be written.

    `shows_itself` says of a transaction whether its own bytes tell what it moves.
    """
    if bodies is None:  # Rows may be left out where the root cannot be recomputed.
        return UNWRITABLE
    index = next((place for place, one in enumerate(transactions) if one.id == tx_hash), None)
    if index is None:
        return Unprovable(UnprovableReason.NOT_IN_BLOCK, "the block holds no such transaction")
    signer = recover_signer(header)
    if signer is None:
        return Unprovable(UnprovableReason.NOT_COVERED, "nobody signed this block")
    if not shows_itself(transactions[index]):
        return Unprovable(
            UnprovableReason.AGREEMENT_ONLY,
            "a block of this chain commits to transactions and not to what contracts logged, and this transaction is no "
            "plain transfer of the listed asset",
        )
    leaves = [sha256(body).digest() for body in bodies]
    return WitnessedProof(
        header=header.raw,
        signature=header.signature,
        witness=header.witness,
        signer=signer,
        index=index,
        count=len(bodies),
        transaction=bodies[index],
        branch=compute_branch(leaves, index),
    )

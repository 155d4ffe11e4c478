"""What shows a transaction and its outcome to somebody who knows only its block's hash, and why there may be nothing.

Pure data, one form for each way in which a family's blocks commit to what they hold.  What merchants are given is
the gateway's, checking it is theirs (`relay.kit.verify_deposit`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class UnprovableReason(StrEnum):
    """Why a family cannot prove a transaction to somebody who knows only its block's hash."""

    AGREEMENT_ONLY = "agreement-only"
    """The chain's block hash does not cover its transactions and receipts."""

    OLDER_RULES = "older-rules"
    """Blocks of this height followed rules that nobody recomputes here."""

    SETTLED_LATER = "settled-later"
    """The block does not commit to its own receipts."""

    NOT_COVERED = "not-covered"
    """The block commits to something else than its rows show: a system transaction, a field or type not known."""

    NOT_IN_BLOCK = "not-in-block"
    """The canonical block holds no such transaction."""


@dataclass(frozen=True, slots=True)
class Unprovable:
    """There is no proof, and a sentence for people says why."""

    reason: UnprovableReason
    detail: str


@dataclass(frozen=True, slots=True)
class TrieProof:
    """EVM: the encoded header, and the nodes from its roots to a transaction and its receipt.

    Both tries have the key rlp(`index`); nodes stand root first, those that are
    inside others left out.
    """

    header: bytes
    index: int
    transaction: tuple[bytes, ...]
    receipt: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class MerkleProof:
    """Bitcoin's family: a header, a transaction without its witnesses, and the way between them.

    `branch` are the hashes beside the way from the transaction at `index` to
    the header's root; `headers` follow the block, each on the one before.  All
    of it in the order of bytes as hashed.
    """

    header: bytes
    index: int
    transaction: bytes
    branch: tuple[bytes, ...]
    headers: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class WitnessedProof:
    """Tron: a header with its witness's signature, a transaction with its result, and the way between them.

    `header` is the raw header as hashed, `signature` r, s and the recovery id
    in 65 bytes; `witness` is named by the header, `signer` is whose key made
    the signature (21 bytes each).  `transaction` is the leaf: raw data,
    signatures, results.  It is number `index` of `count`; `branch` are the
    hashes beside its way to the root, none for a level on which it stands alone.
    """

    header: bytes
    signature: bytes
    witness: bytes
    signer: bytes
    index: int
    count: int
    transaction: bytes
    branch: tuple[bytes, ...]


DepositProof = TrieProof | MerkleProof | WitnessedProof
"""What leads from a block's hash to a transaction and its outcome."""

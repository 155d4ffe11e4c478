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


DepositProof = TrieProof | MerkleProof
"""What leads from a block's hash to a transaction and its outcome."""

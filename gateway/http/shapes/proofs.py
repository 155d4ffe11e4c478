"""The JSON of what merchants check themselves: checkpoints and the two proofs under them, and proofs of deposits.

Lives here, pure. Does not live here: the handlers (`resources.checkpoints`), what a merchant does with it
(docs/proofs.md). Hashes are in hex.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, field

from chains.model import TransferKind
from gateway.http.shapes.forms import HEIGHT_MAX, Given, Strict

Size = Annotated[int, Meta(ge=1, le=HEIGHT_MAX, description="How many events, from the first.")]


class InclusionQuery(Strict, frozen=True):
    """`GET /v1/events/{event_id}/inclusion`: under the checkpoint of this size, or the newest."""

    size: Size | None = None


class ConsistencyQuery(Strict, frozen=True):
    """`GET /v1/events/consistency`: the size you kept, and the one you have now (the newest checkpoint's)."""

    first: Size = field(name="from")
    second: Size | None = field(name="to", default=None)


class CheckpointObject(Given, frozen=True):
    """What was signed: `note` is the signed text, the rest says what it says."""

    id: str
    log_id: str
    log_epoch: int
    size: int
    root_hash: str
    note: str
    public_key: str
    verifier_key: str
    created_at: str


class CheckpointPage(Given, frozen=True):
    """A page of checkpoints."""

    items: list[CheckpointObject]
    next: str | None


class InclusionProof(Given, frozen=True):
    """The event is leaf `leaf_index` under `checkpoint`: `path` leads from its `body_hash` to the root."""

    event_id: str
    sequence: int
    body_hash: str
    leaf_index: int
    tree_size: int
    path: list[str]
    checkpoint: CheckpointObject


class ConsistencyProof(Given, frozen=True):
    """The log of `to` events begins with the log of `from` events."""

    first: int = field(name="from")
    second: int = field(name="to")
    path: list[str]


HexData = Annotated[str, Meta(pattern="^0x([0-9a-f]{2})*$", description="Bytes in lower-case hex after 0x.")]


class ProvenTransfer(Given, frozen=True):
    """What the proof is of: what the deposit's id is made from, as it is spelled there, and the amount."""

    id: str
    merchant_id: str
    chain: str
    tx_hash: str
    kind: TransferKind
    asset: str
    recipient: str
    n: int
    amount_base_units: str


class ProvenBlock(Given, frozen=True):
    """The block to ask somebody else for: the canonical one at this height must have this hash."""

    height: int
    hash: str


class ToldEvent(Given, frozen=True):
    """The event that told of it, exactly as it was sent, and its place under a signed checkpoint (`path` in hex)."""

    body: str
    path: list[str]
    checkpoint: str


class DepositProofObject(Given, frozen=True, kw_only=True):
    """What every proof of the form `chainbell-proof-1` says, whatever its chain commits to."""

    format: str
    deposit: ProvenTransfer
    chain: str
    block: ProvenBlock
    header: HexData
    index: int
    event: ToldEvent | None = None


class TrieProofObject(DepositProofObject, frozen=True, kw_only=True):
    """Of an EVM chain (`eip155`).

    `transaction` and `receipt` are the nodes of two Merkle-Patricia tries, root first, with the key rlp(`index`).
    """

    transaction: list[HexData]
    receipt: list[HexData]


class MerkleProofObject(DepositProofObject, frozen=True, kw_only=True):
    """Of a chain of Bitcoin's family (`bip122`).

    `raw_transaction` is without its witnesses, `branch` leads from it, which is number `index` of its block, to the root in
    `header`; `headers` follow the block. All in the order of bytes as hashed.
    """

    raw_transaction: HexData
    branch: list[HexData]
    headers: list[HexData]


class WitnessedProofObject(DepositProofObject, frozen=True, kw_only=True):
    """Of a Tron chain (`tron`).

    `signature` is over the SHA-256 of `header` (r, s, recovery id), by the key of `signer`; the header names `witness`.
    `leaf` is the transaction with its signatures and results, `branch` leads from it, which is number `index` of `count`,
    to the root in `header`. `by_agreement` are the checks that no header covers: providers agree on them, or they are
    not known.
    """

    signature: HexData
    witness: str
    signer: str
    count: int
    leaf: HexData
    branch: list[HexData]
    by_agreement: list[str]

"""Proofs of transfers on Tron, by a writer of blocks that the product does not share.

Here: a block that pays the shop in every kind, its proof and that of any claim about it, and the address as the deposit's
id spells it. Not here: what must hold of such proofs (`test_signed_proofs.py`), the made chain (`tests.devnet.tron_chain`).
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any
from uuid import UUID

from coincurve import PublicKey
from sha3 import keccak_256

from chains.tron.address import format_address, parse_address
from migrations.ids import encode_id
from tests.devnet.tron_chain import MadeBlock, TronChain
from tests.unit.relay.deposit_cases import hexed, identify

Json = Any
MERCHANT = encode_id("mer", UUID(int=7))
NATIVE = "slip44:195"


def branch_of(leaves: list[bytes], index: int) -> list[bytes]:
    """What stands beside the way up; whoever has no neighbour goes up alone."""
    beside, level = [], list(leaves)
    while len(level) > 1:
        beside += level[index ^ 1 : (index ^ 1) + 1]
        level = [
            sha256(level[at] + level[at + 1]).digest() if at + 1 < len(level) else level[at]
            for at in range(0, len(level), 2)
        ]
        index //= 2
    return beside


def write_proof(
    chain: str, block_id: bytes, header: bytes, signature: bytes, witness: bytes, signer: bytes, leaves: list[bytes],
    index: int, tx_id: bytes, kind: str, asset: str, to: bytes, amount: int,
) -> Json:  # fmt: skip
    """The proof that this leaf moves so much to an address, whether or not it is so; `asset` without its chain."""
    deposit = {
        "merchant_id": MERCHANT,
        "chain": chain,
        "tx_hash": tx_id.hex(),
        "kind": kind,
        "asset": f"{chain}/{asset}",
        "recipient": to.hex(),
        "n": 0,
    }
    return {
        "format": "chainbell-proof-1",
        "deposit": {"id": identify(deposit), **deposit, "amount_base_units": str(amount)},
        "chain": chain,
        "block": {"height": int.from_bytes(block_id[:8], "big"), "hash": block_id.hex()},
        "header": hexed(header),
        "index": index,
        "signature": hexed(signature),
        "witness": witness.hex(),
        "signer": signer.hex(),
        "count": len(leaves),
        "leaf": hexed(leaves[index]),
        "branch": [hexed(one) for one in branch_of([sha256(leaf).digest() for leaf in leaves], index)],
        "by_agreement": ["witness-schedule", "logs"] if kind == "token" else ["witness-schedule"],
        "event": None,
    }


def prove(
    chain: TronChain, block: MadeBlock, index: int, kind: str, asset: str, to: bytes, amount: int
) -> Json:
    """The proof of such a claim about a made block's transaction."""
    signature = bytes.fromhex(block.header["witness_signature"])
    witness = bytes.fromhex(block.header["raw_data"]["witness_address"])
    key = PublicKey.from_signature_and_message(signature, sha256(block.raw).digest(), hasher=None)
    signer = b"\x41" + keccak_256(key.format(compressed=False)[1:]).digest()[12:]
    leaves = [tx.body for tx in block.txs]
    return write_proof(
        chain.chain, block.id, block.raw, signature, witness, signer, leaves, index, block.txs[index].id, kind, asset, to,
        amount,
    )  # fmt: skip


def name_token(contract: bytes) -> str:
    """A TRC-20 as a deposit's id spells it."""
    return f"trc20:{format_address(parse_address(contract.hex())).lower()}"

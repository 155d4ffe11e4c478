"""Proofs of deposits as both kits judge them. Here: one verdict in one shape, whichever kit gave it. Not here: the proofs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from relay.kit.verify_deposit import ProofInvalid, verify_deposit
from tests.node_program import run_node

Verdict = dict[str, Any]
NODE_RUNNER = Path(__file__).with_name("run_deposit_proofs.mjs")
SPELLINGS = {
    "deposit_id": "depositId",
    "merchant_id": "merchantId",
    "chain": "chain",
    "asset": "asset",
    "kind": "kind",
    "recipient": "recipient",
    "n": "n",
    "amount_base_units": "amountBaseUnits",
    "tx_hash": "txHash",
    "height": "height",
    "block_hash": "blockHash",
    "time_s": "timeS",
    "headers_count": "headersCount",
    "witness": "witness",
    "signer": "signer",
}


Signers = Sequence[str] | str | None


def judge(text: bytes, block_hash: str, signers: Signers = None) -> Verdict:
    """What the kit for Python says, spelled as the one for Node does."""
    try:
        found = verify_deposit(text, block_hash, signers=signers)
    except ProofInvalid as error:
        return {"refused": str(error)}
    said = {theirs: getattr(found, ours) for ours, theirs in SPELLINGS.items()}
    amount, work = str(found.amount_base_units), str(found.work)
    return {**said, "amountBaseUnits": amount, "work": work, "byAgreement": list(found.by_agreement)}


def judge_in_node(proofs: Sequence[tuple[bytes, str]], signers: Signers = None) -> list[Verdict]:
    """What the kit for Node says of each."""
    given = [
        {"text": text.decode("latin1"), "block_hash": block_hash, "signers": signers}
        for text, block_hash in proofs
    ]
    verdicts: list[Verdict] = run_node(NODE_RUNNER, given)
    return verdicts

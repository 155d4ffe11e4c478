"""An independent recount: what a node's chain holds for some addresses, and what a log folds to.

Written from the contract alone with the plainest means (one call a block, one
receipt at a time, SHA-256 by hand), so that it shares no mistake with the
program.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from tests.devnet.anvil import AnvilNode

TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"


@dataclass(frozen=True, slots=True)
class Expected:
    """One deposit as the chain holds it."""

    deposit_id: str
    tx_hash: str
    to: str
    asset: str
    amount_base_units: int
    height: int
    block_hash: str


def spell_id(prefix: str, number: bytes) -> str:
    """26 characters of Crockford base32, as a ULID is written."""
    value = UUID(bytes=number).int
    return prefix + "_" + "".join(CROCKFORD[(value >> shift) & 31] for shift in range(125, -1, -5))


def spell_deposit_id(merchant: str, tx_hash: str, kind: str, asset: str, to: str, n: int) -> str:
    """CONTRACT 2's hash, by hand."""
    lines = ("chainbell-deposit-1", merchant, "eip155:31337", tx_hash, kind, asset, to, str(n))
    return spell_id("dep", hashlib.sha256("\n".join(lines).encode()).digest()[:16])


async def recount(
    node: AnvilNode, merchant: str, starts: Mapping[str, int], token: str
) -> dict[str, Expected]:
    """Every deposit of one merchant on the node's canonical chain; `starts` is by lower-case address."""
    found: dict[str, Expected] = {}
    for height in range(await node.height() + 1):
        block = await node.call("eth_getBlockByNumber", hex(height), True)
        for transaction in block["transactions"]:
            receipt = await node.call("eth_getTransactionReceipt", transaction["hash"])
            if receipt["status"] != "0x1":
                continue
            counts: dict[tuple[str, str], int] = {}
            to = (transaction["to"] or "").lower()
            if int(transaction["value"], 16) and starts.get(to, 2**62) <= height:
                _note(
                    found, counts, merchant, block, transaction, "native", to, int(transaction["value"], 16)
                )
            for log in receipt["logs"]:
                if (
                    log["address"].lower() != token.lower()
                    or log["topics"][0] != TRANSFER
                    or len(log["topics"]) != 3
                ):
                    continue
                to = "0x" + log["topics"][2][26:].lower()
                amount = int(log["data"], 16)
                if amount and starts.get(to, 2**62) <= height:
                    _note(found, counts, merchant, block, transaction, token.lower(), to, amount)
    return found


def _note(
    found: dict[str, Expected],
    counts: dict[tuple[str, str], int],
    merchant: str,
    block: dict[str, Any],
    transaction: dict[str, Any],
    asset: str,
    to: str,
    amount: int,
) -> None:
    kind, name = (
        ("native", "eip155:31337/slip44:60")
        if asset == "native"
        else ("token", f"eip155:31337/erc20:{asset}")
    )
    n = counts.get((name, to), 0)
    counts[(name, to)] = n + 1
    deposit_id = spell_deposit_id(merchant, transaction["hash"].lower(), kind, name, to, n)
    found[deposit_id] = Expected(
        deposit_id,
        transaction["hash"].lower(),
        to,
        name,
        amount,
        int(block["number"], 16),
        block["hash"].lower(),
    )


LEGAL = {
    (None, "included"), (None, "confirmed"),
    ("included", "confirmed"), ("included", "orphaned"), ("included", "replaced"),
    ("confirmed", "final"), ("confirmed", "included"), ("confirmed", "orphaned"), ("confirmed", "replaced"),
    ("orphaned", "included"), ("orphaned", "confirmed"), ("orphaned", "replaced"),
    ("replaced", "included"), ("replaced", "confirmed"),
    ("included", "included"), ("confirmed", "confirmed"),
}  # fmt: skip
"""CONTRACT 5's moves for chains without a mempool; equal states are `moved` and `amended`."""


def fold_log(bodies: list[bytes], events: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Check a whole log (sequence, hash chain, versions, moves, reversals); returns each deposit's newest version."""
    newest: dict[str, dict[str, Any]] = {}
    credit_event: dict[str, str] = {}
    previous_hash = "0" * 64
    for place, (body, event) in enumerate(zip(bodies, events, strict=True), start=1):
        assert event["sequence"] == place, "the sequence has no hole"
        assert event["prev_hash"] == previous_hash, f"the hash chain breaks at {place}"
        previous_hash = hashlib.sha256(body).hexdigest()
        deposit = event["data"].get("deposit")
        if deposit is None:
            continue
        before = newest.get(deposit["id"])
        assert deposit["version"] == (1 if before is None else before["version"] + 1), (
            "versions count up by one"
        )
        old_state = None if before is None else before["state"]
        assert event["data"]["previous_state"] == old_state
        assert (old_state, deposit["state"]) in LEGAL, f"{old_state} to {deposit['state']} in {event['id']}"
        old_credit = 0 if before is None else int(before["credited_base_units"])
        credit = int(deposit["credited_base_units"])
        assert credit in (0, int(deposit["amount_base_units"]))
        if old_credit and not credit:
            assert event["type"] == "deposit.reversed"
            assert event["data"]["reverses"] == credit_event[deposit["id"]], (
                "it names the credit it takes back"
            )
        if event["type"] == "deposit.confirmed":
            credit_event[deposit["id"]] = event["id"]
        newest[deposit["id"]] = deposit
    return newest

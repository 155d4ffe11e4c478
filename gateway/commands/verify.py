"""`chainbell verify`: does this proof of a deposit hold against the chain, as somebody else's node shows it?

Lives here: the command: the file, the node that is asked for one block hash, and the verdict in words; 0 it holds, 1 it
does not, 2 it could not be checked. It needs no configuration and no database. Does not live here: what is checked
(relay.kit.verify_deposit), which needs this program as little.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path
from typing import Any

from chains.errors import ChainError
from chains.model import ChainId
from gateway.commands.frame import BadUse, Command, CommandFailed, Frame
from gateway.compose_chains import ask_stranger
from relay.kit.verify_deposit import TEXT_LENGTH_MAX, ProofInvalid, ProvenDeposit, parse_proof, verify_deposit

STANDARD_INPUT = "-"


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file", metavar="FILE", help="what GET /v1/deposits/{id}/proof gave; - reads standard input"
    )
    parser.add_argument(
        "--rpc", metavar="URL", help="a node of the proof's chain that you trust more than the proof"
    )
    parser.add_argument(
        "--block-hash", metavar="HASH", help="instead of a node: the hash, if you know it already"
    )
    parser.add_argument(
        "--signer",
        metavar="ADDRESS",
        action="append",
        help="whose key you accept under a block, where somebody signs them (Tron); several times for several",
    )


async def _verify(frame: Frame) -> int:
    asked = frame.arguments
    if (asked.rpc is None) == (asked.block_hash is None):
        raise BadUse("give --rpc URL, or --block-hash HASH if you know the block's hash: one of the two")
    if asked.rpc is not None and not asked.rpc.startswith(("https://", "http://")):
        raise BadUse("--rpc: a URL that begins with https:// or http://")
    text = await asyncio.to_thread(_read, asked.file)
    try:
        proof = parse_proof(text)
        if asked.block_hash is not None:
            return _tell(frame, verify_deposit(proof, asked.block_hash, signers=asked.signer), {})
        # First by itself, so that a node is asked only about what hangs together.
        block = proof.get("block")
        told = block.get("hash", "") if isinstance(block, dict) else ""
        proven = verify_deposit(proof, told, signers=asked.signer)
    except ProofInvalid as error:
        raise CommandFailed(f"not proven: {error}") from error
    return _tell(frame, proven, await _ask(asked.rpc, proven))


async def _ask(url: str, proven: ProvenDeposit) -> dict[str, Any]:
    """What the node says of the block; CommandFailed where it has another one there, BadUse where it cannot be asked."""
    try:
        seen = await ask_stranger(ChainId(proven.chain), url, proven.height)
    except (ChainError, ValueError) as error:
        raise BadUse(f"--rpc: {error}") from error
    if seen.block_hash is None:
        raise CommandFailed(f"not proven: {seen.node} knows no block at height {proven.height}")
    if seen.block_hash != proven.block_hash:
        raise CommandFailed(
            f"not proven: {seen.node} has another block at height {proven.height} ({seen.block_hash}): "
            "the proof's block left the chain, or never was in it"
        )
    head, final = seen.head_height, seen.final_height
    return {
        "node": seen.node,
        "confirmations": None if head is None else head - proven.height + 1,
        "final": None if final is None else final >= proven.height,
    }


def _tell(frame: Frame, proven: ProvenDeposit, seen: dict[str, Any]) -> int:
    shown = {
        "deposit_id": proven.deposit_id,
        "chain": proven.chain,
        "asset": proven.asset,
        "amount_base_units": str(proven.amount_base_units),
        "recipient": proven.recipient,
        "tx_hash": proven.tx_hash,
        "height": proven.height,
        "block_hash": proven.block_hash,
        **({"signer": proven.signer, "witness": proven.witness} if proven.signer else {}),
        "by_agreement": list(proven.by_agreement),
        **seen,
    }
    frame.terminal.data(shown, lambda: _say(proven, seen))
    return 0


BY_AGREEMENT = {
    "witness-schedule": "whether it was this signer's turn",
    "logs": "what the token's contract did: proven is a call that succeeded and asked for this transfer",
}
"""What no header covers, by the proof's own words."""


def _say(proven: ProvenDeposit, seen: dict[str, Any]) -> list[str]:
    final = {True: "final", False: "not final yet", None: "the node does not say whether it is final"}
    lines = [
        f"proven: {proven.amount_base_units} base units of {proven.asset}",
        f"  {'were sent to' if 'logs' in proven.by_agreement else 'reached'} {proven.recipient}",
        f"  in transaction {proven.tx_hash}",
        f"  of block {proven.height}, {proven.block_hash}",
        f"  which is {proven.deposit_id} of {proven.merchant_id}",
    ]
    if proven.signer:
        lines.append(f"  signed by {proven.signer}")
    lines += [f"  resting on agreement: {BY_AGREEMENT.get(word, word)}" for word in proven.by_agreement]
    if seen:
        lines.append(
            f"  {seen['node']} has that block; confirmations: {seen['confirmations'] or 'not told'}, "
            f"{final[seen['final']]}"
        )
    return lines


def _read(name: str) -> bytes:
    try:
        if name == STANDARD_INPUT:
            return sys.stdin.buffer.read(TEXT_LENGTH_MAX + 1)
        with Path(name).open("rb") as file:
            return file.read(TEXT_LENGTH_MAX + 1)
    except OSError as error:
        raise BadUse(f"{name}: {error.strerror or 'cannot be read'}") from error


VERIFY = Command("verify", "check the proof of a deposit against a node of your choice", _verify, _arguments)

"""The chain that benches read: every block full of token transfers, some of them to watched addresses.

Lives here: mining it on a local anvil, and which address has which number.  Does not live here: what is measured
(`bench.follow_blocks` and the others), how a result is written (`bench.report`).
"""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sha3

from tests.devnet.anvil import ACCOUNTS, AnvilNode

WATCHED_COUNT = 1_000_000


@dataclass(frozen=True, slots=True)
class Shape:
    """What every block holds; one in `watched_every` transfers goes to a watched address."""

    transactions: int
    transfers: int
    watched_every: int = 100


def address_of(index: int) -> str:
    """The address with this number; the first million are watched."""
    return "0x" + hashlib.sha256(index.to_bytes(8, "big")).digest()[:20].hex()


async def build_chain(node: AnvilNode, shape: Shape, blocks: int) -> str:
    """Mine the chain; returns the token's address.  Shows progress, since it takes a minute."""
    compiled = json.loads((Path(__file__).parents[1] / "tests/devnet/contracts/compiled.json").read_text())
    token = await node.deploy(compiled["TokenSprayer"]["bytecode"])
    number = 0
    for height in range(blocks):
        calls: list[dict[str, Any]] = []
        for place in range(shape.transactions):
            recipients: list[str] = []
            for _ in range(shape.transfers):
                watched = number % shape.watched_every == 0
                recipients.append(address_of(number % WATCHED_COUNT if watched else WATCHED_COUNT + number))
                number += 1
            words = [0x40, 1_000_000 + height, len(recipients)]
            data = "0x" + selector_of("spray(address[],uint256)") + "".join(f"{word:064x}" for word in words)
            data += "".join(recipient[2:].rjust(64, "0") for recipient in recipients)
            transaction = {
                "from": ACCOUNTS[place % len(ACCOUNTS)],
                "to": token,
                "data": data,
                "gas": hex(2_000_000),
            }
            calls.append(
                {"jsonrpc": "2.0", "id": place, "method": "eth_sendTransaction", "params": [transaction]}
            )
        calls.append({"jsonrpc": "2.0", "id": len(calls), "method": "evm_mine", "params": []})
        async with node.session.post(node.url, json=calls) as response:
            answers = await response.json(content_type=None)
        refused = [answer["error"] for answer in answers if "error" in answer]
        assert not refused, refused[:1]
        if height % 500 == 499:
            print(f"  {height + 1} of {blocks} blocks mined", file=sys.stderr, flush=True)
    return token


def selector_of(signature: str) -> str:
    """The first four bytes of a function's hash, as hex."""
    return str(sha3.keccak_256(signature.encode()).hexdigest())[:8]

"""What a token contract says of itself: decimals and symbol.  The only web3.

A chain refuses to start when a token's decimals are not the configured ones (a
factor of 10^12 between two USDTs is real).  What contracts say is a stranger's
text: length is capped, and whatever could act on a terminal or page is escaped.
The assets themselves come from the catalogue and configuration.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from web3 import AsyncWeb3
from web3.providers.async_base import AsyncBaseProvider
from web3.types import RPCEndpoint, RPCResponse

from chains.errors import Refused, Throttled, Unreachable, WrongNetwork
from chains.evm.nodes.node import EvmNode
from chains.model import Address, Asset, AssetId
from chains.rpc.jsonrpc import Call, expect_result
from chains.rpc.throttle import Priority

RECURSION_LIMIT = 1_000
"""Python's own. Importing web3 raises it a hundredfold, and then JSON nested deep enough overflows the C stack of the
whole process where it should be a RecursionError."""
sys.setrecursionlimit(RECURSION_LIMIT)

SYMBOL_CHARACTERS_MAX = 32
RESULT_CHARACTERS_MAX = 8192
"""Of one answer: a symbol of a megabyte is refused before it is decoded."""

_HEX = re.compile(r"0x(?:[0-9a-fA-F]{2})*")

_UINT = [{"type": "uint8", "name": ""}]
_STRING = [{"type": "string", "name": ""}]
_BYTES32 = [{"type": "bytes32", "name": ""}]


@dataclass(frozen=True, slots=True)
class TokenFacts:
    """What a contract says; None where it says nothing readable."""

    decimals: int | None
    symbol: str | None


class _NodeProvider(AsyncBaseProvider):
    """web3's questions, asked through our own node with its budget and limits."""

    # A contract could otherwise send us to any URL it likes (EIP-3668).
    global_ccip_read_enabled = False

    def __init__(self, node: EvmNode) -> None:
        super().__init__()
        self._node = node

    async def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        (outcome,) = await self._node.ask([Call(str(method), tuple(params))], Priority.BACKFILL)
        raw = expect_result(outcome)
        if memoryview(raw).nbytes > RESULT_CHARACTERS_MAX:
            raise Refused(f"{method}: an answer over {RESULT_CHARACTERS_MAX} characters")
        result = msgspec.json.decode(raw)
        if not isinstance(result, str) or not _HEX.fullmatch(result):
            raise Refused(f"{method}: an answer that is no hexadecimal text")
        return {"jsonrpc": "2.0", "id": 1, "result": result}


async def fetch_token_facts(node: EvmNode, contract: Address) -> TokenFacts:
    """Decimals and symbol; raises only what keeps the node from answering at all."""
    decimals = await _call(node, contract, "decimals", _UINT)
    symbol = await _call(node, contract, "symbol", _STRING)
    if symbol is None:
        symbol = await _call(node, contract, "symbol", _BYTES32)
    return TokenFacts(
        decimals=decimals if isinstance(decimals, int) else None,
        symbol=tame_text(symbol) if isinstance(symbol, str | bytes) else None,
    )


async def fetch_decimals(node: EvmNode, assets: Sequence[Asset]) -> dict[AssetId, int]:
    """What the contracts of listed tokens say; of those the operator trusts, what is configured."""
    said: dict[AssetId, int] = {}
    for asset in assets:
        if asset.contract is None:
            continue
        decimals = (
            asset.decimals
            if asset.decimals_are_trusted
            else await _call(node, asset.contract, "decimals", _UINT)
        )
        if isinstance(decimals, int):
            said[asset.asset_id] = decimals
    return said


def tame_text(value: str | bytes) -> str:
    """A stranger's text, safe to show: capped, and escaped where it could act.

    Control, direction and markup characters become their hexadecimal escapes,
    which mean nothing to a terminal, a page or a log.
    """
    text = value.rstrip(b"\x00").decode("utf-8", "replace") if isinstance(value, bytes) else value
    return "".join(_tame(character) for character in text[:SYMBOL_CHARACTERS_MAX])


def _tame(character: str) -> str:
    is_invisible = unicodedata.category(character)[0] in "CZ" and character != " "
    acts = is_invisible or character in "<>&\"'`\\"
    return f"\\u{ord(character):04x}" if acts else character


async def _call(
    node: EvmNode, contract: Address, function: str, outputs: Sequence[dict[str, str]]
) -> int | str | bytes | None:
    """One view function's value; None where the contract gives none of that type."""
    abi = [
        {
            "type": "function",
            "name": function,
            "inputs": [],
            "outputs": list(outputs),
            "stateMutability": "view",
        }
    ]
    web3: AsyncWeb3[_NodeProvider] = AsyncWeb3(_NodeProvider(node))
    try:
        target = web3.eth.contract(address=web3.to_checksum_address(contract), abi=abi)
        found = await target.functions[function]().call(ccip_read_enabled=False)
    except (Unreachable, Throttled, WrongNetwork):
        raise
    except Exception:  # noqa: BLE001  # whatever a stranger's bytes do to a decoder, they say nothing
        return None
    return found if isinstance(found, int | str | bytes) else None

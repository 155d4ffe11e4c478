"""Balances of one node at one block: native coin and listed tokens.

Asked by the block's hash, and only of a canonical block (EIP-1898).  A node
that refuses the form is asked by height, and for the block at that height
before and after, to tell whether it still is that block.  What a balance proves is
`indexer.rules.balances`; what it should be is `ledger`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec
from msgspec import Raw

from chains.errors import ChainError, Inconsistent, Missing, Pruned, Refused, Throttled
from chains.evm.nodes.node import EvmNode
from chains.evm.rows.structs import decode_header, encode_word, parse_quantity
from chains.model import Address, BlockRef
from chains.rpc.jsonrpc import Call, Reply, expect_result, is_null
from chains.rpc.throttle import Priority

BALANCE_OF = "0x70a08231"
"""The selector of ERC-20 `balanceOf(address)`."""

# As geth, erigon, nethermind, besu, reth and the hosting providers word it.
_PRUNED = re.compile(
    r"pruned|pruning|missing trie node|archive|historical state|old data not available"
    r"|no state available|state.{0,40}(?:not available|unavailable)|state histor|distance to target block",
    re.IGNORECASE,
)
_NOT_CANONICAL = re.compile(r"not (?:currently )?(?:in )?(?:the )?canonical", re.IGNORECASE)


async def fetch_balances(
    node: EvmNode, priority: Priority, wanted: Sequence[tuple[Address, Address | None]], block: BlockRef
) -> list[int]:
    """One balance for each pair of address and token contract (None: native), in base units."""
    if not wanted:
        return []
    if node.abilities.state_by_hash:
        place: object = {"blockHash": encode_word(block.hash), "requireCanonical": True}
        outcomes = await node.ask([_balance_call(*one, place) for one in wanted], priority)
        if not any(_is_form_refused(one) for one in outcomes):
            return [_read_balance(one, block) for one in outcomes]
    balances = await _fetch_by_height(node, priority, wanted, block)
    node.abilities.state_by_hash = False
    return balances


async def _fetch_by_height(
    node: EvmNode, priority: Priority, wanted: Sequence[tuple[Address, Address | None]], block: BlockRef
) -> list[int]:
    """Heights name forks, so the block at this one is asked for before and, apart, after."""
    place = hex(block.height)
    header = Call("eth_getBlockByNumber", (place, False))
    before, *outcomes = await node.ask([header, *(_balance_call(*one, place) for one in wanted)], priority)
    (after,) = await node.ask([header], priority)
    for outcome in (before, after):
        raw = expect_result(outcome)
        if is_null(raw) or decode_header(raw).hash != block.hash:
            raise Missing(f"does not call the block {encode_word(block.hash)} canonical")
    return [_read_balance(one, block) for one in outcomes]


def _balance_call(address: Address, contract: Address | None, place: object) -> Call:
    owner = "0x" + address.hex()
    if contract is None:
        return Call("eth_getBalance", (owner, place))
    data = BALANCE_OF + address.hex().rjust(64, "0")
    return Call("eth_call", ({"to": "0x" + contract.hex(), "data": data}, place))


def _is_form_refused(outcome: Reply) -> bool:
    if not isinstance(outcome, Refused):
        return False
    return "(-32602)" in outcome.detail or "cannot unmarshal" in outcome.detail


def _read_balance(outcome: Reply, block: BlockRef) -> int:
    if isinstance(outcome, ChainError) and not isinstance(outcome, Throttled):
        if _PRUNED.search(outcome.detail):
            raise Pruned(f"keeps no balances of block {block.height}: {outcome.detail}")
        if _NOT_CANONICAL.search(outcome.detail):
            raise Missing(f"does not call the block {encode_word(block.hash)} canonical")
    raw = expect_result(outcome)
    text = _read_text(raw)
    # A call to an account without code answers nothing: a token before its deployment.
    return 0 if text == "0x" else parse_quantity(text)


def _read_text(raw: Raw) -> str:
    try:
        return msgspec.json.decode(raw, type=str)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise Inconsistent("not a text where a balance was due") from None

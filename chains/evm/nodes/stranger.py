"""A node of somebody else's choice, asked one thing: which block is canonical at a height.

For checking a proof without our own providers.  It may be a light client that
knows recent blocks only, takes no batches and has no block 0, so it is asked
call by call and for nothing more.  Following a chain is `provider`.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw

from chains.errors import ChainError, Inconsistent, WrongNetwork
from chains.evm.rows.structs import decode_header, encode_word, parse_quantity
from chains.family import BlockSeen
from chains.rpc.jsonrpc import Call, decode_batch, encode_batch, expect_result, is_null, read_status
from chains.rpc.node_endpoint import NodeEndpoint
from chains.rpc.transport import HttpTransport, Request

DEADLINE_S = 15.0
"""For each call: whoever waits sits before a terminal."""


async def fetch_block_seen(url: str, chain_number: int, height: int) -> BlockSeen:
    """Ask the node at `url`; raises `WrongNetwork` for another chain's, and what keeps it from answering."""
    async with HttpTransport(NodeEndpoint(url), deadline_s=DEADLINE_S) as transport:
        number = _read_number(await _ask(transport, "eth_chainId"))
        if number != chain_number:
            raise WrongNetwork(f"serves chain {number}, not {chain_number}", provider=transport.name)
        raw = await _ask(transport, "eth_getBlockByNumber", hex(height), False)
        block_hash = None
        if not is_null(raw):
            header = decode_header(raw)
            if header.height != height:
                raise Inconsistent(
                    f"answered height {height} with block {header.height}", provider=transport.name
                )
            block_hash = encode_word(header.hash)
        heights = [await _ask_height(transport, tag) for tag in ("latest", "finalized")]
    return BlockSeen(transport.name, block_hash, heights[0], heights[1])


async def _ask(transport: HttpTransport, method: str, *params: object) -> Raw:
    call = Call(method, params)
    (outcome,) = decode_batch(
        await transport.send(Request(encode_batch([call]), read_status=read_status)), [call]
    )
    return expect_result(outcome)


async def _ask_height(transport: HttpTransport, tag: str) -> int | None:
    """How high the block of a tag is; not every node knows every tag."""
    try:
        raw = await _ask(transport, "eth_getBlockByNumber", tag, False)
        return None if is_null(raw) else decode_header(raw).height
    except ChainError:
        return None


def _read_number(raw: Raw) -> int:
    try:
        return parse_quantity(msgspec.json.decode(raw, type=str))
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise Inconsistent("answers eth_chainId with no number") from None

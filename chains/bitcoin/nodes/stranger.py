"""A node of somebody else's choice, asked one thing: which block is canonical at a height.

For checking a proof without our own providers; it is asked call by call and for
nothing more.  Following a chain is `provider`.
"""

from __future__ import annotations

from chains.bitcoin.coins import Coin
from chains.bitcoin.nodes.answers import ChainInfo, read_answer, read_hash, read_height
from chains.errors import ChainError, Missing, WrongNetwork
from chains.family import BlockSeen
from chains.rpc.jsonrpc import Call, Reply, decode_batch, encode_batch, expect_result, read_status
from chains.rpc.node_endpoint import NodeEndpoint
from chains.rpc.transport import HttpTransport, Request

DEADLINE_S = 15.0
"""For each call: whoever waits sits before a terminal."""


async def fetch_block_seen(url: str, coin: Coin, height: int) -> BlockSeen:
    """Ask the node at `url`; raises `WrongNetwork` for another chain's, and what keeps it from answering."""
    async with HttpTransport(NodeEndpoint(url), deadline_s=DEADLINE_S) as transport:
        genesis = _read_hash(expect_result(await _ask(transport, "getblockhash", 0)), 0)
        if genesis != coin.genesis_hash:
            raise WrongNetwork(
                f"has the block 0 {genesis.hex()}, not that of {coin.name}", provider=transport.name
            )
        outcome = await _ask(transport, "getblockhash", height)
        seen = None if isinstance(outcome, Missing) else _read_hash(expect_result(outcome), height).hex()
        try:
            info = read_answer(await _ask(transport, "getblockchaininfo"), ChainInfo, "state of the chain")
            head_height: int | None = read_height(info.blocks)
        except ChainError:
            head_height = None
    return BlockSeen(transport.name, seen, head_height, None)


async def _ask(transport: HttpTransport, method: str, *params: object) -> Reply:
    call = Call(method, params)
    (outcome,) = decode_batch(
        await transport.send(Request(encode_batch([call]), read_status=read_status)), [call]
    )
    return outcome


def _read_hash(outcome: Reply, height: int) -> bytes:
    return read_hash(read_answer(outcome, str, "hash"), f"block {height}")

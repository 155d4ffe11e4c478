"""A node of somebody else's choice, asked one thing: which block is canonical at a height.

For checking a proof without our own providers.  Following a chain is `provider`.
"""

from __future__ import annotations

from chains.errors import ChainError, name_provider
from chains.family import BlockSeen
from chains.model import ChainId
from chains.rpc.node import Access
from chains.rpc.node_endpoint import NodeEndpoint
from chains.rpc.throttle import Priority
from chains.rpc.transport import HttpTransport
from chains.tron.facts import suffix_of
from chains.tron.nodes.node import TronNode
from chains.tron.nodes.solid import fetch_solid

DEADLINE_S = 15.0
"""For each call: whoever waits sits before a terminal."""


async def fetch_block_seen(chain: ChainId, url: str, height: int) -> BlockSeen:
    """Ask the node at `url`; raises `WrongNetwork` for another chain's, and what keeps it from answering."""
    async with HttpTransport(NodeEndpoint(url), deadline_s=DEADLINE_S) as transport:
        node = TronNode(Access(transport.name, transport.name, transport), suffix_of(chain))
        try:
            seen = await node.fetch_header(str(height), Priority.HEAD)
            head = await node.fetch_header(None, Priority.HEAD)
        except ChainError as error:
            raise name_provider(error, transport.name) from None
        try:
            solid = await fetch_solid(node, Priority.HEAD, deadline_s=DEADLINE_S)
        except ChainError:
            solid = None
    return BlockSeen(
        transport.name,
        None if seen is None else seen.hash.hex(),
        None if head is None else head.height,
        None if solid is None else solid.height,
    )

"""What a node calls solidified, where it says so: at `/walletsolidity`, or in what it tells of itself.

A java-tron of one's own serves the former at a port of its own, and the latter
beside everything else.  Which blocks are final for us is the indexer's.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec
from msgspec import Struct, field

from chains.model import Header
from chains.rpc.refusals import UnknownMethod
from chains.rpc.throttle import Priority
from chains.tron.nodes.node import FULL, SOLID, TronNode


class _NodeInfo(Struct):
    solid: str = field(name="solidityBlock", default="")


_NODE_INFO: Final = msgspec.json.Decoder(_NodeInfo)
_PLACE: Final = re.compile(r"Num:[0-9]{1,18},ID:([0-9a-f]{64})")


async def fetch_solid(node: TronNode, priority: Priority, *, deadline_s: float) -> Header | None:
    """The solidified block's header; None where the node does not tell."""
    if node.serves_solid:
        try:
            return await node.fetch_header(None, priority, root=SOLID, deadline_s=deadline_s)
        except UnknownMethod:
            node.serves_solid = False
    told = await node.ask(f"{FULL}/getnodeinfo", {}, _NODE_INFO, priority)
    found = None if told is None else _PLACE.fullmatch(told.solid)
    return None if found is None else await node.fetch_header(found[1], priority, deadline_s=deadline_s)

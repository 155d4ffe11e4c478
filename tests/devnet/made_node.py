"""A node for tests that runs nothing: a JSON-RPC server on a loopback port over blocks that it is given as rows.

So chains can be served whose transactions no local node has. Here: which block is canonical, and what a node answers
about the blocks it holds, finality tags as `anvil` with one slot an epoch has them. Blocks that left are still answered
by hash. Making blocks is the test's own; lies are told by a proxy in front (`tests/faultproxy`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
from aiohttp import web

from gateway.demo.ports import choose_port

Rows = dict[str, Any]
TAGS: Mapping[str, int] = {"latest": 0, "safe": 1, "finalized": 2}
"""How far below the newest block each tag stands."""


@dataclass(slots=True)
class Held:
    """One block with its receipts."""

    block: Rows
    receipts: list[Rows]

    @property
    def height(self) -> int:
        return int(self.block["number"], 16)

    @property
    def header(self) -> Rows:
        """The block as it is answered without its transactions."""
        return {**self.block, "transactions": [one["hash"] for one in self.block["transactions"]]}


@dataclass(slots=True)
class MadeNode:
    """A chain from its first kept block to its head, and block 0, which tells the network."""

    chain_number: int
    genesis: Rows
    port: int
    _canonical: list[Held] = field(default_factory=list)
    _by_hash: dict[str, Held] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def head(self) -> Rows:
        """The newest block."""
        return self._canonical[-1].block

    def append(self, block: Rows, receipts: list[Rows]) -> None:
        """One more block upon the head."""
        held = Held(block, receipts)
        if self._canonical:
            assert block["parentHash"] == self.head["hash"], "a block stands upon the head"
            assert held.height == self._canonical[-1].height + 1, "heights count one by one"
        assert block["hash"] not in self._by_hash, "no block is made twice"
        self._canonical.append(held)
        self._by_hash[block["hash"]] = held

    def leave(self, height: int) -> int:
        """The blocks from this height on are canonical no more; returns how many they were."""
        first = self._canonical[0].height
        assert first < height, "the first block stays"
        kept, left = self._canonical[: height - first], self._canonical[height - first :]
        self._canonical = kept
        return len(left)

    async def handle(self, request: web.Request) -> web.Response:
        """Serve one HTTP exchange: a call or a batch of them."""
        asked = msgspec.json.decode(await request.read())
        answer = [self._answer(one) for one in asked] if isinstance(asked, list) else self._answer(asked)
        return web.Response(body=msgspec.json.encode(answer), content_type="application/json")

    def _answer(self, call: Rows) -> Rows:
        answer: Rows = {"jsonrpc": "2.0", "id": call["id"]}
        method = METHODS.get(call["method"])
        if method is None:
            message = f"the method {call['method']} does not exist/is not available"
            return answer | {"error": {"code": -32601, "message": message}}
        return answer | {"result": method(self, call.get("params", []))}

    def _at(self, reference: object) -> Held | None:
        """The block of a tag, a height, a hash or `{blockHash}`."""
        if isinstance(reference, dict):
            reference = reference.get("blockHash")
        if not isinstance(reference, str):
            return None
        if len(reference) == 66:
            return self._by_hash.get(reference)
        if reference in TAGS:
            return self._canonical[max(0, len(self._canonical) - 1 - TAGS[reference])]
        if int(reference, 16) == 0:
            return Held(self.genesis, [])
        position = int(reference, 16) - self._canonical[0].height
        return self._canonical[position] if 0 <= position < len(self._canonical) else None

    def _show_block(self, params: list[Any]) -> Rows | None:
        held = self._at(params[0])
        if held is None:
            return None
        return held.block if params[1] else held.header

    def _show_receipts(self, params: list[Any]) -> list[Rows] | None:
        held = self._at(params[0])
        return None if held is None else held.receipts

    def _show_receipt(self, params: list[Any]) -> Rows | None:
        rows = (one for held in reversed(self._canonical) for one in held.receipts)
        return next((one for one in rows if one["transactionHash"] == params[0]), None)


METHODS: Mapping[str, Callable[[MadeNode, list[Any]], object]] = {
    "eth_chainId": lambda node, _params: hex(node.chain_number),
    "eth_blockNumber": lambda node, _params: node.head["number"],
    "eth_getBlockByNumber": MadeNode._show_block,
    "eth_getBlockByHash": MadeNode._show_block,
    "eth_getBlockReceipts": MadeNode._show_receipts,
    "eth_getTransactionReceipt": MadeNode._show_receipt,
}


@asynccontextmanager
async def start_made_node(chain_number: int, genesis: Rows) -> AsyncIterator[MadeNode]:
    """A node that holds block 0 alone, gone with its context; append the first block before it is asked."""
    node = MadeNode(chain_number, genesis, choose_port())
    application = web.Application()
    application.router.add_post("/", node.handle)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", node.port).start()
    try:
        yield node
    finally:
        await runner.cleanup()

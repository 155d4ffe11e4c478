"""A node for tests that runs nothing: java-tron's HTTP API on a loopback port over a made chain.

Failures that a healthy node never shows are played by `bend`, which sees each answer before it is sent, and by what the
node lacks. Making blocks is `tron_chain`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
from aiohttp import web

from chains.rpc.node_endpoint import NodeEndpoint
from gateway.demo.ports import choose_port
from tests.devnet.tron_chain import PERIOD_MS, MadeBlock, Rows, TronChain, address_of

Answer = Any
"""JSON to send, or text as it is, or a whole response."""


@dataclass(slots=True)
class TronNode:
    """One HTTP server; `asked` counts its paths."""

    chain: TronChain
    port: int
    lacks: set[str] = field(default_factory=set)
    key: str | None = None
    keeps_history: bool = True
    keeps_internal: bool = False
    asked: Counter[str] = field(default_factory=Counter)
    bend: Callable[[str, Rows, Answer], Answer] = lambda _path, _body, answer: answer

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def endpoint(self, operator: str = "") -> NodeEndpoint:
        return NodeEndpoint(
            self.url, operator, headers={} if self.key is None else {"TRON-PRO-API-KEY": self.key}
        )

    def heal(self) -> None:
        """From now on nothing is bent."""
        self.bend = lambda _path, _body, answer: answer
        self.lacks.clear()

    async def handle(self, request: web.Request) -> web.Response:
        """Serve one call."""
        if self.key is not None and request.headers.get("TRON-PRO-API-KEY") != self.key:
            return web.json_response({"Error": "ApiKey not exists"}, status=401)
        path, content = request.path, await request.read()
        self.asked[path] += 1
        if path in self.lacks:
            return web.json_response({"Error": "this API is unavailable due to config"}, status=404)
        body: Rows = msgspec.json.decode(content) if content else {}
        answer = self.bend(path, body, self.answer(path, body))
        if isinstance(answer, web.Response):
            return answer
        if isinstance(answer, str):
            return web.Response(text=answer)
        return web.Response(body=msgspec.json.encode(answer), content_type="application/json")

    def answer(self, path: str, body: Rows) -> Answer:
        """What a healthy node says."""
        root, _, name = path.strip("/").partition("/")
        limit = self.chain.solid_height if root == "walletsolidity" else self.chain.head.height
        match name:
            case "getblock":
                found = self._find(body.get("id_or_num"), limit)
                return {} if found is None else found.row if body.get("detail") else found.bare
            case "getnowblock":
                return self.chain.blocks[limit].row
            case "getblockbynum":
                found = self._find(str(body["num"]), limit)
                return {} if found is None else found.row
            case "getblockbyid":
                found = self._find(body["value"], limit)
                return {} if found is None else found.row
            case "gettransactioninfobyblocknum":
                found = self._find(str(body["num"]), limit)
                return [] if found is None or not body["num"] else [self._shown(info) for info in found.infos]
            case "gettransactionbyid" | "gettransactioninfobyid":
                place = self.chain.find_tx(bytes.fromhex(body["value"]))
                if place is None:
                    return {}
                block, at = place
                return block.txs[at].row if name == "gettransactionbyid" else self._shown(block.infos[at])
            case _:
                return self._answer_state(name, body)

    def _answer_state(self, name: str, body: Rows) -> Answer:
        """What is asked of accounts, contracts and witnesses."""
        match name:
            case "getaccountbalance":
                return self._balance(body)
            case "listwitnesses":
                standby = [{"address": "41" + "77" * 20, "voteCount": 5}]
                return {
                    "witnesses": [{"address": one.hex(), "isJobs": True} for one in self.chain.scheduled]
                    + standby
                }
            case "getnextmaintenancetime":
                return {"num": self.chain.maintenance_ms}
            case "getchainparameters":
                return {
                    "chainParameter": [
                        {"key": "getMaintenanceTimeInterval", "value": PERIOD_MS},
                        {"key": "getNone"},
                    ]
                }
            case "getaccount":
                named = {one.hex(): key for one, key in self.chain.delegates.items()}
                key = named.get(body["address"])
                keys = [] if key is None else [{"address": address_of(key).hex(), "weight": 1}]
                return {"address": body["address"], "witness_permission": {"keys": keys}}
            case "triggerconstantcontract":
                return {"result": {"result": True}, "constant_result": [f"{6:064x}"]}
            case "getnodeinfo":
                solid = self.chain.blocks[self.chain.solid_height]
                return {"block": "Num:9,ID:00", "solidityBlock": f"Num:{solid.height},ID:{solid.id.hex()}"}
            case "getassetissuebyid":
                return {"id": body["value"], "precision": 3}
            case _:
                return web.Response(status=404, text="no such servlet")

    def _find(self, wanted: str | None, limit: int) -> MadeBlock | None:
        if wanted is None:
            return self.chain.blocks[limit]
        if len(wanted) == 64:
            return self.chain.by_id.get(bytes.fromhex(wanted))
        return self.chain.blocks[int(wanted)] if int(wanted) <= limit else None

    def _shown(self, info: Rows) -> Rows:
        return {k: v for k, v in info.items() if k != "internal_transactions" or self.keeps_internal}

    def _balance(self, body: Rows) -> Answer:
        if not self.keeps_history:
            return {
                "Error": "class java.lang.IllegalStateException : this node does not support account balance query"
            }
        owner, height = (
            bytes.fromhex(body["account_identifier"]["address"]),
            body["block_identifier"]["number"],
        )
        told = 0
        for block in self.chain.blocks[: height + 1]:
            for tx in block.txs:
                at = tx.raw.find(b"\x12\x15" + owner)
                if at >= 0 and tx.raw[at + 23] == 0x18:
                    told += _read_varint(tx.raw[at + 24 :])
        return {"balance": told, "block_identifier": body["block_identifier"]}


def _read_varint(data: bytes) -> int:
    value = 0
    for place, byte in enumerate(data):
        value += byte % 128 << 7 * place
        if byte < 128:
            break
    return value


@asynccontextmanager
async def start_tron_node(chain: TronChain, **options: Any) -> AsyncIterator[TronNode]:
    """Serve the chain until the block ends."""
    node = TronNode(chain, choose_port(), **options)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", node.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", node.port).start()
    try:
        yield node
    finally:
        await runner.cleanup()

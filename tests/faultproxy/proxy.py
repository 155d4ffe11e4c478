"""A JSON-RPC proxy that does what a healthy node never does, on command.

It stands on a loopback port between a node and the code under test, over HTTP
and websocket.  `next_exchange` breaks whole HTTP exchanges, `bend` rewrites
answers of a method, `upstream` may be swapped at any time, and blocks it saw
are remembered, so that side blocks still answer by hash.  Ready-made faults
are in `faults.py`, dialects of whole nodes in `fronts.py`, websocket tricks in
`sockets.py`.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web

from gateway.demo.ports import choose_port
from tests.faultproxy.faults import Answer, Bend, Exchange, Forward
from tests.faultproxy.fronts import Asked, Front
from tests.faultproxy.sockets import SocketTricks, pump

REMEMBERED_METHODS = ("eth_getBlockByHash", "eth_getBlockReceipts", "debug_traceBlockByHash")


@dataclass(slots=True)
class Rule:
    """One bend of one method; `times` None bends for ever."""

    method: str
    bend: Bend
    times: int | None
    when: Callable[[list[Any]], bool]


@dataclass(slots=True)
class FaultProxy:
    """The proxy; everything about it may be changed while it runs."""

    upstream: str
    port: int
    session: aiohttp.ClientSession
    remembers: bool = False
    front: Front | None = None
    sockets: SocketTricks = field(default_factory=SocketTricks)
    calls: Counter[str] = field(default_factory=Counter)
    http_exchanges: int = 0
    _rules: list[Rule] = field(default_factory=list)
    _exchanges: deque[Exchange] = field(default_factory=deque)
    _memory: dict[str, Any] = field(default_factory=dict)
    _after_call: dict[str, Callable[[], Any]] = field(default_factory=dict)
    _server: web.Server | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def bend(
        self,
        method: str,
        bend: Bend,
        *,
        times: int | None = None,
        when: Callable[[list[Any]], bool] = lambda params: True,
    ) -> None:
        """Rewrite this method's answers: `bend(params, answer)` gives the new answer.

        The answer is `{"result": …}` or `{"error": …}`; None leaves the call
        unanswered.  `when` looks at the call's parameters.
        """
        self._rules.append(Rule(method, bend, times, when))

    def next_exchange(self, *exchanges: Exchange) -> None:
        """Break the next HTTP exchanges, one each."""
        self._exchanges.extend(exchanges)

    def after(self, method: str, act: Callable[[], Any]) -> None:
        """Once, right after this method was answered upstream and before the next call is."""
        self._after_call[method] = act

    def drop_connections(self) -> None:
        """Close every kept connection, as a load balancer does when it moves us to another machine."""
        assert self._server is not None, "the proxy runs"
        for connection in self._server.connections:
            if connection.transport is not None:
                connection.transport.close()

    def heal(self) -> None:
        """Forget every fault; what was seen stays remembered."""
        self._rules.clear()
        self._exchanges.clear()
        self._after_call.clear()
        self.front = None
        self.sockets.heal()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one HTTP exchange or one websocket."""
        if request.headers.get("upgrade", "").lower() == "websocket":
            return await pump(self.session, self.upstream.replace("http", "ws", 1), request, self.sockets)
        self.http_exchanges += 1
        body = await request.json()
        if self.front is not None and not self._exchanges:
            calls = body if isinstance(body, list) else [body]
            return await self.front(Asked(calls, isinstance(body, list), self._answer_one))
        exchange = self._exchanges.popleft() if self._exchanges else Forward()

        async def answer() -> bytes:
            return json.dumps(await self._answer(body)).encode()

        return await exchange.serve(request, answer)

    async def _answer(self, body: Any) -> Any:
        if isinstance(body, dict):
            answered = await self._answer_one(body)
            return answered or {"jsonrpc": "2.0", "id": None, "error": {"code": -32603, "message": "lost"}}
        # One by one: only so can something happen between two calls of a batch.
        answers = [await self._answer_one(call) for call in body]
        return [answer for answer in answers if answer is not None]

    async def _answer_one(self, call: dict[str, Any]) -> Answer | None:
        method, params = str(call["method"]), list(call.get("params", []))
        self.calls[method] += 1
        answer: Answer | None = await self._forward(call)
        act = self._after_call.pop(method, None)
        if act is not None:
            done = act()
            if asyncio.iscoroutine(done):
                await done
        answer = self._recall(method, params, answer)
        for rule in list(self._rules):
            if answer is None or rule.method != method or not rule.when(params):
                continue
            if rule.times is not None:
                rule.times -= 1
                if rule.times == 0:
                    self._rules.remove(rule)
            answer = rule.bend(params, json.loads(json.dumps(answer)))
        return None if answer is None else {"jsonrpc": "2.0", "id": call["id"]} | answer

    async def _forward(self, call: dict[str, Any]) -> Answer:
        async with self.session.post(self.upstream, json=call) as response:
            answered = await response.json(content_type=None)
        return {key: value for key, value in answered.items() if key in ("result", "error")}

    def _recall(self, method: str, params: list[Any], answer: Answer | None) -> Answer | None:
        if method not in REMEMBERED_METHODS or answer is None:
            return answer
        key = json.dumps([method, params])
        if answer.get("result") is not None:
            self._memory[key] = answer
        elif self.remembers and key in self._memory:
            return dict(self._memory[key])
        return answer


@asynccontextmanager
async def start_proxy(upstream: str) -> AsyncIterator[FaultProxy]:
    """A proxy in front of a node's HTTP URL, gone with its context."""
    async with aiohttp.ClientSession() as session:
        proxy = FaultProxy(upstream, choose_port(), session)
        application = web.Application(client_max_size=64 * 1024 * 1024)
        application.router.add_route("*", "/{path:.*}", proxy.handle)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.2)
        await runner.setup()
        proxy._server = runner.server
        await web.TCPSite(runner, "127.0.0.1", proxy.port).start()
        try:
            yield proxy
        finally:
            await runner.cleanup()

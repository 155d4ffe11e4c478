"""Hints over a websocket: they wake, they mislead nobody, and silence is noticed.

A real node behind the fault proxy.  What a woken follower does is not asked
here; that it need not be woken at all is the follower's own test.
"""

from __future__ import annotations

import asyncio
import http
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import websockets.asyncio.server as ws
from websockets.http11 import Response
from websockets.utils import accept_key

from chains.evm.nodes import heads
from chains.evm.nodes.heads import MESSAGE_SPACING_S, HeadWatch, read_head
from chains.rpc.listening import HintsLost
from chains.rpc.node_endpoint import NodeEndpoint
from tests.faultproxy.proxy import FaultProxy, start_proxy
from tests.live_evm.conftest import Faulty, LocalChain

pytestmark = pytest.mark.live


@asynccontextmanager
async def watching(*urls: str, silence_s: float = 5.0) -> AsyncIterator[tuple[HeadWatch, asyncio.Event]]:
    """A running watch and the event its hints set."""
    hinted = asyncio.Event()
    watch = HeadWatch(
        "local", [NodeEndpoint(url) for url in urls], 1.0, lambda _head: hinted.set(), silence_s=silence_s
    )
    task = asyncio.create_task(watch.run())
    try:
        yield watch, hinted
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def hear_one(chain: LocalChain, hinted: asyncio.Event, *, within_s: float = 10.0) -> None:
    """Mine until a hint comes: a subscription may take a moment to stand."""
    hinted.clear()
    async with asyncio.timeout(within_s):
        while not hinted.is_set():
            await chain.node.mine()
            with suppress(TimeoutError):
                async with asyncio.timeout(0.2):
                    await hinted.wait()


async def test_a_new_head_wakes_whoever_waits(faulty: Faulty) -> None:
    task = asyncio.create_task(faulty.source.run_hints())
    try:
        async with asyncio.timeout(10):
            while not await faulty.source.wait_for_hint(0.2):
                await faulty.chain.node.mine()
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_a_head_that_a_look_has_shown_wakes_nobody_any_more(faulty: Faulty) -> None:
    source, node = faulty.source, faulty.chain.node
    newest = await node.block_hash(await node.height())
    source.note_hint(newest.removeprefix("0x"))
    await source.fetch_head_hedged()
    assert not await source.wait_for_hint(0.01), "the hint came while the look was under way"
    source.note_hint(newest.removeprefix("0x"))
    assert not await source.wait_for_hint(0.01), "or after it"
    source.note_hint("ab" * 32)
    source.wake()
    assert await source.wait_for_hint(0.01), "a head is more than a word"


async def test_without_a_websocket_there_is_only_the_timer(chain: LocalChain) -> None:
    async with watching() as (watch, hinted):
        await asyncio.sleep(0)
        assert watch.listening_to == ""
        assert not hinted.is_set()


async def test_case_051_a_silent_subscription_is_left_for_another_provider(chain: LocalChain) -> None:
    async with start_proxy(chain.node.url) as silent, start_proxy(chain.node.url) as sound:
        silent.sockets.silent = True
        async with watching(silent.ws_url, sound.ws_url, silence_s=0.4) as (watch, hinted):
            await hear_one(chain, hinted)
            assert watch.listening_to.endswith(str(sound.port))
        assert silent.sockets.connections >= 1


async def test_a_subscription_that_stands_is_told_before_any_head(faulty: Faulty) -> None:
    task = asyncio.create_task(faulty.source.run_hints())
    try:
        for _ in range(500):
            if faulty.source.would_hint:
                break
            await asyncio.sleep(0.02)
        assert faulty.source.would_hint
        assert not faulty.source.are_hints_live
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_case_051_a_closed_subscription_is_opened_again(faulty: Faulty) -> None:
    async with watching(faulty.proxy.ws_url) as (_, hinted):
        await hear_one(faulty.chain, hinted)
        await faulty.proxy.sockets.cut()
        await hear_one(faulty.chain, hinted)
    assert faulty.proxy.sockets.connections >= 2


async def test_case_051_a_provider_that_refuses_is_retried_with_growing_pauses(faulty: Faulty) -> None:
    faulty.proxy.sockets.refuses = True
    async with watching(faulty.proxy.ws_url) as (_, hinted):
        await asyncio.sleep(1.5)
        refused = faulty.proxy.sockets.connections
        assert 1 <= refused <= 8, "a refusal must not become a busy loop"
        faulty.proxy.sockets.refuses = False
        await hear_one(faulty.chain, hinted)


@pytest.mark.parametrize("trick", ["repeats", "reorders", "drops"])
async def test_case_051_repeated_reordered_and_lost_heads_still_wake(faulty: Faulty, trick: str) -> None:
    bend(faulty.proxy, trick)
    async with watching(faulty.proxy.ws_url) as (watch, hinted):
        await hear_one(faulty.chain, hinted)
        before = watch.hints_count
        await faulty.chain.node.mine(6)
        await asyncio.sleep(0.5)
        # Two more may have been under way; with five repeats there would be thirty.
        assert 0 < watch.hints_count - before <= 8, "one hint a head at most, none needed for each"


def bend(proxy: FaultProxy, trick: str) -> None:
    if trick == "repeats":
        proxy.sockets.repeats = 5
    elif trick == "reorders":
        proxy.sockets.reorders = True
    else:
        proxy.sockets.drops_every = 3


async def test_case_050_a_removed_log_on_the_wire_is_not_even_a_hint(faulty: Faulty) -> None:
    async with watching(faulty.proxy.ws_url) as (watch, hinted):
        await hear_one(faulty.chain, hinted)
        before = watch.hints_count
        await faulty.proxy.sockets.inject({"removed": True, "address": "0x1", "topics": [], "data": "0x"})
        await asyncio.sleep(0.2)
        assert watch.hints_count == before


async def test_a_gone_provider_does_not_stop_the_watch(faulty: Faulty) -> None:
    async with watching("ws://127.0.0.1:9", faulty.proxy.ws_url) as (watch, hinted):
        await hear_one(faulty.chain, hinted)
        assert watch.listening_to.endswith(str(faulty.proxy.port))


@pytest.mark.parametrize(
    "message",
    [
        "",
        "null",
        "not JSON",
        b"\xff",
        "[" * 5000,
        '{"jsonrpc":"2.0","id":1,"result":"0x1"}',
        '{"method":"eth_subscription"}',
        '{"method":"eth_subscription","params":{"result":"0x1"}}',
        '{"method":"other","params":{"result":{"hash":"0x1"}}}',
    ],
)
def test_messages_that_are_no_heads_are_nothing(message: str | bytes) -> None:
    assert read_head(message) is None


def test_a_refused_subscription_is_lost() -> None:
    with pytest.raises(HintsLost):
        read_head('{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"notifications not supported"}}')


@pytest.mark.parametrize(
    ("result", "head"),
    [
        ('{"hash":"0x1","number":"0x2"}', "0x1"),
        ('{"number":"0x2"}', "0x2"),
        ('{"number":2,"hash":null}', "2"),
        ('{"header":{"number":"0x2"}}', "0x2"),
        ('{"hash":"0x1","topics":[]}', None),
        ("{}", None),
    ],
)
def test_a_head_is_heard_in_whatever_shape_it_comes(result: str, head: str | None) -> None:
    message = (
        f'{{"jsonrpc":"2.0","method":"eth_subscription","params":{{"subscription":1,"result":{result}}}}}'
    )
    assert read_head(message) == head


Serve = Callable[[ws.ServerConnection], Awaitable[None]]


@asynccontextmanager
async def odd_socket(serve: Serve, **options: Any) -> AsyncIterator[str]:
    """A websocket server of one's own."""
    async with ws.serve(serve, "127.0.0.1", 0, **options) as server:
        yield f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"


def notify(number: int) -> str:
    params = {"subscription": "0x1", "result": {"number": hex(number)}}
    return json.dumps({"jsonrpc": "2.0", "method": "eth_subscription", "params": params})


async def refuse_to_subscribe(socket: ws.ServerConnection) -> None:
    await socket.recv()
    await socket.send('{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no notifications"}}')
    await socket.wait_closed()


async def send_a_huge_frame(socket: ws.ServerConnection) -> None:
    await socket.send("x" * (16 * 1024 * 1024))


def forbid(socket: ws.ServerConnection, _request: object) -> Response:
    return socket.respond(http.HTTPStatus.FORBIDDEN, "no websockets in your plan")


@pytest.mark.parametrize("name", ["refused", "huge", "forbidden"])
async def test_a_socket_that_gives_no_heads_is_said_and_left_for_another(
    faulty: Faulty, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    serve = send_a_huge_frame if name == "huge" else refuse_to_subscribe
    options = {"process_request": forbid} if name == "forbidden" else {}
    async with odd_socket(serve, **options) as url, watching(url, faulty.proxy.ws_url) as (watch, hinted):
        await hear_one(faulty.chain, hinted)
        assert watch.listening_to.endswith(str(faulty.proxy.port))
    said = {"refused": "refuses to subscribe", "huge": "ConnectionClosedError", "forbidden": "HTTP 403"}
    assert said[name] in capsys.readouterr().out


async def test_a_flood_of_anything_is_read_slowly() -> None:
    sent = [0]

    async def flood(socket: ws.ServerConnection) -> None:
        while True:
            await socket.send(notify(sent[0]) if sent[0] % 2 else '{"method":"noise"}')
            sent[0] += 1
            await asyncio.sleep(0)

    async with odd_socket(flood) as url, watching(url) as (watch, hinted):
        await asyncio.wait_for(hinted.wait(), 5)
        before = watch.hints_count
        await asyncio.sleep(0.3)
        assert watch.hints_count - before <= 0.3 / MESSAGE_SPACING_S


async def test_pings_that_nobody_answers_do_not_end_a_subscription(monkeypatch: pytest.MonkeyPatch) -> None:
    connections = [0]

    async def serve_plainly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections[0] += 1
        head = await reader.readuntil(b"\r\n\r\n")
        key = next(
            line.split(b": ")[1]
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"sec-websocket-key")
        )
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: "
            + accept_key(key.decode()).encode()
            + b"\r\n\r\n"
        )
        with suppress(ConnectionError):
            for number in range(1000):
                text = notify(number).encode()
                writer.write(
                    b"\x81"
                    + (bytes([len(text)]) if len(text) < 126 else b"\x7e" + len(text).to_bytes(2, "big"))
                    + text
                )
                await writer.drain()
                await asyncio.sleep(0.05)
        writer.close()

    monkeypatch.setattr(heads, "PING_EVERY_S", 0.05)
    server = await asyncio.start_server(serve_plainly, "127.0.0.1", 0)
    url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with watching(url) as (watch, hinted):
        await asyncio.wait_for(hinted.wait(), 5)
        await asyncio.sleep(0.5)
        assert watch.hints_count >= 3
        assert connections == [1]
    server.close()

"""What comes over a node's connection: odd bodies, late answers, bytes nobody asked for.

A server of bare sockets, since HTTP libraries are too polite for these.
"""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from chains.errors import ChainError, Refused, Throttled, Unreachable
from chains.evm.nodes.node import EvmNode
from chains.rpc.batches import Batches
from chains.rpc.jsonrpc import Call
from chains.rpc.node import Access
from chains.rpc.node_endpoint import NodeEndpoint
from chains.rpc.refusals import TooLarge
from chains.rpc.throttle import Budget, Priority
from chains.rpc.transport import HttpTransport, parse_retry_after

KEY = "0123456789abcdef"

Reply = Callable[["Peer", bytes], Awaitable[None]]


@dataclass(slots=True)
class Peer:
    """One side of one connection of the server."""

    writer: asyncio.StreamWriter

    async def send(self, body: bytes, status: str = "200 OK", headers: str = "") -> None:
        """One HTTP answer."""
        head = f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n{headers}\r\n"
        self.writer.write(head.encode() + body)
        await self.writer.drain()


@dataclass(slots=True)
class Server:
    """Answers the n-th request with the n-th reply; the last reply serves the rest."""

    replies: list[Reply]
    port: int = 0
    connections: int = 0
    requests: list[bytes] = field(default_factory=list)
    serving: set[asyncio.Task[None]] = field(default_factory=set)

    async def end(self) -> None:
        """Break off whatever a reply still does."""
        for task in self.serving:
            task.cancel()
        await asyncio.gather(*self.serving, return_exceptions=True)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.connections += 1
        peer = Peer(writer)
        task = asyncio.current_task()
        assert task is not None
        self.serving.add(task)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = next(
                    int(line.split(b":")[1])
                    for line in head.split(b"\r\n")
                    if line.lower().startswith(b"content-length")
                )
                body = await reader.readexactly(length)
                self.requests.append(body)
                reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
                await reply(peer, body)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            return
        finally:
            writer.transport.abort()


@asynccontextmanager
async def asking(*replies: Reply) -> AsyncIterator[tuple[Batches, HttpTransport, Server]]:
    server = Server(list(replies))
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    transport = HttpTransport(NodeEndpoint(f"http://user:{KEY}@127.0.0.1:{server.port}/v2/{KEY}?token={KEY}"))
    try:
        async with transport:
            yield Batches(transport, Budget()), transport, server
    finally:
        listening.close()
        await server.end()


def answer(result: object, call_id: object = None) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": call_id, "result": result}).encode()


def id_of(body: bytes) -> int:
    return int(json.loads(body)["id"])


async def honest(peer: Peer, body: bytes) -> None:
    await peer.send(answer("right", id_of(body)))


async def ask_one(batches: Batches, deadline_s: float = 5.0) -> object:
    (outcome,) = await batches.ask([Call("m")], Priority.HEAD, deadline_s=deadline_s)
    return outcome if isinstance(outcome, ChainError) else json.loads(bytes(outcome))


async def test_an_idle_connection_that_receives_bytes_is_never_used_again() -> None:
    async def chatty(peer: Peer, body: bytes) -> None:
        await peer.send(answer("right", id_of(body)))
        await asyncio.sleep(0.05)
        await peer.send(answer("nobody asked"))

    async with asking(chatty, honest) as (batches, _, server):
        assert await ask_one(batches) == "right"
        await asyncio.sleep(0.15)
        assert await ask_one(batches) == "right"
        assert server.connections == 2


@pytest.mark.parametrize("late", ["an answer to the call before", "the same answer, of another id"])
async def test_the_answer_to_a_call_that_was_given_up_is_never_the_next_ones(late: str) -> None:
    given_up: list[int] = []

    async def silent(_peer: Peer, body: bytes) -> None:
        given_up.append(id_of(body))

    async def confused(peer: Peer, body: bytes) -> None:
        await peer.send(answer("stale", given_up[0] if "before" in late else id_of(body) + 7))

    async with asking(silent, confused, honest) as (batches, _, server):
        with pytest.raises(Unreachable, match="no answer within"):
            await ask_one(batches, 0.1)
        assert isinstance(await ask_one(batches), Unreachable)
        assert await ask_one(batches) == "right"
        assert server.connections >= 2, "a connection whose exchange was cut is closed"


async def test_an_exchange_cut_in_its_middle_leaves_nothing_behind() -> None:
    async def slow(peer: Peer, body: bytes) -> None:
        whole = answer("stale", id_of(body))
        peer.writer.write(f"HTTP/1.1 200 OK\r\ncontent-length: {len(whole)}\r\n\r\n".encode() + whole[:9])
        await peer.writer.drain()
        await asyncio.sleep(0.3)
        peer.writer.write(whole[9:])

    async with asking(slow, honest) as (batches, _, server):
        with pytest.raises(Unreachable):
            await ask_one(batches, 0.1)
        assert await ask_one(batches) == "right"
        assert server.connections == 2


ODD: dict[str, tuple[bytes, str, object]] = {
    "a text": (b"upstream error", "200 OK", Unreachable),
    "a text about the rate": (b"Too Many Requests, slow down", "200 OK", Throttled),
    "a page": (b"<html>maintenance", "200 OK", Unreachable),
    "a rate under 403": (b'{"error":{"message":"rate limit exceeded"}}', "403 Forbidden", Throttled),
    "an error under 500": (
        b'{"jsonrpc":"2.0","id":null,"error":{"code":-32601,"message":"method not found"}}',
        "500 Internal Server Error",
        Refused,
    ),
    "an error under 503 without a version": (
        b'{"error":{"code":-32005,"message":"limit"},"id":null}',
        "503 Service Unavailable",
        Throttled,
    ),
    "an error that is a text": (b'{"error":"unauthorized"}', "200 OK", Refused),
    "neither": (b'{"jsonrpc":"2.0","id":null}', "200 OK", Unreachable),
    "both": (b'{"id":null,"result":"0x1","error":{"code":-32000,"message":"no"}}', "200 OK", Refused),
    "a code as a text": (b'{"id":null,"error":{"code":"-32601","message":"gone"}}', "200 OK", Refused),
    "a code as a float": (b'{"id":null,"error":{"code":-32005.0,"message":"gone"}}', "200 OK", Throttled),
    "a code that is null": (b'{"id":null,"error":{"code":null,"message":null}}', "200 OK", Refused),
    "words in the data": (
        b'{"id":null,"error":{"code":-32603,"message":"Internal error","data":"rate limit exceeded"}}',
        "200 OK",
        Throttled,
    ),
    "a huge data": (
        b'{"id":null,"error":{"code":-32601,"message":"no","data":"' + b"x" * 2_000_000 + b'"}}',
        "200 OK",
        Refused,
    ),
    "UTF-16": (answer("right").decode().encode("utf-16"), "200 OK", Unreachable),
    "a NaN": (b'{"id":null,"result":NaN}', "200 OK", ChainError),
    "null": (b"null", "200 OK", Unreachable),
    "a number": (b"12", "200 OK", Unreachable),
    "a mark first": (b"\xef\xbb\xbf" + answer("right"), "200 OK", "right"),
    "keys twice": (b'{"id":null,"result":"wrong","result":"right"}', "200 OK", "right"),
    "empty": (b"", "200 OK", Unreachable),
    "created": (answer("right"), "201 Created", "right"),
}


@pytest.mark.parametrize("name", ODD)
async def test_an_odd_answer_is_read_or_said(name: str) -> None:
    body, status, meant = ODD[name]

    async def odd(peer: Peer, _body: bytes) -> None:
        await peer.send(body, status)

    async with asking(odd) as (batches, _, _server):
        try:
            found = await ask_one(batches)
        except ChainError as error:
            found = error
        if isinstance(meant, type):
            assert isinstance(found, meant), found
            assert len(str(found)) < 400
        else:
            assert found == meant


@pytest.mark.parametrize("status", ["404 Not Found", "200 OK"])
async def test_what_a_refusal_repeats_of_our_url_is_not_repeated_by_us(status: str) -> None:
    words = f"no route for /v2/{KEY}?token={KEY} of user {KEY}"

    async def telltale(peer: Peer, _body: bytes) -> None:
        body = json.dumps({"id": None, "error": {"code": -32000, "message": words}})
        await peer.send(words.encode() if status.startswith("404") else body.encode(), status)

    async with asking(telltale) as (batches, transport, _server):
        node = EvmNode(Access("node", "me", transport, batches.budget), 1)
        with pytest.raises(Refused, match="no route for") as caught:
            await node.ask([Call("m")], Priority.HEAD)
        assert KEY not in str(caught.value) + caught.value.detail


async def test_a_compressed_flood_ends_at_our_limit() -> None:
    async def bomb(peer: Peer, _body: bytes) -> None:
        await peer.send(gzip.compress(b" " * 20_000_000), headers="content-encoding: gzip\r\n")

    async with asking(bomb) as (batches, transport, _server):
        transport._response_bytes_max = 100_000
        with pytest.raises(TooLarge):
            await ask_one(batches)


async def test_a_dripping_answer_ends_at_the_deadline() -> None:
    async def drip(peer: Peer, _body: bytes) -> None:
        peer.writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
        for _ in range(1000):
            peer.writer.write(b" ")
            await peer.writer.drain()
            await asyncio.sleep(0.02)

    async with asking(drip) as (batches, _, _server):
        with pytest.raises(Unreachable, match="no answer within"):
            await ask_one(batches, 0.15)


@pytest.mark.parametrize(
    "text",
    [
        "Fri, 31 Dec 99999 23:59:59 GMT", "Fri, 99 Foo 2026 99:99:99 GMT", "Mon, 01 Jan 0001 00:00:00 +9999",
        "²", "9" * 5000, "-9", "1e309", "nan", "\x00", "Thu, 01 Jan 1970 00:00:00 -99999999999999999999",
    ],
)  # fmt: skip
def test_a_wait_beyond_time_is_no_exception(text: str) -> None:
    found = parse_retry_after(text, "Fri, 20 Nov 2026 10:00:00 GMT")
    assert found is None or 0 <= found <= 3600


async def test_ids_are_never_those_of_the_request_before() -> None:
    async with asking(honest) as (batches, _, server):
        for _ in range(3):
            await ask_one(batches)
        ids = [id_of(body) for body in server.requests]
        assert len(set(ids)) == 3

"""The edge against clients that send oddly, slowly, too much, or hang up: nobody else feels it, and no log is alarmed."""

from __future__ import annotations

import asyncio
import gzip
import time
from functools import partial

import pytest
from structlog.testing import capture_logs

from gateway.http.edge import bodies, connections
from gateway.http.edge.app import STATUS_GONE
from tests.api.sockets import connected, request, until
from tests.api.world import WATCHED, World

CODINGS = (
    [("Content-Encoding", coding)]
    for coding in (
        "gzip", "GZIP", "x-gzip", "deflate", "br", "zstd", "compress", "nonsense", "identity, gzip",
        "gzip, identity", "gzip,", ",gzip", "gzip;q=1", "identity;q=1", "identity, identity",
    )
)  # fmt: skip
SEVERAL = [("Content-Encoding", "identity"), ("Content-Encoding", "gzip")]
BOMB = gzip.compress(bytes(300 * 1024 * 1024), 1)
SHUT_OFF_S = 1.0
"""Of the loop's own time; the bomb takes several times as much to unpack."""


@pytest.mark.parametrize("headers", [*CODINGS, SEVERAL])
async def test_every_content_coding_is_415(world: World, key: str, headers: list[tuple[str, str]]) -> None:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    for framing in ("Content-Length: 2\r\n\r\n{}", "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"):
        async with connected(world.base_url) as [client]:
            head = request("POST", "/v1/addresses", key, Content_Type="application/json")[:-2].decode()
            await client.send((head + lines + framing).encode())
            assert await client.status() == 415, headers


async def test_nothing_is_unpacked_whoever_asks(world: World, key: str) -> None:
    for shown, status in ((None, 401), ("cb_nonsense", 401), (key, 415)):
        async with connected(world.base_url) as [client]:
            length = str(len(BOMB))
            head = request("POST", "/v1/addresses", shown, Content_Encoding="gzip", Content_Length=length)
            started_s = time.thread_time()
            await client.send(head)
            client.writer.write(BOMB)
            assert await client.status() == status
            assert time.thread_time() - started_s < SHUT_OFF_S


async def test_an_unknown_transfer_coding_is_refused(world: World, key: str) -> None:
    for coding in ("gzip, chunked", "gzip", "chunked, gzip", "identity"):
        async with connected(world.base_url) as [client]:
            head = request("POST", "/v1/addresses", key, Transfer_Encoding=coding)
            await client.send(head + b"2\r\n{}\r\n0\r\n\r\n")
            assert 400 <= await client.status() < 500, coding


async def test_a_body_is_asked_for_only_when_it_is_known_who_sends_it(world: World, key: str) -> None:
    body = b'{"chain":"local","address":"%s"}' % WATCHED.encode()
    length = str(len(body))
    async with connected(world.base_url, 3) as [stranger, client, other]:
        await stranger.send(request("POST", "/v1/addresses", Expect="100-continue", Content_Length=length))
        assert await stranger.status() == 401
        await client.send(request("POST", "/v1/addresses", key, Expect="100-continue", Content_Length=length))
        assert await client.status() == 100
        await client.send(body)
        assert await client.status() == 201
        await other.send(request("POST", "/v1/addresses", key, Expect="nonsense", Content_Length=length))
        assert b"application/problem+json" in await other.head()


async def test_an_expectation_at_an_unknown_path_is_a_problem_too(world: World) -> None:
    async with connected(world.base_url) as [client]:
        await client.send(request("POST", "/nothing", Expect="nonsense"))
        head = await client.head()
        assert b" 417 " in head
        assert b"application/problem+json" in head


TARGETS = (
    "http://xn--/healthz", "https://xn--/healthz", "http://XN--:80/healthz", "http://xn--0.example/healthz",
    "http://example/healthz", "http://[::1]/healthz", "http://%zz/healthz",
)  # fmt: skip


@pytest.mark.parametrize("target", TARGETS)
async def test_the_host_of_a_target_is_not_looked_at_whatever_it_is(world: World, target: str) -> None:
    async with connected(world.base_url) as [client]:
        await client.send(request("GET", target))
        assert await client.status() == 200


async def test_a_server_that_can_not_read_a_request_does_not_say_what_it_is_made_of(world: World) -> None:
    async with connected(world.base_url) as [client]:
        await client.send(b"nonsense\r\n\r\n")
        head = await client.head()
    assert b" 400 " in head
    assert b"server: chainbell" in head.lower()
    assert b"aiohttp" not in head.lower()


async def test_a_body_in_crumbs_ends_its_connection(world: World, key: str) -> None:
    """Each crumb costs far more than its bytes; a body cut as clients' libraries cut it is read to its end."""
    chunked = request("POST", "/v1/addresses", key, Transfer_Encoding="chunked")
    for size, status in ((1, 0), (2, 0), (32, 400), (4_096, 400)):
        chunk = b"%x\r\n%s\r\n" % (size, b" " * size)
        async with connected(world.base_url) as [client]:
            await client.send(chunked)
            client.writer.write(chunk * (bodies.BODY_BYTES_MAX // size) + b"0\r\n\r\n")
            assert await client.status() == status, size


async def test_a_body_that_comes_too_slowly_is_408(
    world: World, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "BODY_GRACE_S", 0.05)
    async with connected(world.base_url) as [client]:
        await client.send(request("POST", "/v1/addresses", key, Content_Length="100") + b"{")
        assert await client.status() == 408


async def test_a_header_that_never_ends_is_cut_off(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEADER_TIMEOUT_S", 0.1)
    async with connected(world.base_url, 3) as [silent, slow, second]:
        await slow.send(b"GET /healthz HTTP/1.1\r\nHo")
        await second.send(request("GET", "/healthz"))
        assert await second.status() == 200
        await second.reader.readexactly(len(b'{"status":"ok"}'))
        await second.send(b"GET /healthz HTTP/1.1\r\n")
        assert await silent.closed()
        assert await slow.closed()
        assert await second.closed()


def gone_reaches(world: World, count: int) -> bool:
    """Whether so many calls were given up, because nobody was there for the answer."""
    return [status for _, status in world.calls].count(STATUS_GONE) == count


async def test_a_client_that_hangs_up_is_no_mistake_of_ours(world: World, key: str) -> None:
    chunked = request("POST", "/v1/addresses", key, Transfer_Encoding="chunked")
    half_sent = (
        request("POST", "/v1/addresses", key, Content_Length="100") + b'{"chain',
        chunked + b"5\r\n{\r\n",
        chunked + b"5\r\n{",
        request("POST", "/v1/addresses", key, Content_Length="100", Idempotency_Key="k"),
        request("GET", "/v1/events/stream", key),
        request("GET", "/v1/events?wait=30", key),
    )
    with capture_logs() as logs:
        for number, data in enumerate(half_sent, start=1):
            async with connected(world.base_url) as [client]:
                await client.send(data)
                await asyncio.sleep(0.05)
                client.hang_up()
            await until(partial(gone_reaches, world, number))
    assert [line for line in logs if line["log_level"] in ("warning", "error")] == []


async def test_what_was_begun_for_a_client_that_hung_up_is_brought_to_its_end(world: World, key: str) -> None:
    body = b'{"url":"https://shop.example/hook"}'
    headers = {"Content_Length": str(len(body)), "Idempotency_Key": "k"}
    async with world.pool.acquire() as conn, conn.transaction():
        await conn.execute("lock table endpoints in access exclusive mode")
        async with connected(world.base_url) as [client]:
            await client.send(request("POST", "/v1/endpoints", key, **headers) + body)
            waits = "select exists (select from pg_locks where not granted)"
            while not await conn.fetchval(waits):  # noqa: ASYNC110  (a lock sends no event)
                await asyncio.sleep(0.01)
    await until(lambda: ("create_endpoint", STATUS_GONE) in world.calls)
    again = await world.call("POST", "/v1/endpoints", data=body, key=key, headers={"Idempotency-Key": "k"})
    assert again.headers["Idempotency-Replayed"] == "true"
    assert len((await world.call("GET", "/v1/endpoints", key=key)).json["items"]) == 1


async def test_a_stream_is_given_back_when_its_client_hangs_up(world: World, key: str) -> None:
    for path in ("/v1/events/stream", "/v1/events?wait=30"):
        world.services.streams.each_max = 3
        async with connected(world.base_url, 4) as clients:
            for client in clients[:3]:
                await client.send(request("GET", path, key))
            await until(lambda: world.services.streams.held == 3)
            await clients[3].send(request("GET", path, key))
            assert await clients[3].status() == 429
        await asyncio.wait_for(until(lambda: world.services.streams.held == 0), 5)


NOT_JSON = (
    b"[1,", b'{"url": 5, ', b'{"url":5}x', b"1 2", b"\xef\xbb\xbf{}", '{"url":"a"}'.encode("utf-16"), b'{"url":NaN}',
    b'{"url":Infinity}', b'{"url":"\xff"}', b'{"\xff":1}', b'[1,"\xff"]', b'{"unknown":1', b"[01]", b'{"a":1,}', b"'a'",
    b'{"url":"\\ud800"}', b"{" * 40, b"[" * 40 + b'"' + b'\\"' * 1000,
)  # fmt: skip


@pytest.mark.parametrize("body", NOT_JSON)
async def test_what_is_no_json_is_400_whatever_it_begins_with(world: World, key: str, body: bytes) -> None:
    for path in ("/v1/endpoints", "/v1/addresses"):
        assert (await world.call("POST", path, data=body, key=key)).status == 400


async def test_of_a_name_given_twice_the_last_counts(world: World, key: str) -> None:
    body = b'{"url":"https://one.example/","url":"https://two.example/"}'
    assert (await world.call("POST", "/v1/endpoints", data=body, key=key)).json[
        "url"
    ] == "https://two.example/"


async def test_a_complaint_does_not_repeat_a_whole_body(world: World, key: str) -> None:
    body = b'{"url":"https://a.example","' + b" - at `" * 100_000 + b'":1}'
    reply = await world.call("POST", "/v1/endpoints", data=body, key=key)
    assert reply.status == 422
    assert len(reply.body) < 4_000

"""What bad input gets, whatever the resource: always a problem document, never HTML, never a stack trace."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import pytest

from gateway.http.edge.bodies import BODY_BYTES_MAX
from gateway.http.edge.limits import CALLS
from gateway.ratelimits import LocalRateLimits
from tests.api.world import ADMIN_TOKEN, ANOTHER, WATCHED, Reply, World


def check_problem(reply: Reply, status: int) -> None:
    """It is a problem document of this status, and says nothing of our inside."""
    assert reply.status == status, reply.body
    assert reply.headers["Content-Type"] == "application/problem+json"
    problem = reply.json
    assert {"type", "title", "status", "detail", "errors", "request_id"} <= set(problem)
    assert (problem["status"], problem["request_id"]) == (status, reply.headers["X-Request-Id"])
    assert b"Traceback" not in reply.body
    assert b"<html" not in reply.body.lower()


async def test_what_is_not_json_is_400_and_json_of_another_form_422(world: World, key: str) -> None:
    for data in (b"{", b"nonsense", b'{"chain": "local"', b"\xff\xfe", b'"\\ud800', b""):
        check_problem(await world.call("POST", "/v1/addresses", data=data, key=key), 400)
    for data in (b"[]", b"1", b"null", b'"text"'):
        check_problem(await world.call("POST", "/v1/addresses", data=data, key=key), 422)


async def test_json_that_nests_without_end_is_400(world: World, key: str) -> None:
    body = b'{"chain":"local","address":"0x","metadata":' + b'{"a":' * 5000 + b"1" + b"}" * 5001
    check_problem(await world.call("POST", "/v1/addresses", data=body, key=key), 400)


async def test_a_body_over_a_mebibyte_is_413(world: World, key: str) -> None:
    check_problem(await world.call("POST", "/v1/addresses", data=b" " * (BODY_BYTES_MAX + 1), key=key), 413)


async def test_another_content_type_is_415(world: World, key: str) -> None:
    headers = {"Content-Type": "text/plain"}
    check_problem(await world.call("POST", "/v1/addresses", data=b"{}", key=key, headers=headers), 415)
    headers = {"Content-Encoding": "gzip"}
    check_problem(await world.call("POST", "/v1/addresses", data=b"{}", key=key, headers=headers), 415)


async def test_an_unknown_path_is_404_and_a_wrong_method_405(world: World) -> None:
    check_problem(await world.call("GET", "/v2/nothing"), 404)
    reply = await world.call("PUT", "/v1/addresses")
    check_problem(reply, 405)
    assert reply.headers["Allow"] == "GET, HEAD, POST"


async def test_every_method_that_is_not_for_a_path_is_405_and_says_which_are(world: World) -> None:
    for path in ("/healthz", "/v1/merchants", "/v1/events/stream", "/openapi.json"):
        allowed = "GET, HEAD, POST" if path == "/v1/merchants" else "GET, HEAD"
        for method in ("OPTIONS", "TRACE", "PUT", "PATCH", "DELETE", "PROPFIND"):
            reply = await world.call(method, path)
            check_problem(reply, 405)
            assert reply.headers["Allow"] == allowed, (method, path)
        check_problem(await world.call("OPTIONS", "/nowhere"), 404)


async def test_head_is_get_without_its_body(world: World, key: str) -> None:
    paths = (
        "/healthz",
        "/readyz",
        "/metrics",
        "/openapi.json",
        "/docs",
        "/v1/chains",
        "/v1/addresses?limit=2",
    )
    for path in (*paths, "/v1/deposits?state=null", "/v1/endpoints/end_0", "/nowhere"):
        shown = await world.call("GET", path, key=key)
        asked = await world.call("HEAD", path, key=key)
        assert (asked.status, asked.body) == (shown.status, b""), path
        assert asked.headers["Content-Type"] == shown.headers["Content-Type"]
    assert (await world.call("HEAD", "/v1/chains")).status == 401


async def test_head_of_a_stream_ends_at_once(world: World, key: str) -> None:
    async with asyncio.timeout(10):
        reply = await world.call("HEAD", "/v1/events/stream", key=key)
    assert (reply.status, reply.headers["Content-Type"], reply.body) == (200, "text/event-stream", b"")
    ahead = await world.call("HEAD", "/v1/events/stream?after_sequence=1", key=key)
    assert ahead.status == 409
    assert (await world.call("GET", "/healthz")).status == 200


async def test_head_says_not_ready_as_get_does(world: World) -> None:
    await world.pool.execute("update chain_status set reported_at = now() - interval '5 minutes'")
    assert (await world.call("HEAD", "/readyz")).status == 503


NO_FILTERS = (
    "state=null",
    "state=None",
    "state=NULL",
    "state=",
    "state",
    "state=Final",
    "state=included,final",
    "state=final&state=final",
    "state[]=final",
    "State=final",
    "reference=",
    "asset=null",
    "asset=usdt",
    "since=2026",
    "since=null",
    "until=2026-11-01T00:00:00",
    "limit=null",
    "limit=1.0",
    "%FF=1",
)


@pytest.mark.parametrize("query", NO_FILTERS)
async def test_a_filter_that_is_not_understood_is_never_read_as_none(
    world: World, key: str, query: str
) -> None:
    reply = await world.call("GET", f"/v1/deposits?{query}", key=key)
    check_problem(reply, 422)
    (pointer,) = reply.pointers
    assert pointer.startswith("/query/")


async def test_a_reference_may_be_the_word_null(world: World, key: str) -> None:
    await world.watch(key, WATCHED, reference="null")
    await world.watch(key, ANOTHER, reference="other")
    listed = await world.call("GET", "/v1/addresses?reference=null", key=key)
    assert [item["reference"] for item in listed.json["items"]] == ["null"]


async def test_a_deliverys_state_is_no_exception(world: World, key: str) -> None:
    made = await world.call("POST", "/v1/endpoints", {"url": "http://127.0.0.1:9/"}, key=key)
    reply = await world.call("GET", f"/v1/endpoints/{made.json['id']}/deliveries?state=null", key=key)
    check_problem(reply, 422)


QUERIES = (
    "limit=0",
    "limit=501",
    "limit=x",
    "limit=1&limit=2",
    "unknown=1",
    "after=nonsense",
    "after=",
    "chain=a%00b",
)


async def test_a_wrong_query_is_422_and_points_at_the_parameter(world: World, key: str) -> None:
    for query in QUERIES:
        reply = await world.call("GET", f"/v1/addresses?{query}", key=key)
        check_problem(reply, 422)
        assert reply.pointers == [f"/query/{query.split('=')[0]}"]


async def speak(world: World, head: bytes) -> bytes:
    """The answer to a request written byte by byte, since no client would send it."""
    at = urlsplit(world.base_url)
    reader, writer = await asyncio.open_connection(at.hostname, at.port)
    writer.write(head + b"\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return answer


async def test_a_key_that_is_not_text_is_401(world: World) -> None:
    for token in (b"\xff\xfe", b"cb_\xff", "ключ".encode()):
        answer = await speak(world, b"GET /v1/chains HTTP/1.1\r\nAuthorization: Bearer " + token)
        assert answer.startswith(b"HTTP/1.1 401 "), answer


async def test_a_path_that_no_database_holds_is_404_with_an_idempotency_key_too(
    world: World, key: str
) -> None:
    for part in (b"%00", b"%FF", b"%ED%A0%80"):
        head = b"POST /v1/endpoints/" + part + b"/pause HTTP/1.1\r\nIdempotency-Key: a\r\n"
        answer = await speak(world, head + b"Authorization: Bearer " + key.encode())
        assert answer.startswith(b"HTTP/1.1 404 "), answer


async def test_a_time_outside_the_calendar_is_422(world: World, key: str) -> None:
    for query in ("since=0001-01-01T00:00:00%2B23:59", "until=9999-12-31T23:59:59-23:59"):
        reply = await world.call("GET", f"/v1/deposits?{query}", key=key)
        check_problem(reply, 422)
        assert reply.pointers == [f"/query/{query.split('=')[0]}"]


HARDLY_HTTP = (
    b"NONSENSE\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET /" + b"x" * 40_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nX-Large: " + b"x" * 40_000 + b"\r\n\r\n",
    b"POST /v1/addresses HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
)


async def test_what_is_hardly_http_gets_a_problem_too(world: World) -> None:
    url = urlsplit(world.base_url)
    for raw in HARDLY_HTTP:
        reader, writer = await asyncio.open_connection(url.hostname, url.port)
        writer.write(raw)
        await writer.drain()
        async with asyncio.timeout(5):
            answer = await reader.read()
        writer.close()
        head, _, body = answer.partition(b"\r\n\r\n")
        assert b" 400 " in head.splitlines()[0], raw[:40]
        assert b"application/problem+json" in head
        assert b"<" not in body


async def test_too_many_calls_are_429_and_say_when_to_come_again(world: World, key: str) -> None:
    world.services.limits = LocalRateLimits(clock=lambda: 0.0)  # nothing is regained while we ask
    for left in reversed(range(CALLS.requests)):
        reply = await world.call("GET", "/v1/addresses?limit=0", key=key)
        assert (reply.status, reply.headers["RateLimit-Remaining"]) == (422, str(left))
    refused = await world.call("GET", "/v1/addresses?limit=0", key=key)
    check_problem(refused, 429)
    assert int(refused.headers["Retry-After"]) >= 1


async def test_an_unexpected_error_is_a_500_that_tells_nothing(world: World, key: str) -> None:
    await world.pool.execute("alter table addresses rename to elsewhere")
    reply = await world.call("GET", "/v1/addresses", key=key)
    check_problem(reply, 500)
    assert b"elsewhere" not in reply.body
    assert b"addresses" not in reply.body


async def test_a_database_that_goes_away_is_a_503_with_retry_after(world: World, key: str) -> None:
    await world.pool.execute("alter table merchants rename to elsewhere")
    await world.pool.execute(
        "create view merchants as select * from elsewhere where pg_sleep(0) is not null and id is not null"
    )
    world.pool.terminate()
    reply = await world.call("GET", "/v1/merchants", key=ADMIN_TOKEN)
    check_problem(reply, 503)
    assert reply.headers["Retry-After"]


async def test_reference_texts_come_back_as_they_were(world: World, key: str) -> None:
    text = 'Größe ☃ 🔔 "quoted" <b>&amp;</b> \' -- ; drop table addresses'
    assert (await world.watch(key, WATCHED, reference=text))["reference"] == text

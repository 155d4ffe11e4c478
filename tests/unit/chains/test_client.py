"""A protocol of paths and statuses through the shared client, as families have whose nodes speak no JSON-RPC.

The protocol is made: a block by its hash under `/block/…`, 404 for one that is not held, and a call with a body.
"""

from __future__ import annotations

import json
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from chains.errors import ChainError, Missing, Refused, Throttled, Unreachable
from chains.rpc.client import Client
from chains.rpc.node_endpoint import NodeEndpoint
from chains.rpc.refusals import TooLarge, read_http_status
from chains.rpc.throttle import Budget, Priority
from chains.rpc.transport import HttpTransport, Request

KEY = "k3y-of-a-plan"
HEADER = "h3ader-of-a-plan"


def read_status(status: int, content: bytes) -> ChainError | None:
    """404 beside these words is a block the node does not hold; 200 and 202 are answers."""
    if status == 404 and content == b"Block not found":
        return Missing("does not hold the block")
    return read_http_status(status, content)


class Rest:
    """The made protocol over one client."""

    def __init__(self, client: Client) -> None:
        self.client = client

    async def fetch_block(self, block_hash: str, **query: str) -> Any:
        request = Request(path=f"/block/{block_hash}", query=query, read_status=read_status)
        return await self.client.exchange(request, json.loads, Priority.HEAD, deadline_s=5)

    async def fetch_account(self, address: str) -> Any:
        body = json.dumps({"address": address}).encode()
        request = Request(body, path="/wallet/getaccount", read_status=read_status)
        return await self.client.exchange(request, json.loads, Priority.BACKFILL, deadline_s=5)


Answer = Callable[[web.Request], web.Response]


@asynccontextmanager
async def serving(
    answer: Answer, *, bytes_max: int = 1_000, root: str = f"/v2/{KEY}/"
) -> AsyncIterator[Rest]:
    async def handle(request: web.Request) -> web.Response:
        await request.read()
        return answer(request)

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", handle)
    async with TestServer(app) as server:
        url = f"{server.make_url(root)}?token={KEY}"
        endpoint = NodeEndpoint(url, headers={"x-key": HEADER})
        async with HttpTransport(endpoint, response_bytes_max=bytes_max) as transport:
            yield Rest(Client(transport, Budget()))


@pytest.mark.parametrize("root", [f"/v2/{KEY}/", f"/v2/{KEY}"])
async def test_a_path_is_beneath_the_endpoints_own_and_keeps_its_key(root: str) -> None:
    seen: list[tuple[str, str, dict[str, str], str | None]] = []

    def answer(request: web.Request) -> web.Response:
        seen.append((request.method, request.path, dict(request.query), request.headers.get("x-key")))
        return web.json_response({"height": 7})

    async with serving(answer, root=root) as rest:
        assert await rest.fetch_block("ab", limit="2 3&x") == {"height": 7}
        assert await rest.fetch_account("T1") == {"height": 7}
    assert seen == [
        ("GET", f"/v2/{KEY}/block/ab", {"token": KEY, "limit": "2 3&x"}, HEADER),
        ("POST", f"/v2/{KEY}/wallet/getaccount", {"token": KEY}, HEADER),
    ]


@pytest.mark.parametrize(
    ("status", "words", "kind"),
    [
        (404, "Block not found", Missing),
        (404, "no such page", Refused),
        (400, "Invalid hash", Refused),
        (503, "busy", Unreachable),
        (413, "", TooLarge),
        (403, "rate limit exceeded", Throttled),
        (429, "", Throttled),
        (200, "", Unreachable),
        (200, "<html>", Unreachable),
        (200, '"' + "x" * 2_000 + '"', TooLarge),
    ],
)
async def test_what_a_status_means_is_the_protocols_and_limits_are_everybodys(
    status: int, words: str, kind: type[ChainError]
) -> None:
    async with serving(lambda _: web.Response(status=status, text=words)) as rest:
        with pytest.raises(ChainError) as caught:
            await rest.fetch_block("ab")
    assert type(caught.value) is kind
    assert math.isinf(rest.client.budget.rate_per_s) == (kind is not Throttled)


async def test_calls_are_counted_and_strangers_words_told_without_our_keys() -> None:
    words = f"no plan for {KEY} with {HEADER} at /v2/{KEY}/block"
    async with serving(lambda _: web.Response(status=401, text=words)) as rest:
        with pytest.raises(Refused) as caught:
            await rest.fetch_block("ab")
        began_s = rest.client.meter._began_s
        assert rest.client.meter.per_day(began_s + 3_600) == 24
    assert "no plan for" in caught.value.detail
    assert KEY not in caught.value.detail
    assert HEADER not in caught.value.detail


@pytest.mark.parametrize(
    "path",
    [
        "block",
        "/",
        "/a//b",
        "/a/../b",
        "/..",
        "/./a",
        "/%2e%2E/a",
        "/a?b",
        "/a#b",
        "/a b",
        "/a\n",
        "//host/a",
        "/ü",
    ],
)
def test_a_path_that_is_not_plainly_beneath_the_endpoints_is_a_mistake(path: str) -> None:
    with pytest.raises(AssertionError):
        Request(path=path)

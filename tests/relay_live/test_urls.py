"""The URL that is sent is the URL that was given: what a receiver reads in its request line, byte for byte."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from relay.model import OutcomeKind
from relay.out.addresses import judge_url
from relay.out.egress import Egress
from tests.relay_live.raw import Raw, Talk, raw_server

NOW = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)
TARGETS = [
    "/", "/a", "/a/", "//", "//a//b//", "/./", "/../", "/a/./b", "/a/../b", "/a/..", "/a/.", "/...", "/.%2e/", "/%2e%2e/x",
    "/%7E", "/~", "/%7e", "/%41", "/%61%62", "/a%2Fb", "/a%2fb", "/%", "/%zz", "/%4", "/%25", "/%2525", "/%00", "/%0d%0a",
    "/%C3%A9", "/%c3%a9", "/%E4", "/a+b", "/a%20b", "/a%2Bb", "/a;b=c", "/a;", "/a,b", "/a|b", "/a[b]", "/[]", "/a^b",
    "/a`b", "/{id}", "/<x>", '/"q"', "/'q'", "/a:b", "/:", "/a@b", "/@", "/a!$&()*b", "/a=b", "/a_b-c.d",
    "/?", "/??", "/?a", "/?a=", "/?=", "/?&&", "/?a=1&a=2", "/?a=b+c", "/?a=b%20c", "/?a=%2B", "/?q=a/b?c", "/?x=//../.", "/?q=http://h/",
    "/?q=[1]", "/?q=%5B1%5D", "/?q={a|b}", "/?sig=AbC%2fdef%3D%3d", "/?q='\"", "/?%41=%7e", "/a?b;c", "/a?b@c:d",
    "/x.php?y=%u1234", "/-" * 400, "/?q=" + "%41" * 500,
]  # fmt: skip
BEGUN_BY_US = {"": "/", "?": "/?", "?a=/b": "/?a=/b", "?//..": "/?//.."}
"""A request line's target begins with "/": where the URL has none, that is all we add."""


@pytest.mark.parametrize("target, sent", [*((one, one) for one in TARGETS), *BEGUN_BY_US.items()])
async def test_the_request_line_has_the_urls_own_bytes(target: str, sent: str) -> None:
    async def answer(talk: Talk, raw: Raw) -> None:
        raw.requests.append(await talk.read_request())
        await talk.say(b"HTTP/1.1 204 No Content\r\n\r\n")

    async with raw_server(answer) as raw, Egress(timeout_s=5, allow_private_networks=True) as egress:
        url = f"http://127.0.0.1:{raw.port}{target}"
        assert judge_url(url, allow_private_networks=True) is None
        outcome = await egress.post(url, {"webhook-id": "evt_1"}, b"{}", now=NOW)
        assert outcome.kind is OutcomeKind.DELIVERED
    (request,) = raw.requests
    line, host, *_ = request.split(b"\r\n")
    assert line == f"POST {sent} HTTP/1.1".encode("ascii")
    assert host == f"Host: 127.0.0.1:{raw.port}".encode("ascii")


@pytest.mark.parametrize(
    "authority, host",
    [
        ("localhost:{port}", "localhost:{port}"),
        ("LocalHost:{port}", "localhost:{port}"),
        ("localhost.:{port}", "localhost:{port}"),
        ("[::1]:{port}", "[::1]:{port}"),
        ("[0:0::1]:{port}", "[0:0::1]:{port}"),
        ("localhost:0{port}", "localhost:{port}"),
    ],
)
async def test_the_host_header_names_the_urls_host(authority: str, host: str) -> None:
    async def answer(talk: Talk, raw: Raw) -> None:
        raw.requests.append(await talk.read_request())
        await talk.say(b"HTTP/1.1 204 No Content\r\n\r\n")

    place = "::1" if "[" in authority else "127.0.0.1"
    async with (
        raw_server(answer, place=place) as raw,
        Egress(timeout_s=5, allow_private_networks=True) as egress,
    ):
        url = f"http://{authority.format(port=raw.port)}/%7e/../"
        outcome = await egress.post(url, {}, b"{}", now=NOW)
        assert outcome.kind is OutcomeKind.DELIVERED
    assert raw.requests[0].startswith(b"POST /%7e/../ HTTP/1.1\r\n")
    assert f"\r\nHost: {host.format(port=raw.port)}\r\n".encode("ascii") in raw.requests[0]
    assert raw.requests[0].count(b"\nHost:") == 1


@pytest.mark.parametrize(
    "url, words",
    [
        ("https://shop.example/a b", "character 23, U+0020,"),
        ("https://shop.example/\t", "character 22, U+0009,"),
        ("https://shop.example/é", "character 22, U+00E9,"),
        ("https://shöp.example/", "character 11, U+00F6,"),
        ("https://shop.example/\\", "character 22, U+005C,"),
        ("https://shop.example/\x7f", "character 22, U+007F,"),
        ("https://shop.example/\r\nx: y", "character 22, U+000D,"),
        ("https://shop.example/\u202e", "character 22, U+202E,"),
        (" https://shop.example/", "character 1, U+0020,"),
        ("https://shop.example/#", "fragment"),
        ("https://shop.example/#a", "fragment"),
        ("https://shop.example/?#", "fragment"),
        ("https://user@shop.example/", "user name"),
        ("https://user:pw@shop.example/", "user name"),
        ("https://@shop.example/", "user name"),
        ("https://shop.example:/", "port"),
        ("https://shop.example:0/", "port"),
        ("https://shop.example:443x/", "not a URL"),
        ("https://shop.example:65536/", "not a URL"),
        ("https://", "host"),
        ("https:///x", "host"),
        ("https:shop.example/", "host"),
        ("https://shop..example/", "host"),
        ("https://sh%6fp.example/", "host"),
        ("https://shop.example/" + "a" * 2_048, "2048"),
    ],
)
def test_what_cannot_be_sent_as_it_is_is_refused_and_says_why(url: str, words: str) -> None:
    assert words in (judge_url(url, allow_private_networks=False) or "")

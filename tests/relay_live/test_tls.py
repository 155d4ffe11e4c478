"""Why TLS failed, in words for whoever runs the other end; shown by servers that really do it."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime

import pytest

from relay.model import Outcome, OutcomeKind
from relay.out import tls
from relay.out.egress import Egress
from tests.relay_live import hostile
from tests.relay_live.proxy import serve_proxy
from tests.relay_live.raw import Raw, Talk, raw_server
from tests.relay_live.shop import Shop
from tests.relay_live.tls import Authority, serve_tls

NOW = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
V1_1, V1_2, V1_3 = ssl.TLSVersion(0x0302), ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


async def attempt(
    context: ssl.SSLContext, *, url: str = "https://localhost:{port}/", proxy_url: str = ""
) -> Outcome:
    with serve_tls(context, OK) as port:
        async with Egress(timeout_s=5, allow_private_networks=True, proxy_url=proxy_url) as egress:
            return await egress.post(url.format(port=port), {"a": "b"}, b"{}", now=NOW)


async def test_what_is_in_order_is_delivered(authority: Authority) -> None:
    for newest in (V1_2, V1_3):
        assert (await attempt(authority.server_context(newest=newest))).kind is OutcomeKind.DELIVERED


@pytest.mark.parametrize(
    "options, words",
    [
        ({"wants_certificate": True, "newest": V1_2}, tls.CLIENT_CERTIFICATE),
        ({"wants_certificate": True, "newest": V1_3}, tls.CLIENT_CERTIFICATE),
        ({"newest": V1_1}, tls.TOO_OLD),
        ({"days": -1, "starts": -3}, "the certificate has expired"),
        ({"days": 9, "starts": 3}, "the certificate is not valid yet"),
        ({"host": "other.example"}, "the certificate is for another host"),
        ({"self_signed": True}, "the certificate is self-signed"),
    ],
)
@pytest.mark.parametrize("proxied", [False, True])
async def test_the_receivers_owner_is_told_why(
    options: dict[str, object], words: str, proxied: bool, authority: Authority
) -> None:
    context = authority.server_context(**options)  # type: ignore[arg-type]  # a table's shorthand
    async with serve_proxy() as proxy:
        outcome = await attempt(context, proxy_url=proxy.url if proxied else "")
    assert (outcome.kind, outcome.detail) == (OutcomeKind.TLS_FAILED, words)
    assert outcome.excerpt == b""


async def test_an_authority_nobody_knows_and_another_address_are_told_apart(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = await attempt(authority.server_context(host="127.0.0.2"), url="https://127.0.0.1:{port}/")
    assert outcome.detail == "the certificate is for another address"
    context = authority.server_context()
    monkeypatch.delenv("SSL_CERT_FILE")
    outcome = await attempt(context)
    assert outcome.kind is OutcomeKind.TLS_FAILED
    assert "an authority we do not know" in outcome.detail


async def test_no_cipher_in_common_is_not_taken_for_a_certificate_that_is_wanted(
    authority: Authority,
) -> None:
    context = authority.server_context(newest=V1_2)
    context.set_ciphers("ECDHE-ECDSA-NULL-SHA:@SECLEVEL=0")
    outcome = await attempt(context)
    assert (outcome.kind, outcome.detail) == (OutcomeKind.TLS_FAILED, tls.NOTHING_IN_COMMON)


async def test_plain_http_at_an_https_url_is_said_so() -> None:
    async def plain(talk: Talk, _raw: Raw) -> None:
        await talk.say(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await talk.reader.read()

    async with raw_server(plain) as raw, Egress(timeout_s=5, allow_private_networks=True) as egress:
        outcome = await egress.post(f"https://localhost:{raw.port}/", {"a": "b"}, b"{}", now=NOW)
    assert (outcome.kind, outcome.detail) == (OutcomeKind.TLS_FAILED, tls.NOT_TLS)


async def test_a_handshake_that_is_cut_without_a_word_is_said_to_be_cut() -> None:
    async def cut(talk: Talk, _raw: Raw) -> None:
        await talk.reader.read(1)

    async with raw_server(cut) as raw, Egress(timeout_s=5, allow_private_networks=True) as egress:
        outcome = await egress.post(f"https://localhost:{raw.port}/", {"a": "b"}, b"{}", now=NOW)
    assert (outcome.kind, outcome.detail) == (OutcomeKind.UNREACHABLE, tls.CUT)


async def test_a_handshake_that_never_ends_is_cut_at_the_deadline() -> None:
    async with (
        hostile.hostile(hostile.hang) as server,
        Egress(timeout_s=0.3, allow_private_networks=True) as egress,
    ):
        started = asyncio.get_running_loop().time()
        outcome = await egress.post(server.url.replace("http:", "https:"), {"a": "b"}, b"{}", now=NOW)
        assert asyncio.get_running_loop().time() - started < 5
    assert outcome.kind is OutcomeKind.TIMEOUT


async def test_the_attempt_keeps_the_words(shop: Shop, authority: Authority) -> None:
    with serve_tls(authority.server_context(wants_certificate=True), OK) as port:
        endpoint = await shop.endpoint(f"https://localhost:{port}/")
        await shop.publish("dep_a")
        async with shop.relay():
            await shop.until_row("exists (select from delivery_attempts)", endpoint)
    (row,) = await shop.fetch("select outcome, detail from delivery_attempts where number = 1")
    assert tuple(row) == ("tls_failed", tls.CLIENT_CERTIFICATE)

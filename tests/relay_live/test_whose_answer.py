"""Whose answer it is: a receiver's words are taken for the answer to its own webhook, or to none."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import UUID

import pytest

from relay.model import Outcome, OutcomeKind
from relay.out.egress import EARLY, Egress
from relay.out.kept import UNTRUSTED_KEPT_MAX
from tests.relay_live.proxy import serve_proxy
from tests.relay_live.raw import Raw, Talk, raw_server
from tests.relay_live.tls import Authority

NOW = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)
HEADERS = {"content-type": "application/json"}
ONE, OTHER = UUID(int=1), UUID(int=2)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
NO = b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture
def trusting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections are used again at once, so that what happens on them is seen."""
    monkeypatch.setattr("relay.out.kept.QUIET_S", 0)


@asynccontextmanager
async def way_out(**options: object) -> AsyncIterator[Egress]:
    async with Egress(timeout_s=5, allow_private_networks=True, **options) as egress:  # type: ignore[arg-type]  # a test's shorthand
        yield egress


async def post(egress: Egress, url: str, owner: UUID = ONE, body: bytes = b"{}") -> Outcome:
    return await egress.post(url, HEADERS, body, now=NOW, owner=owner)


@pytest.mark.parametrize(
    "more", [OK, b"HTTP/1.1 200 OK\r\n", b"H", b"\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"]
)
@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.usefixtures("trusting")
async def test_a_second_answer_on_an_idle_connection_is_nobodys(
    more: bytes, secure: bool, authority: Authority
) -> None:
    said = asyncio.Event()

    async def twice(talk: Talk, raw: Raw) -> None:
        while True:
            raw.requests.append(await talk.read_request())
            if len(raw.requests) > 1:
                await talk.say(NO)
                continue
            await talk.say(OK)
            await asyncio.sleep(0.02)
            await talk.say(more)
            said.set()

    async with raw_server(twice, context=authority.server_context() if secure else None) as raw, way_out() as egress:  # fmt: skip
        assert (await post(egress, raw.url)).kind is OutcomeKind.DELIVERED
        await said.wait()
        for _ in range(3):
            assert (await post(egress, raw.url)).kind is OutcomeKind.BROKEN
        assert raw.connections == 4


@pytest.mark.usefixtures("trusting")
async def test_a_second_answer_that_is_already_here_when_the_request_is_written_is_seen() -> None:
    """The loop has not read it yet: only looking at the socket itself tells."""
    may_say = asyncio.Event()

    async def twice(talk: Talk, raw: Raw) -> None:
        while True:
            raw.requests.append(await talk.read_request())
            await talk.say(OK if len(raw.requests) == 1 else NO)
            await may_say.wait()
            if talk.number == 1:
                await talk.say(OK)

    async with raw_server(twice) as raw, way_out() as egress:
        assert (await post(egress, raw.url)).kind is OutcomeKind.DELIVERED
        (wire,) = egress._kept._idle
        assert wire._transport is not None
        wire._transport.pause_reading()
        may_say.set()
        while not _has_bytes(wire._sock):  # noqa: ASYNC110  # a socket's other end tells nobody
            await asyncio.sleep(0)
        assert (await post(egress, raw.url)).kind is OutcomeKind.BROKEN
        assert raw.connections == 2


def _has_bytes(sock: socket.socket) -> bool:
    try:
        return bool(sock.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return False


async def test_refused_webhooks_are_never_shown_as_delivered_by_late_answers() -> None:
    """As it was seen: of eight refused ones three were taken for delivered, over two endpoints at one host."""

    async def late(talk: Talk, raw: Raw) -> None:
        while True:
            request = await talk.read_request()
            await talk.say(NO if b"refuse" in request else OK)
            await asyncio.sleep(0.003 * (talk.number % 3))
            await talk.say(OK)

    async with raw_server(late) as raw, way_out() as egress:
        for number in range(24):
            refused = number % 3 > 0
            body = b"refuse" if refused else b"accept"
            outcome = await post(egress, raw.url, UUID(int=number % 2), body)
            assert outcome.kind is (OutcomeKind.BROKEN if refused else OutcomeKind.DELIVERED)
            await asyncio.sleep(0.001 * (number % 4))


async def test_whoever_was_quiet_is_believed_and_once_out_of_turn_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("relay.out.kept.QUIET_S", 0.01)
    speak = asyncio.Event()
    spoken = asyncio.Event()

    async def answer(talk: Talk, raw: Raw) -> None:
        while True:
            raw.requests.append(await talk.read_request())
            await talk.say(OK)
            if len(raw.requests) == 4:
                await speak.wait()
                await talk.say(OK)
                spoken.set()

    async with raw_server(answer) as raw, way_out() as egress:
        await post(egress, raw.url)
        await asyncio.sleep(0.02)
        for _ in range(3):
            await post(egress, raw.url)
        assert raw.connections == 1
        speak.set()
        await spoken.wait()
        for _ in range(3):
            await post(egress, raw.url)
        assert raw.connections == 4


async def test_who_is_sent_to_without_a_pause_is_trusted_too_and_watched_on_few_connections(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("relay.out.kept.QUIET_S", 0.1)

    async def answer(talk: Talk, raw: Raw) -> None:
        while True:
            raw.requests.append(await talk.read_request())
            await talk.say(OK)

    async with raw_server(answer) as raw, way_out() as egress:
        await asyncio.gather(*(post(egress, raw.url) for _ in range(10)))
        assert len(egress._kept) == UNTRUSTED_KEPT_MAX
        until = asyncio.get_running_loop().time() + 0.2
        while asyncio.get_running_loop().time() < until:
            await post(egress, raw.url)
        opened = raw.connections
        await asyncio.gather(*(post(egress, raw.url) for _ in range(UNTRUSTED_KEPT_MAX)))
        assert raw.connections == opened


@pytest.mark.parametrize(
    "answer",
    [
        OK + OK,
        OK + b"x",
        b"HTTP/1.1 204 No Content\r\n\r\nbody",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab",
    ],
)
@pytest.mark.usefixtures("trusting")
async def test_what_comes_behind_an_answer_in_the_same_packet_ends_the_connection(answer: bytes) -> None:
    async def more(talk: Talk, raw: Raw) -> None:
        raw.requests.append(await talk.read_request())
        await talk.say(answer if len(raw.requests) == 1 else NO)
        await talk.read_request()
        raise AssertionError("asked again on the same connection")

    async with raw_server(more) as raw, way_out() as egress:
        assert (await post(egress, raw.url)).kind is OutcomeKind.DELIVERED
        assert (await post(egress, raw.url)).kind is OutcomeKind.BROKEN
        assert raw.connections == 2


async def test_an_answer_before_any_request_is_none() -> None:
    greeted = asyncio.Event()

    async def greet(talk: Talk, raw: Raw) -> None:
        await talk.say(OK)
        greeted.set()
        raw.requests.append(await talk.read_request())

    async with raw_server(greet) as raw, way_out() as egress:
        assert egress._dialer is not None
        opened = egress._dialer.open

        async def open_and_wait(place: object) -> object:
            wire = await opened(place)  # type: ignore[arg-type]  # handed through
            await greeted.wait()
            await asyncio.sleep(0.01)
            return wire

        egress._dialer.open = open_and_wait  # type: ignore[method-assign, assignment]  # a receiver that is quicker than we are
        outcome = await post(egress, raw.url)
        assert outcome.kind is OutcomeKind.GARBLED


async def test_an_early_success_counts_only_once_the_whole_request_was_taken() -> None:
    body = b"x" * 8_000_000

    async def early(talk: Talk, raw: Raw) -> None:
        await talk.reader.readuntil(b"\r\n\r\n")
        await talk.say(OK)
        if raw.connections == 1:
            talk.writer.transport.abort()  # it never takes the rest
        else:
            await talk.reader.readexactly(len(body))
        await asyncio.sleep(5)

    async with raw_server(early) as raw, way_out() as egress:
        outcome = await post(egress, raw.url, body=body)
        assert (outcome.kind, outcome.detail) == (OutcomeKind.GARBLED, EARLY)
        assert (await post(egress, raw.url, body=body)).kind is OutcomeKind.DELIVERED


async def test_an_early_refusal_counts_at_once() -> None:
    async def refuse(talk: Talk, _raw: Raw) -> None:
        await talk.reader.readuntil(b"\r\n\r\n")
        await talk.say(b"HTTP/1.1 413 Much\r\nContent-Length: 0\r\n\r\n")
        await asyncio.sleep(5)

    async with raw_server(refuse) as raw, way_out() as egress:
        outcome = await post(egress, raw.url, body=b"x" * 8_000_000)
        assert (outcome.kind, outcome.status_code) == (OutcomeKind.REFUSED, 413)
        assert outcome.duration_ms < 3_000


@pytest.mark.parametrize("proxied", [False, True])
@pytest.mark.usefixtures("trusting")
async def test_a_connection_is_one_endpoints_with_one_url(proxied: bool) -> None:
    async def answer(talk: Talk, raw: Raw) -> None:
        while True:
            raw.requests.append(b"%d" % talk.number + await talk.read_request())
            await talk.say(OK)

    async with serve_proxy() as proxy, raw_server(answer) as raw:
        async with way_out(**({"proxy_url": proxy.url} if proxied else {})) as egress:
            for owner, path in ((ONE, ""), (OTHER, ""), (ONE, "b"), (ONE, ""), (OTHER, ""), (ONE, "b")):
                assert (await post(egress, raw.url + path, owner)).kind is OutcomeKind.DELIVERED
        assert [request[:1] for request in raw.requests] == [b"1", b"2", b"3", b"1", b"2", b"3"]


@pytest.mark.usefixtures("trusting")
async def test_a_new_tls_session_ticket_is_no_answer_and_no_blame(authority: Authority) -> None:
    """TLS 1.3 sends tickets after the handshake: bytes on the wire, and none of the receiver's words."""

    async def answer(talk: Talk, raw: Raw) -> None:
        while True:
            raw.requests.append(await talk.read_request())
            await talk.say(OK)

    async with raw_server(answer, context=authority.server_context()) as raw, way_out() as egress:
        for _ in range(5):
            assert (await post(egress, raw.url)).kind is OutcomeKind.DELIVERED
        assert raw.connections == 1


@pytest.mark.usefixtures("trusting")
async def test_a_connection_closed_while_idle_is_replaced_and_idle_ones_are_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("relay.out.kept.KEPT_MAX", 3)

    async def answer(talk: Talk, raw: Raw) -> None:
        while True:
            raw.requests.append(await talk.read_request())
            await talk.say(OK)

    async with raw_server(answer) as raw, way_out() as egress:
        for number in range(10):
            assert (await post(egress, raw.url, UUID(int=number))).kind is OutcomeKind.DELIVERED
            assert len(egress._kept) <= 3
        assert (await post(egress, raw.url, UUID(int=9))).kind is OutcomeKind.DELIVERED
        assert raw.connections == 10

"""The status decides: answers that are odd in every other way, said by a raw socket."""

from __future__ import annotations

import asyncio
import resource
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest

from relay.model import Outcome, OutcomeKind
from relay.out.egress import FILES_EXHAUSTED, Egress
from relay.settings import LaneSettings
from tests.relay_live.raw import Raw, Talk, raw_server
from tests.relay_live.receiver import Receiver
from tests.relay_live.shop import SETTINGS, Shop

NOW = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)


def head(*lines: bytes, status: bytes = b"HTTP/1.1 200 OK") -> bytes:
    return b"\r\n".join([status, *lines, b"", b""])


SUCCESSES = {
    "a body where none belongs": head(status=b"HTTP/1.1 204 No Content") + b"body",
    "205 with a body": head(b"Content-Length: 4", status=b"HTTP/1.1 205 Reset") + b"body",
    "a header over 8 KB": head(b"X: " + b"a" * 9_000, b"Content-Length: 0"),
    "a header of 100 KB": head(b"X: " + b"a" * 100_000, b"Content-Length: 0"),
    "a header of 1 MB": head(b"X: " + b"a" * 1_000_000, b"Content-Length: 0"),
    "300 headers": head(*[b"X-%d: y" % number for number in range(300)], b"Content-Length: 0"),
    "a flood of cookies": head(*[b"Set-Cookie: a=%d; Path=/" % n for n in range(2_000)]),
    "the same length twice": head(b"Content-Length: 2", b"Content-Length: 2") + b"ok",
    "the same length twice in one": head(b"Content-Length: 2, 2") + b"ok",
    "two lengths": head(b"Content-Length: 2", b"Content-Length: 7") + b"ok",
    "a negative length": head(b"Content-Length: -1"),
    "a length that is none": head(b"Content-Length: many"),
    "an empty length": head(b"Content-Length:"),
    "a length beyond numbers": head(b"Content-Length: " + b"9" * 400),
    "a length in hex": head(b"Content-Length: 0x10"),
    "a length too large": head(b"Content-Length: 100") + b"short",
    "a length too small": head(b"Content-Length: 1") + b"longer",
    "chunks of garbage": head(b"Transfer-Encoding: chunked") + b"zzz\r\nnot chunks",
    "negative chunks": head(b"Transfer-Encoding: chunked") + b"-1\r\n\r\n",
    "cut chunks": head(b"Transfer-Encoding: chunked") + b"5\r\nab",
    "trailers": head(b"Transfer-Encoding: chunked") + b"0\r\nX: y\r\n\r\n",
    "chunked and a length": head(b"Transfer-Encoding: chunked", b"Content-Length: 3") + b"0\r\n\r\n",
    "an unknown coding": head(b"Transfer-Encoding: blah"),
    "gzip and chunked": head(b"Transfer-Encoding: gzip, chunked") + b"0\r\n\r\n",
    "chunked twice": head(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked") + b"0\r\n\r\n",
    "a gzip body that is none": head(b"Content-Encoding: gzip", b"Content-Length: 3") + b"abc",
    "a line without a colon": head(b"no colon here", b"Content-Length: 0"),
    "a line of colons": head(b":::", b": x", b"Content-Length: 0"),
    "a folded line": head(b"X: a", b"  folded", b"Content-Length: 0"),
    "a folded line first": head(b" folded", b"Content-Length: 0"),
    "a blank before the colon": head(b"Content-Length : 0"),
    "bytes beyond ASCII": head(b"X: \xff\xfe\x80", b"\xc3\xa9: y", b"Content-Length: 0"),
    "control characters": head(b"X: a\x00b\x01", b"Content-Length: 0"),
    "bare line feeds": b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    "HTTP/1.0 without a length": head(status=b"HTTP/1.0 200 OK") + b"body",
    "HTTP/1.2": head(b"Content-Length: 0", status=b"HTTP/1.2 200 OK"),
    "HTTP/2 in words": head(b"Content-Length: 0", status=b"HTTP/2 200 OK"),
    "no reason": head(b"Content-Length: 0", status=b"HTTP/1.1 200"),
    "an empty reason": head(b"Content-Length: 0", status=b"HTTP/1.1 200 "),
    "a reason of bytes": head(b"Content-Length: 0", status=b"HTTP/1.1 200 \xff\x00\xfe"),
    "a reason of 10 KB": head(b"Content-Length: 0", status=b"HTTP/1.1 200 " + b"o" * 10_000),
    "lower case": head(b"Content-Length: 0", status=b"http/1.1 200 ok"),
    "two blanks": head(b"Content-Length: 0", status=b"HTTP/1.1  200  OK"),
    "299": head(b"Content-Length: 0", status=b"HTTP/1.1 299 Fine"),
    "blank lines before": b"\r\n\r\n" + head(b"Content-Length: 0"),
    "early hints before": head(b"Link: </a>", status=b"HTTP/1.1 103 Early Hints") + head(b"Content-Length: 0"),
    "100 before": head(status=b"HTTP/1.1 100 Continue") + head(b"Content-Length: 0"),
    "100 twice before": head(status=b"HTTP/1.1 100 C") * 2 + head(b"Content-Length: 0"),
    "102 with a length before": head(b"Content-Length: 0", status=b"HTTP/1.1 102 P") + head(b"Content-Length: 0"),
    "closed behind the line": b"HTTP/1.1 200 OK\r\n",
    "closed in the line": b"HTTP/1.1 200 OK",
    "closed behind the digits": b"HTTP/1.1 200",
    "closed in the headers": b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nX-Hal",
    "a date beyond time": head(b"Date: Fri, 31 Dec 99999 23:59:59 GMT", b"Content-Length: 0"),
    "a retry beyond time": head(b"Retry-After: Fri, 31 Dec 99999999999 23:59:59 GMT", b"Content-Length: 0"),
    "an upgrade": head(b"Connection: upgrade", b"Upgrade: websocket", b"Content-Length: 0"),
    "a redirect nobody asked for": head(b"Location: http://127.0.0.1/", b"Content-Length: 0"),
    "an event stream": head(b"Content-Type: text/event-stream") + b"data: x\n\n",
}  # fmt: skip
FAILURES = {
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n": (OutcomeKind.REFUSED, 101),
    b"HTTP/1.1 300 Many\r\n\r\n": (OutcomeKind.REDIRECTED, 300),
    b"HTTP/1.1 999 Denied\r\n\r\n": (OutcomeKind.BROKEN, 999),
    b"HTTP/1.1 099 Low\r\n\r\n": (OutcomeKind.GARBLED, None),
    b"HTTP/1.1 2000 OK\r\n\r\n": (OutcomeKind.GARBLED, None),
    b"HTTP/1.1 20\r\n\r\n": (OutcomeKind.GARBLED, None),
    b"HTTP/1.1 20": (OutcomeKind.GARBLED, None),
    b"HTTP/1.1 OK 200\r\n\r\n": (OutcomeKind.GARBLED, None),
    b"<html>200 OK</html>": (OutcomeKind.GARBLED, None),
    b"HTTP/1.1 100 Continue\r\n\r\n": (OutcomeKind.GARBLED, None),
    b"HTTP/1.1 103 Early\r\nHTTP/1.1 200 OK\r\n\r\n": (OutcomeKind.GARBLED, None),
    b"": (OutcomeKind.UNREACHABLE, None),
}


async def attempt(answer: bytes, *, reset: bool = False) -> tuple[Outcome, Raw]:
    async def behave(talk: Talk, raw: Raw) -> None:
        raw.requests.append(await talk.read_request())
        for at in range(0, len(answer), 65_536):
            await talk.say(answer[at : at + 65_536])
        if reset:
            sock = talk.writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            talk.writer.transport.abort()
        else:
            talk.writer.close()

    async with raw_server(behave) as raw, Egress(timeout_s=10, allow_private_networks=True) as egress:
        outcome = await egress.post(raw.url, {"a": "b"}, b"{}", now=NOW, owner=UUID(int=1))
        return outcome, raw


@pytest.mark.parametrize("name", SUCCESSES)
async def test_a_2xx_is_a_success_however_odd_the_rest(name: str) -> None:
    outcome, raw = await attempt(SUCCESSES[name])
    assert outcome.kind is OutcomeKind.DELIVERED
    assert len(raw.requests) == 1


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nX: y\r\n", head(b"Content-Length: 9")]
)
async def test_a_reset_behind_the_status_line_changes_nothing(answer: bytes) -> None:
    for _ in range(5):
        assert (await attempt(answer, reset=True))[0].kind is OutcomeKind.DELIVERED


@pytest.mark.parametrize("answer", FAILURES)
async def test_what_is_no_2xx_is_no_success(answer: bytes) -> None:
    outcome, _ = await attempt(answer)
    assert (outcome.kind, outcome.status_code) == FAILURES[answer]


@pytest.mark.parametrize(
    "said, seconds",
    [
        (b"-1", None), (b"1e9", None), (b"Fri, 20 Nov 2026 11:00:00 GMT", 0), (b"Fri, 20 Nov 99999 11:00:00 GMT", None),
        (b"1" * 400, 10**9), (b"1.5", 2), (b"0", 0), (b"7, 9", None), (b"\xff", None), (b"", None), (b"0007", 7),
        (b"Fri, 20 Nov 2026 12:00:10 +0000", 10), (b"Fri, 20 Nov 2026 12:00:10", 10), (b"Thu, 01 Jan 1 00:00:00 +9999", None),
    ],
)  # fmt: skip
async def test_retry_after_is_obeyed_or_forgotten_and_never_an_accident(
    said: bytes, seconds: int | None
) -> None:
    outcome, _ = await attempt(
        head(b"Retry-After: " + said, b"Content-Length: 0", status=b"HTTP/1.1 429 Much")
    )
    assert outcome.kind is OutcomeKind.THROTTLED
    if said != b"Thu, 01 Jan 1 00:00:00 +9999":
        assert outcome.retry_after_s == seconds


@contextmanager
def no_files_left() -> Iterator[None]:
    """No file can be opened; what is open stays."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("host", ["127.0.0.1", "no-such-name.invalid"])
async def test_when_this_process_can_open_no_socket_that_is_held_against_nobody(host: str) -> None:
    async with Egress(timeout_s=5, allow_private_networks=True) as egress:
        with no_files_left():
            outcome = await egress.post(f"http://{host}:9/", {"a": "b"}, b"{}", now=NOW)
    assert (outcome.kind, outcome.alert, outcome.detail) == (OutcomeKind.UNSENT, FILES_EXHAUSTED, "")


async def test_an_answer_that_drips_is_waited_for_by_its_status_alone() -> None:
    async def drip(talk: Talk, raw: Raw) -> None:
        raw.requests.append(await talk.read_request())
        for byte in b"HTTP/1.1 200 OK\r\nx: ":
            await talk.say(bytes([byte]))
            await asyncio.sleep(0.001)
        await talk.reader.read()

    async with raw_server(drip) as raw, Egress(timeout_s=0.6, allow_private_networks=True) as egress:
        outcome = await egress.post(raw.url, {"a": "b"}, b"{}", now=NOW)
    assert outcome.kind is OutcomeKind.DELIVERED


async def test_without_files_nothing_is_used_up_and_everything_goes_on_when_there_are_some(
    shop: Shop, receiver: Receiver
) -> None:
    shop.settings = replace(SETTINGS, lane=LaneSettings(detained_rest_max_s=1))
    endpoint = await shop.endpoint(receiver)
    async with shop.relay():
        with no_files_left():
            await shop.publish("dep_a")
            while (FILES_EXHAUSTED, {}) not in shop.alerts:  # noqa: ASYNC110  # an alert wakes nobody here
                await asyncio.sleep(0.01)
        await shop.settled(endpoint, 1)
    assert await shop.fetch("select from delivery_attempts where outcome <> 'delivered'") == []
    assert receiver.sequences == [1]

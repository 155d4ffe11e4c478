"""The way out through the operator's proxy: what it does wrong is never a merchant's fault, and it is told only judged places."""

from __future__ import annotations

import asyncio
import base64
import socket
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest

from gateway.config.settings import Settings
from gateway.doctor.machine import Grade, check_proxy
from relay.model import Outcome, OutcomeKind
from relay.out.egress import Egress
from relay.out.tunnel import parse_proxy_url
from relay.settings import LaneSettings
from tests.relay_live import hostile
from tests.relay_live.name_server import serve_names
from tests.relay_live.proxy import WELL, serve_proxy
from tests.relay_live.receiver import Receiver, refuse
from tests.relay_live.shop import SETTINGS, Shop

NOW = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)
HEADERS = {"content-type": "application/json", "webhook-id": "evt_1"}
OWNER = UUID(int=1)
BUSY = b"HTTP/1.1 503 Service Unavailable\r\n\r\n"


async def post(url: str, proxy_url: str, *, private: bool = True, **options: object) -> Outcome:
    async with Egress(
        timeout_s=0.7,
        allow_private_networks=private,
        proxy_url=proxy_url,
        **options,  # type: ignore[arg-type]  # a test's shorthand
    ) as egress:
        return await egress.post(url, HEADERS, b"{}", now=NOW)


def nobody_there() -> int:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port: int = closed.getsockname()[1]
        return port


async def test_a_webhook_goes_through_a_tunnel_that_is_kept_and_the_receiver_sees_no_credentials(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.out.kept.QUIET_S", 0)
    async with (
        serve_proxy() as proxy,
        Egress(timeout_s=2, allow_private_networks=True, proxy_url=proxy.url) as egress,
    ):
        kinds = [
            (await egress.post(receiver.url, HEADERS, b"{}", now=NOW, owner=OWNER)).kind for _ in range(3)
        ]
    assert kinds == [OutcomeKind.DELIVERED] * 3
    assert proxy.asked == [f"CONNECT 127.0.0.1:{receiver.port} HTTP/1.1"]
    credentials = base64.b64encode(b"user:pass word").decode()
    assert f"Proxy-Authorization: Basic {credentials}\r\n" in proxy.heads[0]
    assert not [name for one in receiver.received for name in one.headers if name.lower().startswith("proxy")]


@pytest.mark.parametrize(
    "answer, itself, kind",
    [
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", WELL, OutcomeKind.UNREACHABLE),
        (b"HTTP/1.1 503 No\r\nx: y\r\n\r\n<html>", WELL, OutcomeKind.UNREACHABLE),
        (b"HTTP/1.0 504 Late\r\n\r\n", WELL, OutcomeKind.UNREACHABLE),
        (None, WELL, OutcomeKind.TIMEOUT),  # it waits for a receiver that never answers
        (None, None, OutcomeKind.UNSENT),
        (BUSY, BUSY, OutcomeKind.UNSENT),
        (None, BUSY, OutcomeKind.UNSENT),
        (None, b"HTTP/1.1 407 Who\r\n\r\n", OutcomeKind.UNSENT),
        (b"HTTP/1.1 407 Who\r\n\r\n", WELL, OutcomeKind.UNSENT),
        (b"HTTP/1.1 403 No\r\n\r\n", WELL, OutcomeKind.UNSENT),
        (b"HTTP/1.1 429 Much\r\n\r\n", WELL, OutcomeKind.UNSENT),
        (b"HTTP/1.1 500 Oops\r\n\r\n", WELL, OutcomeKind.UNSENT),
        (b"HTTP/1.1 302 There\r\nlocation: http://127.0.0.1/\r\n\r\n", WELL, OutcomeKind.UNSENT),
        (b"SSH-2.0-OpenSSH_9.9\r\n\r\n", WELL, OutcomeKind.UNSENT),
        (b"HTTP/1.1 200 OK\r\n", WELL, OutcomeKind.UNSENT),
        (b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 204 Forged\r\n\r\n", WELL, OutcomeKind.UNSENT),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000 + b"\r\n\r\n", WELL, OutcomeKind.UNSENT),
    ],
)
async def test_whose_fault_it_is_follows_from_what_the_proxy_says(
    receiver: Receiver, answer: bytes | None, itself: bytes | None, kind: OutcomeKind
) -> None:
    async with serve_proxy(answer=answer, itself=itself) as proxy:
        started = asyncio.get_running_loop().time()
        assert (await post(receiver.url, proxy.url)).kind is kind
        assert asyncio.get_running_loop().time() - started < 15
    assert receiver.received == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "no-such-proxy.invalid"])
async def test_a_proxy_that_is_not_there_is_nobodys_fault(receiver: Receiver, host: str) -> None:
    outcome = await post(receiver.url, f"http://{host}:{nobody_there()}")
    assert (outcome.kind, outcome.excerpt, outcome.status_code) == (OutcomeKind.UNSENT, b"", None)


async def test_a_receiver_that_misbehaves_behind_a_proxy_that_is_well_is_to_blame() -> None:
    for behaviour, kind in (
        (hostile.hang, OutcomeKind.TIMEOUT),
        (hostile.hang_up, OutcomeKind.UNREACHABLE),
        (hostile.talk_nonsense, OutcomeKind.GARBLED),
        (hostile.gzip_bomb, OutcomeKind.REFUSED),
    ):
        async with serve_proxy() as proxy, hostile.hostile(behaviour) as server:
            assert (await post(server.url, proxy.url)).kind is kind
            tls = await post(server.url.replace("http:", "https:"), proxy.url)
            assert tls.kind in {OutcomeKind.TLS_FAILED, OutcomeKind.UNREACHABLE, OutcomeKind.TIMEOUT}
    async with serve_proxy() as proxy:
        assert (await post(f"http://127.0.0.1:{nobody_there()}/", proxy.url)).kind is OutcomeKind.UNREACHABLE


async def test_a_proxy_that_dies_with_a_request_under_way_is_nobodys_fault() -> None:
    async with serve_proxy() as proxy, hostile.hostile(hostile.hang) as server, asyncio.TaskGroup() as group:
        task = group.create_task(post(server.url, proxy.url))
        while not server.requests:  # noqa: ASYNC110  # a socket's other end tells nobody
            await asyncio.sleep(0.01)
        proxy.die()
        assert (await task).kind is OutcomeKind.UNSENT


async def test_the_proxy_is_told_judged_addresses_only_and_is_itself_not_judged() -> None:
    answers = {
        "outside.test": ["93.184.216.34"],
        "inside.test": ["127.0.0.1"],
        "mixed.test": ["93.184.216.34", "10.0.0.1"],
    }
    async with serve_names(answers) as names, serve_proxy(answer=b"HTTP/1.1 502 No\r\n\r\n") as proxy:
        kinds = {
            host: (await post(f"https://{host}/", proxy.url, private=False, name_servers=[names.place])).kind
            for host in ("outside.test", "inside.test", "mixed.test", "127.0.0.1", "[64:ff9b::a00:1]")
        }
    assert kinds.pop("outside.test") is OutcomeKind.UNREACHABLE
    assert set(kinds.values()) == {OutcomeKind.FORBIDDEN}
    assert proxy.asked == ["CONNECT 93.184.216.34:443 HTTP/1.1"]


async def test_a_literal_that_slipped_past_the_url_is_judged_before_it_is_handed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("relay.out.egress.judge_url", lambda _url, **_policy: None)
    async with serve_proxy() as proxy:
        for host in ("127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254", "2130706433", "0x7f.1"):
            outcome = await post(f"https://{host}/", proxy.url, private=False)
            assert outcome.kind in {OutcomeKind.FORBIDDEN, OutcomeKind.UNREACHABLE}
        assert proxy.asked == []


@pytest.mark.parametrize("answer", [None, b"HTTP/1.1 407 Who\r\n\r\n", BUSY])
async def test_a_failing_proxy_uses_up_no_attempt_and_everything_goes_on_when_it_is_well(
    shop: Shop, receiver: Receiver, answer: bytes | None
) -> None:
    shop.settings = replace(
        SETTINGS, attempt_timeout_s=0.5, lane=LaneSettings(detained_rest_max_s=1, slow_after_s=0.2)
    )
    async with serve_proxy(answer=answer, itself=BUSY) as proxy:
        shop.proxy_url = proxy.url
        endpoint = await shop.endpoint(receiver)
        await shop.publish("dep_a", "dep_b")
        await shop.publish("dep_a")
        async with shop.relay():
            await _until(lambda: len(proxy.asked) >= 8)
            assert len(proxy.asked) < 40  # it is asked again, not hammered
            assert ("proxy-failed", {}) in shop.alerts
            assert await shop.fetch("select from delivery_attempts") == []
            assert (
                await shop.fetch("select from delivery_exceptions where attempts > 0 or failures > 0") == []
            )
            (row,) = await shop.fetch(
                "select state, last_failure from endpoints join endpoint_cursors using (endpoint_id)"
            )
            assert tuple(row) == ("active", None)
            proxy.answer, proxy.itself = b"", WELL
            await shop.settled(endpoint, 3)
    assert receiver.received
    assert receiver.sequences.index(1) < receiver.sequences.index(3)  # of one object, in order


async def test_a_failing_endpoint_is_probed_only_while_the_proxy_is_well(
    shop: Shop, receiver: Receiver
) -> None:
    shop.settings = replace(
        SETTINGS,
        retry=replace(SETTINGS.retry, failing_objects_max=1, schedule_s=(60, 60, 60)),
        lane=LaneSettings(detained_rest_max_s=1),
    )
    receiver.answer = refuse(500)
    async with serve_proxy() as proxy:
        shop.proxy_url = proxy.url
        endpoint = await shop.endpoint(receiver)
        await shop.publish("dep_a", "dep_b", "dep_c")
        async with shop.relay():
            await shop.until_row("state = 'failing'", endpoint)
            proxy.answer = proxy.itself = BUSY
            for writer in proxy.open:
                writer.transport.abort()
            asked = len(proxy.heads)
            await _until(lambda: len(proxy.heads) >= asked + 6)
            assert len(proxy.heads) < asked + 40
            receiver.answer = refuse(204)
            proxy.answer, proxy.itself = b"", WELL
            await shop.until_row("state = 'active'", endpoint)


async def _until(holds: object, timeout_s: float = 20.0) -> None:
    assert callable(holds)
    async with asyncio.timeout(timeout_s):
        while not holds():  # noqa: ASYNC110  # a socket's other end tells nobody
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    "url, shown",
    [
        ("http://proxy.example", ("proxy.example", 3128, None)),
        ("http://proxy.example:8080/", ("proxy.example", 8080, None)),
        ("http://[fd00::1]:3128", ("fd00::1", 3128, None)),
        (
            "http://u:p%40ss@10.0.0.1:3128",
            ("10.0.0.1", 3128, "Basic " + base64.b64encode(b"u:p@ss").decode()),
        ),
    ],
)
def test_a_proxys_url_is_read_and_its_password_not_shown(
    url: str, shown: tuple[str, int, str | None]
) -> None:
    proxy = parse_proxy_url(url)
    assert (proxy.host, proxy.port, proxy.authorization) == shown
    assert "Basic" not in repr(proxy)
    assert "p%40ss" not in repr(replace(SETTINGS, proxy_url=url))


@pytest.mark.parametrize(
    "url",
    ["", "proxy:3128", "https://proxy/", "socks5://proxy", "http://", "http://proxy/path", "http://proxy:0",
     "http://proxy:99999", "http://proxy?x", "http://pro xy", "http://proxy\r\nx: y", "http://[::1"],
)  # fmt: skip
def test_what_is_no_proxys_url_is_refused_without_being_quoted(url: str) -> None:
    with pytest.raises(ValueError, match="a URL like") as refused:
        parse_proxy_url(url)
    assert url in ("", "http://") or url not in str(refused.value)


@pytest.mark.parametrize(
    "itself, grade", [(WELL, Grade.OK), (BUSY, Grade.FAIL), (b"HTTP/1.1 407 Who\r\n\r\n", Grade.FAIL)]
)
async def test_the_doctor_says_whether_the_proxy_answers_and_shows_no_password(
    itself: bytes, grade: Grade
) -> None:
    async with serve_proxy(itself=itself) as proxy:
        (finding,) = await check_proxy(Settings(relay=replace(SETTINGS, proxy_url=proxy.url)))
    assert (finding.check, finding.grade) == ("proxy", grade)
    assert "pass" not in repr(finding).replace("password", "")
    assert await check_proxy(Settings()) == []

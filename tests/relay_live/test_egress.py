"""The way out: what each kind of stranger can do to us, and what they are told."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from aiohttp import web

from relay.model import Outcome, OutcomeKind
from relay.out.answer import EXCERPT_BYTES_MAX
from relay.out.dial import Dialer
from relay.out.egress import Egress, parse_retry_after
from tests.relay_live import hostile
from tests.relay_live.name_server import serve_names
from tests.relay_live.receiver import Received, Receiver

NOW = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)
HEADERS = {"content-type": "application/json", "webhook-id": "evt_1"}


@asynccontextmanager
async def way_out(
    *,
    private: bool = True,
    timeout_s: float = 1.0,
    name_servers: Sequence[str] = (),
    ports: Sequence[int] = (443,),
) -> AsyncIterator[Egress]:
    async with Egress(
        timeout_s=timeout_s, allow_private_networks=private, name_servers=name_servers, allowed_ports=ports
    ) as egress:
        yield egress


async def post(url: str, **options: object) -> Outcome:
    async with way_out(**options) as egress:  # type: ignore[arg-type]  # a test's shorthand
        return await egress.post(url, HEADERS, b"{}", now=NOW)


def answering(**response: object) -> Callable[[Received], object]:
    async def answer(_received: Received) -> web.Response:
        return web.Response(**response)  # type: ignore[arg-type]  # a test's shorthand

    return answer


@pytest.mark.parametrize(
    "status, kind",
    [
        (200, OutcomeKind.DELIVERED),
        (204, OutcomeKind.DELIVERED),
        (299, OutcomeKind.DELIVERED),
        (301, OutcomeKind.REDIRECTED),
        (304, OutcomeKind.REDIRECTED),
        (400, OutcomeKind.REFUSED),
        (410, OutcomeKind.GONE),
        (429, OutcomeKind.THROTTLED),
        (500, OutcomeKind.BROKEN),
        (503, OutcomeKind.BROKEN),
    ],
)
async def test_every_status_has_one_meaning(receiver: Receiver, status: int, kind: OutcomeKind) -> None:
    receiver.answer = answering(status=status)  # type: ignore[assignment]  # a test's shorthand
    outcome = await post(receiver.url)
    assert (outcome.kind, outcome.status_code) == (kind, status)


async def test_a_redirect_is_not_followed(receiver: Receiver) -> None:
    async with Receiver() as inside:
        receiver.answer = answering(status=307, headers={"location": inside.url})  # type: ignore[assignment]  # a test's shorthand
        assert (await post(receiver.url)).kind is OutcomeKind.REDIRECTED
        assert inside.received == []


async def test_the_answer_is_kept_up_to_a_few_kibibytes(receiver: Receiver) -> None:
    receiver.answer = answering(status=400, body=b"x" * 10_000)  # type: ignore[assignment]  # a test's shorthand
    assert (await post(receiver.url)).excerpt == b"x" * EXCERPT_BYTES_MAX
    receiver.answer = answering(status=400, body=b"why")  # type: ignore[assignment]  # a test's shorthand
    assert (await post(receiver.url)).excerpt == b"why"


async def test_no_cookie_is_kept_and_nothing_compressed_is_asked_for(receiver: Receiver) -> None:
    receiver.answer = answering(status=200, headers={"set-cookie": "a=b"})  # type: ignore[assignment]  # a test's shorthand
    async with way_out() as egress:
        for _ in range(2):
            await egress.post(receiver.url, HEADERS, b"{}", now=NOW)
    assert all("Cookie" not in one.headers for one in receiver.received)


@pytest.mark.parametrize(
    "behaviour, kind, status",
    [
        (hostile.drip_headers, OutcomeKind.DELIVERED, 200),
        (hostile.hang, OutcomeKind.TIMEOUT, None),
        (hostile.drip_body, OutcomeKind.DELIVERED, 200),
        (hostile.flood, OutcomeKind.BROKEN, 500),
        (hostile.gzip_bomb, OutcomeKind.REFUSED, 400),
        (hostile.hang_up, OutcomeKind.UNREACHABLE, None),
        (hostile.talk_nonsense, OutcomeKind.GARBLED, None),
        (hostile.flood_headers, OutcomeKind.DELIVERED, 200),
        (hostile.many_headers, OutcomeKind.DELIVERED, 200),
        (hostile.drip_status, OutcomeKind.TIMEOUT, None),
        (hostile.drip_hints, OutcomeKind.TIMEOUT, None),
        (hostile.endless_chunks, OutcomeKind.BROKEN, 500),
        (hostile.drip_chunk_size, OutcomeKind.DELIVERED, 200),
        (hostile.deflate_bomb, OutcomeKind.REFUSED, 400),
    ],
)
async def test_a_hostile_server_costs_a_bounded_time_and_few_bytes(
    behaviour: hostile.Behaviour, kind: OutcomeKind, status: int | None
) -> None:
    async with hostile.hostile(behaviour) as server:
        started = asyncio.get_running_loop().time()
        outcome = await post(server.url)
        assert asyncio.get_running_loop().time() - started < 10
        assert (outcome.kind, outcome.status_code) == (kind, status)
        assert len(outcome.excerpt) <= EXCERPT_BYTES_MAX
        assert server.requests == 1
        assert server.sent_bytes < 10_000_000  # what fits into the sockets' buffers, not the hundreds it had


@pytest.mark.parametrize("status", [200, 500])
async def test_a_status_stands_when_the_loop_was_busy_at_the_deadline(status: int) -> None:
    async def begin(
        _reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: hostile.Hostile
    ) -> None:
        await seen.send(writer, b"HTTP/1.1 %d So\r\ncontent-length: 9\r\n\r\n" % status)
        await asyncio.sleep(5)

    async with hostile.hostile(begin) as server, way_out(timeout_s=0.5) as egress:
        asyncio.get_running_loop().call_later(0.4, time.sleep, 0.3)
        outcome = await egress.post(server.url, HEADERS, b"{}", now=NOW)
        assert outcome.status_code == status
        assert not asyncio.current_task().cancelling()  # type: ignore[union-attr]  # a test is a task


async def test_a_gzip_bomb_is_not_unpacked() -> None:
    async with hostile.hostile(hostile.gzip_bomb) as server:
        assert (await post(server.url)).excerpt.startswith(b"\x1f\x8b")


async def test_a_connection_that_idled_out_is_replaced_once_without_blame(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("relay.out.kept.QUIET_S", 0)
    async with hostile.hostile(hostile.close_when_idle) as server, way_out() as egress:
        kinds = [
            (await egress.post(server.url, HEADERS, b"{}", now=NOW, owner=UUID(int=1))).kind for _ in range(3)
        ]
        assert kinds == [OutcomeKind.DELIVERED] * 3


async def test_nobody_listening_and_no_such_name_are_told_alike() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    assert (await post(f"http://127.0.0.1:{port}/")).kind is OutcomeKind.UNREACHABLE
    assert (await post("http://no-such-name.invalid/")).kind is OutcomeKind.UNREACHABLE


FORBIDDEN = [
    "https://127.0.0.1:{port}/", "https://localhost:{port}/", "https://[::1]:{port}/",
    "https://[::ffff:127.0.0.1]:{port}/", "https://[::7f00:1]:{port}/", "https://[::ffff:0:7f00:1]:{port}/",
    "https://2130706433:{port}/", "https://127.1:{port}/", "https://0177.0.0.1:{port}/", "https://0x7f000001:{port}/",
    "https://0x7f.1:{port}/", "https://017700000001:{port}/", "https://0:{port}/", "https://0.0.0.0:{port}/",
    "https://10.0.0.1:{port}/", "https://172.16.0.1:{port}/", "https://192.168.0.1:{port}/",
    "https://169.254.169.254:{port}/", "https://100.64.0.1:{port}/", "https://224.0.0.1:{port}/",
    "https://[64:ff9b::7f00:1]:{port}/", "https://[64:ff9b:1::7f00:1]:{port}/", "https://[2002:7f00:1::]:{port}/",
    "https://[2001:0:7f00:1::]:{port}/", "https://[fd00::1]:{port}/", "https://[fd00:ec2::254]:{port}/",
    "https://[::]:{port}/", "https://[fe80::1]:{port}/", "https://[ff02::1]:{port}/", "https://localhost.:{port}/",
    "https://user:pass@127.0.0.1:{port}/", "https://example.com@127.0.0.1:{port}/",
]  # fmt: skip


@pytest.mark.parametrize("judged", [True, False])
@pytest.mark.parametrize("url", FORBIDDEN)
async def test_no_spelling_of_our_own_network_is_ever_connected_to(
    receiver: Receiver, url: str, judged: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not judged:  # what the URL says must not be the only thing that keeps it out
        monkeypatch.setattr("relay.out.egress.judge_url", lambda _url, **_policy: None)
    connected: list[str] = []
    made = Dialer.make_socket

    def noting(dialer: Dialer, address: str) -> socket.socket:
        found = made(dialer, address)
        connected.append(address)
        return found

    monkeypatch.setattr(Dialer, "make_socket", noting)
    outcome = await post(url.format(port=receiver.port), private=False, ports=[receiver.port])
    assert connected == []
    assert outcome.kind in {OutcomeKind.FORBIDDEN} | (set() if judged else {OutcomeKind.UNREACHABLE})
    assert outcome.excerpt == b""
    assert receiver.received == []


async def test_a_name_is_judged_by_all_its_addresses_each_time_it_is_connected_to(receiver: Receiver) -> None:
    answers = {
        "mixed.test": ["93.184.216.34", "127.0.0.1"],
        "inside.test": ["127.0.0.1"],
        "carried.test": ["64:ff9b::7f00:1"],
    }
    async with serve_names(answers) as names:
        for name in answers:
            outcome = await post(
                f"https://{name}:{receiver.port}/",
                private=False,
                name_servers=[names.place],
                ports=[receiver.port],
            )
            assert outcome.kind is OutcomeKind.FORBIDDEN
    assert set(names.asked) == set(answers)
    assert receiver.received == []


async def test_a_name_that_turns_inwards_at_the_second_look_up_is_refused_then(receiver: Receiver) -> None:
    answers: dict[str, list[str]] = {"turns.test": ["93.184.216.34"]}
    url = f"https://turns.test:{receiver.port}/"
    async with (
        serve_names(answers) as names,
        way_out(private=False, name_servers=[names.place], ports=[receiver.port], timeout_s=0.3) as egress,
    ):
        first = await egress.post(url, HEADERS, b"{}", now=NOW)
        assert first.kind in {OutcomeKind.TIMEOUT, OutcomeKind.UNREACHABLE}  # it was let out, into nowhere
        answers["turns.test"] = ["127.0.0.1"]
        assert egress._dialer is not None
        egress._dialer.names.forget()  # as a minute does
        assert (await egress.post(url, HEADERS, b"{}", now=NOW)).kind is OutcomeKind.FORBIDDEN
    assert receiver.received == []


@pytest.mark.parametrize(
    "url",
    [
        "http://{name}:{port}/",
        "https://{name}:1/",
        "https://a:b@{name}:{port}/",
        "https://{name}:{port}/\r\nx: y",
    ],
)
async def test_what_an_endpoint_may_not_have_any_more_is_not_even_looked_up(
    url: str, receiver: Receiver
) -> None:
    async with serve_names({"shop.test": ["93.184.216.34"]}) as names:
        outcome = await post(
            url.format(name="shop.test", port=receiver.port),
            private=False,
            name_servers=[names.place],
            ports=[receiver.port],
        )
    assert outcome.kind is OutcomeKind.FORBIDDEN
    assert names.asked == []


async def test_names_that_are_never_answered_delay_nobody_elses(receiver: Receiver) -> None:
    async with (
        serve_names({"shop.test": ["127.0.0.1"]}) as names,
        way_out(timeout_s=3.0, name_servers=[names.place]) as egress,
        asyncio.TaskGroup() as group,
    ):

        async def send(host: str) -> Outcome:
            return await egress.post(f"http://{host}:{receiver.port}/", HEADERS, b"{}", now=NOW)

        lost = [group.create_task(send(f"hole-{number}.test")) for number in range(300)]
        # More than any pool of threads would hold; a busy machine may drop some questions of such a burst.
        while len(set(names.asked)) < 100:  # noqa: ASYNC110  # a socket's other end tells nobody
            await asyncio.sleep(0.01)
        assert (await send("shop.test")).kind is OutcomeKind.DELIVERED
        assert not any(task.done() for task in lost)
    assert {task.result().kind for task in lost} <= {OutcomeKind.TIMEOUT, OutcomeKind.UNREACHABLE}


async def test_even_an_address_that_slipped_past_the_names_is_vetted_at_its_socket() -> None:
    async with way_out(private=False) as egress:
        assert egress._dialer is not None
        with pytest.raises(OSError, match="address forbidden"):
            egress._dialer.make_socket("127.0.0.1")


@pytest.mark.parametrize(
    "name, value",
    [("x", "a\r\nevil: 1"), ("x", "a\nevil: 1"), ("x\r\nevil", "1"), ("x: y\r\nevil", "1"), ("x", "a\x00b")],
)
async def test_a_header_that_would_become_two_is_never_sent(
    receiver: Receiver, name: str, value: str
) -> None:
    async with way_out() as egress:
        outcome = await egress.post(receiver.url, {**HEADERS, name: value}, b"{}", now=NOW)
    assert outcome.kind is OutcomeKind.GARBLED
    assert receiver.received == []


async def test_proxies_of_the_environment_are_ignored(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert (await post(receiver.url)).kind is OutcomeKind.DELIVERED


async def test_a_certificate_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "1",
    ]
    subprocess.run(  # noqa: ASYNC221  # a few milliseconds, before anything runs
        [*command, "-subj", "/CN=localhost", "-keyout", str(key), "-out", str(cert)],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    server = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    assert (await post(f"https://localhost:{port}/")).kind is OutcomeKind.TLS_FAILED
    server.close()


@pytest.mark.parametrize(
    "text, seconds",
    [
        ("120", 120),
        (" 7 ", 7),
        ("0", 0),
        ("-1", None),
        ("soon", None),
        ("", None),
        (None, None),
        ("1" * 400, 10**9),
        ("1.5", 2),
        ("3.0", 3),
        ("1e9", None),
        ("Fri, 20 Nov 99999 11:00:00 GMT", None),
        ("Fri, 31 Dec 9999 23:59:59 -2359", 10**9),
        ("Mon, 01 Jan 0001 00:00:00 +2359", 0),
        ("Sat, 01 Jan 9999 00:00:00 GMT", 10**9),
        ("Sat, 01 Jan 99999999999999999999 00:00:00 GMT", None),
        ("Fri, 20 Nov 2026 12:01:00 GMT", 60),
        ("Fri, 20 Nov 2026 11:00:00 GMT", 0),
        ("Fri, 99 Nov 2026 11:00:00 GMT", None),
        ("١٢", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(text: str | None, seconds: int | None) -> None:
    assert parse_retry_after(text, NOW) == seconds


async def test_retry_after_makes_a_503_a_throttle(receiver: Receiver) -> None:
    moment = (NOW + timedelta(seconds=30)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    receiver.answer = answering(status=503, headers={"retry-after": moment})  # type: ignore[assignment]  # a test's shorthand
    outcome = await post(receiver.url)
    assert (outcome.kind, outcome.retry_after_s) == (OutcomeKind.THROTTLED, 30)


async def test_one_look_up_serves_all_who_ask_for_its_name_meanwhile(receiver: Receiver) -> None:
    async with (
        serve_names({"shop.test": ["127.0.0.1"]}) as names,
        way_out(timeout_s=5.0, name_servers=[names.place]) as egress,
        asyncio.TaskGroup() as group,
    ):
        url = f"http://shop.test:{receiver.port}/"
        tasks = [
            group.create_task(egress.post(url, HEADERS, b"{}", now=NOW, owner=UUID(int=number)))
            for number in range(50)
        ]
        assert {(await task).kind for task in tasks} == {OutcomeKind.DELIVERED}
        assert len(names.asked) <= 4  # an A and an AAAA


async def test_a_name_with_more_addresses_than_any_shop_has_none(receiver: Receiver) -> None:
    many = [f"127.0.{number // 256}.{number % 256}" for number in range(1, 101)]
    async with serve_names({"many.test": many, "few.test": ["127.0.0.1"]}) as names:
        for host, kind in (("many", OutcomeKind.UNREACHABLE), ("few", OutcomeKind.DELIVERED)):
            outcome = await post(f"http://{host}.test:{receiver.port}/", name_servers=[names.place])
            assert outcome.kind is kind


async def test_a_silent_address_is_passed_over_for_the_names_next_one(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.out.dial.NEXT_ADDRESS_S", 0.1)
    with socket.socket() as full:  # takes no connection any more: whoever knocks waits
        full.bind(("127.0.0.9", receiver.port))
        full.listen(0)
        waiting = [socket.socket() for _ in range(3)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(("127.0.0.9", receiver.port))
        async with (
            serve_names({"two.test": ["127.0.0.9", "127.0.0.1"]}) as names,
            way_out(timeout_s=5.0, name_servers=[names.place]) as egress,
        ):
            url = f"http://two.test:{receiver.port}/"
            assert (await egress.post(url, HEADERS, b"{}", now=NOW)).kind is OutcomeKind.DELIVERED
            assert egress._dialer is not None
            first, _ = await egress._dialer.names.resolve("two.test")
            assert first == "127.0.0.1", "the one that answered is tried first from then on"
        for one in waiting:
            one.close()

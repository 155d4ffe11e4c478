"""Reading a log from a server that is not well, not ours, or not kind."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from gateway import pull
from gateway.config.settings import Secret
from gateway.pull import LogReader, PulledPage, ServerAway, ServerRefuses, decode_page
from migrations.ids import decode_id

KEY = "cb_the-key-of-a-merchant"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def event(number: int, **members: Any) -> dict[str, Any]:
    return {"id": "evt_" + f"{number:026}", "type": "deposit.final", "sequence": number, **members}


def page(*events: object, head: object = 9) -> bytes:
    return json.dumps({"items": events, "next": None, "head_sequence": head}).encode()


@asynccontextmanager
async def reading(handler: Handler) -> AsyncIterator[LogReader]:
    """A reader of a server that answers everything so."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with LogReader(f"http://127.0.0.1:{runner.addresses[0][1]}", Secret(KEY)) as reader:
            yield reader
    finally:
        await runner.cleanup()


def answering(status: int, body: bytes, **headers: str) -> Handler:
    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response(
            status=status, body=body, headers={name.replace("_", "-"): text for name, text in headers.items()}
        )

    return answer


def test_bodies_are_cut_out_of_the_page_exactly_as_they_stand() -> None:
    odd = b'{"id": "evt_00000000000000000000000007","type":"deposit.final",\t"sequence":7 ,"x":1.50,"y":"\\u00e9\xc3\xa9"}'
    found = decode_page(b'{"items":[' + odd + b' ], "head_sequence":7}', after_sequence=6)
    assert found.events[0].body == odd
    assert found.events[0].event_id == decode_id("evt", "evt_00000000000000000000000007")


@pytest.mark.parametrize(
    "answer",
    [
        b"<html>",
        b"{}",
        page(head=None),
        page(event(5)),
        page(event(7), event(7)),
        page(event(8), event(7)),
        page(event(7, id="dep_" + "0" * 26)),
        page(event(7, id="evt_1.2")),
        page(event(7, type="a\x1b[2J.b")),
        page(event(7, sequence="7")),
        page("no event"),
    ],
)
def test_what_is_not_the_log_is_not_forwarded(answer: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        decode_page(answer, after_sequence=5)


@pytest.mark.parametrize("status", [500, 502, 503, 429, 408])
async def test_what_passes_is_asked_again_after_what_the_server_says(status: int) -> None:
    async with reading(answering(status, b"<html>", Retry_After="7")) as reader:
        with pytest.raises(ServerAway) as away:
            await reader.fetch_head()
    assert away.value.retry_after_s == 7


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 422])
async def test_what_does_not_pass_is_said_in_the_servers_words_without_control_characters(
    status: int,
) -> None:
    body = json.dumps({"detail": "no\x1b[2J such\u202e" + "x" * 500}).encode()
    async with reading(answering(status, body)) as reader:
        with pytest.raises(ServerRefuses) as refused:
            await reader.fetch_after(0, types=None, wait_s=0)
    assert str(refused.value).startswith(f"the server answers {status}: no?[2J such?xxx")
    assert len(str(refused.value)) < 400


async def test_the_key_does_not_follow_a_redirect() -> None:
    seen: list[str] = []

    async def elsewhere(request: web.Request) -> web.StreamResponse:
        seen.append(request.path)
        return web.Response(status=307, headers={"Location": "/elsewhere"})

    async with reading(elsewhere) as reader:
        with pytest.raises(ServerRefuses, match="307"):
            await reader.fetch_head()
    assert seen == ["/v1/events/head"]


async def test_an_endless_answer_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pull, "PAGE_BYTES_MAX", 100_000)

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 10_000)

    async with reading(endless) as reader, asyncio.timeout(10):
        with pytest.raises(ServerAway, match="longer than"):
            await reader.fetch_head()


async def test_a_server_that_never_answers_is_away_and_the_key_is_not_in_the_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pull, "ANSWER_TIMEOUT_S", 0.2)
    asked = asyncio.Event()

    async def silent(request: web.Request) -> web.StreamResponse:
        assert request.headers["Authorization"] == f"Bearer {KEY}"
        asked.set()
        await asyncio.sleep(3)
        return web.Response()

    async with reading(silent) as reader:
        with pytest.raises(ServerAway) as away:
            await reader.fetch_head()
    assert asked.is_set()
    assert KEY not in str(away.value) + repr(away.value.__cause__)


async def test_an_empty_page_says_where_the_log_ends() -> None:
    async with reading(answering(200, page(head=12))) as reader:
        assert await reader.fetch_after(12, types=None, wait_s=0) == PulledPage((), 12)


async def test_a_log_that_ends_before_our_place_is_an_empty_page_that_says_so() -> None:
    body = b'{"detail":"the log ends at sequence 3 of epoch 2","head_sequence":3,"log_epoch":2}'
    async with reading(answering(409, body)) as reader:
        assert await reader.fetch_after(12, types=None, wait_s=0) == PulledPage((), 3)


@pytest.mark.parametrize("body", [b"{}", b'{"head_sequence":-1}', b'{"head_sequence":"3"}', b"no"])
async def test_another_conflict_is_a_refusal(body: bytes) -> None:
    async with reading(answering(409, body)) as reader:
        with pytest.raises(ServerRefuses, match="409"):
            await reader.fetch_after(12, types=None, wait_s=0)

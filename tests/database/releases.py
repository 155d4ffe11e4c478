"""Releases of chainbell side by side: this one, and ones that came after it, each a program of its own.

Here: copying the rooms with one migration more into a folder, and running commands from there as an operator does. Not
here: what must hold when a database goes from one to the other (`test_upgrade.py`).
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from migrations.runner import expected_version, load_migrations

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("chains", "indexer", "relay", "gateway", "migrations")
SECRETS = {
    "TEST_ADMIN_TOKEN": "the-admin-token-of-the-upgrade-tests",
    "TEST_ENCRYPTION_KEY": "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
}
CONFIGURATION = """
data_dir = "{data_dir}"

[database]
url = "{url}"

[http]
bind = "127.0.0.1:0"

[secrets]
admin_token = "$TEST_ADMIN_TOKEN"
encryption_key = "$TEST_ENCRYPTION_KEY"
"""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    status: int
    out: str
    error: str

    def json(self) -> Any:
        """What it printed, parsed."""
        return json.loads(self.out)


@dataclass(frozen=True, slots=True)
class Release:
    """The folder its modules are in."""

    folder: Path

    async def start(self, config: Path, *arguments: str) -> asyncio.subprocess.Process:
        """Start one command of this release."""
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gateway.cli", *arguments, "--config", str(config),
            cwd=self.folder,
            env=os.environ | SECRETS | {"PYTHONPATH": str(self.folder)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip

    async def run(self, config: Path, *arguments: str) -> Ended:
        """Run one command to its end."""
        process = await self.start(config, *arguments)
        out, error = await process.communicate()
        assert process.returncode is not None
        return Ended(process.returncode, out.decode(), error.decode())


THIS_RELEASE = Release(ROOT)
NEXT_VERSION = expected_version(load_migrations()) + 1


def make_next_release(folder: Path, sql: str) -> Release:
    """This release and one migration more, with the number that comes next."""
    for room in ROOMS:
        shutil.copytree(ROOT / room, folder / room)  # compiled modules too, which saves a second a start
    (folder / "migrations" / "sql" / f"{NEXT_VERSION:04d}_next.sql").write_text(sql, encoding="utf-8")
    return Release(folder)


def write_configuration(folder: Path, url: str) -> Path:
    """A configuration that both releases read."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "chainbell.toml"
    config.write_text(CONFIGURATION.format(data_dir=folder / "data", url=url), encoding="utf-8")
    return config

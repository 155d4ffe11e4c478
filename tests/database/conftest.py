"""Directories for embedded servers of a test's own.

A directory that everybody may enter, and a place in it; what still runs there afterwards is killed.
Not here: the server that all other tests share (`tests/conftest.py`).
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest


@pytest.fixture
def parent() -> Iterator[Path]:
    """A directory that everybody may enter, as a home under /srv is; pytest's own are private."""
    path = Path(tempfile.mkdtemp(prefix="chainbell-embedded-"))
    path.chmod(0o755)
    yield path
    for postmaster in path.glob("**/postmaster.pid"):
        with suppress(ProcessLookupError):
            os.kill(int(postmaster.read_text().splitlines()[0]), signal.SIGKILL)
    shutil.rmtree(path)


@pytest.fixture
def data_dir(parent: Path) -> Path:
    return parent / "data"

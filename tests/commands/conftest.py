"""A folder to run commands in, and a developer in it. Here: the fixtures. Not here: what they are made of (`shell.py`,
`developer.py`), the database itself (tests/conftest.py).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from migrations.connect import open_pool
from migrations.ids import decode_id
from tests.commands.developer import Developer
from tests.commands.shell import Shell


@pytest.fixture
def shell(database_url: str, tmp_path: Path) -> Shell:
    """Commands on this test's own, migrated database."""
    return Shell(tmp_path, database_url)


@pytest_asyncio.fixture
async def developer(shell: Shell) -> AsyncIterator[Developer]:
    """A merchant's developer, on this test's database."""
    made = (await shell.run("merchant", "create", "--name", "Shop")).json
    pool = await open_pool(shell.database_url, size=2, application_name="test")
    yield Developer(shell, pool, decode_id("mer", made["merchant_id"]), made["api_key"])
    await pool.close()

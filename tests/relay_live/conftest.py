"""A relay on a real database, strangers on loopback. Here: fixtures. Not here: what they are made of (`shop.py`,
`receiver.py`, `hostile.py`), the database itself (tests/conftest.py).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from migrations.connect import open_pool
from relay.keys.secretbox import SecretBox
from tests.relay_live.receiver import Receiver
from tests.relay_live.shop import Shop
from tests.relay_live.tls import Authority


@pytest_asyncio.fixture
async def shop(database_url: str) -> AsyncIterator[Shop]:
    """A merchant with a migrated, empty database."""
    pool = await open_pool(database_url, size=12, application_name="test")
    yield Shop(pool, SecretBox([bytes(32)]))
    await pool.close()


@pytest_asyncio.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A stranger that accepts everything until told otherwise."""
    async with Receiver() as made:
        yield made


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """A certificate authority that this process trusts."""
    made = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.path))
    return made

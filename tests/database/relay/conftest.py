"""Connections to a migrated database, and facts to publish. Here: fixtures of the relay's database tests. Not here: the
database itself (tests/conftest.py).
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from migrations.connect import connect, open_pool
from migrations.handles import Connection, Pool


@pytest_asyncio.fixture
async def conn(database_url: str) -> AsyncIterator[Connection]:
    """One connection of the test's own."""
    connection = await connect(database_url, application_name="test")
    yield connection
    await connection.close()


@pytest_asyncio.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    """A pool, as the product has."""
    opened = await open_pool(database_url, size=8, application_name="test")
    yield opened
    await opened.close()

"""The API's fixtures. Here: a world to call, a merchant in it. Not here: what they are made of (`world.py`), the
database itself (tests/conftest.py).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.api.world import CONFIG, World, open_world, read_settings


@pytest_asyncio.fixture
async def world(database_url: str, tmp_path: Path) -> AsyncIterator[World]:
    """The API with two followed chains and nobody in it."""
    async with open_world(database_url, read_settings(CONFIG, tmp_path)) as opened:
        yield opened


@pytest_asyncio.fixture
async def key(world: World) -> str:
    """The key of a first merchant."""
    return await world.create_merchant()

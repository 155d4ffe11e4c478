"""What a function that speaks to PostgreSQL takes and gets, spelled once: a connection, or the pool to borrow one from; rows.

Lives here: type names only, so that stores need not repeat asyncpg's generic ones. Does not live here: opening either
(`connect`).
"""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias

import asyncpg
from asyncpg.pool import PoolConnectionProxy

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]"
"""A connection of its own, or one borrowed from the pool."""

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"


class Row(Protocol):
    """A row as the driver gives it: values by column name."""

    def __getitem__(self, name: str, /) -> Any: ...

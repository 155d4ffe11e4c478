"""Blocks in doubt on PostgreSQL: which they are, who told what is recorded, and when they are asked about again.

Statements of `sql/doubts.sql`.  What a doubt does to credit is `deposits`;
what lifts one is decided in `doubts`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from chains.model import Block
from indexer.rows.remembered import LockedRow
from migrations.handles import Connection
from migrations.queries import load_queries

_DOUBTS = load_queries("indexer", "doubts.sql")


class PostgresDoubts:
    """`BlockDoubts` of one chain, on its move's connection."""

    def __init__(self, conn: Connection, row: LockedRow) -> None:
        self._conn = conn
        self._row = row
        self._chain = row.record.chain

    async def load(self, heights: Collection[int]) -> dict[int, str]:
        """Which of these heights are in doubt, and which host told what is recorded there."""
        if not self._row.may_have_doubts:
            return {}
        rows = await self._conn.fetch(_DOUBTS["load_doubts"], self._chain, list(heights))
        return {row["height"]: row["served_by"] for row in rows}

    async def load_servers(self, heights: Collection[int]) -> dict[int, str]:
        """Which host served our canonical blocks at these heights."""
        rows = await self._conn.fetch(_DOUBTS["load_servers_at"], self._chain, list(heights))
        return {row["height"]: row["served_by"] for row in rows}

    async def insert(self, served_by: Mapping[int, str], *, due_at: datetime) -> None:
        """From now on these blocks are in doubt; where one was before, nothing changes."""
        self._row.may_have_doubts = True
        heights, hosts = list(served_by), list(served_by.values())
        await self._conn.execute(_DOUBTS["insert_doubts"], self._chain, heights, hosts, due_at)

    async def delete(self, heights: Collection[int]) -> None:
        """These blocks are in doubt no more."""
        await self._conn.execute(_DOUBTS["delete_doubts"], self._chain, list(heights))

    async def delete_up_to(self, height: int) -> None:
        """Our operator vouches for every block up to this height."""
        await self._conn.execute(_DOUBTS["delete_doubts_up_to"], self._chain, height)

    async def leave(self, fork_height: int) -> None:
        """Blocks above the fork leave, and the doubts about them."""
        await self._conn.execute(_DOUBTS["leave_doubts"], self._chain, fork_height)

    async def change_servers(self, blocks: Sequence[Block]) -> None:
        """What is recorded of these canonical blocks was told by another provider now."""
        heights = [block.header.height for block in blocks]
        levels = [block.level.value for block in blocks]
        await self._conn.execute(_DOUBTS["change_servers"], self._chain, heights, blocks[0].served_by, levels)

"""Assets that are held: which, since when, and what makes them count again.

Under the chain's lock, so that a move sees an asset held or not, and never in
between.  Why one is held is decided in `asset_watch`.
"""

from __future__ import annotations

from datetime import datetime

from chains.model import AssetId, ChainId
from indexer.rows.locks import load_lock_key, lock_chain_exclusive, tell_history
from migrations.handles import Pool
from migrations.ids import new_id
from migrations.queries import load_queries

_ASSETS = load_queries("indexer", "assets.sql")


async def load_held_assets(pool: Pool, chain: ChainId) -> dict[AssetId, str]:
    """The held assets of a chain, and why."""
    rows = await pool.fetch(_ASSETS["load_held_assets"], chain)
    return {AssetId(row["asset"]): row["held_reason"] for row in rows}


async def hold_asset(pool: Pool, chain: ChainId, asset: AssetId, *, reason: str) -> None:
    """From the next move on, nothing new of it is recorded."""
    async with pool.acquire() as conn, conn.transaction():
        await lock_chain_exclusive(conn, await load_lock_key(conn, chain))
        await conn.execute(_ASSETS["hold_asset"], chain, asset, reason)


async def release_asset(pool: Pool, chain: ChainId, asset: AssetId, *, now: datetime) -> None:
    """It counts again, from where it was held: those blocks are read once more."""
    async with pool.acquire() as conn, conn.transaction():
        await lock_chain_exclusive(conn, await load_lock_key(conn, chain))
        await conn.execute(_ASSETS["release_asset"], chain, asset, new_id(int(now.timestamp() * 1000)), now)
        await tell_history(conn, chain)

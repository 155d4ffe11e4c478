"""Adding a chain's canonical blocks and its listed assets: rows on a connection that holds the chain's lock.

Statements of `sql/chains.sql`, run by `store`, which knows when.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from chains.model import Asset, Block, ChainId
from migrations.handles import Connection
from migrations.queries import load_queries

_CHAINS = load_queries("indexer", "chains.sql")


async def insert_blocks(
    conn: Connection, chain: ChainId, blocks: Sequence[Block], *, at: datetime, watch_version: int
) -> None:
    """Add canonical rows of one chain; spared ones hold nothing for anybody of the watch list at `watch_version`."""
    headers = [block.header for block in blocks]
    await conn.execute(
        _CHAINS["insert_blocks"],
        chain,
        at,
        [header.height for header in headers],
        [header.hash for header in headers],
        [header.parent.hash for header in headers],
        [header.time_s for header in headers],
        [block.tx_count for block in blocks],
        [None if block.spared else block.log_count for block in blocks],
        [None if block.spared else len(block.transfers.recipients) for block in blocks],
        [None if block.spared else block.unlisted_transfer_count for block in blocks],
        [block.level.value for block in blocks],
        [block.served_by for block in blocks],
        [None if header.work is None else str(header.work) for header in headers],
        [watch_version if block.spared else None for block in blocks],
        [block.spared.assets if block.spared else None for block in blocks],
    )


async def fill_spared(conn: Connection, chain: ChainId, blocks: Sequence[Block]) -> None:
    """Complete the rows of these blocks that were written without a part."""
    await conn.execute(
        _CHAINS["fill_spared"],
        chain,
        [block.header.height for block in blocks],
        [block.log_count for block in blocks],
        [len(block.transfers.recipients) for block in blocks],
        [block.unlisted_transfer_count for block in blocks],
        [block.level.value for block in blocks],
        [block.served_by for block in blocks],
    )


async def insert_assets(
    conn: Connection, chain: ChainId, assets: Sequence[Asset], *, start_height: int
) -> None:
    """List assets; those listed before keep their start."""
    await conn.execute(
        _CHAINS["insert_assets"],
        chain,
        [asset.asset_id for asset in assets],
        [asset.symbol for asset in assets],
        [asset.decimals for asset in assets],
        start_height,
    )

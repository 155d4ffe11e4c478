"""What a look at a mempool asks of our rows: the deposits that no block holds, and those by transactions that wait.

Statements of `sql/mempools.sql`, run for `store`.  What becomes of them is decided in `unconfirmed`; a deposit is
written by `store` like any other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from chains.model import ChainId, ConflictKey, TxHash
from indexer.rows.spelling import decode_deposit, decode_parts
from indexer.rows.storage import Undecided
from indexer.rules.deposits import Deposit
from migrations.handles import Connection, Pool
from migrations.queries import load_queries

_MEMPOOLS = load_queries("indexer", "mempools.sql")


async def load_undecided(pool: Pool, chain: ChainId, *, limit: int) -> list[Undecided]:
    """The transactions of deposits that are seen, orphaned, or replaced by what has left our chain.

    Of a transaction with several deposits, one row: they live and die together.
    """
    rows = await pool.fetch(_MEMPOOLS["load_undecided"], chain, limit)
    counts = Counter(TxHash(row["tx_hash"]) for row in rows)
    by_tx = {TxHash(row["tx_hash"]): row for row in rows}
    return [
        Undecided(
            tx_hash,
            tuple(map(ConflictKey, decode_parts(row["conflict_keys"]))),
            row["state"] == "seen",
            counts[tx_hash],
        )
        for tx_hash, row in by_tx.items()
    ]


async def load_of_txs(conn: Connection, chain: ChainId, tx_hashes: Collection[TxHash]) -> list[Deposit]:
    """Every deposit by one of these transactions."""
    rows = await conn.fetch(_MEMPOOLS["load_of_txs"], chain, list(tx_hashes))
    return [decode_deposit(row) for row in rows]

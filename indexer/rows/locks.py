"""A chain's lock, and what is told under it: statements of whoever writes beside the moves, inside their transactions.

Exclusive for a move, shared while registering; what is read under it is exact. Does not live here: the moves (`store`),
what is registered (`move.registration`) or read again (`work_store`).
"""

from __future__ import annotations

from chains.model import ChainId
from migrations.handles import Connection
from migrations.queries import load_queries

CHAIN_LOCK_CLASS = 0x6362
"""First key of the chains' advisory locks; the second is `chains.lock_key`."""

HISTORY_CHANNEL = "chainbell_history"
"""The channel on which a chain is named of which more history is wanted."""

_CHAINS = load_queries("indexer", "chains.sql")


async def load_lock_key(conn: Connection, chain: ChainId) -> int:
    """The second key of a chain's advisory lock; raises `LookupError` for a chain without a first block."""
    key: int | None = await conn.fetchval(_CHAINS["load_lock_key"], chain)
    if key is None:
        raise LookupError(f"{chain} has no first block yet")
    return key


async def load_extent(conn: Connection, chain: ChainId) -> tuple[int, int]:
    """The heights of a chain's tip and of its lowest canonical block; exact under the lock."""
    row = await conn.fetchrow(_CHAINS["load_chain"], chain)
    assert row is not None
    return row["tip_height"], row["start_height"]


async def lock_chain_exclusive(conn: Connection, lock_key: int) -> None:
    """Wait until nobody registers or writes; held to the end of the transaction."""
    await conn.execute(_CHAINS["lock_chain_exclusive"], CHAIN_LOCK_CLASS, lock_key)


async def tell_history(conn: Connection, chain: ChainId) -> None:
    """Whoever reads history of this chain looks at what is wanted, once this transaction has committed."""
    await conn.execute(_CHAINS["notify_history"], chain)


async def lock_chain_shared(conn: Connection, lock_key: int) -> None:
    """Wait until nobody writes; several may register at once."""
    await conn.execute(_CHAINS["lock_chain_shared"], CHAIN_LOCK_CLASS, lock_key)

"""What blocks use up, and what they hold twice: the rows beside deposits that make both cheap to find.

Statements of `sql/spends.sql`, run on a move's connection by `store`.  Which
deposit waits is `Deposit.may_be_replaced`; what a replacement or a repeat means is
decided in `moves`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from chains.model import Address, BlockHash, ChainId, TransferTable, VerificationLevel
from indexer.rows.spelling import decode_deposit, decode_parts, encode_parts
from indexer.rules.deposits import Deposit, Occurrence
from indexer.rules.identity import DepositId
from indexer.rules.moves import Repeat
from migrations.handles import Connection
from migrations.queries import load_queries

_SPENDS = load_queries("indexer", "spends.sql")


async def load_conflicting(
    conn: Connection, chain: ChainId, tables: Sequence[TransferTable]
) -> list[Deposit]:
    """The waiting deposits of which these blocks use up a key."""
    if not tables:
        return []
    spent = [key for table in tables for key in table.spends]
    return [decode_deposit(row) for row in await conn.fetch(_SPENDS["load_conflicting"], chain, spent)]


async def load_freed(conn: Connection, chain: ChainId, fork_height: int) -> list[Deposit]:
    """The deposits that were replaced by what stands above the fork, and leaves."""
    return [decode_deposit(row) for row in await conn.fetch(_SPENDS["load_freed"], chain, fork_height)]


async def insert_conflicts(conn: Connection, chain: ChainId, deposits: Sequence[Deposit]) -> None:
    """The keys of those that wait; writing a deposit took away the ones it had."""
    pairs = [(key, one.id) for one in deposits if one.may_be_replaced for key in one.conflict_keys]
    if pairs:
        keys, ids = zip(*pairs, strict=True)
        await conn.execute(_SPENDS["insert_conflicts"], chain, keys, ids)


async def load_repeats(conn: Connection, ids: Collection[DepositId], *, height_last: int) -> list[Repeat]:
    """Where else these deposits stand, at most at `height_last`, in chain order."""
    return [
        Repeat(
            DepositId(row["deposit_id"]),
            Occurrence(
                row["height"],
                BlockHash(row["block_hash"]),
                row["block_time_s"],
                row["position"],
            ),
            tuple(map(Address, decode_parts(row["senders"]))),
            int(row["amount_base_units"]),
            VerificationLevel(row["level"]),
            row["memo"],
        )
        for row in await conn.fetch(_SPENDS["load_repeats"], list(ids), height_last)
    ]


async def insert_repeats(
    conn: Connection, chain: ChainId, repeats: Sequence[Repeat], *, at: datetime
) -> list[Repeat]:
    """Keep where deposits stand a second time; returns those nobody knew of."""
    places = [one.occurrence for one in repeats]
    rows = await conn.fetch(
        _SPENDS["insert_repeats"],
        chain,
        at,
        [one.deposit_id for one in repeats],
        [one.height for one in places],
        [one.block_hash for one in places],
        [one.block_time_s for one in places],
        [one.position for one in places],
        [encode_parts(one.senders) for one in repeats],
        [one.memo for one in repeats],
        [str(one.amount_base_units) for one in repeats],
    )
    inserted = {(row["deposit_id"], row["height"]) for row in rows}
    return [one for one in repeats if (one.deposit_id, one.occurrence.height) in inserted]


async def leave_repeats(conn: Connection, chain: ChainId, fork_height: int) -> None:
    """Blocks above the fork leave, and what stood in them a second time with them."""
    await conn.execute(_SPENDS["leave_repeats"], chain, fork_height)
